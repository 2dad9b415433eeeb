// SPDX-License-Identifier: Apache-2.0
#include "support/engine_model.hpp"

#include <aegis/storage/eviction/lru.hpp>

using namespace aegis_test;

TEST_CASE("without waiting for durability a killed process loses no commit, and a power cut only the newest ones, without a hole") {
  using Engine = storage::Engine<storage::MemoryBackend, storage::AsyncDurability, storage::LruEviction>;
  run_engine_model<Engine, false>(seed(1), 3, 300, "test/engine/model_async");
}
