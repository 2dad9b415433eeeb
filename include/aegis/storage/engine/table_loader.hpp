// SPDX-License-Identifier: Apache-2.0
// Sorted rows into a new table without logging them: the fast way in for much data. The table does not exist for others
// until finish() has returned; whatever ends the loader before that, a crash too, leaves nothing of it.
// Moves, does not copy; one thread; its engine must outlive it.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/store.hpp>
#include <aegis/storage/tree/bulk_load.hpp>

#include <new>
#include <optional>
#include <utility>

namespace aegis::storage {

template <class Store>
class TableLoader {
 public:
  using Table = typename Store::Table;

  /// key_exists when there is a table of that name.
  static Result<TableLoader> begin(Store& store, std::string_view name) {
    AEGIS_TRY(store.open_for_use());
    AEGIS_TRY(TableInfo* const info, store.catalog().begin_loading(name));
    TableLoader loader{store, *info};
    Token token = store.parts().pool->section().enter();
    loader.rows_.reset(new (std::nothrow) Rows(store.tree(), info->root, store.manager().next_timestamp(token)));
    if (!loader.rows_) return Error{Errc::out_of_memory, "table loader"};
    return loader;
  }
  TableLoader(TableLoader&& other) noexcept : store_(std::exchange(other.store_, nullptr)), info_(other.info_), rows_(std::move(other.rows_)) {}
  TableLoader& operator=(TableLoader&&) = delete;
  ~TableLoader() {
    if (store_ != nullptr && store_->is_here()) store_->catalog().abandon_loading(*info_);
  }

  /// Keys ascend. invalid_argument, too_large: the row was not taken, the load goes on.
  Result<void> append(std::string_view key, std::string_view value) {
    AEGIS_TRY(still_loading());
    std::int64_t drawn = 0;
    Result<void> done = store_->upkeep().space().reserve(1, key.size() + value.size(), drawn);
    if (done) {
      Token token = store_->parts().pool->section().enter();
      done = store_->parts().healthy();
      if (done) done = rows_->append(token, key, value);
    }
    store_->upkeep().space().done(drawn);
    return done;
  }

  /// Every row is durable, and the table visible, on return.
  Result<Table> finish() {
    AEGIS_TRY(still_loading());
    AEGIS_TRY(store_->checkpointer().run());
    AEGIS_TRY(store_->catalog().end_loading(*info_));
    return Table{*std::exchange(store_, nullptr), *info_};
  }

  std::uint64_t rows() const { return rows_ ? rows_->rows() : 0; }

 private:
  using Token = typename Store::Parts::Token;
  using Rows = BulkLoader<typename Store::Parts::Pool, typename Store::Parts::Allocator>;

  TableLoader(Store& store, TableInfo& info) : store_(&store), info_(&info) {}

  Result<void> still_loading() const {
    if (store_ == nullptr) return Error{Errc::invalid_argument, "table loader that has finished"};
    return store_->check_process();
  }

  Store* store_;  // nullptr once finished or moved from
  TableInfo* info_;
  Owned<Rows> rows_;
};

}  // namespace aegis::storage
