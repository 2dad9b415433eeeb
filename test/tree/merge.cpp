// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/merge.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;

TEST_CASE("deleting everything, from either end or as a queue, gives the pages back") {
  for (const int order : {0, 1, 2}) {
    Fixture f;
    const std::uint64_t before = f.allocator.used_pages();
    constexpr std::uint64_t rows = 3000;
    for (std::uint64_t i = 0; i < rows; ++i) {
      f.put(numbered(i), std::string(i % 100 == 0 ? 20'000 : 100, 'v'));
      if (order == 2 && i >= 50) REQUIRE(f.erase(numbered(i - 50), false, 1));
    }
    if (order == 2) CHECK(f.allocator.used_pages() < 40);
    for (std::uint64_t i = 0; i < rows; ++i) REQUIRE(f.tree.erase(f.token, f.root, numbered(order == 0 ? i : rows - 1 - i), false, Timestamp{1}));
    CHECK(check_tree(f).rows == 0);
    CHECK(f.allocator.used_pages() == before);
  }
}

TEST_CASE("a delete leaves a ghost, which is found as such and counted, and goes when it is purged") {
  Fixture f;
  const std::uint64_t before = f.allocator.used_pages();
  for (std::uint64_t i = 0; i < 1000; ++i) f.put(numbered(i), std::string(100, 'v'), 3);
  for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(f.erase(numbered(i), true, 4));
  CHECK(*f.tree.erase(f.token, f.root, numbered(5), true, Timestamp{5}) == false);
  const auto read = f.tree.get(f.root, numbered(5), f.buffer);
  REQUIRE(read);
  CHECK(read->kind == RowKind::ghost);
  CHECK(read->page_newest == Timestamp{4});
  TreeCounts counts = check_tree(f);
  CHECK(counts.ghosts == 1000);
  CHECK(counts.rows == 0);

  SUBCASE("one by one") {
    CHECK(*f.tree.purge(f.token, f.root, "no such key", Timestamp{5}) == false);
    for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(*f.tree.purge(f.token, f.root, numbered(i), Timestamp{5}));
  }
  SUBCASE("leaf by leaf, those that nothing needs") {
    Fixture::Leaf leaf;
    std::size_t removed = 0, left = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) {
      const auto done = f.tree.purge_leaf(f.token, f.root, numbered(i), Timestamp{5}, [](std::string_view key) { return key != numbered(500); });
      REQUIRE(done);
      removed += done->removed;
      left = std::max(left, done->left);
    }
    CHECK(removed == 999);
    CHECK(left == 1);
    CHECK(check_tree(f).ghosts == 1);
    REQUIRE(*f.tree.purge(f.token, f.root, numbered(500), Timestamp{5}));
  }
  SUBCASE("or by being put again") {
    for (std::uint64_t i = 0; i < 1000; ++i) f.put(numbered(i), "again");
    counts = check_tree(f);
    CHECK(counts.ghosts == 0);
    CHECK(counts.rows == 1000);
    for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(f.erase(numbered(i), false, 4));
  }
  CHECK(check_tree(f).ghosts == 0);
  CHECK(f.allocator.used_pages() == before);
}

TEST_CASE("the newest timestamp of a leaf survives splits, and merges take the greater") {
  Fixture f;
  const auto newest = [&](std::string_view key) { return number(f.tree.get(f.root, key, f.buffer)->page_newest); };
  for (std::uint64_t i = 0; i < 20; ++i) f.put(numbered(2 * i), std::string(150, 'v'), 1);
  f.put(numbered(3), "v", 50);
  for (std::uint64_t i = 0; i < 20; ++i) f.put(numbered(2 * i + 1), std::string(150, 'v'), 2);
  REQUIRE(check_tree(f).leaves > 1);
  for (std::uint64_t i = 0; i < 40; ++i) CHECK(newest(numbered(i)) == 50);
  for (std::uint64_t i = 40; i < 1000; ++i) f.put(numbered(i), std::string(150, 'v'), 60);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    if (i == 500) continue;
    REQUIRE(f.erase(numbered(i), false, 3));
  }
  CHECK(check_tree(f).leaves == 1);
  CHECK(newest(numbered(500)) == 60);
}
