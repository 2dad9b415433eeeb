// SPDX-License-Identifier: Apache-2.0
// The long form: AEGIS_SECONDS=600 test/engine/model. A failure prints the seed that replays its disk at once.
#include "support/engine_model.hpp"

#include <aegis/storage/checksum/crc32c.hpp>

using namespace aegis_test;

TEST_CASE("an engine with eight frames equals a std::map, and after a crash at any call the map of acknowledged commits, with or without the one under way") {
  using Engine = storage::Engine<storage::MemoryBackend>;
  run_engine_model<Engine, true>(seed(1), 3, 300, "test/engine/model");
}
