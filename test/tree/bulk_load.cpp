// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/bulk_load.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<8192>;

TEST_CASE("a bulk load gives a sound tree of full pages that carry the load's timestamp") {
  Fixture f;
  BulkLoader<Fixture::Pool, Fixture::Allocator> loader{f.tree, f.root, Timestamp{42}};
  constexpr std::uint64_t rows = 20'000;
  for (std::uint64_t i = 0; i < rows; ++i) REQUIRE(loader.append(f.token, numbered(i), std::string(i % 1000 == 0 ? 20'000 : 100, 'v')));
  CHECK(loader.rows() == rows);
  const TreeCounts counts = check_tree(f);
  CHECK(counts.rows == rows);
  CHECK(static_cast<double>(counts.used_bytes) / static_cast<double>(counts.leaves) > 0.95 * 8096);
  const auto read = f.tree.get(f.root, numbered(77), f.buffer);
  CHECK(read->page_newest == Timestamp{42});
  CHECK(f.buffer.view() == std::string(100, 'v'));
}

TEST_CASE("a bulk load refuses a key that does not lie behind the last, and goes on") {
  Fixture f;
  BulkLoader<Fixture::Pool, Fixture::Allocator> loader{f.tree, f.root, Timestamp{1}};
  REQUIRE(loader.append(f.token, "", "the empty key comes first"));
  REQUIRE(loader.append(f.token, "b", "1"));
  for (const char* key : {"b", "a", ""}) CHECK(loader.append(f.token, key, "2").error().code() == Errc::invalid_argument);
  CHECK(loader.append(f.token, std::string(5000, 'x'), "2").error().code() == Errc::too_large);
  REQUIRE(loader.append(f.token, "c", "3"));
  CHECK(f.get("b") == "1");
  CHECK(check_tree(f).rows == 3);
}
