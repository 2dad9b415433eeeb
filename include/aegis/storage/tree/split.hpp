// SPDX-License-Identifier: Apache-2.0
// Making room: one node is split, or the root moved down a level, each time with all pages in hand before the first byte
// changes, so that a failure leaves the tree as it was. A row that goes to a node's edge splits off that edge alone:
// ascending or descending inserts leave full nodes behind. Inside the commit section.
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
class TreeSplit {
 public:
  using PageType = typename Pool::PageType;
  using Token = typename Pool::Token;
  static constexpr std::size_t page_bytes = PageType::size_bytes;

  TreeSplit(Pool& pool, Allocator& allocator) : pool_(pool), allocator_(allocator) {}

  /// One step towards room for a row of `row_bytes` under `key` in its leaf: call again until it fits. The path is true.
  Result<void> make_room(Token& token, TableRoot root, const TreePath& path, std::string_view key, std::size_t row_bytes) {
    return split(token, root, path, path.count - 1, key, row_bytes);
  }

 private:
  using View = NodeView<page_bytes>;

  // Where a node is cut: rows [0, left) stay, rows [right, n) go; an inner node's row in between moves up.
  struct Cut {
    std::size_t left = 0, right = 0;
    std::string_view separator;
  };

  Result<void> split(Token& token, TableRoot root, const TreePath& path, std::size_t depth, std::string_view key, std::size_t row_bytes) {
    if (depth == 0) return grow(token, root);
    AEGIS_TRY(load(path.ids[depth]));
    const View old{old_};
    Cut cut;
    if (!choose(old, key, row_bytes, cut)) return Error{Errc::corrupt_page, "tree node", number(path.ids[depth])};
    const PageId above = path.ids[depth - 1];
    AEGIS_TRY(const Parent parent, pool_.read(above, [&](const PageType& page) { return parent_for(page, cut.separator); }));
    if (!parent.good) return Error{Errc::corrupt_page, "tree node", number(above)};
    if (!parent.has_room) return split(token, root, path, depth - 1, key, page_slot_bytes + child_bytes + cut.separator.size());

    AEGIS_TRY(const PageId right_id, allocator_.allocate(token));
    if (right_id == above || right_id == path.ids[depth]) return marked_free(right_id);
    const Result<void> done = perform(token, root.table, above, path.ids[depth], right_id, cut);
    if (!done) forget(token, right_id);
    return done;
  }

  struct Parent {
    bool good = false, has_room = false;
  };
  // Good: the separator can be its key.
  static Parent parent_for(const PageType& page, std::string_view separator) {
    const View node{page};
    const auto all = node.fences();
    if (!node.is_inner() || !all || !LeafPosition::at(separator).within(*all) || page.prefix_bytes() != all->prefix_bytes()) return {};
    return {true, inner_row_bytes(page, separator) <= page.free_bytes()};
  }
  // The page is not given back: it is used.
  static Error marked_free(PageId id) { return Error{Errc::corrupt_page, "page that is used but marked free", number(id)}; }

  Result<void> perform(Token& token, TableId table, PageId parent_id, PageId left_id, PageId right_id, const Cut& cut) {
    AEGIS_TRY(auto right, pool_.create(token, right_id));
    AEGIS_TRY(auto parent, pool_.exclusive(token, parent_id));
    AEGIS_TRY(auto left, pool_.exclusive(token, left_id));
    const View old{old_};
    const Fences all = *old.fences();
    begin_node(right.page(), table, old_.level(), {cut.separator, all.high, all.has_high});
    begin_node(left.page(), table, old_.level(), {all.low, cut.separator, true});
    append_rows(left.page(), old, 0, cut.left);
    append_rows(right.page(), old, cut.right, old.rows());
    left.page().set_newest(old_.newest());
    right.page().set_newest(old_.newest());
    if (!old.is_leaf()) {
      left.page().set_link(old_.link());
      right.page().set_link(number(*old.child(cut.right)));
    }
    const std::size_t row = View{parent.page()}.search(cut.separator).row;
    const bool placed = insert_child(parent.page(), row, cut.separator, right_id);
    AEGIS_ASSERT(placed);
    return {};
  }

  // The root's content moves into a new only child; splitting that is an ordinary step.
  Result<void> grow(Token& token, TableRoot root) {
    AEGIS_TRY(load(root.root));
    if (old_.level() + std::size_t{1} >= max_tree_levels) return Error{Errc::too_large, "levels of table", number(root.table)};
    AEGIS_TRY(const PageId child_id, allocator_.allocate(token));
    if (child_id == root.root) return marked_free(child_id);
    const auto level = static_cast<std::uint8_t>(old_.level() + 1);
    const auto perform_growth = [&]() -> Result<void> {
      AEGIS_TRY(auto child, pool_.create(token, child_id));
      AEGIS_TRY(auto top, pool_.exclusive(token, root.root));
      const View old{old_};
      begin_node(child.page(), root.table, old_.level(), *old.fences());
      append_rows(child.page(), old, 0, old.rows());
      child.page().set_link(old_.link());
      child.page().set_newest(old_.newest());
      begin_node(top.page(), root.table, level, *old.fences());
      top.page().set_link(number(child_id));
      return {};
    };
    const Result<void> done = perform_growth();
    if (!done) forget(token, child_id);
    return done;
  }

  bool choose(const View& node, std::string_view key, std::size_t row_bytes, Cut& cut) {
    const std::size_t count = node.rows();
    const auto found = node.search(key);
    if (count == 0) return false;
    if (node.is_leaf() && found.row == count && row_bytes <= spare_of_wider(node, key, cut)) return true;
    const std::size_t most = node.is_leaf() ? count : count - 1;
    std::size_t wanted = 0;
    if (found.row == count)
      wanted = most;
    else if (found.row > 0 || found.exact)
      wanted = balanced(node, found.row, found.exact, row_bytes);
    for (std::size_t distance = 0; distance <= most; ++distance) {
      if (wanted >= distance && fits(node, wanted - distance, key, cut)) return true;
      if (wanted + distance <= most && fits(node, wanted + distance, key, cut)) return true;
    }
    return false;
  }

  // A leaf at the right edge of ascending keys may have no long prefix yet because its high fence is far away or not
  // there. Then an empty leaf is cut off well behind the keys to come, and this one has room again without their prefix.
  // Two bytes less of it than its keys share make the range wide enough for many full leaves before the cut is reached.
  // Returns how much room that gives, and fills `cut`; 0 where it is impossible.
  std::size_t spare_of_wider(const View& node, std::string_view key, Cut& cut) {
    const auto all = node.fences();
    const auto last = node.key(node.rows() - 1, below_);
    if (!all || !last) return 0;
    const std::size_t same = Fences{all->low, *last, true}.prefix_bytes(), shared = same < 2 ? 0 : same - 2;
    if (shared <= node.page().prefix_bytes() || shared >= last->size() || (*last)[shared] == '\xff') return 0;
    last->copy(above_, shared + 1);
    above_[shared] = static_cast<char>(above_[shared] + 1);
    const std::string_view separator{above_, shared + 1};
    if (compare_keys(key, separator) >= 0 || (all->has_high && compare_keys(separator, all->high) >= 0)) return 0;
    cut = {node.rows(), node.rows(), separator};
    const std::size_t used = bytes_under(node, 0, node.rows(), {all->low, separator, true});
    return used < node_capacity(page_bytes) ? node_capacity(page_bytes) - used : 0;
  }

  // The cut that leaves both sides about the same, the row to come counted.
  std::size_t balanced(const View& node, std::size_t at, bool replaces, std::size_t row_bytes) const {
    const std::size_t count = node.rows();
    std::size_t total = row_bytes;
    for (std::size_t i = 0; i < count; ++i) total += page_slot_bytes + node.tuple(i).value_or(Bytes{}).size();
    std::size_t left = 0, row = 0;
    for (; row + 1 < count; ++row) {
      if (row == at) left += row_bytes;
      if (!replaces || row != at) left += page_slot_bytes + node.tuple(row).value_or(Bytes{}).size();
      if (2 * left >= total) break;
    }
    return node.is_leaf() ? row + 1 : row;
  }

  // Fills `cut` for a cut before row `at`, if both sides fit their new fences.
  bool fits(const View& node, std::size_t at, std::string_view key, Cut& cut) {
    const std::size_t count = node.rows();
    cut = {at, node.is_leaf() ? at : at + 1, {}};
    std::string_view below = key, above = key;
    if (node.is_leaf() && at > 0) below = node.key(at - 1, below_).value_or(std::string_view{});
    if (at < count) above = node.key(at, above_).value_or(std::string_view{});
    if (node.is_leaf() && compare_keys(below, above) >= 0) return false;
    cut.separator = node.is_leaf() ? shortest_separator(below, above) : above;
    const auto all = node.fences();
    return all && bytes_under(node, 0, cut.left, {all->low, cut.separator, true}) <= node_capacity(page_bytes) &&
           bytes_under(node, cut.right, count, {cut.separator, all->high, all->has_high}) <= node_capacity(page_bytes);
  }

  Result<void> load(PageId id) {
    AEGIS_TRY(const bool copied, pool_.read(id, [&](const PageType& page) {
      old_ = page;
      return true;
    }));
    if (!copied || !View{old_}.well_formed()) return Error{Errc::corrupt_page, "tree node", number(id)};
    return {};
  }

  // A page that nobody else has seen.
  void forget(Token& token, PageId page) {
    pool_.discard(token, page);
    (void)allocator_.free(token, page, never_committed);
  }

  Pool& pool_;
  Allocator& allocator_;
  PageType old_;  // the node as it was before the step
  char below_[max_key_bytes(page_bytes)], above_[max_key_bytes(page_bytes)];
};

}  // namespace aegis::storage
