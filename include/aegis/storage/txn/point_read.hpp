// SPDX-License-Identifier: Apache-2.0
// Reading one key: own write, page, replaced version, in this order. The value is copied before anybody sees it, so no
// user code runs under a latch or sees bytes change.
#pragma once

#include <aegis/storage/tree/btree.hpp>
#include <aegis/storage/txn/context_hold.hpp>
#include <aegis/storage/txn/cursor.hpp>
#include <aegis/storage/txn/row_view.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace aegis::storage {

/// The row as stored, seen at `snapshot`, its value in context.value; false when absent. Remembers its leaf.
template <class Store>
Result<bool> fetch_stored(Store& store, const typename Store::Table& table, std::string_view key, Timestamp snapshot, typename Store::Context& context) {
  ValueBuffer& out = context.value;
  AEGIS_TRY(const RowRead row, store.tree().get(table.root(), key, out));
  context.leaf_table = table.id();
  context.leaf = row.leaf;
  if (row.page_newest <= snapshot) return row.present();
  AEGIS_TRY(const auto replaced, replaced_version(store.manager().versions(), table.id(), key, snapshot, context.version));
  if (!replaced) return row.present();
  if (replaced->kind == RowKind::overflow) AEGIS_TRY(store.tree().read_overflow(table.id(), replaced->overflow(), out));
  if (replaced->kind == RowKind::in_place) AEGIS_TRY(out.assign(replaced->bytes));
  return replaced->present();
}

/// The key as the transaction sees it, its value in the context's buffer; false when absent.
template <class Store>
Result<bool> fetch(ContextHold<Store>& hold, const typename Store::Table& table, std::string_view key) {
  AEGIS_TRY(hold.open());
  Store& store = hold.store();
  auto& context = *hold;
  AEGIS_TRY(store.usable(table, context));
  if (!context.writes.empty())
    if (const auto* own = context.writes.find(table.id(), key)) {
      AEGIS_TRY(context.value.assign(own->value()));
      return own->present();
    }
  if constexpr (Store::Isolation::reads_take_locks)
    if (!context.read_only) AEGIS_TRY(store.manager().claim_read(context, table.id(), key));
  AEGIS_TRY(const Timestamp snapshot, store.view(context));
  if constexpr (Store::Isolation::tracks_reads)
    if (!context.read_only) AEGIS_TRY(context.footprint.note_point(table.id(), key));
  const Result<bool> present = fetch_stored(store, table, key, snapshot, context);
  // Before any error: what was read of versions or pages that may be gone means nothing.
  AEGIS_TRY(store.manager().still_visible(context));
  AEGIS_TRY(store.usable(table, context));
  return present;
}

template <class Store>
Result<std::optional<std::string>> copied_value(ContextHold<Store>& hold, const typename Store::Table& table, std::string_view key) {
  AEGIS_TRY(const bool present, fetch(hold, table, key));
  if (!present) return std::optional<std::string>{};
  return std::optional<std::string>{hold->value.view()};
}

template <class Store, class Visitor>
Result<bool> visited_value(ContextHold<Store>& hold, const typename Store::Table& table, std::string_view key, Visitor& visitor) {
  AEGIS_TRY(const bool present, fetch(hold, table, key));
  if (present) visitor(hold->value.view());
  return present;
}

template <class Store>
Cursor<Store> opened_cursor(ContextHold<Store>& hold, const typename Store::Table& table, const KeyRange& range, Direction direction) {
  if (auto open = hold.open(); !open) return Cursor<Store>{open.error()};
  if (auto usable = hold.store().usable(table, *hold); !usable) return Cursor<Store>{usable.error()};
  return Cursor<Store>{hold.store(), *hold, table, range, direction};
}

}  // namespace aegis::storage
