// SPDX-License-Identifier: Apache-2.0
// Giving pages back: an under-full node is merged with a neighbour under the same parent, upwards as far as that makes
// more of them; a root with one child takes its content. Each step is complete in itself. A freed node is marked, so that
// a reader on its way there begins again. Inside the commit section.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/descent.hpp>
#include <aegis/storage/tree/limits.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/tree/node_edit.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aegis::storage {

template <class Pool, class Allocator>
class TreeMerge {
 public:
  using PageType = typename Pool::PageType;
  using Token = typename Pool::Token;
  static constexpr std::size_t page_bytes = PageType::size_bytes;

  TreeMerge(Pool& pool, Allocator& allocator) : pool_(pool), allocator_(allocator) {}

  /// From the leaf of a true path upwards. Returns how many pages were freed; they are released when no snapshot below
  /// `timestamp` is left.
  Result<std::size_t> shrink(Token& token, TableRoot root, const TreePath& path, std::string_view key, Timestamp timestamp) {
    std::size_t freed = 0;
    for (std::size_t depth = path.count - 1; depth > 0; --depth) {
      AEGIS_TRY(const bool merged, merge_with_neighbour(token, root.table, path.ids[depth - 1], path.ids[depth], key, timestamp));
      if (!merged) break;
      ++freed;
    }
    AEGIS_TRY(const std::size_t collapsed, collapse(token, root, timestamp));
    return freed + collapsed;
  }

  /// Merges the children `index` and `index + 1` of a parent if they fit one page.
  Result<bool> merge_children(Token& token, TableId table, PageId parent_id, std::size_t index, Timestamp timestamp) {
    AEGIS_TRY(const Pair pair, pool_.read(parent_id, [&](const PageType& page) { return pair_of(View{page}, index); }));
    if (!pair.good || pair.left == pair.right || pair.left == parent_id || pair.right == parent_id) return broken(parent_id);
    AEGIS_TRY(load(table, pair.left));
    AEGIS_TRY(const Sum sum, pool_.read(pair.right, [&](const PageType& page) { return sum_with(View{page}); }));
    if (sum.bytes == 0) return broken(pair.right);
    if (sum.bytes > sum.limit) return false;
    AEGIS_TRY(allocator_.expect_frees(1));
    AEGIS_TRY(perform(token, table, parent_id, pair, index));
    AEGIS_TRY(allocator_.free(token, pair.right, timestamp));
    return true;
  }

  /// A root without rows takes its only child's content, again and again.
  Result<std::size_t> collapse(Token& token, TableRoot root, Timestamp timestamp) {
    for (std::size_t freed = 0;; ++freed) {
      AEGIS_TRY(const PageId child_id, pool_.read(root.root, [](const PageType& page) {
        const View node{page};
        return node.is_inner() && node.rows() == 0 ? node.child(0).value_or(PageId{}) : PageId{};
      }));
      if (child_id == PageId{}) return freed;
      if (child_id == root.root) return broken(child_id);
      AEGIS_TRY(load(root.table, child_id));
      AEGIS_TRY(allocator_.expect_frees(1));
      {
        AEGIS_TRY(auto top, pool_.exclusive(token, root.root));
        AEGIS_TRY(auto child, pool_.exclusive(token, child_id));
        const View old{left_};
        begin_node(top.page(), root.table, left_.level(), *old.fences());
        append_rows(top.page(), old, 0, old.rows());
        top.page().set_link(left_.link());
        top.page().set_newest(left_.newest());
        child.page().format(storage::PageType::free, root.table);
      }
      AEGIS_TRY(allocator_.free(token, child_id, timestamp));
    }
  }

 private:
  using View = NodeView<page_bytes>;

  struct Pair {
    bool good = false;
    PageId left{}, right{};
  };

  static Pair pair_of(const View& parent, std::size_t index) {
    const auto left = parent.child(index), right = parent.child(index + 1);
    if (!parent.is_inner() || !left || !right || index + 1 >= parent.children()) return {};
    return {true, *left, *right};
  }

  Result<bool> merge_with_neighbour(Token& token, TableId table, PageId parent_id, PageId node_id, std::string_view key, Timestamp timestamp) {
    AEGIS_TRY(const bool wanted, pool_.read(node_id, [](const PageType& page) { return is_under_full(page); }));
    if (!wanted) return false;
    struct Place {
      std::size_t index = 0, children = 0;
    };
    AEGIS_TRY(const Place place, pool_.read(parent_id, [&](const PageType& page) {
      return Place{View{page}.child_index(LeafPosition::at(key)), View{page}.children()};
    }));
    if (place.index + 1 < place.children) {
      AEGIS_TRY(const bool merged, merge_children(token, table, parent_id, place.index, timestamp));
      if (merged) return true;
    }
    return place.index > 0 ? merge_children(token, table, parent_id, place.index - 1, timestamp) : Result<bool>{false};
  }

  struct Sum {
    std::size_t bytes = 0, limit = 0;
  };

  // What left_ and `right` take in one node; the separator between inner nodes comes down. No bytes for what cannot be
  // one. Some room is left, so that the next insert does not split again, unless one of the two is empty.
  Sum sum_with(const View& right) const {
    const View left{left_};
    const auto low = left.fences(), high = right.fences();
    if (!low || !high || !low->has_high || left_.level() != right.page().level() || low->high != high->low) return {};
    const Fences all{low->low, high->high, high->has_high};
    std::size_t bytes = bytes_under(left, 0, left.rows(), all) + bytes_under(right, 0, right.rows(), all) - fence_bytes(all);
    if (!left.is_leaf()) bytes += page_slot_bytes + child_bytes + low->high.size() - all.prefix_bytes();
    const std::size_t room = node_capacity(page_bytes);
    return {bytes, left.rows() == 0 || right.rows() == 0 ? room : room - room / 8};
  }

  Result<void> perform(Token& token, TableId table, PageId parent_id, const Pair& pair, std::size_t index) {
    AEGIS_TRY(auto parent, pool_.exclusive(token, parent_id));
    AEGIS_TRY(auto left, pool_.exclusive(token, pair.left));
    AEGIS_TRY(auto right, pool_.exclusive(token, pair.right));
    const View old{left_}, other{right.page()};
    if (!other.well_formed() || right.page().owner() != table) return broken(pair.right);
    const Fences low = *old.fences(), high = *other.fences();
    PageType& page = left.page();
    begin_node(page, table, left_.level(), {low.low, high.high, high.has_high});
    append_rows(page, old, 0, old.rows());
    if (!old.is_leaf()) {
      page.set_link(left_.link());
      const bool placed = insert_child(page, old.rows(), low.high, PageId{right.page().link()});
      AEGIS_ASSERT(placed);
    }
    append_rows(page, other, 0, other.rows());
    page.set_newest(std::max(left_.newest(), right.page().newest()));
    right.page().format(storage::PageType::free, table);
    parent.page().remove_at(index + 1);
    return {};
  }

  static Error broken(PageId id) { return Error{Errc::corrupt_page, "tree node", number(id)}; }

  Result<void> load(TableId table, PageId id) {
    AEGIS_TRY(const bool copied, pool_.read(id, [&](const PageType& page) {
      left_ = page;
      return true;
    }));
    if (!copied || !View{left_}.well_formed() || left_.owner() != table) return broken(id);
    return {};
  }

  Pool& pool_;
  Allocator& allocator_;
  PageType left_;  // the node that takes the other in, as it was before the step
};

}  // namespace aegis::storage
