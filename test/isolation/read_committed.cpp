// SPDX-License-Identifier: Apache-2.0
// What only this level does; its schedules are in hermitage_read_committed.cpp.
#include <aegis/storage/isolation/read_committed.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend, ReadCommitted>;

}  // namespace

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
