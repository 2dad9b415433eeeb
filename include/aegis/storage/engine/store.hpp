// SPDX-License-Identifier: Apache-2.0
// An open store: the parts and their mechanisms under one roof, at one address. It is what transactions work on, and
// what Engine owns. Any thread, but for opening and destruction. A child that fork() made gets already_open for all that could
// reach the files, and ends nothing; see ProcessMark.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/catalog.hpp>
#include <aegis/storage/engine/checkpoint.hpp>
#include <aegis/storage/engine/commit_pipeline.hpp>
#include <aegis/storage/engine/maintenance_thread.hpp>
#include <aegis/storage/engine/opening.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/table.hpp>
#include <aegis/storage/engine/upkeep.hpp>
#include <aegis/storage/file/process_mark.hpp>
#include <aegis/storage/txn/transaction.hpp>

#include <atomic>
#include <new>

namespace aegis::storage {

template <class Chosen>
class Store {
 public:
  using Parts = storage::Parts<Chosen>;
  using Backend = typename Parts::Backend;
  using Isolation = typename Parts::Isolation;
  using Tree = typename Parts::Tree;
  using LeafCopy = typename Tree::Leaf;
  using Manager = typename Parts::Manager;
  using Context = typename Parts::Context;
  using Table = TableHandle<Store>;

  /// In a child nothing is ended: the threads that the store waits for at its end are not there, and the files are not its own.
  struct EndHere {
    void operator()(Store* store) const {
      if (store->is_here()) delete store;
    }
  };
  using Handle = Owned<Store, EndHere>;

  static Result<Handle> open(Backend backend, const EngineOptions& options) {
    Handle store{new (std::nothrow) Store(std::move(backend), options)};
    if (!store) return Error{Errc::out_of_memory, "store"};
    AEGIS_TRY(store->recovery_, Opening<Chosen>(store->parts_, store->checkpointer_, store->catalog_).run());
    if (options.maintenance_thread) AEGIS_TRY(store->start_thread());
    if (store->recovery_.transactions != 0) AEGIS_TRY(store->upkeep_.checkpoint_recovery());
    store->thread_.wake();  // for the checkpoint that it may owe
    return store;
  }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // What transactions ask for.

  Manager& manager() { return parts_.manager; }
  Tree& tree() { return *parts_.tree; }
  Result<Context*> begin(bool read_only) {
    AEGIS_TRY(open_for_use());
    AEGIS_TRY(Context* const context, parts_.manager.open(read_only));
    if (auto usable = open_for_use(); !usable) {  // closed between the two
      parts_.manager.close(*context, TransactionState::aborted);
      return usable.error();
    }
    return context;
  }
  /// The snapshot that a read sees: acknowledged commits only for readers, everything published for writers.
  Result<Timestamp> view(Context& context) {
    if (context.read_only) return parts_.manager.view(context, [this] { return parts_.acknowledged(); });
    return parts_.manager.view(context, [this] { return parts_.manager.published(); });
  }
  /// table_not_found for a handle of another engine and for a dropped table, but for snapshots from before the drop. To be
  /// asked before a look-up and again after it: a drop in between frees the pages.
  Result<void> usable(const Table& table, const Context& context) const { return usable_at(table, context.snapshot); }
  Result<void> usable_at(const Table& table, Timestamp snapshot) const {
    if (table.belongs_to(*this) && table.readable_at(snapshot)) [[likely]] return {};
    return Error{Errc::table_not_found, "table", number(table.id())};
  }
  Result<CommitInfo> commit(Context& context) {
    AEGIS_TRY(check_process());
    CommitPipeline<Chosen> pipeline{parts_, upkeep_, context};
    Result<CommitInfo> done = parts_.manager.commit(context, parts_.pool->section(), pipeline);
    if (done && thread_.running() && (upkeep_.is_due(pipeline.end()) || parts_.wal->spare_due())) thread_.wake();
    return done;
  }
  /// Ends a transaction and lets go what only its snapshot held.
  void finish(Context& context, TransactionState state) {
    if (!is_here()) return;
    const bool held_something = context.snapshot != no_timestamp && context.snapshot < parts_.manager.published();
    parts_.manager.close(context, state);
    if (held_something) upkeep_.after_commit();
  }

  /// A scan met a deleted row; nobody else may know of it, after a crash for instance.
  void stepped_over_ghost(TableId table, std::string_view key) {
    if (!parts_.manager.versions().holds(table, key)) upkeep_.purge_later(table, key);
  }

  /// Waits until what was read at `snapshot` cannot be taken back.
  Result<void> await_acknowledged(Timestamp snapshot) { return upkeep_.await_acknowledged(snapshot); }

  // What the engine asks for.

  Result<void> open_for_use() const {
    AEGIS_TRY(check_process());
    if (closed_.load(std::memory_order_seq_cst)) return Error{Errc::engine_failed, "engine that was closed"};
    return {};
  }
  /// already_open in a child that fork() made; what is in memory alone is its own.
  Result<void> check_process() const {
    if (!is_here()) [[unlikely]] return process_.check();
    return {};
  }
  bool is_here() const { return !Backend::durable_medium || process_.is_here(); }
  /// busy with live transactions. Checkpoints, and marks the log as complete; nothing can be done with the store then. Room
  /// that nothing stored needs is given back where that succeeds. After any other error the store is open still, and may be
  /// closed later, unless it has failed.
  Result<void> close() {
    AEGIS_TRY(open_for_use());
    if (closed_.exchange(true, std::memory_order_seq_cst)) return Error{Errc::engine_failed, "engine that was closed"};
    if (const std::size_t live = parts_.manager.snapshots().claimed(); live != 0) {
      closed_.store(false, std::memory_order_seq_cst);
      return Error{Errc::busy, "transactions and cursors still open", live};
    }
    thread_.stop();
    if (const Result<void> ended = end_log(); !ended) {
      if (parts_.healthy() && ended.error().code() != Errc::engine_failed) reopen();  // the log may have failed and only its caller know
      return ended;
    }
    if constexpr (TrimmableBackend<Backend>) (void)parts_.backend.trim();
    return {};
  }

  Parts& parts() { return parts_; }
  Checkpointer<Chosen>& checkpointer() { return checkpointer_; }
  Catalog<Chosen>& catalog() { return catalog_; }
  Upkeep<Chosen>& upkeep() { return upkeep_; }
  const RecoveryReport& recovery() const { return recovery_; }

  /// The maintenance thread's round. What fails here fails again, and is reported, where somebody needs it.
  void maintain() {
    (void)upkeep_.background_round();
    catalog_.continue_drops();
  }

 private:
  Store(Backend backend, const EngineOptions& options)
      : parts_(std::move(backend), options), checkpointer_(parts_), upkeep_(parts_, checkpointer_), catalog_(parts_, upkeep_), thread_(*this, options.sync_interval) {}

  Result<void> start_thread() {
    AEGIS_TRY(thread_.start());
    upkeep_.set_has_thread(true);
    return {};
  }
  Result<void> end_log() {
    catalog_.continue_drops();
    AEGIS_TRY(checkpointer_.run());
    return parts_.wal->close(parts_.manager.published());
  }
  /// After a close that did not come to the clean end of the log: had it failed there, the store would not be healthy. Where
  /// no thread can be had, committers do its work.
  void reopen() {
    if (parts_.options.maintenance_thread && !start_thread()) upkeep_.set_has_thread(false);
    closed_.store(false, std::memory_order_seq_cst);
  }

  Parts parts_;
  Checkpointer<Chosen> checkpointer_;
  Upkeep<Chosen> upkeep_;
  Catalog<Chosen> catalog_;
  RecoveryReport recovery_;
  std::atomic<bool> closed_{false};
  ProcessMark process_;             // that opened it
  MaintenanceThread<Store> thread_;  // last: it stops before anything it uses goes
};

}  // namespace aegis::storage
