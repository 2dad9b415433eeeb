// SPDX-License-Identifier: Apache-2.0
// Concurrency control without storage: snapshots, key locks, replaced versions, timestamps and the order of a commit.
// Usable alone; an engine adds what logs and applies. Any number of threads, each with transactions of its own.
// A timestamp is a commit's place in the order; `published` is the newest one up to which everything is visible.
#pragma once

#include <aegis/storage/buffer/commit_section.hpp>
#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/txn/commit_steps.hpp>
#include <aegis/storage/txn/context_pool.hpp>
#include <aegis/storage/version/version_store.hpp>

#include <atomic>
#include <memory>
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
  std::uint64_t versions = 0, version_bytes = 0;
  Timestamp published{}, oldest_snapshot{};
};

template <IsolationPolicy Isolation = SnapshotIsolation>
class TransactionManager {
 public:
  using Context = TransactionContext<Isolation>;

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
    if (auto locks = LockManager::open({.timeout = options.lock_timeout})) locks_ = *std::move(locks);
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
  Timestamp published() const { return published_.load(std::memory_order_seq_cst); }

  LockManager& locks() { return *locks_; }
  VersionStore& versions() { return *versions_; }
  SnapshotRegistry& snapshots() { return contexts_.registry(); }
  TransactionStats stats() const;

 private:
  static Error doom(Context& context, Error error);

  TransactionOptions options_;
  ContextPool<Isolation> contexts_;
  std::unique_ptr<LockManager> locks_;                   // these three: empty when there was no memory
  std::unique_ptr<VersionStore> versions_;
  std::optional<typename Isolation::Validator> validator_;
  CommitSection section_;                                // for use alone
  std::atomic<Timestamp> published_{never_committed};
};

}  // namespace aegis::storage

#include <aegis/storage/txn/transaction_manager_impl.hpp>
