// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/schedule_rows.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend, SnapshotIsolation>;

std::string expected_of(const ScheduleRow& row) {
  if (std::string_view{row.name}.substr(0, 4) == "X12r") return "fail=2:conflict 4:conflict 6:conflict 8:deadlock|c1=ok|c3=ok|c5=ok|c7=ok";
  return row.snapshot_isolation != nullptr ? row.snapshot_isolation : row.read_committed;
}

}  // namespace

TEST_CASE("snapshot isolation gives every schedule its outcome, with readers of either kind, and leaves nothing behind") {
  for (const ScheduleRow& row : schedule_rows()) {
    check_row<Stack>(row, expected_of(row), "");
    if (const std::string readers = readers_of(row.schedule); !readers.empty()) check_row<Stack>(row, expected_of(row), readers);
  }
}

TEST_CASE("X20: a snapshot stays what it is under many commits, reclamation and checkpoints") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "1", "10");
  auto txn = engine.begin();
  auto reader = engine.snapshot();
  REQUIRE(**txn.get(table, "1") == "10");
  REQUIRE(**reader.get(table, "1") == "10");
  for (int i = 0; i < 10'000; ++i) {
    put(engine, table, "1", std::to_string(i));
    if (i % 1000 == 500) REQUIRE(engine.checkpoint().has_value());
  }
  CHECK(engine.stats().transactions.versions <= 3);  // what two snapshots and the newest commit need, not ten thousand
  CHECK(**txn.get(table, "1") == "10");
  CHECK(**reader.get(table, "1") == "10");
  CHECK(txn.commit().has_value());
  CHECK(contents(engine, table) == Rows{{"1", "9999"}});
}

TEST_CASE("X24: splits, merges and eviction between a scan and its transaction's writes change nothing") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  auto t1 = engine.begin(), t2 = engine.begin();
  CHECK(rows_of(t1.scan(table, {.from = "5", .to = "7"})).empty());
  CHECK(rows_of(t2.scan(table, {.from = "5", .to = "7"})).empty());
  for (const bool erases : {false, true}) {
    auto t3 = engine.begin();
    for (int i = 0; i < 2000; ++i) {
      const std::string key = "k" + std::to_string(1000 + i);
      if (erases) REQUIRE(*t3.erase(table, key));
      else REQUIRE(t3.insert(table, key, std::string(100, 'v')).has_value());
    }
    REQUIRE(t3.commit().has_value());
  }
  CHECK(rows_of(t1.scan(table)).empty());
  REQUIRE(t1.insert(table, "5", "1").has_value());
  REQUIRE(t2.insert(table, "6", "2").has_value());
  CHECK(failed_with(t2.insert(table, "k1000", "x"), Errc::conflict));
  CHECK(t1.commit().has_value());
  CHECK(failed_with(t2.commit(), Errc::conflict));
  CHECK(contents(engine, table) == Rows{{"5", "1"}});
  check_at_rest(engine);
}
