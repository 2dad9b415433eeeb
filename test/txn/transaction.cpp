// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/transaction.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <chrono>
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

struct World {
  explicit World(EngineOptions options = small_options<Stack>()) : engine(open(options)) {}
  static Stack open(const EngineOptions& options) {
    auto opened = Stack::open(options);
    REQUIRE(opened.has_value());
    return *std::move(opened);
  }

  Stack engine;
  Stack::Table table = table_of(engine, "rows");
};

/// Two hundred kilobytes in rows of their own.
void replace_all(World& world, char with) {
  for (int i = 0; i < 200; ++i) put(world.engine, world.table, "k" + std::to_string(i), std::string(1000, with));
}

std::string got(const Result<std::optional<std::string>>& value) {
  if (!value) return "error: " + std::string(name_of(value.error().code()));
  return *value ? **value : "(absent)";
}

static_assert(std::is_move_constructible_v<Stack::Transaction> && std::is_move_assignable_v<Stack::Transaction> && !std::is_copy_constructible_v<Stack::Transaction>);
static_assert(std::is_copy_constructible_v<Stack::Table>);

}  // namespace

TEST_CASE("put inserts and replaces; get copies, read shows, and both tell an absent key") {
  World world;
  auto txn = world.engine.begin();
  CHECK(got(txn.get(world.table, "k")) == "(absent)");
  REQUIRE(txn.put(world.table, "k", "1").has_value());
  CHECK(got(txn.get(world.table, "k")) == "1");
  REQUIRE(txn.put(world.table, "k", "2").has_value());
  std::string seen;
  auto found = txn.read(world.table, "k", [&](std::string_view value) { seen = value; });
  REQUIRE(found.has_value());
  CHECK(*found);
  CHECK(seen == "2");
  bool called = false;
  found = txn.read(world.table, "other", [&](std::string_view) { called = true; });
  REQUIRE(found.has_value());
  CHECK_FALSE(*found);
  CHECK_FALSE(called);
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"k", "2"}});
}

TEST_CASE("insert refuses a present key and update an absent one, and the transaction goes on") {
  World world;
  put(world.engine, world.table, "there", "1");
  auto txn = world.engine.begin();
  CHECK(failed_with(txn.insert(world.table, "there", "2"), Errc::key_exists));
  CHECK(failed_with(txn.update(world.table, "absent", "2"), Errc::key_not_found));
  CHECK(got(txn.get(world.table, "there")) == "1");
  CHECK(got(txn.get(world.table, "absent")) == "(absent)");
  REQUIRE(txn.insert(world.table, "new", "3").has_value());
  CHECK(failed_with(txn.insert(world.table, "new", "4"), Errc::key_exists));
  REQUIRE(txn.update(world.table, "there", "5").has_value());
  REQUIRE(txn.update(world.table, "new", "6").has_value());
  CHECK(txn.state() == TransactionState::active);
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"new", "6"}, {"there", "5"}});
}

TEST_CASE("erase tells whether there was something, also of its own transaction's making") {
  World world;
  put(world.engine, world.table, "a", "1");
  auto txn = world.engine.begin();
  const auto erased = [&](std::string_view key) {
    const auto done = txn.erase(world.table, key);
    REQUIRE(done.has_value());
    return *done;
  };
  CHECK(erased("a"));
  CHECK_FALSE(erased("a"));
  CHECK_FALSE(erased("b"));
  REQUIRE(txn.put(world.table, "b", "2").has_value());
  CHECK(erased("b"));
  CHECK(got(txn.get(world.table, "a")) == "(absent)");
  CHECK(failed_with(txn.update(world.table, "a", "x"), Errc::key_not_found));
  REQUIRE(txn.insert(world.table, "a", "again").has_value());
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"a", "again"}});
}

TEST_CASE("D12: the empty key and the empty value are a key and a value") {
  World world;
  auto txn = world.engine.begin();
  REQUIRE(txn.insert(world.table, "", "").has_value());
  CHECK(got(txn.get(world.table, "")) == "");
  CHECK(failed_with(txn.insert(world.table, "", "x"), Errc::key_exists));
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"", ""}});
  auto second = world.engine.begin();
  CHECK(got(second.get_for_update(world.table, "")) == "");
  CHECK(*second.erase(world.table, ""));
  CHECK(got(second.get(world.table, "")) == "(absent)");
  REQUIRE(second.commit().has_value());
  CHECK(contents(world.engine, world.table).empty());
}

TEST_CASE("keys are bytes, compared unsigned; the longest is taken and one byte more is too_large") {
  World world;
  const std::string longest(max_key_bytes(8192), '\xff'), too_long = longest + "x";
  CHECK(longest.size() >= 1000);
  auto txn = world.engine.begin();
  REQUIRE(txn.put(world.table, longest, "long").has_value());
  REQUIRE(txn.put(world.table, std::string("\0", 1), "zero").has_value());
  REQUIRE(txn.put(world.table, "\x80", "high").has_value());
  REQUIRE(txn.put(world.table, "z", "z").has_value());
  CHECK(failed_with(txn.put(world.table, too_long, "x"), Errc::too_large));
  CHECK(failed_with(txn.erase(world.table, too_long), Errc::too_large));
  CHECK(got(txn.get(world.table, too_long)) == "(absent)");
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{std::string("\0", 1), "zero"}, {"z", "z"}, {"\x80", "high"}, {longest, "long"}});
}

TEST_CASE("values of any length up to the transaction's bound come back as they were, in a pool of eight frames") {
  World world;
  for (const std::size_t bytes : {1U, 1900U, 2000U, 8000U, 8192U, 30'000U, 100'000U, 1'000'000U, 5'000'000U}) {
    CAPTURE(bytes);
    std::string value(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>(i * 2654435761U >> 13);
    auto txn = world.engine.begin();
    REQUIRE(txn.put(world.table, "v", value).has_value());
    CHECK(*txn.get(world.table, "v") == value);
    REQUIRE(txn.commit().has_value());
    auto reader = world.engine.snapshot();
    CHECK(*reader.get(world.table, "v") == value);
    auto cursor = reader.scan(world.table);
    REQUIRE(cursor.valid());
    CHECK(cursor.value() == value);
  }
  check_at_rest(world.engine);
}

TEST_CASE("a value that is replaced stays for the snapshots that saw it, long or short") {
  World world;
  const std::string first(40'000, '1'), second(50'000, '2');
  put(world.engine, world.table, "k", first);
  auto old = world.engine.snapshot();
  REQUIRE(*old.get(world.table, "k") == first);
  put(world.engine, world.table, "k", second);
  auto middle = world.engine.snapshot();
  REQUIRE(*middle.get(world.table, "k") == second);
  put(world.engine, world.table, "k", "short");
  for (int i = 0; i < 20; ++i) put(world.engine, world.table, "other", std::string(20'000, 'o'));  // reuses what is free
  REQUIRE(world.engine.checkpoint().has_value());
  CHECK(*old.get(world.table, "k") == first);
  CHECK(*middle.get(world.table, "k") == second);
  CHECK(got(world.engine.snapshot().get(world.table, "k")) == "short");
}

TEST_CASE("a transaction reads one state, and its own writes on top of it") {
  World world;
  put(world.engine, world.table, "a", "1");
  auto txn = world.engine.begin();
  CHECK(txn.snapshot() == no_timestamp);
  CHECK(got(txn.get(world.table, "a")) == "1");
  CHECK(txn.snapshot() != no_timestamp);
  put(world.engine, world.table, "a", "2");
  put(world.engine, world.table, "b", "2");
  CHECK(got(txn.get(world.table, "a")) == "1");
  CHECK(got(txn.get(world.table, "b")) == "(absent)");
  REQUIRE(txn.put(world.table, "c", "own").has_value());
  CHECK(rows_of(txn.scan(world.table)) == Rows{{"a", "1"}, {"c", "own"}});
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"a", "2"}, {"b", "2"}, {"c", "own"}});
}

TEST_CASE("D25: the first updater wins: writing what was changed after the snapshot is a conflict, before key_exists is judged") {
  World world;
  put(world.engine, world.table, "a", "1");
  for (int way = 0; way < 5; ++way) {
    CAPTURE(way);
    auto txn = world.engine.begin();
    REQUIRE(txn.get(world.table, "other").has_value());
    put(world.engine, world.table, "a", std::to_string(way));
    Result<void> refused;
    if (way == 0) refused = txn.put(world.table, "a", "x");
    if (way == 1) refused = txn.insert(world.table, "a", "x");
    if (way == 2) refused = txn.update(world.table, "a", "x");
    if (way == 3) if (auto done = txn.erase(world.table, "a"); !done) refused = done.error();
    if (way == 4) if (auto done = txn.get_for_update(world.table, "a"); !done) refused = done.error();
    CHECK(failed_with(refused, Errc::conflict));
    CHECK(txn.state() == TransactionState::active);
    CHECK(got(txn.get(world.table, "other")) == "error: conflict");  // said again at every call
    CHECK(failed_with(txn.put(world.table, "b", "x"), Errc::conflict));
    auto cursor = txn.scan(world.table);
    CHECK_FALSE(cursor.valid());
    CHECK(failed_with(cursor.status(), Errc::conflict));
    CHECK(failed_with(txn.commit(), Errc::conflict));
    CHECK(txn.state() == TransactionState::aborted);
    CHECK(contents(world.engine, world.table) == Rows{{"a", std::to_string(way)}});
  }
  check_at_rest(world.engine);
}

TEST_CASE("who sees the last change of a key may write it, though what it replaced is still kept for an older snapshot") {
  World world;
  put(world.engine, world.table, "a", "1");
  auto older = world.engine.snapshot();
  CHECK(got(older.get(world.table, "a")) == "1");
  put(world.engine, world.table, "a", "2");
  auto txn = world.engine.begin();
  CHECK(got(txn.get(world.table, "a")) == "2");
  CHECK(txn.update(world.table, "a", "3").has_value());
  CHECK(txn.commit().has_value());
  CHECK(got(older.get(world.table, "a")) == "1");
  CHECK(contents(world.engine, world.table) == Rows{{"a", "3"}});
}

TEST_CASE("a conflict stays one after the replaced version's reader has gone, and a deleted key conflicts too") {
  World world;
  put(world.engine, world.table, "a", "1");
  auto txn = world.engine.begin();
  REQUIRE(txn.get(world.table, "a").has_value());
  for (int i = 0; i < 10; ++i) put(world.engine, world.table, "a", std::to_string(i));
  auto eraser = world.engine.begin();
  REQUIRE(*eraser.erase(world.table, "a"));
  REQUIRE(eraser.commit().has_value());
  put(world.engine, world.table, "elsewhere", "upkeep");
  CHECK(failed_with(txn.insert(world.table, "a", "mine"), Errc::conflict));
}

TEST_CASE("get_for_update keeps others away from the key until the end, present or not") {
  auto options = small_options<Stack>();
  options.lock_timeout = std::chrono::milliseconds(1);
  World quick{options};
  auto holder = quick.engine.begin();
  CHECK(got(holder.get_for_update(quick.table, "absent")) == "(absent)");
  auto other = quick.engine.begin();
  CHECK(failed_with(other.put(quick.table, "absent", "x"), Errc::lock_timeout));
  CHECK(failed_with(other.commit(), Errc::lock_timeout));
  REQUIRE(holder.put(quick.table, "absent", "mine").has_value());
  REQUIRE(holder.commit().has_value());
  CHECK(contents(quick.engine, quick.table) == Rows{{"absent", "mine"}});
  CHECK(quick.engine.stats().transactions.lock_timeouts == 1);
}

TEST_CASE("two transactions of one thread that want the same key end with lock_timeout, not never") {
  auto options = small_options<Stack>();
  options.lock_timeout = std::chrono::milliseconds(5);
  World world{options};
  auto first = world.engine.begin();
  auto second = world.engine.begin();
  REQUIRE(first.put(world.table, "k", "1").has_value());
  CHECK(failed_with(second.put(world.table, "k", "2"), Errc::lock_timeout));
  REQUIRE(first.commit().has_value());
  CHECK(failed_with(second.put(world.table, "free", "2"), Errc::lock_timeout));  // it is lost, whatever it tries
  REQUIRE(second.abort().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"k", "1"}});
}

TEST_CASE("D13: after its end a transaction says transaction_closed to everything, and nothing happens") {
  World world;
  put(world.engine, world.table, "a", "1");
  auto txn = world.engine.begin();
  REQUIRE(txn.put(world.table, "a", "2").has_value());
  TransactionState ended = TransactionState::aborted;
  SUBCASE("commit") {
    REQUIRE(txn.commit().has_value());
    ended = TransactionState::committed;
  }
  SUBCASE("abort") { REQUIRE(txn.abort().has_value()); }
  SUBCASE("moved from") {
    auto moved = std::move(txn);
    CHECK(moved.state() == TransactionState::active);
    CHECK(got(moved.get(world.table, "a")) == "2");
  }
  SUBCASE("replaced by another") {
    auto other = world.engine.begin();
    REQUIRE(other.put(world.table, "b", "other").has_value());
    REQUIRE(other.abort().has_value());
    txn = std::move(other);
  }
  const Rows rows = contents(world.engine, world.table);
  CHECK(rows == Rows{{"a", ended == TransactionState::committed ? "2" : "1"}});
  CHECK(txn.state() == ended);
  CHECK(failed_with(txn.get(world.table, "a"), Errc::transaction_closed));
  CHECK(failed_with(txn.read(world.table, "a", [](std::string_view) { FAIL_CHECK("visited"); }), Errc::transaction_closed));
  CHECK(failed_with(txn.get_for_update(world.table, "a"), Errc::transaction_closed));
  CHECK(failed_with(txn.put(world.table, "a", "x"), Errc::transaction_closed));
  CHECK(failed_with(txn.put(world.table, std::string(5000, 'k'), "x"), Errc::transaction_closed));
  const std::string_view too_long{"x", std::size_t{2} << 30};  // refused by its length alone
  CHECK(failed_with(txn.put(world.table, "n", too_long), Errc::transaction_closed));
  CHECK(failed_with(txn.insert(world.table, "n", "x"), Errc::transaction_closed));
  CHECK(failed_with(txn.update(world.table, "a", "x"), Errc::transaction_closed));
  CHECK(failed_with(txn.erase(world.table, "a"), Errc::transaction_closed));
  auto cursor = txn.scan(world.table);
  CHECK_FALSE(cursor.valid());
  CHECK(failed_with(cursor.status(), Errc::transaction_closed));
  cursor.seek("a");
  cursor.next();
  CHECK_FALSE(cursor.valid());
  CHECK(failed_with(txn.abort(), Errc::transaction_closed));
  CHECK(failed_with(txn.commit(), Errc::transaction_closed));
  CHECK(txn.state() == ended);
  CHECK(contents(world.engine, world.table) == rows);
  check_at_rest(world.engine);
}

TEST_CASE("a dropped transaction aborts, and its locks are free at once") {
  World world;
  {
    auto txn = world.engine.begin();
    REQUIRE(txn.put(world.table, "a", "1").has_value());
  }
  put(world.engine, world.table, "a", "2");
  CHECK(contents(world.engine, world.table) == Rows{{"a", "2"}});
  check_at_rest(world.engine);
}

TEST_CASE("a transaction that outgrows its bound hears too_large at the write, and goes on without that write") {
  auto options = small_options<Stack>();
  options.max_transaction_bytes = 10'000;
  World world{options};
  auto txn = world.engine.begin();
  REQUIRE(txn.put(world.table, "a", std::string(4000, 'a')).has_value());
  REQUIRE(txn.put(world.table, "b", std::string(4000, 'b')).has_value());
  CHECK(failed_with(txn.put(world.table, "c", std::string(4000, 'c')), Errc::too_large));
  CHECK(failed_with(txn.put(world.table, "a", std::string(9000, 'x')), Errc::too_large));
  CHECK(failed_with(txn.insert(world.table, "d", std::string(100'000, 'd')), Errc::too_large));
  CHECK(got(txn.get(world.table, "c")) == "(absent)");
  REQUIRE(txn.put(world.table, "e", "small").has_value());
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"a", std::string(4000, 'a')}, {"b", std::string(4000, 'b')}, {"e", "small"}});
  check_at_rest(world.engine);
}

TEST_CASE("a transaction's bound is at most a quarter of the log, so that what was taken can be committed") {
  auto options = small_options<Stack>();
  options.log_bytes = 1 << 20;
  World world{options};
  auto txn = world.engine.begin();
  int taken = 0;
  Result<void> done;
  while ((done = txn.put(world.table, std::to_string(taken), std::string(10'000, 'v')))) ++taken;
  CHECK(done.error().code() == Errc::too_large);
  CHECK(taken > 20);
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table).size() == static_cast<std::size_t>(taken));
}

TEST_CASE("when as many transactions are open as may be, one more is busy, and says so at every call") {
  auto options = small_options<Stack>();
  options.max_transactions = 3;
  World world{options};
  std::vector<Stack::Transaction> open;
  for (int i = 0; i < 3; ++i) open.push_back(world.engine.begin());
  for (int i = 0; i < 3; ++i) CHECK(open[static_cast<std::size_t>(i)].get(world.table, "a").has_value());
  auto more = world.engine.begin();
  CHECK(failed_with(more.get(world.table, "a"), Errc::busy));
  CHECK(failed_with(more.put(world.table, "a", "x"), Errc::busy));
  CHECK(failed_with(more.commit(), Errc::busy));
  CHECK(more.state() != TransactionState::active);
  auto reader = world.engine.snapshot();
  CHECK(failed_with(reader.get(world.table, "a"), Errc::busy));
  CHECK(failed_with(world.engine.transact([](Stack::Transaction&) -> Result<void> { return {}; }), Errc::busy));
  open.pop_back();
  auto again = world.engine.begin();
  CHECK(again.put(world.table, "a", "1").has_value());
}

TEST_CASE("commit tells a timestamp that is unique and rises, and none where nothing was written") {
  World world;
  Timestamp last{};
  for (int i = 0; i < 5; ++i) {
    auto txn = world.engine.begin();
    REQUIRE(txn.put(world.table, "k", std::to_string(i)).has_value());
    const auto done = txn.commit();
    REQUIRE(done.has_value());
    CHECK(done->timestamp > last);
    CHECK(done->durable);
    CHECK(done->retries == 0);
    last = done->timestamp;
  }
  auto reader = world.engine.begin();
  REQUIRE(reader.get(world.table, "k").has_value());
  CHECK(reader.snapshot() >= last);
  const auto done = reader.commit();
  REQUIRE(done.has_value());
  CHECK(done->timestamp == Timestamp{});
  CHECK(reader.snapshot() >= last);
  auto untouched = world.engine.begin();
  CHECK(untouched.commit().has_value());
}

TEST_CASE("what was inserted and erased again in one transaction leaves nothing, not even a version") {
  World world;
  auto txn = world.engine.begin();
  REQUIRE(txn.insert(world.table, "a", "1").has_value());
  REQUIRE(*txn.erase(world.table, "a"));
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table).empty());
  CHECK(world.engine.stats().transactions.versions == 0);
  check_at_rest(world.engine);
}

TEST_CASE("ids tell transactions apart, and state says how each ended") {
  World world;
  auto a = world.engine.begin();
  auto b = world.engine.begin();
  CHECK(a.id() != b.id());
  const TransactionId id = a.id();
  CHECK(a.state() == TransactionState::active);
  REQUIRE(a.commit().has_value());
  CHECK(a.id() == id);
  CHECK(a.state() == TransactionState::committed);
  REQUIRE(b.abort().has_value());
  CHECK(b.state() == TransactionState::aborted);
  auto c = world.engine.begin();
  CHECK(c.id() != a.id());
  CHECK(c.id() != b.id());
}

TEST_CASE("one row that is replaced again and again keeps, for an old snapshot, only what that sees") {
  auto options = small_options<Stack>();
  options.version_bytes = 64 * 1024;
  World world{options};
  put(world.engine, world.table, "k", "first");
  auto reader = world.engine.snapshot();
  REQUIRE(got(reader.get(world.table, "k")) == "first");
  for (int i = 0; i < 300; ++i) put(world.engine, world.table, "k", std::string(1000, static_cast<char>('a' + i % 26)));
  CHECK(world.engine.stats().transactions.versions <= 2);
  CHECK(got(reader.get(world.table, "k")) == "first");
}

TEST_CASE("over its cap the version store takes the oldest snapshot's right; every later read says snapshot_too_old") {
  auto options = small_options<Stack>();
  options.version_bytes = 64 * 1024;
  World world{options};
  replace_all(world, '0');
  auto reader = world.engine.snapshot();
  REQUIRE(reader.get(world.table, "k0").has_value());
  auto cursor = reader.scan(world.table);
  REQUIRE(cursor.valid());
  auto writer = world.engine.begin();
  REQUIRE(writer.put(world.table, "mine", "1").has_value());
  replace_all(world, '1');
  CHECK(failed_with(reader.get(world.table, "k0"), Errc::snapshot_too_old));
  cursor.seek("k0");
  CHECK_FALSE(cursor.valid());
  CHECK(failed_with(cursor.status(), Errc::snapshot_too_old));
  CHECK(failed_with(writer.get(world.table, "k0"), Errc::snapshot_too_old));
  CHECK(failed_with(writer.commit(), Errc::snapshot_too_old));
  CHECK(world.engine.stats().transactions.snapshots_too_old >= 2);
  CHECK(world.engine.stats().transactions.version_bytes <= 64 * 1024);
  { auto gone = std::move(reader); }
  CHECK_FALSE(contents(world.engine, world.table).contains("mine"));
  check_at_rest(world.engine);
}

TEST_CASE("a writer that was revoked does not commit, even if it never reads again") {
  auto options = small_options<Stack>();
  options.version_bytes = 64 * 1024;
  World world{options};
  replace_all(world, '0');
  auto writer = world.engine.begin();
  REQUIRE(writer.put(world.table, "mine", "1").has_value());
  replace_all(world, '1');
  CHECK(failed_with(writer.commit(), Errc::snapshot_too_old));
  CHECK_FALSE(contents(world.engine, world.table).contains("mine"));
}

TEST_CASE("a table of another engine, and none at all, is table_not_found") {
  World world, other;
  put(other.engine, other.table, "k", "other's");
  auto txn = world.engine.begin();
  CHECK(failed_with(txn.get(other.table, "k"), Errc::table_not_found));
  CHECK(failed_with(txn.put(other.table, "k", "x"), Errc::table_not_found));
  CHECK(failed_with(txn.get(Stack::Table{}, "k"), Errc::table_not_found));
  CHECK(failed_with(txn.scan(other.table).status(), Errc::table_not_found));
  REQUIRE(txn.put(world.table, "k", "mine").has_value());
  REQUIRE(txn.commit().has_value());
  CHECK(contents(other.engine, other.table) == Rows{{"k", "other's"}});
}

TEST_CASE("a value longer than any may be is too_large, and the transaction goes on") {
  World world;
  const std::string_view too_long{"x", static_cast<std::size_t>(max_value_bytes) + 1};  // refused by its length alone
  auto txn = world.engine.begin();
  CHECK(failed_with(txn.put(world.table, "k", too_long), Errc::too_large));
  CHECK(failed_with(txn.insert(world.table, "k", too_long), Errc::too_large));
  REQUIRE(txn.put(world.table, "k", "short").has_value());
  REQUIRE(txn.commit().has_value());
}

TEST_CASE("readers that ended are no aborts in the statistics") {
  World world;
  put(world.engine, world.table, "a", "1");
  const TransactionStats before = world.engine.stats().transactions;
  for (int i = 0; i < 5; ++i) (void)contents(world.engine, world.table);
  const TransactionStats after = world.engine.stats().transactions;
  CHECK(after.begun == before.begun + 5);
  CHECK(after.aborted == before.aborted);
  CHECK(after.active == 0);
}

TEST_CASE("a snapshot neither sees what is not committed nor waits for it, and has no effect on writers") {
  World world;
  put(world.engine, world.table, "a", "1");
  auto writer = world.engine.begin();
  REQUIRE(writer.put(world.table, "a", "2").has_value());
  REQUIRE(writer.put(world.table, "b", "2").has_value());
  auto reader = world.engine.snapshot();
  CHECK(got(reader.get(world.table, "a")) == "1");
  CHECK(rows_of(reader.scan(world.table)) == Rows{{"a", "1"}});
  REQUIRE(writer.commit().has_value());
  CHECK(got(reader.get(world.table, "a")) == "1");
  CHECK(rows_of(reader.scan(world.table)) == Rows{{"a", "1"}});
  CHECK(rows_of(world.engine.snapshot().scan(world.table)) == Rows{{"a", "2"}, {"b", "2"}});
}

TEST_CASE("tables of one engine do not meet: equal keys are different rows and different locks") {
  World world;
  const auto second = table_of(world.engine, "second");
  auto one = world.engine.begin();
  auto two = world.engine.begin();
  REQUIRE(one.put(world.table, "k", "1").has_value());
  REQUIRE(two.put(second, "k", "2").has_value());
  REQUIRE(one.commit().has_value());
  REQUIRE(two.commit().has_value());
  CHECK(contents(world.engine, world.table) == Rows{{"k", "1"}});
  CHECK(contents(world.engine, second) == Rows{{"k", "2"}});
}
