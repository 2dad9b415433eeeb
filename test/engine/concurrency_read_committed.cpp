// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/latch/plain.hpp>

#include "support/bank.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("at read committed with a plain latch the bank keeps its total when transfers read for update, and every scan sees one state") {
  using Stack = Engine<MemoryBackend, ReadCommitted, PlainLatch>;
  const std::uint64_t seed = aegis_test::seed(3);
  INFO(replay(seed, "test/engine/concurrency_read_committed"));
  for (const std::size_t frames : {std::size_t{8}, std::size_t{16}}) {
    CAPTURE(frames);
    MemoryDisk disk;
    Bank<Stack> bank{true, seed};
    EngineOptions options;
    options.pool_bytes = frames * 8192;
    options.log_bytes = std::uint64_t{1} << 20;
    {
      Stack engine = open_on<Stack>(disk, options);
      bank.fill(engine);
      bank.run(engine, seconds(2));
      bank.check(engine);
      check_at_rest(engine);
      CHECK(engine.close().has_value());
    }
    Stack engine = open_on<Stack>(disk, options);
    bank.check(engine);
  }
}
