// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/stats.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend>;

struct World {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  Stack::Table table = table_of(engine, "rows");
};

}  // namespace

TEST_CASE("transactions are counted by how they ended") {
  World world;
  const TransactionStats before = world.engine.stats().transactions;
  {
    auto committed = world.engine.begin();
    auto aborted = world.engine.begin();
    auto loser = world.engine.begin();
    CHECK(world.engine.stats().transactions.active == 3);
    REQUIRE(loser.get(world.table, "k").has_value());
    REQUIRE(committed.put(world.table, "k", "1").has_value());
    REQUIRE(committed.commit().has_value());
    CHECK(failed_with(loser.put(world.table, "k", "2"), Errc::conflict));
    REQUIRE(aborted.abort().has_value());
  }
  const TransactionStats after = world.engine.stats().transactions;
  CHECK(after.begun - before.begun == 3);
  CHECK(after.committed - before.committed == 1);
  CHECK(after.aborted - before.aborted == 2);
  CHECK(after.conflicts - before.conflicts == 1);
  CHECK(after.active == 0);
  CHECK(number(after.published) == number(before.published) + 1);
  CHECK(world.engine.stats().acknowledged == after.published);
}

TEST_CASE("versions are counted while a snapshot needs them, and the oldest snapshot is told") {
  World world;
  put(world.engine, world.table, "k", std::string(1000, 'v'));
  {
    auto reader = world.engine.snapshot();
    REQUIRE(reader.get(world.table, "k").has_value());
    put(world.engine, world.table, "k", "new");
    const TransactionStats held = world.engine.stats().transactions;
    CHECK(held.versions >= 1);
    CHECK(held.version_bytes >= 1000);
    CHECK(held.oldest_snapshot == reader.snapshot());
    CHECK(held.oldest_snapshot < held.published);
  }
  CHECK(world.engine.stats().transactions.versions == 0);
  CHECK(world.engine.stats().transactions.version_bytes == 0);
}

TEST_CASE("pool, log, backend and pages tell what they did") {
  World world;
  const EngineStats before = world.engine.stats();
  CHECK(before.pool.frames == 8);
  for (int i = 0; i < 200; ++i) put(world.engine, world.table, std::to_string(i), std::string(1000, 'v'));
  (void)contents(world.engine, world.table);
  const EngineStats filled = world.engine.stats();
  CHECK(filled.pool.hits > before.pool.hits);
  CHECK(filled.pool.misses > 0);
  CHECK(filled.pool.evictions > 0);
  CHECK(filled.pool.write_backs > 0);
  CHECK(filled.pool.pinned == 0);
  CHECK(filled.pool.used <= filled.pool.frames);
  CHECK(filled.used_pages >= 200'000 / 8192);
  CHECK(filled.pages >= filled.used_pages + filled.free_pages);
  CHECK(filled.log_bytes >= 200'000);
  CHECK(filled.backend.writes > 0);
  REQUIRE(world.engine.checkpoint().has_value());
  const EngineStats after = world.engine.stats();
  CHECK(after.checkpoints == filled.checkpoints + 1);
  CHECK(after.pool.dirty == 0);
  CHECK(after.backend.syncs > filled.backend.syncs);
  CHECK(after.backend.blocks >= 200'000 / 8192);
}

TEST_CASE("what is erased becomes ghosts, then free pages, and the store shrinks") {
  World world;
  for (int i = 0; i < 400; ++i) put(world.engine, world.table, std::to_string(1000 + i), std::string(1000, 'v'));
  const std::uint64_t used = world.engine.stats().used_pages;
  for (int i = 0; i < 400; ++i) {
    auto txn = world.engine.begin();
    REQUIRE(*txn.erase(world.table, std::to_string(1000 + i)));
    REQUIRE(txn.commit().has_value());
  }
  const auto other = table_of(world.engine, "other");
  for (int i = 0; i < 20; ++i) put(world.engine, other, "k", "upkeep");
  const EngineStats after = world.engine.stats();
  CHECK(after.waiting_ghosts == 0);
  CHECK(after.used_pages < used / 4);
  CHECK(after.withheld_pages == 0);
  REQUIRE(world.engine.checkpoint().has_value());
  CHECK(world.engine.stats().backend.blocks < used / 4);
  check_at_rest(world.engine);
}
