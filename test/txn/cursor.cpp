// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/cursor.hpp>

#include "support/engines.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend>;

struct World {
  Stack engine = [] {
    auto opened = Stack::open(small_options<Stack>());
    REQUIRE(opened.has_value());
    return *std::move(opened);
  }();
  Stack::Table table = table_of(engine, "rows");

  void fill(const Rows& rows) {
    auto txn = engine.begin();
    for (const auto& [key, value] : rows) REQUIRE(txn.put(table, key, value).has_value());
    REQUIRE(txn.commit().has_value());
  }
};

std::string keys_of(Stack::Cursor cursor) {
  std::string keys;
  for (; cursor.valid(); cursor.next()) keys.append(cursor.key()).append(" ");
  REQUIRE(cursor.status().has_value());
  return keys;
}

std::string numbered(int n) {
  std::string digits = std::to_string(n);
  return std::string(6 - digits.size(), '0') + digits;
}

/// What a cursor must show: the nearest row of a map in the range, in the direction.
struct ExpectedCursor {
  const Rows& rows;
  std::optional<std::string> from, to;
  Direction direction;
  std::optional<std::string> at{};

  bool within(const std::string& key) const { return (!from || key >= *from) && (!to || key < *to); }
  void seek(const std::string& key) {
    at.reset();
    if (direction == Direction::forward) {
      for (auto it = rows.lower_bound(key); it != rows.end() && !at; ++it)
        if (within(it->first)) at = it->first;
    } else {
      for (auto it = std::make_reverse_iterator(rows.upper_bound(key)); it != rows.rend() && !at; ++it)
        if (within(it->first)) at = it->first;
    }
  }
  void start() {
    if (direction == Direction::forward) return seek("");
    at.reset();
    for (auto it = rows.rbegin(); it != rows.rend() && !at; ++it)
      if (within(it->first)) at = it->first;
  }
  void next() {
    if (!at) return;
    const std::string key = *at;
    at.reset();
    if (direction == Direction::forward) {
      for (auto it = rows.upper_bound(key); it != rows.end() && !at; ++it)
        if (within(it->first)) at = it->first;
    } else {
      for (auto it = std::make_reverse_iterator(rows.lower_bound(key)); it != rows.rend() && !at; ++it)
        if (within(it->first)) at = it->first;
    }
  }
};

static_assert(std::is_move_constructible_v<Stack::Cursor> && !std::is_copy_constructible_v<Stack::Cursor>);

}  // namespace

TEST_CASE("a cursor stands on its first row at once and walks in its direction") {
  World world;
  world.fill({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  auto txn = world.engine.begin();
  auto cursor = txn.scan(world.table);
  REQUIRE(cursor.valid());
  CHECK(cursor.key() == "a");
  CHECK(cursor.value() == "1");
  CHECK(keys_of(txn.scan(world.table)) == "a b c ");
  CHECK(keys_of(txn.scan(world.table, {}, Direction::reverse)) == "c b a ");
}

TEST_CASE("an empty table and an empty range have no row, and that is no error") {
  World world;
  auto txn = world.engine.begin();
  for (const Direction direction : {Direction::forward, Direction::reverse}) {
    CHECK(keys_of(txn.scan(world.table, {}, direction)) == "");
    CHECK(keys_of(txn.scan(world.table, {.from = "b", .to = "b"}, direction)) == "");
  }
  world.fill({{"", "0"}, {"a", "1"}, {"b", "2"}, {"c", "3"}});
  auto later = world.engine.begin();
  for (const Direction direction : {Direction::forward, Direction::reverse}) {
    CHECK(keys_of(later.scan(world.table, {.from = "b", .to = "b"}, direction)) == "");
    CHECK(keys_of(later.scan(world.table, {.from = "c", .to = "a"}, direction)) == "");
    CHECK(keys_of(later.scan(world.table, {.from = {}, .to = ""}, direction)) == "");
    CHECK(keys_of(later.scan(world.table, {.from = "d"}, direction)) == "");
  }
}

TEST_CASE("ranges are half-open, and either end may be left out") {
  World world;
  world.fill({{"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}});
  auto txn = world.engine.begin();
  CHECK(keys_of(txn.scan(world.table, {.from = "b", .to = "d"})) == "b c ");
  CHECK(keys_of(txn.scan(world.table, {.from = "b"})) == "b c d ");
  CHECK(keys_of(txn.scan(world.table, {.from = {}, .to = "c"})) == "a b ");
  CHECK(keys_of(txn.scan(world.table, {.from = "b", .to = "d"}, Direction::reverse)) == "c b ");
  CHECK(keys_of(txn.scan(world.table, {.from = "aa", .to = "cc"}, Direction::reverse)) == "c b ");
}

TEST_CASE("seek goes to the first row at or after the key, in reverse at or before it, and never leaves the range") {
  World world;
  world.fill({{"a", ""}, {"c", ""}, {"e", ""}, {"g", ""}, {"i", ""}});
  auto txn = world.engine.begin();
  const auto at = [](const Stack::Cursor& cursor) { return cursor.valid() ? std::string(cursor.key()) : "end"; };
  SUBCASE("forward") {
    auto cursor = txn.scan(world.table, {.from = "c", .to = "i"});
    cursor.seek("e");
    CHECK(at(cursor) == "e");
    cursor.seek("f");
    CHECK(at(cursor) == "g");
    cursor.seek("a");
    CHECK(at(cursor) == "c");
    cursor.seek("h");
    CHECK(at(cursor) == "end");
    cursor.seek("z");
    CHECK(at(cursor) == "end");
    cursor.next();
    CHECK(at(cursor) == "end");
    cursor.seek("d");
    CHECK(at(cursor) == "e");
    cursor.next();
    CHECK(at(cursor) == "g");
    CHECK(cursor.status().has_value());
  }
  SUBCASE("reverse") {
    auto cursor = txn.scan(world.table, {.from = "c", .to = "i"}, Direction::reverse);
    CHECK(at(cursor) == "g");
    cursor.seek("e");
    CHECK(at(cursor) == "e");
    cursor.seek("d");
    CHECK(at(cursor) == "c");
    cursor.seek("z");
    CHECK(at(cursor) == "g");
    cursor.seek("i");
    CHECK(at(cursor) == "g");
    cursor.seek("b");
    CHECK(at(cursor) == "end");
    cursor.seek("");
    CHECK(at(cursor) == "end");
    cursor.seek("h");
    CHECK(at(cursor) == "g");
    cursor.next();
    CHECK(at(cursor) == "e");
    CHECK(cursor.status().has_value());
  }
}

TEST_CASE("a cursor sees its transaction's own writes: inserted ahead, erased ahead, replaced, and not those behind") {
  World world;
  world.fill({{"b", "old"}, {"d", "old"}, {"f", "old"}, {"h", "old"}});
  auto txn = world.engine.begin();
  SUBCASE("forward") {
    auto cursor = txn.scan(world.table);
    REQUIRE(cursor.key() == "b");
    REQUIRE(txn.put(world.table, "a", "behind").has_value());
    REQUIRE(txn.put(world.table, "c", "ahead").has_value());
    REQUIRE(txn.put(world.table, "d", "new").has_value());
    REQUIRE(txn.erase(world.table, "f").has_value());
    cursor.next();
    CHECK(cursor.key() == "c");
    CHECK(cursor.value() == "ahead");
    cursor.next();
    CHECK(cursor.value() == "new");
    REQUIRE(txn.put(world.table, "i", "last").has_value());
    cursor.next();
    CHECK(cursor.key() == "h");
    cursor.next();
    CHECK(cursor.key() == "i");
    cursor.next();
    CHECK_FALSE(cursor.valid());
  }
  SUBCASE("reverse") {
    auto cursor = txn.scan(world.table, {}, Direction::reverse);
    REQUIRE(cursor.key() == "h");
    REQUIRE(txn.put(world.table, "i", "behind").has_value());
    REQUIRE(txn.put(world.table, "g", "ahead").has_value());
    REQUIRE(txn.erase(world.table, "f").has_value());
    REQUIRE(txn.put(world.table, "", "first").has_value());
    std::string keys;
    for (cursor.next(); cursor.valid(); cursor.next()) keys.append(cursor.key()).append(" ");
    CHECK(keys == "g d b  ");
  }
}

TEST_CASE("erasing the current row keeps the position, and what the cursor shows stays until the next step") {
  World world;
  world.fill({{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}});
  auto txn = world.engine.begin();
  std::string seen;
  for (auto cursor = txn.scan(world.table); cursor.valid(); cursor.next()) {
    const auto erased = txn.erase(world.table, cursor.key());
    REQUIRE(erased.has_value());
    CHECK(*erased);
    seen.append(cursor.key()).append(cursor.value());
  }
  CHECK(seen == "a1b2c3d4");
  CHECK(keys_of(txn.scan(world.table)) == "");
  REQUIRE(txn.commit().has_value());
  CHECK(contents(world.engine, world.table).empty());
}

TEST_CASE("replacing the current row's value does not change what the cursor shows, and does not bring the row again") {
  World world;
  world.fill({{"a", "1"}, {"b", "2"}});
  auto txn = world.engine.begin();
  std::string seen;
  for (auto cursor = txn.scan(world.table); cursor.valid(); cursor.next()) {
    const std::string_view before = cursor.value();
    REQUIRE(txn.put(world.table, cursor.key(), std::string(20'000, 'x')).has_value());
    CHECK(cursor.value() == before);
    seen.append(cursor.key()).append(cursor.value());
  }
  CHECK(seen == "a1b2");
}

TEST_CASE("a cursor moves, and the one it was moved from shows nothing") {
  World world;
  world.fill({{"a", "1"}, {"b", "2"}});
  auto txn = world.engine.begin();
  auto cursor = txn.scan(world.table);
  auto moved = std::move(cursor);
  REQUIRE(moved.valid());
  CHECK(moved.key() == "a");
  moved.next();
  CHECK(moved.key() == "b");
}

TEST_CASE("a cursor outlives its transaction only to say transaction_closed") {
  World world;
  world.fill({{"a", "1"}, {"b", "2"}});
  std::optional<Stack::Transaction> txn{world.engine.begin()};
  auto cursor = txn->scan(world.table);
  REQUIRE(cursor.valid());
  SUBCASE("commit") { REQUIRE(txn->commit().has_value()); }
  SUBCASE("abort") { REQUIRE(txn->abort().has_value()); }
  SUBCASE("drop") { txn.reset(); }
  SUBCASE("another transaction uses its memory") {
    txn.reset();
    txn.emplace(world.engine.begin());
    REQUIRE(txn->get(world.table, "a").has_value());
  }
  cursor.next();
  CHECK_FALSE(cursor.valid());
  CHECK(failed_with(cursor.status(), Errc::transaction_closed));
  cursor.seek("a");
  CHECK_FALSE(cursor.valid());
  CHECK(cursor.key().empty());
  CHECK(cursor.value().empty());
}

TEST_CASE("leaves that merge behind an open cursor do not bring rows again, nor skip any") {
  const std::string filler(300, 'f');
  Rows all, kept;
  for (int n = 0; n < 400; ++n) all.emplace(numbered(n), filler);
  for (int n = 5; n < 400; n += 20) kept.emplace(numbered(n), filler);
  for (const Direction direction : {Direction::forward, Direction::reverse}) {
    CAPTURE(static_cast<int>(direction));
    World world;
    const auto other = table_of(world.engine, "other");
    world.fill(all);
    auto txn = world.engine.begin();
    for (const auto& [key, value] : all)
      if (!kept.contains(key)) REQUIRE(txn.erase(world.table, key).has_value());
    REQUIRE(txn.commit().has_value());  // older than the cursor's snapshot: nobody needs the ghosts, but they are still there
    const std::uint64_t pages_before = world.engine.stats().used_pages;

    auto reader = world.engine.snapshot();
    auto cursor = reader.scan(world.table, {}, direction);
    std::vector<std::string> seen, expected;
    for (; cursor.valid() && seen.size() < 2 * kept.size(); cursor.next()) {
      seen.emplace_back(cursor.key());
      for (int i = 0; i < 20; ++i) put(world.engine, other, std::to_string(i), "upkeep");
    }
    REQUIRE(cursor.status().has_value());
    for (const auto& [key, value] : kept) expected.push_back(key);
    if (direction == Direction::reverse) expected = {expected.rbegin(), expected.rend()};
    CHECK(seen == expected);
    CHECK(world.engine.stats().used_pages < pages_before);  // they did merge
  }
}

TEST_CASE("a snapshot's cursor shows one state however much is committed while it walks, long values too") {
  World world;
  Rows rows;
  for (int n = 0; n < 60; ++n) rows.emplace(numbered(n), std::string(n % 5 == 0 ? 20'000 : 200, static_cast<char>('a' + n % 26)));
  world.fill(rows);
  for (const Direction direction : {Direction::forward, Direction::reverse}) {
    auto reader = world.engine.snapshot();
    auto cursor = reader.scan(world.table, {}, direction);
    Rows seen;
    int change = 0;
    for (; cursor.valid(); cursor.next(), ++change) {
      seen.emplace(cursor.key(), cursor.value());
      auto txn = world.engine.begin();
      for (int i = 0; i < 5; ++i) {
        const std::string key = numbered((change * 7 + i * 11) % 60);
        if ((change + i) % 3 == 0) REQUIRE(txn.erase(world.table, key).has_value());
        else REQUIRE(txn.put(world.table, key, std::string(i == 1 ? 30'000 : 100, 'n')).has_value());
      }
      REQUIRE(txn.put(world.table, numbered(1000 + change), "new").has_value());
      REQUIRE(txn.commit().has_value());
    }
    REQUIRE(cursor.status().has_value());
    CHECK(seen == rows);
    rows = contents(world.engine, world.table);
  }
  check_at_rest(world.engine);
}

TEST_CASE("a cursor does what a map does, own writes and other commits included") {
  const std::uint64_t seed = aegis_test::seed(7);
  INFO(replay(seed, "test/txn/cursor"));
  Random random{seed};
  World world;
  const auto any_key = [&] {
    static constexpr char letters[] = {'\0', 'a', 'b', '\x7f', '\x80', '\xff'};
    std::string key(random.below(5), '\0');
    for (char& c : key) c = letters[random.below(sizeof letters)];
    return key;
  };
  const auto any_value = [&] { return random.one_in(10) ? random.bytes(3000 + random.below(20'000)) : random.bytes(random.below(200)); };
  Rows committed;
  for (int i = 0; i < 400; ++i) committed.insert_or_assign(any_key(), any_value());
  world.fill(committed);

  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    auto txn = world.engine.begin();
    Rows rows = committed;
    const auto write_own = [&] {
      const std::string key = any_key();
      if (random.one_in(3)) {
        const auto erased = txn.erase(world.table, key);
        REQUIRE(erased.has_value());
        CHECK(*erased == (rows.erase(key) == 1));
      } else {
        const std::string value = any_value();
        REQUIRE(txn.put(world.table, key, value).has_value());
        rows.insert_or_assign(key, value);
      }
    };
    REQUIRE(txn.get(world.table, "").has_value());  // the snapshot
    for (std::uint64_t n = random.below(20); n > 0; --n) write_own();

    std::optional<std::string> from, to;
    std::string prefix;
    if (random.one_in(2)) from = any_key();
    if (random.one_in(2)) to = any_key();
    KeyRange range{.from = from, .to = to};
    if (random.one_in(3)) {
      prefix = any_key();
      range.within = prefix;
      from.reset(), to.reset();
      range.from.reset(), range.to.reset();
    }
    const Direction direction = random.one_in(2) ? Direction::forward : Direction::reverse;
    auto cursor = txn.scan(world.table, range, direction);
    const auto visible = [&] {
      if (prefix.empty()) return rows;
      Rows some;
      for (const auto& [key, value] : rows)
        if (key.compare(0, prefix.size(), prefix) == 0) some.emplace(key, value);
      return some;
    };
    Rows view = visible();
    ExpectedCursor expected{view, from, to, direction};
    expected.start();
    for (int step = 0; step < 60; ++step) {
      REQUIRE(cursor.status().has_value());
      REQUIRE(cursor.valid() == expected.at.has_value());
      if (expected.at) {
        REQUIRE(cursor.key() == *expected.at);
        // A row whose value was replaced while the cursor stands on it is shown as it was.
        if (step == 0 || view.contains(*expected.at)) REQUIRE(cursor.value() == view.at(*expected.at));
      }
      if (random.one_in(4)) {
        write_own();
        view = visible();
        if (expected.at && random.one_in(2)) {
          cursor.next();
          expected.next();
          continue;
        }
      }
      if (random.one_in(6)) {
        const std::string key = any_key();
        cursor.seek(key);
        expected.seek(key);
      } else if (expected.at) {
        cursor.next();
        expected.next();
      } else {
        const std::string key = any_key();
        cursor.seek(key);
        expected.seek(key);
      }
    }
    if (random.one_in(2)) {
      REQUIRE(txn.commit().has_value());
      committed = rows;
    } else {
      REQUIRE(txn.abort().has_value());
    }
  }
  CHECK(contents(world.engine, world.table) == committed);
  check_at_rest(world.engine);
}
