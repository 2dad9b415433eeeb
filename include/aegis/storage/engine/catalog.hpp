// SPDX-License-Identifier: Apache-2.0
// Tables by name: table 0 of the store. Its records are logged like any other's, but for the root pages, which each life
// of the store chooses for itself. Creating and dropping are commits of their own, one at a time.
#pragma once

#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/upkeep.hpp>

#include <string_view>
#include <utility>

namespace aegis::storage {

template <class Chosen>
class Catalog {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;

  Catalog(Parts& parts, Upkeep<Chosen>& upkeep) : parts_(parts), upkeep_(upkeep) {}
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  /// The table of that name, made durably if there is none. busy while a table of the name is loaded or dropped; what keeps a
  /// dropped one from being freed, if something does.
  Result<TableInfo*> open(std::string_view name) {
    if (TableInfo* const info = parts_.tables.find(name); info != nullptr && info->state_is(TableState::open)) return info;
    const Guard lock(mutex_);
    AEGIS_TRY(free_name(name));
    if (TableInfo* const info = parts_.tables.find(name); info != nullptr) {
      if (info->state_is(TableState::open)) return info;
      return Error{Errc::busy, "table that is being loaded or dropped; table", number(info->root.table)};
    }
    return create(name, TableState::open);
  }
  /// A new table in state loading. key_exists when the name is in use.
  Result<TableInfo*> begin_loading(std::string_view name) {
    const Guard lock(mutex_);
    AEGIS_TRY(free_name(name));
    if (parts_.tables.find(name) != nullptr) return Error{Errc::key_exists, "table"};
    return create(name, TableState::loading);
  }
  Result<void> end_loading(TableInfo& info) {
    const Guard lock(mutex_);
    return change_state(info, TableState::open);
  }
  /// Unless its end has come. Without a record, so that nothing can refuse it: for whoever reads the log it was never loaded.
  void abandon_loading(TableInfo& info) {
    const Guard lock(mutex_);
    if (!info.state_is(TableState::loading)) return;
    info.state.store(TableState::dropping, std::memory_order_release);
    drops_.fetch_add(1, std::memory_order_relaxed);
    finish_drops();
  }

  /// Gone for every later operation when this returns, durably; its pages are freed once no snapshot can see them.
  /// Where reads take locks, it waits for those who work with the table: lock_timeout.
  Result<void> drop(std::string_view name) {
    TableInfo* const info = parts_.tables.find(name);
    if (info == nullptr) return Error{Errc::table_not_found};
    if constexpr (Parts::Isolation::reads_take_locks) {
      LockOwner alone;  // before the mutex: those it waits for may ask for tables
      const auto locked = parts_.manager.locks().acquire(alone, LockTarget::of_table(info->root.table), LockMode::exclusive);
      const Result<void> dropped = locked ? drop(*info) : Result<void>{locked.error()};
      parts_.manager.locks().release_all(alone);
      return dropped;
    } else {
      return drop(*info);
    }
  }

  /// Frees what dropped tables still hold and nobody can see any more. A table that cannot be freed, whose pages are damaged or
  /// whose freeing wants room on a full disk, keeps its name and what is left of it, for verify() to tell of and to be tried again.
  void continue_drops() {
    if (drops_.load(std::memory_order_relaxed) == 0) return;
    const Guard lock(mutex_);
    finish_drops();
  }

  /// Of an opening store, alone: a row of the catalog as it was found, and afterwards the end of what was left half-done.
  Result<void> adopt(std::string_view name, const CatalogRow& row) {
    AEGIS_TRY(TableInfo* const info, parts_.tables.add(name, {row.id, row.root}, row.state));
    if (!info->state_is(TableState::open)) drops_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  void clean_up() {
    const Guard lock(mutex_);
    parts_.tables.for_each([](TableInfo& info) {
      if (info.state_is(TableState::loading)) info.state.store(TableState::dropping, std::memory_order_release);
    });
    finish_drops();
  }

 private:
  using Remembered = typename Parts::Isolation::Validator::Commit;
  static constexpr std::size_t drop_quantum = 64;  // pages freed in one stay in the section

  /// One record of table 0, from reservation to durability. `change` runs in the section before anything is in the log
  /// and may fail cleanly; `apply` changes the catalog's page.
  template <class Change, class Apply>
  Result<void> commit(LogRecordType type, std::string_view name, CatalogRow row, Change&& change, Apply&& apply) {
    FrameBuilder frame;
    AEGIS_TRY(frame.add(type, catalog_table, name, type == LogRecordType::erase ? std::string_view{} : text_of(row.encode()).substr(0, CatalogRow::logged_bytes)));
    const LogPayload payload = Parts::WriteAheadLog::prepare(frame.payload());
    AEGIS_TRY(Remembered remembered, parts_.manager.prepare_table(row.id));  // who read the table before must not commit after
    std::int64_t drawn = 0;
    Result<void> done = upkeep_.space().reserve(2, 0, drawn, row.state == TableState::dropping ? SpaceFor::freeing : SpaceFor::rows);
    Lsn end{};
    if (done) done = upkeep_.reserve_log(payload.bytes.size());
    if (done) {
      Token token = parts_.pool->section().enter();
      const Timestamp timestamp = parts_.manager.next_timestamp(token);
      done = parts_.healthy();
      if (done) done = change(token, timestamp);
      if (!done) {
        parts_.wal->release(payload.bytes.size());
      } else {
        done = append_and_apply(token, timestamp, payload, std::move(remembered), apply, end);
      }
    }
    upkeep_.space().done(drawn);
    AEGIS_TRY(done);
    if (auto waited = parts_.wal->wait(end); !waited) return parts_.undecided(waited.error());
    return {};
  }
  template <class Apply>
  Result<void> append_and_apply(Token& token, Timestamp timestamp, const LogPayload& payload, Remembered&& remembered, Apply& apply, Lsn& end) {
    const auto appended = parts_.wal->append(timestamp, payload);
    if (!appended) return parts_.undecided(appended.error());
    end = *appended;
    parts_.manager.remember(token, std::move(remembered), timestamp);
    if (Result<void> applied = apply(token, timestamp); !applied) return parts_.undecided(applied.error());
    parts_.manager.publish(token, timestamp);
    return {};
  }

  Result<TableInfo*> create(std::string_view name, TableState state) {
    AEGIS_TRY(Parts::Tree::check_key(name));
    CatalogRow row{TableId{parts_.next_table.fetch_add(1, std::memory_order_relaxed)}, state, {}};
    TableInfo* info = nullptr;
    auto make = [&](Token& token, Timestamp) -> Result<void> {
      AEGIS_TRY(row.root, parts_.tree->create(token, row.id));
      return {};
    };
    auto enter = [&](Token& token, Timestamp timestamp) -> Result<void> {
      AEGIS_TRY(parts_.tree->put(token, parts_.catalog, name, text_of(row.encode()), timestamp));
      AEGIS_TRY(info, parts_.tables.add(name, {row.id, row.root}, state));
      return {};
    };
    AEGIS_TRY(commit(LogRecordType::insert, name, row, make, enter));
    return info;
  }

  Result<void> drop(TableInfo& info) {
    const Guard lock(mutex_);
    if (!info.state_is(TableState::open)) return Error{Errc::table_not_found};
    AEGIS_TRY(change_state(info, TableState::dropping));
    finish_drops();
    return {};
  }
  Result<void> change_state(TableInfo& info, TableState state) {
    const CatalogRow row{info.root.table, state, info.root.root};
    auto nothing = [](Token&, Timestamp) -> Result<void> { return {}; };
    auto enter = [&](Token& token, Timestamp timestamp) -> Result<void> {
      AEGIS_TRY(parts_.tree->put(token, parts_.catalog, info.name, text_of(row.encode()), timestamp));
      (state == TableState::open ? info.loaded_at : info.dropped_at).store(timestamp, std::memory_order_relaxed);
      info.state.store(state, std::memory_order_release);
      return {};
    };
    AEGIS_TRY(commit(LogRecordType::update, info.name, row, nothing, enter));
    if (state == TableState::dropping) drops_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  void finish_drops() {
    if (drops_.load(std::memory_order_relaxed) == 0) return;
    parts_.tables.for_each([&](TableInfo& info) { (void)finish_drop(info); });
  }
  Result<void> free_name(std::string_view name) {
    AEGIS_TRY(parts_.healthy());
    TableInfo* const info = parts_.tables.find(name);
    return info != nullptr ? finish_drop(*info) : Result<void>{};
  }
  Result<void> finish_drop(TableInfo& info) {
    if (!info.state_is(TableState::dropping)) return {};
    const bool seen = info.dropped_at.load(std::memory_order_relaxed) > parts_.manager.snapshots().oldest(parts_.acknowledged());
    return seen ? Result<void>{} : free_pages(info);
  }

  Result<void> free_pages(TableInfo& info) {
    for (bool empty = false; !empty;) {
      std::int64_t drawn = 0;
      Result<void> done = upkeep_.space().is_scarce() ? upkeep_.space().reserve(drop_quantum / 6, 0, drawn, SpaceFor::freeing) : Result<void>{};
      if (done) done = free_some(info, empty);
      upkeep_.space().done(drawn);
      AEGIS_TRY(done);
    }
    return {};
  }
  Result<void> free_some(TableInfo& info, bool& empty) {
    Token token = parts_.pool->section().enter();
    AEGIS_TRY(parts_.healthy());
    // Freed as of the drop: whoever has a later snapshot does not find the table, so the pages can be used again at once.
    AEGIS_TRY(empty, parts_.tree->destroy_some(token, info.root, drop_quantum, info.dropped_at.load(std::memory_order_relaxed)));
    upkeep_.release_pages(token);
    if (!empty) return {};
    // The row goes in the same stay as the last page: no checkpoint may see a row whose tree is gone.
    AEGIS_TRY(parts_.tree->erase(token, parts_.catalog, info.name, false, parts_.manager.next_timestamp(token)));
    info.gone.store(true, std::memory_order_release);
    drops_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }

  Parts& parts_;
  Upkeep<Chosen>& upkeep_;
  Mutex mutex_;                // one change of the catalog at a time; taken before the section
  std::atomic<std::size_t> drops_{0};  // tables that are dropping, and loading ones that an opening found
};

}  // namespace aegis::storage
