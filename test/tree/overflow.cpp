// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/overflow.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;

TEST_CASE("a replaced chain stays readable until its pages are released") {
  Fixture f;
  const std::string value = Random{1}.bytes(50'000);
  f.put("k", value, 10);
  const auto row = f.tree.current(f.token, f.root, "k");
  REQUIRE(row);
  REQUIRE(row->kind == RowKind::overflow);
  const OverflowRef ref = row->overflow();
  f.put("k", "short", 20);
  f.allocator.release(Timestamp{19});
  for (int i = 0; i < 30; ++i) f.put("other" + std::to_string(i), std::string(9000, 'o'), 21);
  REQUIRE(f.tree.read_overflow(f.root.table, ref, f.buffer));
  CHECK(f.buffer.view() == value);
  f.allocator.release(Timestamp{20});
  for (int i = 0; i < 30; ++i) f.put("other" + std::to_string(i), std::string(9000, 'p'), 22);
  const auto gone = f.tree.read_overflow(f.root.table, ref, f.buffer);
  CHECK((!gone || f.buffer.view() != value));
}
