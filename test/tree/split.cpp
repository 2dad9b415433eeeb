// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/split.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;

TEST_CASE("ascending and descending inserts leave full pages behind") {
  for (const bool ascending : {true, false}) {
    TreeFixture<8192> f;
    constexpr std::uint64_t rows = 20'000;
    for (std::uint64_t i = 0; i < rows; ++i) f.put(numbered(ascending ? i : rows - i), std::string(100, 'v'));
    const TreeCounts counts = check_tree(f);
    CHECK(counts.rows == rows);
    CHECK(static_cast<double>(counts.used_bytes) / static_cast<double>(counts.leaves) > (ascending ? 0.95 : 0.87) * 8096);
  }
}

TEST_CASE("random inserts fill pages to about two thirds") {
  TreeFixture<8192> f;
  Random random{aegis_test::seed(3)};
  for (int i = 0; i < 20'000; ++i) f.put(random.bytes(16), random.bytes(100));
  const TreeCounts counts = check_tree(f);
  CHECK(static_cast<double>(counts.used_bytes) / static_cast<double>(counts.leaves) > 0.6 * 8096);
}

TEST_CASE("a write that cannot get its pages fails and changes nothing") {
  Fixture f;
  TreeModel model;
  Random random{aegis_test::seed(5)};
  for (int i = 0; i < 3000; ++i) {
    const std::string key = random.bytes(1 + random.below(400));
    const std::string value = random.one_in(10) ? random.bytes(9000) : random.bytes(200);
    const int allocations = static_cast<int>(random.below(4)), handles = static_cast<int>(random.below(6));
    f.allocator.fail_after(allocations);
    f.pool.fail_after(handles);
    bool saved = false;
    const auto done = f.tree.put(f.token, f.root, key, value, Timestamp{1}, [&](const StoredValue&) { saved = true; });
    f.allocator.fail_after(-1);
    f.pool.fail_after(-1);
    f.allocator.release(Timestamp{1});
    CHECK(saved == static_cast<bool>(done));
    if (done)
      model[key] = value;
    else
      CHECK((done.error().code() == Errc::no_space || done.error().code() == Errc::pool_exhausted));
    if (i % 300 == 0) CHECK(check_tree(f).rows == model.size());
  }
  CHECK(model.size() > 100);
  check_tree(f);
  check_walks(f, model);
}
