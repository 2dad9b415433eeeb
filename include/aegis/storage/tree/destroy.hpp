// SPDX-License-Identifier: Apache-2.0
// Freeing a whole tree in quanta: leaves are emptied from the right and merged, which always fits, until the root is an
// empty leaf. After every step the tree is an ordinary one, only smaller, so it can be stopped anywhere and continued
// after a crash. Inside the commit section, on a tree that nobody reads any more.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/descent.hpp>
#include <aegis/storage/tree/merge.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/tree/node_edit.hpp>
#include <aegis/storage/tree/overflow.hpp>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace aegis::storage {

template <class Pool, class Allocator>
class TreeDestroy {
 public:
  using PageType = typename Pool::PageType;
  using Token = typename Pool::Token;
  static constexpr std::size_t page_bytes = PageType::size_bytes;

  TreeDestroy(Pool& pool, Allocator& allocator, OverflowChains<Pool, Allocator>& chains, TreeMerge<Pool, Allocator>& merge)
      : pool_(pool), allocator_(allocator), chains_(chains), merge_(merge) {}

  /// True when the root is free, too.
  Result<bool> some(Token& token, TableRoot root, std::size_t quantum, Timestamp timestamp) {
    for (std::size_t done = 0; done < quantum;) {
      AEGIS_TRY(const std::size_t collapsed, merge_.collapse(token, root, timestamp));
      AEGIS_TRY(const Glance top, glance(root.table, root.root));
      if (top.leaf && top.rows == 0) {
        AEGIS_TRY(free_root(token, root, timestamp));
        return true;
      }
      AEGIS_TRY(const std::size_t steps, step(token, root, timestamp));
      done += collapsed + steps;
    }
    return false;
  }

 private:
  using View = NodeView<page_bytes>;

  // What a node is, and its last two children (inner nodes with rows), or its only one.
  struct Glance {
    bool good = false, leaf = false;
    std::size_t rows = 0;
    PageId last{}, before_last{};
  };

  Result<Glance> glance(TableId table, PageId id) {
    AEGIS_TRY(const Glance seen, pool_.read(id, [&](const PageType& page) {
      const View node{page};
      Glance now{page.owner() == table && (node.is_leaf() || node.is_inner()), node.is_leaf(), node.rows(), {}, {}};
      if (now.leaf) return now;
      now.last = node.child(now.rows).value_or(PageId{});
      if (now.rows > 0) now.before_last = node.child(now.rows - 1).value_or(PageId{});
      return now;
    }));
    if (!seen.good) return Error{Errc::corrupt_page, "tree node", number(id)};
    return seen;
  }

  /// A chain of only children down to an empty leaf.
  Result<bool> is_bare(TableId table, PageId id) {
    for (std::size_t level = 0; level < max_tree_levels; ++level) {
      AEGIS_TRY(const Glance seen, glance(table, id));
      if (seen.rows > 0) return false;
      if (seen.leaf) return true;
      id = seen.last;
    }
    return Error{Errc::corrupt_page, "tree node", number(id)};
  }

  // Empties one leaf, or merges two bare neighbours. Returns how much work that was.
  Result<std::size_t> step(Token& token, TableRoot root, Timestamp timestamp) {
    PageId at = root.root;
    for (std::size_t level = 0; level < max_tree_levels; ++level) {
      AEGIS_TRY(const Glance seen, glance(root.table, at));
      if (seen.leaf) return empty(token, root.table, at, timestamp);
      PageId down = seen.last;
      AEGIS_TRY(const bool last_bare, is_bare(root.table, seen.last));
      if (seen.rows > 0 && last_bare) {
        AEGIS_TRY(const bool both_bare, is_bare(root.table, seen.before_last));
        if (both_bare) {
          AEGIS_TRY(const bool merged, merge_.merge_children(token, root.table, at, seen.rows - 1, timestamp));
          if (!merged) break;
          return std::size_t{1};
        }
        down = seen.before_last;
      }
      at = down;
    }
    return Error{Errc::corrupt_page, "tree node", number(at)};
  }

  // One long value, or all the rest of the leaf.
  Result<std::size_t> empty(Token& token, TableId table, PageId id, Timestamp timestamp) {
    OverflowRef chain;
    bool has_chain = false;
    {
      AEGIS_TRY(auto handle, pool_.exclusive(token, id));
      PageType& page = handle.page();
      const View leaf{page};
      std::size_t row = leaf.rows();
      while (row > 0 && !has_chain) {
        const auto cell = leaf.cell(--row);
        if (!cell) return Error{Errc::corrupt_page, "leaf", number(id)};
        has_chain = cell->value.kind == RowKind::overflow;
        if (has_chain) chain = cell->value.overflow();
      }
      if (has_chain) {
        const std::uint64_t pages = chains_.pages_for(chain.bytes);
        if (pages > pool_.page_count()) return Error{Errc::corrupt_page, "overflow reference to page", number(chain.first)};
        AEGIS_TRY(allocator_.expect_frees(pages));
        page.remove_at(row + 1);
      } else {
        const Maybe<Fences> found = leaf.fences();
        if (!found || found->low.size() > max_key_bytes(page_bytes) || found->high.size() > max_key_bytes(page_bytes)) return Error{Errc::corrupt_page, "leaf", number(id)};
        const Fences fences = *found;
        char low[max_key_bytes(page_bytes)], high[max_key_bytes(page_bytes)];
        fences.low.copy(low, sizeof low);
        fences.high.copy(high, sizeof high);
        const Timestamp newest = page.newest();
        begin_node(page, table, 0, {{low, fences.low.size()}, {high, fences.high.size()}, fences.has_high});
        page.set_newest(newest);
      }
    }
    if (!has_chain) return std::size_t{1};
    AEGIS_TRY(chains_.free(token, table, chain, timestamp));
    return static_cast<std::size_t>(chains_.pages_for(chain.bytes));
  }

  Result<void> free_root(Token& token, TableRoot root, Timestamp timestamp) {
    AEGIS_TRY(allocator_.expect_frees(1));
    {
      AEGIS_TRY(auto handle, pool_.exclusive(token, root.root));
      handle.page().format(storage::PageType::free, root.table);
    }
    return allocator_.free(token, root.root, timestamp);
  }

  Pool& pool_;
  Allocator& allocator_;
  OverflowChains<Pool, Allocator>& chains_;
  TreeMerge<Pool, Allocator>& merge_;
};

}  // namespace aegis::storage
