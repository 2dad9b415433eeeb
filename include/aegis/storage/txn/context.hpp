// SPDX-License-Identifier: Apache-2.0
// What a running transaction needs, in one place that is used again by the next one: beginning allocates nothing
// after the first time. A context belongs to one snapshot slot; whoever holds the slot owns the context.
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/isolation/policy.hpp>
#include <aegis/storage/lock/lock_manager.hpp>
#include <aegis/storage/tree/value_buffer.hpp>
#include <aegis/storage/txn/write_set.hpp>
#include <aegis/storage/version/snapshot.hpp>
#include <aegis/storage/wal/record.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

enum class TransactionState : std::uint8_t {
  active,
  committed,
  aborted,
  undecided,  ///< commit() failed after the commit point; reopening decides it.
};

/// What a successful commit promises.
struct CommitInfo {
  Timestamp timestamp{};  ///< Unique and in commit order; 0 for a transaction that wrote nothing.
  bool durable = false;   ///< It survives a power cut already; otherwise only a killed process.
  unsigned retries = 0;   ///< How often transact() ran it again.
};

/// Counted by one transaction after the other, so that no line is shared; added up by whoever asks.
struct TransactionCounters {
  std::atomic<std::uint64_t> begun{0}, committed{0}, aborted{0};
  std::atomic<std::uint64_t> conflicts{0}, deadlocks{0}, lock_timeouts{0}, snapshots_too_old{0};

  /// For the one thread that may write it.
  static void count(std::atomic<std::uint64_t>& counter) { counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
};

/// The table lock that a transaction took last, so that most operations need not ask for it again.
struct TableIntent {
  bool includes(TableId of, LockMode wanted) const { return table == of && combine(mode, wanted) == mode; }
  void add(TableId of, LockMode wanted) {
    mode = table == of ? combine(mode, wanted) : wanted;
    table = of;
  }

  Maybe<TableId> table;
  LockMode mode{};
};
struct NoTableIntent {};

template <IsolationPolicy Isolation>
struct TransactionContext {
  TransactionContext(std::size_t max_transaction_bytes, std::size_t index) : writes(max_transaction_bytes), id_of_next(index) {}

  /// As new, but for its memory.
  void reset() {
    snapshot = no_timestamp;
    doomed.reset();
    read_only = false;
    writes.clear();
    footprint.clear();
    lost_table.reset();
    leaf = PageId{};
    intent = {};
    id.store(TransactionId{}, std::memory_order_relaxed);
  }

  SnapshotRegistry::Slot* slot = nullptr;
  std::atomic<TransactionId> id{};           // 0 while nobody uses the context; cursors that outlived their transaction look at it
  Timestamp snapshot = no_timestamp;         // no_timestamp until the first operation
  Maybe<Error> doomed;               // after this error only abort() is left
  bool read_only = false;
  LockOwner locks;
  [[no_unique_address]] std::conditional_t<Isolation::reads_take_locks, TableIntent, NoTableIntent> intent;
  WriteSet writes;
  [[no_unique_address]] typename Isolation::Footprint footprint;
  FrameBuilder frame;                        // the writes on their way into the log
  ValueBuffer value;                         // the last value read, handed to visitors
  ValueBuffer version;                       // a replaced version's value
  TableId leaf_table{};                      // where the last stored row was looked for:
  PageId leaf{};                             // a hint for the writes that follow
  ValueBuffer lost_key;                      // the key a conflict was lost on ...
  Maybe<TableId> lost_table;         // ... and its table, so that a retry queues for it first
  TransactionCounters counters;
  std::uint64_t id_of_next;                  // congruent to the slot's index, so that ids are unique without a shared counter
};

}  // namespace aegis::storage
