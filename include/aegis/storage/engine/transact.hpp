// SPDX-License-Identifier: Apache-2.0
// Runs a function as a transaction until it commits. A retry queues for the key that the last attempt was lost on before
// it takes its snapshot, so hot keys are passed on in turn instead of being fought for.
#pragma once

#include <aegis/storage/txn/transaction.hpp>

#include <optional>

namespace aegis::storage {

inline constexpr unsigned default_retries = 100;

constexpr bool transact_retries(Errc code) { return code == Errc::conflict || code == Errc::deadlock || code == Errc::snapshot_too_old; }

template <class Transaction, class Store, class Fn>
Result<CommitInfo> transact(Store& store, Fn& fn, unsigned retries) {
  ValueBuffer lost_key;
  std::optional<TableId> lost_table;
  for (unsigned attempt = 0;; ++attempt) {
    Transaction transaction{store, store.begin(false)};
    AEGIS_TRY(transaction.hold().running());
    auto& context = *transaction.hold();
    Result<void> done;
    if (lost_table) done = store.manager().claim_lost(context, *lost_table, lost_key.view());
    if (done) done = fn(transaction);
    if (transaction.state() == TransactionState::active) {
      lost_table = context.lost_table;
      if (lost_table) std::swap(lost_key, context.lost_key);
    }
    Result<CommitInfo> committed = done ? transaction.commit() : Result<CommitInfo>{done.error()};
    if (committed) {
      committed->retries = attempt;
      return committed;
    }
    if (!transact_retries(committed.error().code()) || attempt == retries) {
      // What the function read made it fail: that must not be taken back by a crash.
      if (!done && transaction.snapshot() != no_timestamp && !is_retryable(done.error().code())) AEGIS_TRY(store.await_acknowledged(transaction.snapshot()));
      return committed;
    }
  }
}

}  // namespace aegis::storage
