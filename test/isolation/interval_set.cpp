// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/interval_set.hpp>

#include <doctest/doctest.h>
#include <support/random.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace aegis::storage;

namespace {

constexpr std::uint32_t tables = 3;

// Short keys over the ends of the byte order: neighbours, prefixes of each other, the empty key.
std::vector<std::string> make_universe() {
  std::vector<std::string> keys{""};
  const std::string letters{'\0', 'a', 'b', '\xff'};
  for (std::size_t begin = 0, length = 0; length < 3; ++length) {
    const std::size_t end = keys.size();
    for (; begin < end; ++begin)
      for (const char c : letters) keys.push_back(keys[begin] + c);
  }
  return keys;
}

// Every note as it was told, and nothing clever.
struct Model {
  struct Note {
    TableId table;
    std::string from;
    std::optional<std::string> to;
    bool closed;
  };
  std::vector<Note> notes;

  bool contains(TableId table, const std::string& key) const {
    for (const Note& note : notes)
      if (note.table == table && note.from <= key && (!note.to || key < *note.to || (note.closed && key == *note.to))) return true;
    return false;
  }
};

struct Compared {
  std::size_t forgotten = 0, added = 0;  // keys that the set lacks, and that it has besides
};

Compared compare(const IntervalSet& set, const Model& model, const std::vector<std::string>& universe) {
  Compared found;
  for (std::uint32_t table = 0; table < tables; ++table)
    for (const std::string& key : universe) {
      const bool has = set.contains(TableId{table}, key), wanted = model.contains(TableId{table}, key);
      found.forgotten += wanted && !has;
      found.added += has && !wanted;
      if (wanted && !(set.touches(TableId{table}) && set.may_contain(PointSet::hash_of(TableId{table}, key)))) ++found.forgotten;
    }
  return found;
}

// One random note; `told` may be false, then only the model hears of it.
void note(aegis_test::Random& random, const std::vector<std::string>& universe, IntervalSet& set, Model& model, bool told = true) {
  const TableId table{static_cast<std::uint32_t>(random.below(tables))};
  const std::string from = universe[random.below(universe.size())];
  if (random.one_in(2)) {
    model.notes.push_back({table, from, from, true});
    if (told) CHECK(set.note_point(table, from).has_value());
    return;
  }
  std::optional<std::string> to;
  if (!random.one_in(12)) to = random.one_in(3) ? from + universe[random.below(universe.size())] : universe[random.below(universe.size())];
  const bool closed = random.one_in(2);
  model.notes.push_back({table, from, to, closed});
  if (told) CHECK(set.note_range(table, {from, to ? std::optional<std::string_view>{*to} : std::nullopt, closed}).has_value());
}

}  // namespace

TEST_CASE("within its limit a set contains exactly what was noted") {
  const std::vector<std::string> universe = make_universe();
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(aegis_test::replay(seed, "interval_set"));
  aegis_test::Random random{seed};
  IntervalSet set;
  for (int round = 0; round < 300; ++round) {
    Model model;
    for (std::uint64_t left = random.below(40); left > 0; --left) {
      note(random, universe, set, model);
      if (!random.one_in(8)) continue;
      const Compared found = compare(set, model, universe);
      REQUIRE(found.forgotten == 0);
      REQUIRE(found.added == 0);
    }
    const Compared found = compare(set, model, universe);
    REQUIRE(found.forgotten == 0);
    REQUIRE(found.added == 0);
    REQUIRE(set.intervals() <= model.notes.size());
    CHECK_FALSE(set.is_everything());
    set.clear();
    CHECK(set.empty());
    CHECK(compare(set, Model{}, universe).added == 0);
  }
}

TEST_CASE("beyond any limit a set forgets nothing and stays within the limit") {
  const std::vector<std::string> universe = make_universe();
  const std::uint64_t seed = aegis_test::seed(2);
  INFO(aegis_test::replay(seed, "interval_set"));
  aegis_test::Random random{seed};
  std::size_t merged = 0, everything = 0;
  for (const std::size_t limit : {0u, 100u, 400u, 700u, 1000u, 1500u, 2500u, 4000u}) {
    IntervalSet set{limit};
    for (int round = 0; round < 40; ++round) {
      Model model;
      for (std::uint64_t left = 5 + random.below(60); left > 0; --left) {
        note(random, universe, set, model);
        CHECK(set.memory() <= limit);
      }
      const Compared found = compare(set, model, universe);
      REQUIRE_MESSAGE(found.forgotten == 0, "limit " << limit);
      merged += found.added != 0 && !set.is_everything();
      everything += set.is_everything();
      set.clear();
    }
  }
  CHECK(merged > 0);      // both ways to be coarse were taken
  CHECK(everything > 0);
}

TEST_CASE("the model finds a set that was not told of one note") {
  const std::vector<std::string> universe = make_universe();
  aegis_test::Random random{aegis_test::seed(3)};
  std::size_t caught = 0;
  for (int round = 0; round < 50; ++round) {
    IntervalSet set;
    Model model;
    for (int i = 0; i < 12; ++i) note(random, universe, set, model, i != 7);
    caught += compare(set, model, universe).forgotten != 0;
  }
  CHECK(caught > 10);  // often, another note covers it
}

TEST_CASE("a key or a range that is noted again and again takes no more memory") {
  IntervalSet set;
  for (int i = 0; i < 1000; ++i) CHECK(set.note_point(TableId{1}, "key" + std::to_string(i)).has_value());
  CHECK(set.note_range(TableId{2}, {"a", "b"}).has_value());
  const std::size_t memory = set.memory();
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 1000; ++i) CHECK(set.note_point(TableId{1}, "key" + std::to_string(i)).has_value());
    CHECK(set.note_range(TableId{2}, {"a", "b"}).has_value());
    CHECK(set.note_point(TableId{2}, "aa").has_value());
  }
  CHECK(set.memory() == memory);
  CHECK(set.points() == 1000);
  CHECK(set.intervals() == 1);
}

TEST_CASE("a scan of a million rows is one interval, in either direction, and another scan's is not joined with it") {
  const auto key = [](int i) {
    char text[16];
    std::snprintf(text, sizeof text, "k%08d", i);
    return std::string{text};
  };
  IntervalSet set;
  CHECK(set.note_range(TableId{1}, {"a", "b"}).has_value());
  std::string at = "k";
  for (int i = 0; i < 1'000'000; ++i) {
    std::string to = key(i);
    CHECK_FALSE(!set.note_range(TableId{1}, {at, to, true}));
    at = std::move(to);
  }
  CHECK(set.intervals() == 2);
  CHECK(set.memory() < 2000);
  CHECK(set.contains(TableId{1}, key(999'999)));
  CHECK_FALSE(set.contains(TableId{1}, key(999'999) + '\0'));
  CHECK_FALSE(set.contains(TableId{1}, "c"));
  CHECK(set.note_range(TableId{2}, {key(999'999), std::nullopt}).has_value());
  for (int i = 999'999; i > 0; --i) CHECK_FALSE(!set.note_range(TableId{2}, {key(i - 1), key(i), false}));
  CHECK(set.intervals() == 3);
  CHECK(set.memory() < 2000);
  CHECK(set.contains(TableId{2}, "zzz"));
  CHECK_FALSE(set.contains(TableId{2}, "k"));
}

TEST_CASE("a full set merges neighbours: what is far from all that was read stays outside") {
  IntervalSet set{std::size_t{64} << 10};
  aegis_test::Random random{aegis_test::seed(4)};
  for (int i = 0; i < 20'000; ++i) CHECK(set.note_point(TableId{1}, "m" + std::to_string(random.below(1'000'000'000))).has_value());
  CHECK_FALSE(set.is_everything());
  CHECK(set.intervals() > 100);
  CHECK_FALSE(set.contains(TableId{1}, "a"));
  CHECK_FALSE(set.contains(TableId{1}, "z"));
  CHECK_FALSE(set.touches(TableId{2}));
  CHECK_FALSE(set.contains(TableId{2}, "m5"));
}

TEST_CASE("a set of too many tables becomes whole tables, then everything; clear makes it new and gives memory back") {
  IntervalSet set{2000};
  for (std::uint32_t table = 1; table <= 12; ++table) CHECK(set.note_point(TableId{table}, std::string(100, 'k')).has_value());
  CHECK_FALSE(set.is_everything());
  CHECK(set.contains(TableId{1}, "other"));
  CHECK_FALSE(set.touches(TableId{13}));
  for (std::uint32_t table = 1; table <= 1000; ++table) CHECK(set.note_point(TableId{table}, "k").has_value());
  CHECK(set.is_everything());
  CHECK(set.contains(TableId{5000}, ""));
  set.clear();
  CHECK(set.empty());
  CHECK_FALSE(set.contains(TableId{1}, "k"));

  IntervalSet large;
  for (int i = 0; i < 10'000; ++i) CHECK(large.note_point(TableId{1}, std::to_string(i)).has_value());
  CHECK(large.memory() > 100'000);
  large.clear();
  CHECK(large.memory() == 0);
}
