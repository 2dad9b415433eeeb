// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/point_read.hpp>

#include "support/engines.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend>;

}  // namespace

TEST_CASE("the visitor sees the value in the transaction's buffer: it may commit others, and its bytes do not change meanwhile") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  const std::string value(20'000, 'a');
  put(engine, table, "k", value);
  auto reader = engine.snapshot();
  const auto found = reader.read(table, "k", [&](std::string_view seen) {
    for (int i = 0; i < 20; ++i) put(engine, table, "k", std::string(20'000, 'b'));
    REQUIRE(engine.checkpoint().has_value());
    CHECK(seen == value);
  });
  REQUIRE(found.has_value());
  CHECK(*found);
}

TEST_CASE("a value may be written back while it is looked at") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "k", "abc");
  auto txn = engine.begin();
  for (int i = 0; i < 3; ++i) {
    const auto found = txn.read(table, "k", [&](std::string_view seen) { CHECK(txn.put(table, "k", seen.substr(1)).has_value()); });
    REQUIRE(found.has_value());
  }
  CHECK(**txn.get(table, "k") == "");
  REQUIRE(txn.commit().has_value());
  CHECK(contents(engine, table) == Rows{{"k", ""}});
}

TEST_CASE("every snapshot reads what was committed up to it, however many are open, while keys change, go and come back") {
  const std::uint64_t seed = aegis_test::seed(21);
  INFO(replay(seed, "test/txn/point_read"));
  Random random{seed};
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  struct Held {
    Stack::ReadTransaction reader;
    Rows rows;
  };
  std::vector<Held> held;
  Rows rows;
  const auto any_key = [&] { return "key" + std::to_string(random.below(60)); };
  for (int round = 0; round < 400; ++round) {
    auto txn = engine.begin();
    Rows after = rows;
    for (std::uint64_t n = 1 + random.below(6); n > 0; --n) {
      const std::string key = any_key();
      if (random.one_in(3)) {
        const auto erased = txn.erase(table, key);
        REQUIRE(erased.has_value());
        CHECK(*erased == (after.erase(key) == 1));
      } else {
        const std::string value = random.one_in(8) ? random.bytes(2000 + random.below(30'000)) : random.bytes(random.below(400));
        REQUIRE(txn.put(table, key, value).has_value());
        after.insert_or_assign(key, value);
      }
    }
    if (random.one_in(5)) {
      REQUIRE(txn.abort().has_value());
    } else {
      REQUIRE(txn.commit().has_value());
      rows = after;
    }
    if (random.one_in(6)) {
      held.push_back({engine.snapshot(), rows});
      REQUIRE(held.back().reader.get(table, "key0").has_value());
    }
    if (held.size() > 6 || (!held.empty() && random.one_in(10))) held.erase(held.begin() + static_cast<std::ptrdiff_t>(random.below(held.size())));
    if (random.one_in(40)) REQUIRE(engine.checkpoint().has_value());
    for (auto& [reader, expected] : held) {
      const std::string key = any_key();
      const auto value = reader.get(table, key);
      REQUIRE(value.has_value());
      const auto wanted = expected.find(key);
      REQUIRE(value->has_value() == (wanted != expected.end()));
      if (*value) REQUIRE(**value == wanted->second);
    }
    if (!held.empty() && random.one_in(10)) {
      auto& [reader, expected] = held[random.below(held.size())];
      REQUIRE(rows_of(reader.scan(table, {}, random.one_in(2) ? Direction::forward : Direction::reverse)) == expected);
    }
  }
  held.clear();
  CHECK(contents(engine, table) == rows);
  check_at_rest(engine);
}
