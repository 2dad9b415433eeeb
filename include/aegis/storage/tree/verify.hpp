// SPDX-License-Identifier: Apache-2.0
// The proof of a tree: every page reached exactly once, its owner, level, fences, key order, heads and ghost count, and
// every overflow chain. Bounded by the store whatever the bytes: a page seen before is not entered again. For tools.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/descent.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/tree/overflow.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

namespace aegis::storage {

struct TreeCounts {
  std::uint64_t leaves = 0, inner_nodes = 0, overflow_pages = 0;
  std::uint64_t rows = 0;    ///< Ghosts not counted.
  std::uint64_t ghosts = 0;
  std::uint64_t used_bytes = 0;  ///< Of leaves, without page headers.
  std::size_t levels = 0;

  std::uint64_t pages() const { return leaves + inner_nodes + overflow_pages; }
};

template <class Pool, class Allocator>
class TreeVerify {
 public:
  using PageType = typename Pool::PageType;
  static constexpr std::size_t page_bytes = PageType::size_bytes;

  TreeVerify(Pool& pool, OverflowChains<Pool, Allocator>& chains) : pool_(pool), chains_(chains) {}

  /// Errors of the tree go to the report and the walk goes on beside them; returned are only out_of_memory and its like.
  template <class Report>
  Result<TreeCounts> walk(TableRoot root, Report& report) {
    TreeCounts counts;
    AEGIS_TRY(node(root.table, root.root, max_tree_levels, Fences{}, report, counts));
    return counts;
  }

 private:
  using View = NodeView<page_bytes>;

  struct Level {
    PageType page;
    char low[max_key_bytes(page_bytes)], high[max_key_bytes(page_bytes)];
  };

  template <class Report>
  Result<void> node(TableId table, PageId id, std::size_t level, const Fences& expected, Report& report, TreeCounts& counts) {
    const auto damaged = [&](const char* what) { report.damaged(Error{Errc::corrupt_page, what, number(id)}); };
    if (!report.visited(id)) return damaged("page reached twice, page"), Result<void>{};
    const Owned<Level> here{new (std::nothrow) Level};
    if (!here) return Error{Errc::out_of_memory, "page to verify", number(id)};
    const auto copied = pool_.read(id, [&](const PageType& page) {
      here->page = page;
      return true;
    });
    if (!copied) return note(copied.error(), report);
    const View view{here->page};
    if (here->page.owner() != table) return damaged("owner of page"), Result<void>{};
    if (!view.well_formed()) return damaged("rows of tree page"), Result<void>{};
    if (level != max_tree_levels ? here->page.level() != level : here->page.level() >= max_tree_levels) return damaged("level of page"), Result<void>{};
    if (*view.fences() != expected) return damaged("fences of page"), Result<void>{};
    if (level == max_tree_levels) counts.levels = here->page.level() + std::size_t{1};
    if (view.is_leaf()) return leaf(table, view, report, counts);
    ++counts.inner_nodes;
    return children(table, *here, report, counts);
  }

  template <class Report>
  Result<void> children(TableId table, Level& here, Report& report, TreeCounts& counts) {
    const View view{here.page};
    const Fences all = *view.fences();
    for (std::size_t i = 0; i < view.children(); ++i) {
      Fences part = all;
      if (i > 0) part.low = *view.key(i - 1, here.low);
      if (i < view.rows()) part.high = *view.key(i, here.high), part.has_high = true;
      AEGIS_TRY(node(table, *view.child(i), here.page.level() - std::size_t{1}, part, report, counts));
    }
    return {};
  }

  /// Want of memory says nothing of the tree, and what was not looked at would be taken for lost.
  template <class Report>
  static Result<void> note(const Error& error, Report& report) {
    if (error.code() == Errc::out_of_memory) return error;
    report.damaged(error);
    return {};
  }

  template <class Report>
  Result<void> leaf(TableId table, const View& view, Report& report, TreeCounts& counts) {
    ++counts.leaves;
    counts.ghosts += view.page().ghost_count();
    counts.rows += view.rows() - view.page().ghost_count();
    counts.used_bytes += used_bytes(view.page());
    for (std::size_t i = 0; i < view.rows(); ++i) {
      const StoredValue value = view.cell(i)->value;
      if (value.kind != RowKind::overflow) continue;
      const Result<void> chain = chains_.for_each(table, value.overflow(), [&](PageId page) -> Result<void> {
        if (!report.visited(page)) return Error{Errc::corrupt_page, "page reached twice, page", number(page)};
        ++counts.overflow_pages;
        return {};
      });
      if (!chain) AEGIS_TRY(note(chain.error(), report));
    }
    return {};
  }

  Pool& pool_;
  OverflowChains<Pool, Allocator>& chains_;
};

}  // namespace aegis::storage
