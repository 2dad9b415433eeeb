// SPDX-License-Identifier: Apache-2.0
// A tree on a tiny pool, and what the tests of its parts ask of it.
#pragma once

#include <aegis/storage/tree/btree.hpp>

#include "support/random.hpp"
#include "tree/tiny_pool.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace aegis_test {

template <std::size_t PageSize = 4096>
struct TreeFixture {
  using Pool = TinyPool<PageSize>;
  using Allocator = TinyAllocator<Pool>;
  using Tree = storage::BTree<Pool, Allocator>;
  using Leaf = typename Tree::Leaf;

  TreeFixture() : tree(pool, allocator), root{storage::TableId{7}, *tree.create(token, storage::TableId{7})} {}

  void put(std::string_view key, std::string_view value, std::uint64_t at = 1) { REQUIRE(tree.put(token, root, key, value, storage::Timestamp{at})); }
  bool erase(std::string_view key, bool leave_ghost = false, std::uint64_t at = 1) {
    const auto done = tree.erase(token, root, key, leave_ghost, storage::Timestamp{at});
    REQUIRE(done);
    return *done;
  }
  std::optional<std::string> get(std::string_view key) {
    const auto found = tree.get(root, key, buffer);
    REQUIRE(found);
    return found->present() ? std::optional<std::string>{buffer.view()} : std::nullopt;
  }

  Pool pool;
  Allocator allocator;
  typename Pool::Token token;
  Tree tree;
  storage::TableRoot root;
  storage::ValueBuffer buffer;
};

struct TreeReport {
  std::set<std::uint64_t> pages;
  std::vector<std::string> damages;

  bool visited(storage::PageId page) { return pages.insert(storage::number(page)).second; }
  void damaged(storage::Error error) { damages.push_back(error.message()); }
};

/// The tree is sound and reaches exactly the pages that are in use.
template <class F>
storage::TreeCounts check_tree(F& f) {
  TreeReport report;
  const auto counts = f.tree.verify(f.root, report);
  REQUIRE(counts);
  for (const auto& damage : report.damages) FAIL_CHECK(damage);
  REQUIRE(report.damages.empty());
  CHECK(report.pages.size() == counts->pages());
  CHECK(f.allocator.used_pages() == counts->pages());
  return *counts;
}

using TreeModel = std::map<std::string, std::string>;

/// All rows, in the order of the walk; chains read.
template <class F>
std::vector<std::pair<std::string, std::string>> walk(F& f, bool forward) {
  std::vector<std::pair<std::string, std::string>> rows;
  typename F::Leaf leaf;
  REQUIRE(f.tree.copy_leaf(f.root, forward ? storage::LeafPosition::first() : storage::LeafPosition::last(), leaf));
  for (bool more = true; more;) {
    for (std::size_t n = leaf.end_row() - leaf.begin_row(), i = 0; i < n; ++i) {
      const auto row = leaf.row(forward ? leaf.begin_row() + i : leaf.end_row() - 1 - i);
      if (row.value.kind == storage::RowKind::ghost) continue;
      rows.emplace_back(row.key, row.value.bytes);
      if (row.value.kind != storage::RowKind::overflow) continue;
      REQUIRE(f.tree.read_overflow(f.root.table, row.value.overflow(), f.buffer));
      rows.back().second = f.buffer.view();
    }
    const auto moved = forward ? f.tree.next_leaf(f.root, leaf) : f.tree.previous_leaf(f.root, leaf);
    REQUIRE(moved);
    more = *moved;
  }
  return rows;
}

template <class F>
void check_walks(F& f, const TreeModel& model) {
  CHECK((walk(f, true) == std::vector<std::pair<std::string, std::string>>{model.begin(), model.end()}));
  CHECK((walk(f, false) == std::vector<std::pair<std::string, std::string>>{model.rbegin(), model.rend()}));
}

/// Of every shape that matters: empty, short, binary, sharing long prefixes, as long as they may be.
inline std::string random_key(Random& random, std::size_t limit) {
  static const std::string stem(200, 'p');
  switch (random.below(6)) {
    case 0: return random.bytes(random.below(limit + 1));
    case 1: return random.bytes(random.below(4));
    case 2: return stem + random.bytes(random.below(3));
    case 3: return stem.substr(0, random.below(200)) + std::string(random.below(3), '\0');
    case 4: return std::string(random.below(limit + 1), '\xff');
    default: return "user" + std::to_string(random.below(500));
  }
}

inline std::string random_value(Random& random) {
  switch (random.below(20)) {
    case 0: return random.bytes(random.below(100'000));
    case 1: return random.bytes(random.below(4000));
    case 2: return {};
    default: return random.bytes(random.below(150));
  }
}

inline std::string numbered(std::uint64_t n) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(n));
  return text;
}

}  // namespace aegis_test
