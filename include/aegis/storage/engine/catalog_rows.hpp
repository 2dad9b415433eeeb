// SPDX-License-Identifier: Apache-2.0
// Walking the catalog's tree as it is stored: for opening and verifying, in the commit section.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <new>
#include <string_view>

namespace aegis::storage {

/// fn(std::string_view name, const CatalogRow&) -> Result<void> for every row, in the order of names.
template <class Parts, class Fn>
Result<void> for_each_catalog_row(Parts& parts, typename Parts::Token& token, Fn&& fn) {
  using Leaf = typename Parts::Tree::Leaf;
  const Owned<Leaf> leaf{new (std::nothrow) Leaf};
  if (!leaf) return Error{Errc::out_of_memory, "catalog"};
  AEGIS_TRY(parts.tree->copy_leaf(token, parts.catalog, LeafPosition::first(), *leaf));
  for (;;) {
    for (std::size_t row = leaf->begin_row(); row < leaf->end_row(); ++row) {
      const StoredValue value = leaf->value(row);
      if (!value.present()) continue;
      if (value.kind != RowKind::in_place) return Error{Errc::corrupt_page, "catalog row"};
      AEGIS_TRY(const CatalogRow decoded, CatalogRow::decode(value.bytes));
      AEGIS_TRY(fn(leaf->key(row), decoded));
    }
    if (leaf->is_last()) return {};
    AEGIS_TRY(parts.tree->copy_leaf(token, parts.catalog, LeafPosition::at(leaf->high()), *leaf));
  }
}

}  // namespace aegis::storage
