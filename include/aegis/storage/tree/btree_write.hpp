// SPDX-License-Identifier: Apache-2.0
// The changing half of BTree; include btree.hpp. Everything here runs inside the commit section.
#pragma once

#include <aegis/storage/tree/btree.hpp>

namespace aegis::storage {

template <class Pool, class Allocator>
Result<PageId> BTree<Pool, Allocator>::create(Token& token, TableId table) {
  AEGIS_TRY(const PageId root, allocator_.allocate(token));
  if (const Result<void> done = create_at(token, {table, root}); !done) {
    pool_.discard(token, root);
    (void)allocator_.free(token, root, never_committed);
    return done.error();
  }
  return root;
}

template <class Pool, class Allocator>
Result<void> BTree<Pool, Allocator>::create_at(Token& token, TableRoot root) {
  AEGIS_TRY(auto handle, pool_.create(token, root.root));
  begin_node(handle.page(), root.table, 0, Fences{});
  return {};
}

template <class Pool, class Allocator>
Result<PageId> BTree<Pool, Allocator>::leaf_of(TableRoot root, std::string_view key) {
  const PageId hint = last_table_ == root.table ? last_leaf_ : PageId{};
  AEGIS_TRY(last_leaf_, descent_.visit_in_section(root, LeafPosition::at(key), hint, [](const PageType&, PageId id) { return id; }));
  last_table_ = root.table;
  return last_leaf_;
}

template <class Pool, class Allocator>
Result<void> BTree<Pool, Allocator>::go_to_leaf(Run& run, Token& token, TableRoot root, std::string_view key) {
  if (run.leaf_) {
    const PageType& page = run.leaf_->page();
    const auto fences = View{page}.fences();
    if (page.owner() == root.table && fences && LeafPosition::at(key).within(*fences)) return {};
    run.release();
  }
  AEGIS_TRY(const PageId id, leaf_of(root, key));
  AEGIS_TRY(auto leaf, pool_.exclusive(token, id));
  run.leaf_.emplace(std::move(leaf));
  return {};
}

template <class Pool, class Allocator>
auto BTree<Pool, Allocator>::pin_leaf(Token&, TableRoot root, std::string_view key) -> Result<Pin> {
  AEGIS_TRY(const PageId id, leaf_of(root, cut(key)));
  return pool_.pin(id);
}

template <class Pool, class Allocator>
Result<StoredValue> BTree<Pool, Allocator>::current(Token&, TableRoot root, std::string_view key) {
  AEGIS_TRY(const PageId id, leaf_of(root, cut(key)));
  return pool_.read(id, [&](const PageType& page) {
    const View leaf{page};
    const auto found = leaf.search(cut(key));
    const auto cell = found.exact ? leaf.cell(found.row) : std::nullopt;
    if (!cell || cell->value.bytes.size() > sizeof saved_) return StoredValue{};
    copy_bytes(saved_, bytes_of(cell->value.bytes));
    return StoredValue{cell->value.kind, text_of(Bytes{saved_, cell->value.bytes.size()})};
  });
}

// Puts the row in its leaf, splitting until it fits. Returns what it replaced, its bytes in saved_ if it had a chain.
template <class Pool, class Allocator>
template <class Save>
Result<StoredValue> BTree<Pool, Allocator>::place(Run& run, Token& token, TableRoot root, std::string_view key, StoredValue value, Timestamp timestamp, Save& save) {
  for (std::size_t steps = 0; steps < 4 * max_tree_levels; ++steps) {
    AEGIS_TRY(go_to_leaf(run, token, root, key));
    PageType& page = run.leaf_->page();
    const View leaf{page};
    const auto found = leaf.search(key);
    const auto before = found.exact ? leaf.cell(found.row) : std::nullopt;
    if (key.size() < page.prefix_bytes() || (found.exact && !before)) return Error{Errc::corrupt_page, "leaf", number(last_leaf_)};
    const LeafCell cell{key.substr(page.prefix_bytes()), value};
    StoredValue old = before ? before->value : StoredValue{};
    const std::size_t row_bytes = page_slot_bytes + leaf_cell_header_bytes + cell.suffix.size() + value.bytes.size();
    const std::size_t room = page.free_bytes() + (before ? page_slot_bytes + before->tuple_bytes() : 0);
    if (row_bytes <= room) {
      save(std::as_const(old));
      if (old.kind == RowKind::overflow) {
        copy_bytes(saved_, bytes_of(old.bytes));
        old.bytes = text_of(Bytes{saved_, OverflowRef::encoded_bytes});
      }
      const RowKind old_kind = old.kind;
      const Bytes tuple = cell.encode(row_);
      const bool placed = before ? page.replace_at(found.row + 1, tuple) : page.insert_at(found.row + 1, key_head(cell.suffix), tuple);
      AEGIS_ASSERT(placed);
      page.add_ghosts((value.kind == RowKind::ghost ? 1 : 0) - (old_kind == RowKind::ghost ? 1 : 0));
      page.set_newest(std::max(page.newest(), timestamp));
      return StoredValue{old_kind, old_kind == RowKind::overflow ? old.bytes : std::string_view{}};
    }
    run.release();
    TreePath path;
    AEGIS_TRY(descent_.visit_in_section(root, LeafPosition::at(key), [](const PageType&, PageId id) { return id; }, &path));
    AEGIS_TRY(split_.make_room(token, root, path, key, row_bytes));
  }
  return Error{Errc::corrupt_page, "splits of table", number(root.table)};
}

template <class Pool, class Allocator>
template <class Save>
Result<void> BTree<Pool, Allocator>::put(Run& run, Token& token, TableRoot root, std::string_view key, std::string_view value, Timestamp timestamp, Save&& save) {
  AEGIS_TRY(check_key(key));
  AEGIS_TRY(check_value(value));
  StoredValue stored{RowKind::in_place, value};
  std::byte encoded[OverflowRef::encoded_bytes];
  OverflowRef chain;
  if (value.size() > max_inline_bytes(page_bytes, key.size())) {
    run.release();
    AEGIS_TRY(chain, chains_.write(token, root.table, value));
    chain.encode(encoded);
    stored = {RowKind::overflow, text_of(Bytes{encoded})};
  }
  const auto old = place(run, token, root, key, stored, timestamp, save);
  if (!old || old->kind == RowKind::overflow) run.release();
  if (!old) {
    if (stored.kind == RowKind::overflow) (void)chains_.free(token, root.table, chain, never_committed);
    return old.error();
  }
  if (old->kind == RowKind::overflow) return chains_.free(token, root.table, old->overflow(), timestamp);
  return {};
}

template <class Pool, class Allocator>
template <class Save>
Result<bool> BTree<Pool, Allocator>::erase(Token& token, TableRoot root, std::string_view key, bool leave_ghost, Timestamp timestamp, Save&& save) {
  if (!check_key(key)) return false;
  OverflowRef chain;
  bool merge = false, has_chain = false;
  {
    AEGIS_TRY(const StoredValue before, current(token, root, key));
    if (!before.present()) return false;
    AEGIS_TRY(auto handle, pool_.exclusive(token, last_leaf_));
    PageType& page = handle.page();
    const auto found = View{page}.search(key);
    const auto cell = View{page}.cell(found.row);
    AEGIS_ASSERT(found.exact && cell);
    save(std::as_const(cell->value));
    has_chain = cell->value.kind == RowKind::overflow;
    if (has_chain) chain = cell->value.overflow();
    if (leave_ghost) {
      const bool placed = page.replace_at(found.row + 1, LeafCell{key.substr(page.prefix_bytes()), {RowKind::ghost, {}}}.encode(row_));
      AEGIS_ASSERT(placed);
      page.add_ghosts(1);
    } else {
      page.remove_at(found.row + 1);
      merge = worth_merging(page);
    }
    page.set_newest(std::max(page.newest(), timestamp));
  }
  if (merge) shrink(token, root, key, timestamp);
  if (has_chain) AEGIS_TRY(chains_.free(token, root.table, chain, timestamp));
  return true;
}

template <class Pool, class Allocator>
template <class MayGo>
Result<PurgeResult> BTree<Pool, Allocator>::purge_rows(Token& token, TableRoot root, std::string_view key, Timestamp timestamp, MayGo&& may_go) {
  PurgeResult done;
  bool merge = false;
  {
    AEGIS_TRY(const PageId id, leaf_of(root, cut(key)));
    AEGIS_TRY(const bool any, pool_.read(id, [](const PageType& page) { return page.ghost_count() > 0 || worth_merging(page); }));
    if (!any) return done;
    AEGIS_TRY(auto handle, pool_.exclusive(token, id));
    PageType& page = handle.page();
    char whole[key_limit];
    for (std::size_t row = View{page}.rows(); row-- > 0 && page.ghost_count() > done.left;) {
      const auto cell = View{page}.cell(row);
      if (!cell || cell->value.kind != RowKind::ghost) continue;
      if (may_go(View{page}.key(row, whole).value_or(std::string_view{}))) {
        page.remove_at(row + 1);
        page.add_ghosts(-1);
        ++done.removed;
      } else {
        ++done.left;
      }
    }
    merge = worth_merging(page);
  }
  if (merge) shrink(token, root, key, timestamp);
  return done;
}

// A merge that cannot be done now is done another time.
template <class Pool, class Allocator>
void BTree<Pool, Allocator>::shrink(Token& token, TableRoot root, std::string_view key, Timestamp timestamp) {
  TreePath path;
  const auto leaf = descent_.visit_in_section(root, LeafPosition::at(cut(key)), [](const PageType&, PageId id) { return id; }, &path);
  if (!leaf || path.count < 2) return;
  forget_leaf();
  (void)merge_.shrink(token, root, path, cut(key), timestamp);
}

}  // namespace aegis::storage
