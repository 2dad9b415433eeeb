// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/node.hpp>

#include "support/random.hpp"

#include <aegis/storage/tree/node_edit.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

using namespace aegis::storage;
using aegis_test::Random;

namespace {

using NodePage = Page<4096>;
using View = NodeView<4096>;

void add_row(NodePage& page, std::string_view key, std::string_view value) {
  std::byte tuple[4096];
  const LeafCell cell{key.substr(page.prefix_bytes()), {RowKind::in_place, value}};
  REQUIRE(page.insert_at(View{page}.search(key).row + 1, key_head(cell.suffix), cell.encode(tuple)));
}

// Whatever a reader may call on bytes that are just being changed. Sanitizers watch.
std::size_t exercise(const NodePage& page, std::string_view key) {
  const View node{page};
  std::size_t sum = node.rows() + (node.is_leaf() ? 1 : 0) + (node.well_formed() ? 1 : 0) + (node.decodable() ? 1 : 0);
  if (const auto fences = node.fences()) {
    sum += fences->low.size() + fences->high.size() + fences->prefix_bytes();
    for (const auto side : {LeafPosition::Side::at, LeafPosition::Side::below, LeafPosition::Side::last}) sum += LeafPosition{key, side}.within(*fences) ? 1 : 0;
  }
  const auto found = node.search(key);
  for (const std::size_t row : {found.row, std::size_t{0}, node.rows(), std::size_t{65'535}}) {
    char room[max_key_bytes(4096)];
    if (const auto cell = node.cell(row)) {
      sum += cell->suffix.size();
      for (const char c : cell->value.bytes) sum += static_cast<unsigned char>(c);
      if (cell->value.kind == RowKind::overflow) sum += cell->value.overflow().bytes;
    }
    if (const auto whole = node.key(row, room)) sum += whole->size();
    if (const auto child = node.child(row)) sum += number(*child);
  }
  for (const auto side : {LeafPosition::Side::at, LeafPosition::Side::below, LeafPosition::Side::last}) sum += node.child_index({key, side});
  return sum;
}

}  // namespace

TEST_CASE("key heads order like the keys they begin") {
  Random random{aegis_test::seed(1)};
  for (int i = 0; i < 20'000; ++i) {
    std::string a = random.bytes(random.below(7)), b = random.one_in(2) ? a.substr(0, random.below(a.size() + 1)) : random.bytes(random.below(7));
    if (random.one_in(3)) b.append(random.below(3), '\0');
    const auto order = compare_keys(a, b);
    if (order < 0) CHECK(key_head(a) <= key_head(b));
    if (order > 0) CHECK(key_head(a) >= key_head(b));
    if (order == 0) CHECK(key_head(a) == key_head(b));
  }
}

TEST_CASE("the shortest separator parts its neighbours and cannot be shorter") {
  CHECK(shortest_separator("abc", "abd") == "abd");
  CHECK(shortest_separator("abc", "abdefg") == "abd");
  CHECK(shortest_separator("ab", "abdefg") == "abd");
  CHECK(shortest_separator("", "xyz") == "x");
  Random random{aegis_test::seed(2)};
  for (int i = 0; i < 20'000; ++i) {
    std::string a = random.bytes(random.below(4)), b = a.substr(0, random.below(a.size() + 1)) + random.bytes(random.below(4));
    if (compare_keys(a, b) == 0) continue;
    if (compare_keys(a, b) > 0) std::swap(a, b);
    const std::string_view s = shortest_separator(a, b);
    CHECK(compare_keys(a, s) < 0);
    CHECK(compare_keys(s, b) <= 0);
    CHECK(compare_keys(a, s.substr(0, s.size() - 1)) >= 0);
  }
}

TEST_CASE("a node keeps its rows in order without the prefix its fences share, and finds each") {
  NodePage page;
  begin_node(page, TableId{3}, 0, {"table/0001", "table/0009", true});
  CHECK(page.prefix_bytes() == 9);
  std::set<std::string> keys;
  Random random{aegis_test::seed(3)};
  while (keys.size() < 60) {
    const std::string key = "table/000" + std::to_string(1 + random.below(8)) + random.bytes(random.below(6));
    if (keys.insert(key).second) add_row(page, key, key);
  }
  const View node{page};
  CHECK(node.well_formed());
  REQUIRE(node.rows() == keys.size());
  std::size_t row = 0;
  for (const std::string& key : keys) {
    char room[max_key_bytes(4096)];
    CHECK(node.key(row, room) == key);
    CHECK(node.cell(row)->value.bytes == key);
    CHECK(node.cell(row)->suffix == key.substr(9));
    const auto found = node.search(key);
    CHECK(found.exact);
    CHECK(found.row == row);
    ++row;
  }
  for (int i = 0; i < 2000; ++i) {
    const std::string key = "table/000" + std::to_string(1 + random.below(8)) + random.bytes(random.below(6));
    const auto expected = keys.lower_bound(key);
    const auto found = node.search(key);
    CHECK(found.row == static_cast<std::size_t>(std::distance(keys.begin(), expected)));
    CHECK(found.exact == (expected != keys.end() && *expected == key));
  }
  CHECK(node.search("table/0009").row == keys.size());
}

TEST_CASE("an inner node sends a key, and what lies just below a key, to the right child") {
  NodePage page;
  begin_node(page, TableId{3}, 1, {});
  page.set_link(100);
  REQUIRE(insert_child(page, 0, "d", PageId{101}));
  REQUIRE(insert_child(page, 1, "m", PageId{102}));
  REQUIRE(insert_child(page, 2, "t", PageId{103}));
  const View node{page};
  CHECK(node.well_formed());
  CHECK(node.children() == 4);
  const auto to = [&](const LeafPosition& position) { return number(*node.child(node.child_index(position))); };
  CHECK(to(LeafPosition::first()) == 100);
  CHECK(to(LeafPosition::at("c")) == 100);
  CHECK(to(LeafPosition::at("d")) == 101);
  CHECK(to(LeafPosition::below("d")) == 100);
  CHECK(to(LeafPosition::below("da")) == 101);
  CHECK(to(LeafPosition::at("m")) == 102);
  CHECK(to(LeafPosition::at("zz")) == 103);
  CHECK(to(LeafPosition::last()) == 103);
}

TEST_CASE("a node covers its low fence and not its high one") {
  const Fences fences{"b", "d", true}, last{"b", "", false};
  CHECK(!LeafPosition::at("a").within(fences));
  CHECK(LeafPosition::at("b").within(fences));
  CHECK(LeafPosition::at("czz").within(fences));
  CHECK(!LeafPosition::at("d").within(fences));
  CHECK(!LeafPosition::below("b").within(fences));
  CHECK(LeafPosition::below("d").within(fences));
  CHECK(!LeafPosition::last().within(fences));
  CHECK(LeafPosition::last().within(last));
  CHECK(LeafPosition::at("\xff\xff").within(last));
}

TEST_CASE("no bytes make reading a node leave its page") {
  const std::uint64_t seed = aegis_test::seed(4);
  INFO(aegis_test::replay(seed, "test_tree"));
  Random random{seed};
  NodePage page;
  std::size_t sum = 0;
  for (int i = 0; i < 3000; ++i) {
    if (i % 3 == 0) {
      const std::string noise = random.bytes(4096);
      std::copy_n(bytes_of(noise).data(), 4096, page.bytes().data());
    } else if (i % 3 == 1) {
      begin_node(page, TableId{3}, static_cast<std::uint8_t>(random.below(2)), {"k1", "k8", true});
      for (int row = 0; row < 30; ++row) {
        const std::string key = "k" + std::to_string(1 + random.below(7)) + random.bytes(random.below(10));
        if (page.level() != 0) {
          (void)insert_child(page, 0, key, PageId{9});
        } else if (!View{page}.search(key).exact) {
          add_row(page, key, random.bytes(random.below(90)));
        }
      }
    }
    for (std::uint64_t flips = random.below(20); flips-- > 0;) page.bytes()[random.one_in(2) ? 48 + random.below(300) : random.below(4096)] = static_cast<std::byte>(random.next());
    sum += exercise(page, "k" + random.bytes(random.below(6)));
    sum += exercise(page, "");
  }
  CHECK(sum > 0);
}
