// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/destroy.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;

TEST_CASE("a tree is destroyed in quanta and is an ordinary tree in between") {
  Fixture f;
  Random random{aegis_test::seed(6)};
  TreeModel model;
  for (int i = 0; i < 4000; ++i) {
    const std::string key = random_key(random, Fixture::Tree::key_limit);
    f.put(key, random.one_in(40) ? random.bytes(30'000) : random.bytes(100));
  }
  REQUIRE(check_tree(f).levels >= 3);
  std::uint64_t before = f.allocator.used_pages();
  int calls = 0;
  for (;; ++calls) {
    const auto done = f.tree.destroy_some(f.token, f.root, 10, Timestamp{1});
    REQUIRE(done);
    if (*done) break;
    check_tree(f);
    REQUIRE(calls < 5000);
    CHECK(f.allocator.used_pages() <= before);
    CHECK(before - f.allocator.used_pages() <= 30);
    before = f.allocator.used_pages();
  }
  CHECK(f.allocator.used_pages() == 0);
  CHECK(calls > 10);
}
