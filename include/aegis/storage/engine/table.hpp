// SPDX-License-Identifier: Apache-2.0
// The user's handle on a table: small, copied freely, usable from any thread until its engine is gone.
#pragma once

#include <aegis/storage/engine/table_info.hpp>

namespace aegis::storage {

template <class Store>
class TableHandle {
 public:
  TableHandle() = default;
  TableHandle(const Store& store, TableInfo& info) : store_(&store), info_(&info) {}

  /// Nothing but the default-constructed handle is without a table.
  explicit operator bool() const { return info_ != nullptr; }
  TableId id() const { return info_ != nullptr ? info_->root.table : catalog_table; }
  std::string_view name() const { return info_ != nullptr ? info_->name : std::string_view{}; }

  TableRoot root() const { return info_->root; }
  bool belongs_to(const Store& store) const { return store_ == &store; }
  /// Open, or dropped only after that snapshot was taken, and not filled by a bulk load that ended after it.
  bool readable_at(Timestamp snapshot) const {
    const TableState state = info_->state.load(std::memory_order_acquire);
    if (snapshot < info_->loaded_at.load(std::memory_order_relaxed)) return false;
    return state == TableState::open || (state == TableState::dropping && snapshot < info_->dropped_at.load(std::memory_order_relaxed));
  }

 private:
  const Store* store_ = nullptr;
  TableInfo* info_ = nullptr;
};

}  // namespace aegis::storage
