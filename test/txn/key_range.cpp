// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/key_range.hpp>

#include "support/engines.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend>;

}  // namespace

TEST_CASE("a range is an aggregate whose ends may be left out") {
  constexpr KeyRange all{};
  static_assert(!all.from && !all.to && all.within.empty());
  constexpr KeyRange from{.from = "a"};
  static_assert(from.from && !from.to);
  constexpr KeyRange prefix = KeyRange::prefix("p");
  static_assert(prefix.within == "p");
}

TEST_CASE("a prefix takes exactly the keys that begin with it, 0xff bytes and the empty prefix included, both ways") {
  const std::uint64_t seed = aegis_test::seed(11);
  INFO(replay(seed, "test/txn/key_range"));
  Random random{seed};
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  const auto any_key = [&](std::size_t longest) {
    static constexpr char letters[] = {'\0', 'p', '\xfe', '\xff'};
    std::string key(random.below(longest + 1), '\0');
    for (char& c : key) c = letters[random.below(sizeof letters)];
    return key;
  };
  Rows rows;
  auto filler = engine.begin();
  for (int i = 0; i < 300; ++i) {
    const std::string key = any_key(6);
    rows.insert_or_assign(key, std::string(200, 'v'));
    REQUIRE(filler.put(table, key, std::string(200, 'v')).has_value());
  }
  REQUIRE(filler.commit().has_value());
  auto reader = engine.snapshot();
  for (int i = 0; i < 200; ++i) {
    const std::string prefix = i == 0 ? "" : i == 1 ? "\xff" : i == 2 ? "\xff\xff" : any_key(3);
    KeyRange range = KeyRange::prefix(prefix);
    std::optional<std::string> from, to;
    if (random.one_in(3)) range.from = *(from = any_key(4));
    if (random.one_in(3)) range.to = *(to = any_key(4));
    Rows expected;
    for (const auto& [key, value] : rows)
      if (key.compare(0, prefix.size(), prefix) == 0 && (!from || key >= *from) && (!to || key < *to)) expected.emplace(key, value);
    CHECK(rows_of(reader.scan(table, range)) == expected);
    CHECK(rows_of(reader.scan(table, range, Direction::reverse)) == expected);
  }
}

TEST_CASE("the range's bytes need not outlive the call of scan") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  for (const char* key : {"a", "b1", "b2", "c"}) put(engine, table, key, key);
  auto reader = engine.snapshot();
  auto cursor = [&] {
    std::string from = "b", to = "b9", within = "b";
    auto made = reader.scan(table, {.from = from, .to = to, .within = within});
    from.assign("zzzz"), to.assign("zzzz"), within.assign("z");
    return made;
  }();
  CHECK(rows_of(std::move(cursor)) == Rows{{"b1", "b1"}, {"b2", "b2"}});
}
