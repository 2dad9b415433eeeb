// SPDX-License-Identifier: Apache-2.0
// The way from a root to the leaf of a position. Any thread; nothing is latched or pinned between pages. A node knows its
// table, level and fences, so a descent that arrives where a split or merge has just been notices and begins again at
// the root, whose id never changes. Freed nodes are marked and not used again while a reader with an older snapshot lives.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/limits.hpp>
#include <aegis/storage/tree/node.hpp>

#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace aegis::storage {

/// A table's tree. The root page stays the root for the table's life.
struct TableRoot {
  TableId table{};
  PageId root{};
};

/// The pages from the root to a leaf. True only inside the commit section, where nobody else changes them.
struct TreePath {
  PageId ids[max_tree_levels];
  std::size_t count = 0;

  PageId leaf() const { return ids[count - 1]; }
};

/// A healthy tree sends a descent back while a structure change is under way, a broken one always. What does so this
/// often although nobody was in the commit section is broken; so is what does it for very long.
inline constexpr int descent_restarts_of_a_change = 64, max_descent_restarts = 1 << 20;

template <class Pool>
class Descent {
 public:
  using PageType = typename Pool::PageType;
  using View = NodeView<PageType::size_bytes>;
  template <class Fn>
  using LeafValue = std::invoke_result_t<Fn&, const PageType&, PageId>;

  explicit Descent(Pool& pool) : pool_(pool) {}

  /// Runs fn(const PageType& leaf, PageId) -> default-constructible value on the leaf of the position, under the terms
  /// of Pool::read, and returns its value. corrupt_page, or what the pool's read says.
  template <class Fn>
  auto visit(TableRoot root, const LeafPosition& position, Fn&& fn) -> Result<LeafValue<Fn>> {
    int quiet = 0;
    for (int restarts = 0; restarts < max_descent_restarts && quiet < descent_restarts_of_a_change; ++restarts) {
      if (restarts >= descent_restarts_of_a_change) {
        if (pool_.section().try_enter()) ++quiet;
        else sched_yield();
      }
      AEGIS_TRY(auto arrived, descend(root, position, fn, nullptr));
      if (arrived.to == arrived.leaf) return std::move(arrived.value);
    }
    return Error{Errc::corrupt_page, "inner nodes of table", number(root.table)};
  }
  /// As visit(), but looks first at `hint`, a page that was the position's leaf once or is its neighbour; 0: no hint. What is
  /// read there tells whether it is the leaf now, so a wrong hint costs one page and no more.
  template <class Fn>
  auto visit(TableRoot root, const LeafPosition& position, PageId hint, Fn&& fn) -> Result<LeafValue<Fn>> {
    if (hint != PageId{})
      if (auto at_hint = look(root, position, hint, fn); at_hint && at_hint->to == at_hint->leaf) return std::move(at_hint->value);
    return visit(root, position, fn);
  }
  /// The same for whoever is in the commit section, where no structure change is under way: one that does not arrive
  /// has met a broken tree. Fills `path` if there is one.
  template <class Fn>
  auto visit_in_section(TableRoot root, const LeafPosition& position, Fn&& fn, TreePath* path = nullptr) -> Result<LeafValue<Fn>> {
    AEGIS_TRY(auto arrived, descend(root, position, fn, path));
    if (arrived.to == arrived.leaf) return std::move(arrived.value);
    return Error{Errc::corrupt_page, "inner nodes of table", number(root.table)};
  }
  /// The same with a hint.
  template <class Fn>
  auto visit_in_section(TableRoot root, const LeafPosition& position, PageId hint, Fn&& fn) -> Result<LeafValue<Fn>> {
    if (hint != PageId{})
      if (auto at_hint = look(root, position, hint, fn); at_hint && at_hint->to == at_hint->leaf) return std::move(at_hint->value);
    return visit_in_section(root, position, fn);
  }

 private:
  template <class Value>
  struct Step {
    enum { elsewhere, child_page, leaf } to = elsewhere;
    std::size_t level = 0;
    PageId child{};
    Value value{};
  };

  // At the page that is perhaps the leaf. That it cannot be read is no reason to fail.
  template <class Fn>
  auto look(TableRoot root, const LeafPosition& position, PageId hint, Fn& fn) -> Result<Step<LeafValue<Fn>>> {
    return pool_.read(hint, [&](const PageType& page) { return this->step(page, hint, root.table, 0, position, fn); });
  }

  // Once from the root: to a leaf, or elsewhere.
  template <class Fn>
  auto descend(TableRoot root, const LeafPosition& position, Fn& fn, TreePath* path) -> Result<Step<LeafValue<Fn>>> {
    std::size_t level = max_tree_levels;  // of the node expected next; any for the root
    PageId at = root.root;
    for (std::size_t depth = 0;; ++depth) {
      AEGIS_TRY(auto step, pool_.read(at, [&](const PageType& page) { return this->step(page, at, root.table, level, position, fn); }));
      if (step.to == step.elsewhere && at == root.root) return Error{Errc::corrupt_page, "root of table", number(root.table)};
      if (path != nullptr) path->ids[depth] = at, path->count = depth + 1;
      if (step.to != step.child_page) return step;
      at = step.child;
      level = step.level - 1;
    }
  }

  template <class Fn>
  auto step(const PageType& page, PageId id, TableId table, std::size_t level, const LeafPosition& position, Fn& fn) const -> Step<LeafValue<Fn>> {
    if (level == 0) prefetch(page);
    const View node{page};
    Step<LeafValue<Fn>> step;
    step.level = page.level();
    if (page.owner() != table || (level != max_tree_levels && step.level != level) || step.level >= max_tree_levels) return step;
    const auto fences = node.fences();
    if (!fences || !position.within(*fences)) return step;
    if (node.is_leaf()) {
      step.value = fn(page, id);
      step.to = step.leaf;
    } else if (node.is_inner()) {
      const auto child = node.child(node.child_index(position));
      if (!child) return step;
      step.child = *child;
      step.to = step.child_page;
    }
    return step;
  }

  // A leaf is the page that is likely not in the processor's cache: its header and slots, and the fences at its end, are
  // asked for at once instead of one miss after the other.
  static void prefetch(const PageType& page) {
    const std::byte* bytes = page.bytes().data();
    for (std::size_t line = 64; line < 640; line += 64) __builtin_prefetch(bytes + line);
    __builtin_prefetch(bytes + PageType::size_bytes - 64);
  }

  Pool& pool_;
};

}  // namespace aegis::storage
