// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/verify.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;
using View = NodeView<4096>;

namespace {

std::vector<std::string> damages_after(Fixture& f, PageId page, const std::function<void(Page<4096>&)>& change) {
  change(f.pool.exclusive(f.token, page)->page());
  TreeReport report;
  const auto counts = f.tree.verify(f.root, report);
  REQUIRE(counts);
  CHECK(report.pages.size() <= f.allocator.used_pages() + 1);
  return report.damages;
}

PageId child_of_root(Fixture& f, std::size_t index) {
  return *f.pool.read(f.root.root, [&](const Page<4096>& page) { return *View{page}.child(index); });
}

bool mentions(const std::vector<std::string>& damages, std::string_view words) {
  for (const auto& damage : damages)
    if (damage.find(words) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("verify counts what is there") {
  Fixture f;
  for (std::uint64_t i = 0; i < 300; ++i) f.put(numbered(i), std::string(i % 100 == 0 ? 10'000 : 100, 'v'));
  REQUIRE(f.erase(numbered(7), true));
  const TreeCounts counts = check_tree(f);
  CHECK(counts.rows == 299);
  CHECK(counts.ghosts == 1);
  CHECK(counts.levels == 2);
  CHECK(counts.inner_nodes == 1);
  CHECK(counts.overflow_pages == 3 * OverflowChains<Fixture::Pool, Fixture::Allocator>::pages_for(10'000));
}

TEST_CASE("verify finds every kind of damage, names the page, and ends") {
  Fixture f;
  for (std::uint64_t i = 0; i < 300; ++i) f.put(numbered(i), std::string(i == 0 ? 10'000 : 100, 'v'));
  const PageId leaf = child_of_root(f, 1);
  REQUIRE(check_tree(f).leaves > 4);
  const std::string named = std::to_string(number(leaf));

  SUBCASE("a page of another table") {
    const auto damages = damages_after(f, leaf, [](auto& page) {
      const View old{page};
      auto copy = page;
      begin_node(page, TableId{8}, 0, *View{copy}.fences());
    });
    CHECK(mentions(damages, "owner of page " + named));
  }
  SUBCASE("fences that are not what the parent says") {
    const auto damages = damages_after(f, leaf, [](auto& page) { begin_node(page, TableId{7}, 0, {"0", "1", true}); });
    CHECK(mentions(damages, "fences of page " + named));
  }
  SUBCASE("a level that is not its parent's less one") {
    const auto damages = damages_after(f, leaf, [](auto& page) {
      auto copy = page;
      begin_node(page, TableId{7}, 3, *View{copy}.fences());
    });
    CHECK(mentions(damages, "level of page " + named));
  }
  SUBCASE("rows out of order") {
    const auto damages = damages_after(f, leaf, [](auto& page) {
      const Bytes tuple = *page.at(1);
      const std::vector<std::byte> row{tuple.begin(), tuple.end()};
      page.insert_at(page.slot_count(), page.head(1), row);
    });
    CHECK(mentions(damages, "rows of tree page " + named));
  }
  SUBCASE("a wrong head") {
    CHECK(mentions(damages_after(f, leaf, [](auto& page) { page.set_head(2, 1); }), "rows of tree page " + named));
  }
  SUBCASE("a wrong ghost count") {
    CHECK(mentions(damages_after(f, leaf, [](auto& page) { page.add_ghosts(1); }), "rows of tree page " + named));
  }
  SUBCASE("a child that is the root: a cycle") {
    const std::uint64_t root = number(f.root.root);
    CHECK(mentions(damages_after(f, f.root.root, [&](auto& page) { page.set_link(root); }), "page reached twice, page " + std::to_string(root)));
  }
  SUBCASE("two parents of one child") {
    CHECK(mentions(damages_after(f, f.root.root, [&](auto& page) { page.set_link(number(leaf)); }), "page reached twice, page " + named));
  }
  SUBCASE("a child that does not exist") {
    CHECK(mentions(damages_after(f, f.root.root, [](auto& page) { page.set_link(123'456); }), "123456"));
  }
  SUBCASE("a chain that is too short or loops") {
    const auto row = f.tree.current(f.token, f.root, numbered(0));
    REQUIRE(row->kind == RowKind::overflow);
    const PageId first = row->overflow().first;
    for (const std::uint64_t link : {std::uint64_t{0}, number(first), std::uint64_t{123'456}}) {
      const auto damages = damages_after(f, first, [&](auto& page) { page.set_link(link); });
      CHECK(damages.size() == 1);
      CHECK(mentions(damages, "corrupt_page"));
    }
  }
}

TEST_CASE("reading a damaged tree gives corrupt_page, not an endless descent") {
  Fixture f;
  for (std::uint64_t i = 0; i < 300; ++i) f.put(numbered(i), std::string(100, 'v'));
  Fixture::Leaf leaf;
  f.pool.exclusive(f.token, child_of_root(f, 0))->page().format(PageType::free, f.root.table);
  const auto read = f.tree.get(f.root, numbered(0), f.buffer);
  REQUIRE(!read);
  CHECK(read.error().code() == Errc::corrupt_page);
  CHECK(f.tree.copy_leaf(f.root, LeafPosition::first(), leaf).error().code() == Errc::corrupt_page);
  CHECK(leaf.size() == 0);
  CHECK(f.tree.put(f.token, f.root, numbered(0), "v", Timestamp{1}).error().code() == Errc::corrupt_page);
  CHECK(f.get(numbered(299)) == std::string(100, 'v'));
  f.pool.exclusive(f.token, f.root.root)->page().format(PageType::free, f.root.table);
  CHECK(f.tree.get(f.root, numbered(299), f.buffer).error().code() == Errc::corrupt_page);
}
