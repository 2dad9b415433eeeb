// SPDX-License-Identifier: Apache-2.0
// The reading half of BTree; include btree.hpp.
#pragma once

#include <aegis/storage/tree/btree.hpp>

namespace aegis::storage {

template <class Pool, class Allocator>
Result<void> BTree<Pool, Allocator>::check_key(std::string_view key) {
  if (key.size() > key_limit) return Error::mismatch(Errc::too_large, "key bytes", key_limit, key.size());
  return {};
}

template <class Pool, class Allocator>
Result<void> BTree<Pool, Allocator>::check_value(std::string_view value) {
  if (value.size() > max_value_bytes) return Error::mismatch(Errc::too_large, "value bytes", max_value_bytes, value.size());
  return {};
}

// Copies a value in place into `out` if it fits; its length is told either way.
template <class Pool, class Allocator>
auto BTree<Pool, Allocator>::read_row(TableRoot root, std::string_view key, MutableBytes out, PageId hint) -> Result<Hit> {
  return descent_.visit(root, LeafPosition::at(key), hint, [&](const PageType& page, PageId id) {
    const View leaf{page};
    Hit hit;
    hit.leaf = id;
    hit.newest = page.newest();
    const auto found = leaf.search(key);
    const auto cell = found.exact ? leaf.cell(found.row) : std::nullopt;
    if (!cell) return hit;
    hit.kind = cell->value.kind;
    hit.bytes = cell->value.bytes.size();
    if (hit.kind == RowKind::overflow)
      hit.overflow = cell->value.overflow();
    else if (hit.bytes <= out.size())
      copy_bytes(out, bytes_of(cell->value.bytes));
    return hit;
  });
}

template <class Pool, class Allocator>
Result<RowRead> BTree<Pool, Allocator>::get(TableRoot root, std::string_view key, ValueBuffer& out) {
  for (;;) {
    AEGIS_TRY(const Hit hit, read_row(root, cut(key), {out.data(), out.capacity()}));
    out.clear();
    if (hit.kind == RowKind::in_place) {
      if (hit.bytes > out.capacity()) {
        AEGIS_TRY(out.reserve(hit.bytes));
        continue;
      }
      out.set_size(hit.bytes);
    }
    if (hit.kind != RowKind::overflow) return RowRead{hit.kind, hit.newest, hit.leaf};

    // The row is looked at again: while it names the chain, the chain's pages are its own.
    const Result<void> chain = chains_.read(root.table, hit.overflow, out);
    AEGIS_TRY(const Hit again, read_row(root, cut(key), {}, hit.leaf));
    if (again.kind != RowKind::overflow || again.overflow != hit.overflow) continue;
    AEGIS_TRY(chain);
    return RowRead{hit.kind, hit.newest, hit.leaf};
  }
}

template <class Pool, class Allocator>
Result<RowShape> BTree<Pool, Allocator>::shape(TableRoot root, std::string_view key, PageId hint) {
  AEGIS_TRY(const Hit hit, read_row(root, cut(key), {}, hint));
  return RowShape{hit.kind, hit.bytes, hit.leaf};
}

// visit(position, fn) is one of the descents.
template <class Pool, class Allocator>
template <class Visit>
Result<void> BTree<Pool, Allocator>::copy_visited(const LeafPosition& position, Leaf& out, Visit&& visit) {
  const LeafPosition wanted = out.keep(position);
  AEGIS_TRY(const PageId id, visit(wanted, [&](const PageType& page, PageId at) {
    out.page() = page;
    return at;
  }));
  if (!out.accept(id, wanted)) return Error{Errc::corrupt_page, "leaf", number(id)};
  return {};
}

template <class Pool, class Allocator>
Result<void> BTree<Pool, Allocator>::copy_leaf(TableRoot root, const LeafPosition& position, Leaf& out) {
  return copy_visited(position, out, [&](const LeafPosition& wanted, auto&& fn) { return descent_.visit(root, wanted, fn); });
}

template <class Pool, class Allocator>
Result<void> BTree<Pool, Allocator>::copy_leaf(Token&, TableRoot root, const LeafPosition& position, Leaf& out) {
  return copy_visited(position, out, [&](const LeafPosition& wanted, auto&& fn) { return descent_.visit_in_section(root, wanted, fn); });
}

template <class Pool, class Allocator>
Result<bool> BTree<Pool, Allocator>::next_leaf(TableRoot root, Leaf& leaf) {
  if (leaf.is_last()) return false;
  AEGIS_TRY(copy_leaf(root, LeafPosition::at(leaf.high()), leaf));
  return true;
}

template <class Pool, class Allocator>
Result<bool> BTree<Pool, Allocator>::previous_leaf(TableRoot root, Leaf& leaf) {
  if (leaf.is_first()) return false;
  AEGIS_TRY(copy_leaf(root, LeafPosition::below(leaf.low()), leaf));
  return true;
}

}  // namespace aegis::storage
