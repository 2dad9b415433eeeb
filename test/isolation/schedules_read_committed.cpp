// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>

#include "support/schedule_rows.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend, ReadCommitted>;

}  // namespace

TEST_CASE("read committed gives every schedule its outcome and leaves nothing behind") {
  for (const ScheduleRow& row : schedule_rows()) check_row<Stack>(row, row.read_committed, "");
}

TEST_CASE("a snapshot() keeps its state at read committed too") {
  for (const ScheduleRow& row : schedule_rows()) {
    const std::string readers = readers_of(row.schedule);
    if (readers.empty() || row.snapshot_isolation == nullptr) continue;
    // What writers do differs between the levels; what only reads is told as at snapshot isolation.
    std::string expected;
    for (std::string_view rest = row.snapshot_isolation; !rest.empty();) {
      const std::string_view one = rest.substr(0, rest.find('|'));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
      if (one.size() > 1 && std::string_view{"rsm"}.find(one[0]) != std::string_view::npos && readers.find(one[1]) != std::string::npos) expected.append(one).append("|");
    }
    check_row<Stack>(row, expected, readers);
  }
}

TEST_CASE("an open cursor is one operation: it shows one state, whatever is committed while it stands") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  Rows before;
  for (int i = 0; i < 200; ++i) {
    before.emplace(std::to_string(1000 + i), std::string(100, 'a'));
    put(engine, table, std::to_string(1000 + i), std::string(100, 'a'));
  }
  auto txn = engine.begin();
  auto cursor = txn.scan(table);
  Rows seen;
  for (int i = 0; cursor.valid(); cursor.next(), ++i) {
    seen.emplace(cursor.key(), cursor.value());
    put(engine, table, std::to_string(1000 + i * 7 % 200), "changed");
    CHECK(**txn.get(table, std::to_string(1000 + i * 7 % 200)) == "changed");  // another operation sees the newest
    put(engine, table, std::to_string(2000 + i), "new");
  }
  REQUIRE(cursor.status().has_value());
  CHECK(seen == before);
  CHECK(rows_of(txn.scan(table)).size() == 400);
}
