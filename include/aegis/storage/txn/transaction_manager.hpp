// SPDX-License-Identifier: Apache-2.0
// Concurrency control without storage: snapshots, key locks, replaced versions, timestamps and the order of a commit.
// Usable alone; an engine adds what logs and applies. Any number of threads, each with transactions of its own.
// A timestamp is a commit's place in the order; `published` is the newest one up to which everything is visible.
#pragma once

#include <aegis/storage/buffer/commit_section.hpp>
#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/lock/interval_lock_manager.hpp>
#include <aegis/storage/txn/commit_steps.hpp>
#include <aegis/storage/txn/context_pool.hpp>
#include <aegis/storage/version/version_store.hpp>

#include <atomic>
#include <utility>

namespace aegis::storage {

struct TransactionOptions {
  std::size_t max_transactions = 1024;
  std::size_t max_transaction_bytes = std::size_t{16} << 20;
  std::size_t version_bytes = std::size_t{64} << 20;
  Milliseconds lock_timeout{10'000};
};

struct TransactionStats {
  std::uint64_t begun = 0, committed = 0, aborted = 0, active = 0;
  std::uint64_t conflicts = 0, deadlocks = 0, lock_timeouts = 0, snapshots_too_old = 0;
  std::uint64_t write_conflicts = 0;       ///< Of the conflicts: a key to be written was changed since the snapshot.
  std::uint64_t validation_conflicts = 0;  ///< And the others: something read was, as commit() found.
  std::uint64_t versions = 0, version_bytes = 0;
  Timestamp published{}, oldest_snapshot{};
};

template <IsolationPolicy Isolation = SnapshotIsolation>
class TransactionManager {
  static_assert(!Isolation::reads_take_locks || (Isolation::snapshot_per_operation && !Isolation::conflict_on_newer_version),
                "aegis: an isolation level whose reads_take_locks reads the newest state: snapshot_per_operation, and not conflict_on_newer_version");

 public:
  using Context = TransactionContext<Isolation>;
  /// Reads that take locks need them on intervals.
  using Locks = std::conditional_t<Isolation::reads_take_locks, IntervalLockManager, LockManager>;

  /// A transaction of a manager that is used alone. Dropped, it aborts.
  class Transaction {
   public:
    Transaction(TransactionManager& manager, Result<Context*> context)
        : manager_(&manager), context_(context ? *context : nullptr), state_(context ? TransactionState::active : TransactionState::aborted) {}
    Transaction(Transaction&& other) noexcept
        : manager_(other.manager_), context_(std::exchange(other.context_, nullptr)), state_(std::exchange(other.state_, TransactionState::aborted)) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction() { abort(); }

    TransactionState state() const { return state_; }
    /// Takes the key's lock and remembers the write; nothing stores it.
    Result<void> put(TableId table, std::string_view key, std::string_view value);
    void abort() { end(TransactionState::aborted); }

   private:
    friend class TransactionManager;
    void end(TransactionState state) {
      if (context_ == nullptr) return;
      state_ = state;
      manager_->close(*std::exchange(context_, nullptr), state);
    }

    TransactionManager* manager_;
    Context* context_;  // nullptr once it ended
    TransactionState state_;
  };

  explicit TransactionManager(TransactionOptions options = {})
      : options_(options), contexts_(options.max_transactions, options.max_transaction_bytes) {
    if (auto locks = Locks::open({.timeout = options.lock_timeout})) locks_ = *std::move(locks);
    if (auto versions = VersionStore::open(options.version_bytes)) versions_ = *std::move(versions);
    if (auto validator = Isolation::Validator::open(options.version_bytes / 4)) validator_.emplace(*std::move(validator));
  }
  TransactionManager(const TransactionManager&) = delete;
  TransactionManager& operator=(const TransactionManager&) = delete;

  /// For use alone. A transaction that could not be begun says transaction_closed.
  Transaction begin() { return Transaction{*this, open(false)}; }
  /// transaction_closed when it has ended already.
  Result<CommitInfo> commit(Transaction& transaction);

  /// out_of_memory when the constructor could not get what it needs.
  Result<void> usable() const;

  /// A context of the caller's own until close(); busy when max_transactions are open.
  Result<Context*> open(bool read_only);
  /// Ends it: its locks, snapshot and writes are given up. `state` is for the statistics.
  void close(Context& context, TransactionState state);

  /// The snapshot that a read sees: the one it has or, at its first operation or by the isolation level at every one, a
  /// new one at `watermark()`, which is a seq_cst load that never goes back.
  template <class Watermark>
  Result<Timestamp> view(Context& context, Watermark&& watermark);

  /// Before a write or a locking read: waits for the key's lock, then refuses what was changed after the snapshot if the
  /// isolation level says so. conflict, deadlock, lock_timeout and snapshot_too_old leave only abort().
  Result<void> claim(Context& context, TableId table, std::string_view key);
  /// Before a read for update: the same, but that it goes with what others have read already where reads take locks.
  Result<void> claim_for_update(Context& context, TableId table, std::string_view key);
  /// Before a read that takes locks: waits until nobody writes the key, or the interval, and keeps it so until the end.
  Result<void> claim_read(Context& context, TableId table, std::string_view key)
    requires(Isolation::reads_take_locks);
  Result<LockOutcome> claim_read(Context& context, TableId table, const LockSpan& span)
    requires(Isolation::reads_take_locks);
  /// For a retry, before its snapshot: queues for the key that the last attempt was lost on.
  Result<void> claim_lost(Context& context, TableId table, std::string_view key);

  /// snapshot_too_old if the snapshot was revoked; to be asked after every look-up, since versions may go during it.
  Result<void> still_visible(Context& context);

  /// The order of a commit (CommitSteps tells what `steps` has). The caller closes the context, whatever this returns.
  template <CommitSteps Steps>
  Result<CommitInfo> commit(Context& context, CommitSection& section, Steps&& steps);

  /// In the section, for commits of the engine's own.
  Timestamp next_timestamp(const CommitSection::Token&) const { return next(published()); }
  void publish(const CommitSection::Token&, Timestamp timestamp) { published_.store(timestamp, std::memory_order_seq_cst); }
  /// The same, for those that bring or take away all rows of a table: before the section, and in it before publication.
  Result<typename Isolation::Validator::Commit> prepare_table(TableId table) { return validator_->prepare_table(table); }
  void remember(const CommitSection::Token& token, typename Isolation::Validator::Commit&& commit, Timestamp timestamp);
  Timestamp published() const { return published_.load(std::memory_order_seq_cst); }

  Locks& locks() { return *locks_; }
  VersionStore& versions() { return *versions_; }
  SnapshotRegistry& snapshots() { return contexts_.registry(); }
  TransactionStats stats() const;

 private:
  static Error doom(Context& context, Error error);
  /// A lock on the key, where reads take locks after the table's intent, and with the key remembered if it was lost.
  Result<void> lock_key(Context& context, TableId table, std::string_view key, LockMode mode);
  Result<void> lock_intent(Context& context, TableId table, LockMode mode);
  Result<Timestamp> validate(Context& context, Timestamp after);

  TransactionOptions options_;
  ContextPool<Isolation> contexts_;
  Owned<Locks> locks_;                         // these three: empty when there was no memory
  Owned<VersionStore> versions_;
  Maybe<typename Isolation::Validator> validator_;
  CommitSection section_;                                // for use alone
  std::atomic<Timestamp> published_{never_committed};
  std::atomic<std::uint64_t> validation_conflicts_{0};
};

}  // namespace aegis::storage

#include <aegis/storage/txn/transaction_manager_impl.hpp>
