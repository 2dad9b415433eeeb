// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/engine.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend>;

static_assert(std::is_move_constructible_v<Stack> && std::is_move_assignable_v<Stack> && !std::is_copy_constructible_v<Stack>);
static_assert(std::is_same_v<Result<Stack::Table>, decltype(std::declval<Stack&>().table("t"))>);

}  // namespace

TEST_CASE("a store is made when there is none, and found again with everything in it") {
  MemoryDisk disk;
  {
    Stack engine = open_on<Stack>(disk, small_options<Stack>());
    CHECK(engine.tables()->empty());
    put(engine, table_of(engine, "t"), "k", "v");
    CHECK(engine.close().has_value());
  }
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  CHECK(*engine.tables() == std::vector<std::string>{"t"});
  CHECK(contents(engine, table_of(engine, "t")) == Rows{{"k", "v"}});
  CHECK(engine.stats().recovery.transactions == 0);
  check_at_rest(engine);
}

TEST_CASE("an engine that is destroyed without close has crashed, and lost nothing that was acknowledged") {
  MemoryDisk disk;
  {
    Stack engine = open_on<Stack>(disk, small_options<Stack>());
    put(engine, table_of(engine, "t"), "k", "v");
  }
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  CHECK(engine.stats().recovery.transactions >= 1);
  CHECK(contents(engine, table_of(engine, "t")) == Rows{{"k", "v"}});
}

TEST_CASE("close is busy while a transaction, a snapshot or a cursor's transaction is open, and works afterwards") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "k", "v");
  {
    auto txn = engine.begin();
    CHECK(failed_with(engine.close(), Errc::busy));
    REQUIRE(txn.put(table, "k", "w").has_value());
    CHECK(failed_with(engine.close(), Errc::busy));
    REQUIRE(txn.commit().has_value());  // the engine goes on meanwhile
  }
  {
    auto reader = engine.snapshot();
    auto cursor = reader.scan(table);
    CHECK(failed_with(engine.close(), Errc::busy));
    CHECK(cursor.valid());
  }
  CHECK(engine.close().has_value());
}

TEST_CASE("after close every call fails with engine_failed, and nothing changes any more") {
  MemoryDisk disk;
  std::optional<Stack> engine{open_on<Stack>(disk, small_options<Stack>())};
  const auto table = table_of(*engine, "t");
  put(*engine, table, "k", "v");
  auto ended = engine->begin();
  REQUIRE(ended.abort().has_value());
  REQUIRE(engine->close().has_value());
  CHECK(failed_with(engine->close(), Errc::engine_failed));
  CHECK(failed_with(engine->table("t"), Errc::engine_failed));
  CHECK(failed_with(engine->table("new"), Errc::engine_failed));
  CHECK(failed_with(engine->tables(), Errc::engine_failed));
  CHECK(failed_with(engine->drop_table("t"), Errc::engine_failed));
  CHECK(failed_with(engine->checkpoint(), Errc::engine_failed));
  CHECK(failed_with(engine->verify(), Errc::engine_failed));
  CHECK(failed_with(engine->load_table("l"), Errc::engine_failed));
  CHECK(failed_with(engine->transact([](Stack::Transaction&) -> Result<void> { return {}; }), Errc::engine_failed));
  auto txn = engine->begin();
  CHECK(failed_with(txn.put(table, "k", "w"), Errc::engine_failed));
  CHECK(failed_with(txn.get(table, "k"), Errc::engine_failed));
  CHECK(failed_with(txn.commit(), Errc::engine_failed));
  auto reader = engine->snapshot();
  CHECK(failed_with(reader.get(table, "k"), Errc::engine_failed));
  CHECK(failed_with(reader.scan(table).status(), Errc::engine_failed));
  CHECK(failed_with(ended.get(table, "k"), Errc::transaction_closed));
  CHECK(engine->stats().transactions.active == 0);
  engine.reset();
  Stack again = open_on<Stack>(disk, small_options<Stack>());
  CHECK(contents(again, table_of(again, "t")) == Rows{{"k", "v"}});
}

TEST_CASE("one place has one engine at a time") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto second = MemoryBackend::open(disk);
  CHECK(failed_with(second, Errc::already_open));
}

TEST_CASE("two engines in one process share nothing") {
  MemoryDisk one_disk, other_disk;
  Stack one = open_on<Stack>(one_disk, small_options<Stack>()), other = open_on<Stack>(other_disk, small_options<Stack>());
  const auto here = table_of(one, "t"), there = table_of(other, "t");
  auto holding = one.begin();
  REQUIRE(holding.put(here, "k", "one").has_value());
  put(other, there, "k", "other");
  REQUIRE(holding.commit().has_value());
  CHECK(contents(one, here) == Rows{{"k", "one"}});
  CHECK(contents(other, there) == Rows{{"k", "other"}});
}

TEST_CASE("a moved engine keeps its tables, transactions and cursors") {
  MemoryDisk disk;
  std::vector<Stack> engines;  // outlives what is open on it
  Stack first = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(first, "t");
  put(first, table, "a", "1");
  auto txn = first.begin();
  REQUIRE(txn.put(table, "b", "2").has_value());
  auto reader = first.snapshot();
  auto cursor = reader.scan(table);
  Stack second = std::move(first);
  REQUIRE(txn.commit().has_value());
  CHECK(cursor.key() == "a");
  cursor.next();
  CHECK_FALSE(cursor.valid());
  CHECK(contents(second, table) == Rows{{"a", "1"}, {"b", "2"}});
  engines.push_back(std::move(second));
  CHECK(contents(engines[0], table) == Rows{{"a", "1"}, {"b", "2"}});
}

TEST_CASE("an engine assigned over closes nothing but frees its place") {
  MemoryDisk disk, other;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  put(engine, table_of(engine, "t"), "k", "v");
  engine = open_on<Stack>(other, small_options<Stack>());
  CHECK(engine.tables()->empty());
  Stack again = open_on<Stack>(disk, small_options<Stack>());
  CHECK(contents(again, table_of(again, "t")) == Rows{{"k", "v"}});
}

TEST_CASE("tables are opened or made by any name, and listed in order; a dropped one is gone at once and its name free again") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const std::vector<std::string> names{"", std::string("\0\xff", 2), "../../etc/passwd", "b", std::string(max_key_bytes(8192), 'n')};
  std::vector<Stack::Table> tables;
  for (const auto& name : names) {
    tables.push_back(table_of(engine, name));
    CHECK(tables.back().name() == name);
    put(engine, tables.back(), "k", name);
  }
  CHECK(failed_with(engine.table(std::string(max_key_bytes(8192) + 1, 'n')), Errc::too_large));
  CHECK(engine.tables()->size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto again = table_of(engine, names[i]);
    CHECK(again.id() == tables[i].id());
    CHECK(contents(engine, again) == Rows{{"k", names[i]}});
  }
  CHECK(failed_with(engine.drop_table("absent"), Errc::table_not_found));
  auto old = engine.snapshot();
  CHECK(**old.get(tables[3], "k") == "b");
  auto writer = engine.begin();
  REQUIRE(writer.put(tables[3], "k", "late").has_value());
  REQUIRE(engine.drop_table("b").has_value());
  CHECK(failed_with(engine.drop_table("b"), Errc::table_not_found));
  CHECK(engine.tables()->size() == names.size() - 1);
  CHECK(**old.get(tables[3], "k") == "b");  // older than the drop
  CHECK(failed_with(writer.commit(), Errc::table_not_found));
  CHECK(failed_with(engine.begin().get(tables[3], "k"), Errc::table_not_found));
  { auto gone = std::move(old); }
  const auto anew = table_of(engine, "b");
  CHECK(anew.id() != tables[3].id());
  CHECK(contents(engine, anew).empty());
  check_at_rest(engine);
}

TEST_CASE("options that cannot work are invalid_argument before anything is touched") {
  EngineOptions options = small_options<Stack>();
  options.log_bytes = 1000;
  CHECK(failed_with(Stack::open(options), Errc::invalid_argument));
  options = small_options<Stack>();
  options.max_transactions = 0;
  CHECK(failed_with(Stack::open(options), Errc::invalid_argument));
}

TEST_CASE("checkpoints make the log short and a reopen immediate") {
  MemoryDisk disk;
  {
    Stack engine = open_on<Stack>(disk, small_options<Stack>());
    const auto table = table_of(engine, "t");
    for (int i = 0; i < 100; ++i) put(engine, table, std::to_string(i), std::string(1000, 'v'));
    const auto before = engine.stats();
    CHECK(before.log_bytes > 100'000);
    REQUIRE(engine.checkpoint().has_value());
    CHECK(engine.stats().checkpoints == before.checkpoints + 1);
    CHECK(engine.stats().log_bytes < 10'000);
    put(engine, table, "last", "one");
  }
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  CHECK(engine.stats().recovery.transactions == 1);
  CHECK(contents(engine, table_of(engine, "t")).size() == 101);
}

TEST_CASE("a log that would overflow is emptied by the committers themselves") {
  MemoryDisk disk;
  auto options = small_options<Stack>();
  options.log_bytes = std::uint64_t{256} << 10;
  Stack engine = open_on<Stack>(disk, options);
  const auto table = table_of(engine, "t");
  for (int i = 0; i < 300; ++i) put(engine, table, std::to_string(i % 7), std::string(20'000, 'v'));
  CHECK(engine.stats().log_bytes <= options.log_bytes);
  CHECK(engine.stats().checkpoints > 10);
  CHECK(contents(engine, table).size() == 7);
  check_at_rest(engine);
}
