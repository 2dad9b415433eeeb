// SPDX-License-Identifier: Apache-2.0
// Runs a function as a transaction until it commits. A retry queues for the key that the last attempt was lost on before
// it takes its snapshot, so hot keys are passed on in turn instead of being fought for; where no such key is known, it
// backs off for a random time of at most a millisecond.
#pragma once

#include <aegis/storage/core/backoff.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/txn/transaction.hpp>


namespace aegis::storage {

inline constexpr unsigned default_retries = 100;

constexpr bool transact_retries(Errc code) { return code == Errc::conflict || code == Errc::deadlock || code == Errc::snapshot_too_old; }

template <class Transaction, class Store, class Fn>
Result<CommitInfo> transact(Store& store, Fn& fn, unsigned retries) {
  ValueBuffer lost_key;
  Maybe<TableId> lost_table;
  for (unsigned attempt = 0;; ++attempt) {
    Transaction transaction{store, store.begin(false)};
    AEGIS_TRY(transaction.hold().running());
    auto& context = *transaction.hold();
    Result<void> done;
    if (lost_table) done = store.manager().claim_lost(context, *lost_table, lost_key.view());
    else back_off(attempt, number(transaction.id()));
    if (done) done = fn(transaction);
    const auto end = [&](Store& of, auto& ending) {
      Result<CommitInfo> ended = done ? of.commit(ending) : Result<CommitInfo>{done.error()};
      lost_table = ending.lost_table;
      if (lost_table) std::swap(lost_key, ending.lost_key);
      return ended;
    };
    const Result<void> running = transaction.hold().running();
    Result<CommitInfo> committed = running ? transaction.hold().end(end) : Result<CommitInfo>{done ? running.error() : done.error()};
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
