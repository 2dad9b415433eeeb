// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/leaf_copy.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;

TEST_CASE("lower_bound and find on a leaf copy agree with its rows, for any key") {
  Fixture f;
  for (std::uint64_t i = 0; i < 500; ++i) f.put(numbered(2 * i), "v");
  Fixture::Leaf leaf;
  CHECK(leaf.size() == 0);
  CHECK(leaf.lower_bound("x") == 0);
  REQUIRE(f.tree.copy_leaf(f.root, LeafPosition::at(numbered(500)), leaf));
  for (std::uint64_t i = 0; i < 1001; ++i) {
    const std::string key = numbered(i);
    std::size_t expected = 0;
    while (expected < leaf.size() && leaf.key(expected) < key) ++expected;
    CHECK(leaf.lower_bound(key) == expected);
    const bool here = expected < leaf.size() && leaf.key(expected) == key;
    CHECK(leaf.find(key).has_value() == here);
  }
  CHECK(leaf.begin_row() == leaf.lower_bound(numbered(500)));
  CHECK(leaf.end_row() == leaf.size());
  REQUIRE(f.tree.copy_leaf(f.root, LeafPosition::below(numbered(501)), leaf));
  CHECK(leaf.begin_row() == 0);
  CHECK(leaf.key(leaf.end_row() - 1) == numbered(500));
  REQUIRE(f.tree.copy_leaf(f.root, LeafPosition::below(leaf.low()), leaf));
  CHECK(leaf.end_row() == leaf.size());
  CHECK(leaf.lower_bound("") == 0);
  CHECK(leaf.lower_bound("zzz") == leaf.size());
}
