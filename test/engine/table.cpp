// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/table.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend, LatchOfThreads>;

}  // namespace

TEST_CASE("a table handle is small, copies, and knows its name; one without a table says so") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "name");
  const Stack::Table copy = table;
  CHECK(sizeof copy <= 2 * sizeof(void*));
  CHECK(static_cast<bool>(copy));
  CHECK(copy.name() == "name");
  CHECK(copy.id() == table.id());
  const Stack::Table none;
  CHECK_FALSE(static_cast<bool>(none));
  CHECK(none.name().empty());
  auto txn = engine.begin();
  CHECK(failed_with(txn.get(none, "k"), Errc::table_not_found));
  CHECK(failed_with(txn.put(none, "k", "v"), Errc::table_not_found));
  CHECK(failed_with(txn.scan(none).status(), Errc::table_not_found));
}

TEST_CASE("threads that open one table at once get the same one") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  std::vector<std::thread> threads;
  std::vector<TableId> ids(8);
  for (std::size_t t = 0; t < ids.size(); ++t)
    threads.emplace_back([&, t] {
      const auto table = engine.table("same");
      if (table) ids[t] = table->id();
    });
  for (auto& thread : threads) thread.join();
  for (const TableId id : ids) CHECK(id == ids[0]);
  CHECK(engine.tables()->size() == 1);
}

TEST_CASE("a table may be dropped and made anew beside writers and readers: each sees a whole table or table_not_found") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0}, written{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      while (!stop) {
        const auto table = engine.table("t");
        if (!table) {
          if (table.error().code() != Errc::busy) ++wrong;
          continue;
        }
        const auto done = engine.transact([&](Stack::Transaction& txn) -> Result<void> {
          for (int i = 0; i < 20; ++i) AEGIS_TRY(txn.put(*table, std::to_string(t) + "/" + std::to_string(i), std::string(500, 'v')));
          return {};
        });
        if (done) ++written;
        else if (done.error().code() == Errc::table_not_found) ++refused;
        else ++wrong;
        auto reader = engine.snapshot();
        auto cursor = reader.scan(*table, KeyRange::prefix(std::to_string(t)));
        int rows = 0;
        for (; cursor.valid(); cursor.next()) ++rows;
        if (cursor.status() ? (rows != 0 && rows != 20) : cursor.status().error().code() != Errc::table_not_found) ++wrong;
      }
    });
  for (int i = 0; i < 60; ++i) {
    const auto dropped = engine.drop_table("t");
    if (!dropped && dropped.error().code() != Errc::table_not_found) ++wrong;
    const std::uint64_t before = written;
    while (written == before && wrong == 0) std::this_thread::yield();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(written >= 60);
  check_at_rest(engine);
  (void)table_of(engine, "t");  // the last drop may have been the last that happened
  REQUIRE(engine.drop_table("t").has_value());
  REQUIRE(engine.checkpoint().has_value());
  CHECK(engine.tables()->empty());
  CHECK(engine.stats().used_pages <= 4);  // the map, the catalog
}

TEST_CASE("a snapshot from before a bulk load ended sees nothing of it, one from after it everything") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto other = table_of(engine, "other");
  auto before = engine.snapshot();
  auto writer = engine.begin();
  CHECK_FALSE(before.get(other, "k").value());
  CHECK_FALSE(writer.get(other, "k").value());
  auto loader = engine.load_table("loaded");
  REQUIRE(loader);
  REQUIRE(loader->append("k", "v"));
  const auto loaded = loader->finish();
  REQUIRE(loaded);
  const auto seen = before.get(*loaded, "k");
  REQUIRE_FALSE(seen);
  CHECK(seen.error().code() == Errc::table_not_found);
  auto rows = before.scan(*loaded);
  CHECK_FALSE(rows.valid());
  CHECK(rows.status().error().code() == Errc::table_not_found);
  CHECK_FALSE(writer.get(*loaded, "k"));
  auto after = engine.snapshot();
  CHECK(after.get(*loaded, "k").value() == "v");
  REQUIRE(engine.drop_table("loaded"));
  CHECK_FALSE(before.get(*loaded, "k"));
  CHECK(after.get(*loaded, "k").value() == "v");  // the drop came after it
}
