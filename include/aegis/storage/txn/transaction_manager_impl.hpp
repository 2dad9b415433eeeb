// SPDX-License-Identifier: Apache-2.0
// The bodies of TransactionManager; include transaction_manager.hpp.
#pragma once

#include <aegis/storage/txn/transaction_manager.hpp>

namespace aegis::storage {

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::usable() const {
  if (!contexts_.usable() || !locks_ || !versions_ || !validator_) return Error{Errc::out_of_memory, "transaction manager"};
  return {};
}

template <IsolationPolicy Isolation>
auto TransactionManager<Isolation>::open(bool read_only) -> Result<Context*> {
  AEGIS_TRY(usable());
  AEGIS_TRY(Context* const context, contexts_.open());
  context->read_only = read_only;
  TransactionCounters::count(context->counters.begun);
  return context;
}

template <IsolationPolicy Isolation>
void TransactionManager<Isolation>::close(Context& context, TransactionState state) {
  const bool worked = state == TransactionState::committed || context.read_only;  // a reader just ends
  TransactionCounters::count(worked ? context.counters.committed : context.counters.aborted);
  if (!context.read_only) locks_->release_all(context.locks);
  contexts_.close(context);
}

template <IsolationPolicy Isolation>
Error TransactionManager<Isolation>::doom(Context& context, Error error) {
  if (!is_retryable(error.code())) return error;
  context.doomed = error;
  TransactionCounters& counters = context.counters;
  TransactionCounters::count(error.code() == Errc::conflict       ? counters.conflicts
                             : error.code() == Errc::deadlock     ? counters.deadlocks
                             : error.code() == Errc::lock_timeout ? counters.lock_timeouts
                                                                  : counters.snapshots_too_old);
  return error;
}

template <IsolationPolicy Isolation>
template <class Watermark>
Result<Timestamp> TransactionManager<Isolation>::view(Context& context, Watermark&& watermark) {
  const bool again = Isolation::snapshot_per_operation && !context.read_only;
  if (context.snapshot == no_timestamp || again) context.snapshot = snapshots().take(*context.slot, watermark);
  return context.snapshot;
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::still_visible(Context& context) {
  if (context.snapshot == no_timestamp || !snapshots().is_revoked(*context.slot)) return {};
  return doom(context, Error{Errc::snapshot_too_old, "snapshot", number(context.snapshot)});
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::lock_intent(Context& context, TableId table, LockMode mode) {
  if (context.intent.includes(table, mode)) return {};
  const auto locked = locks_->acquire(context.locks, LockTarget::of_table(table), mode);
  if (!locked) return doom(context, locked.error());
  context.intent.add(table, mode);
  return {};
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::lock_key(Context& context, TableId table, std::string_view key, LockMode mode) {
  if constexpr (Isolation::reads_take_locks) AEGIS_TRY(lock_intent(context, table, mode == LockMode::shared ? LockMode::intent_shared : LockMode::intent_exclusive));
  const auto locked = locks_->acquire(context.locks, LockTarget{table, key}, mode);
  if (locked) return {};
  if constexpr (Isolation::reads_take_locks)
    if (locked.error().code() == Errc::deadlock && context.lost_key.assign(key)) context.lost_table = table;
  return doom(context, locked.error());
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::claim_read(Context& context, TableId table, std::string_view key)
  requires(Isolation::reads_take_locks)
{
  return lock_key(context, table, key, LockMode::shared);
}

template <IsolationPolicy Isolation>
Result<LockOutcome> TransactionManager<Isolation>::claim_read(Context& context, TableId table, const LockSpan& span)
  requires(Isolation::reads_take_locks)
{
  AEGIS_TRY(lock_intent(context, table, LockMode::intent_shared));
  const auto locked = locks_->acquire(context.locks, table, span, LockMode::shared);
  if (!locked) return doom(context, locked.error());
  return locked;
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::claim_for_update(Context& context, TableId table, std::string_view key) {
  if constexpr (Isolation::reads_take_locks) return lock_key(context, table, key, LockMode::update);
  else return claim(context, table, key);
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::claim(Context& context, TableId table, std::string_view key) {
  AEGIS_TRY(lock_key(context, table, key, LockMode::exclusive));
  if (context.snapshot == no_timestamp) {
    // Nothing can be newer: the lock came first. The slot also keeps pages that the commit will read from being used again.
    context.snapshot = snapshots().take(*context.slot, [this] { return published(); });
    return {};
  }
  if constexpr (Isolation::conflict_on_newer_version) {
    const bool newer = versions_->newest_change(table, key) > context.snapshot;
    AEGIS_TRY(still_visible(context));
    if (!newer) return {};
    if (context.lost_key.assign(key)) context.lost_table = table;
    return doom(context, Error{Errc::conflict, "write of a key changed since the snapshot; table", number(table)});
  }
  return {};
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::claim_lost(Context& context, TableId table, std::string_view key) {
  return lock_key(context, table, key, LockMode::exclusive);
}

template <IsolationPolicy Isolation>
template <CommitSteps Steps>
Result<CommitInfo> TransactionManager<Isolation>::commit(Context& context, CommitSection& section, Steps&& steps) {
  if (context.doomed) return *context.doomed;
  if (context.writes.empty()) {
    if constexpr (Isolation::reads_take_locks) locks_->release_all(context.locks);  // all was read; others need not wait with it
    if (context.snapshot != no_timestamp) AEGIS_TRY(steps.confirm(context.snapshot));
    return CommitInfo{};
  }
  const Timestamp since = context.snapshot == no_timestamp ? never_committed : context.snapshot;
  AEGIS_TRY(const Timestamp validated, validate(context, since));
  AEGIS_TRY(auto remembered, validator_->prepare(context.writes));
  AEGIS_TRY(steps.prepare());
  Timestamp timestamp;
  {
    CommitSection::Token token = section.enter();
    AEGIS_TRY(still_visible(context));
    AEGIS_TRY(validate(context, validated));
    AEGIS_TRY(steps.arrive(token));
    timestamp = next_timestamp(token);
    AEGIS_TRY(steps.append(token, timestamp));
    remember(token, std::move(remembered), timestamp);
    AEGIS_TRY(steps.apply(token, timestamp));
    publish(token, timestamp);
  }
  // Visible and in the log's order: locks need not wait for durability, only the acknowledgement does.
  locks_->release_all(context.locks);
  snapshots().clear(*context.slot);
  AEGIS_TRY(const bool durable, steps.settle(timestamp));
  return CommitInfo{.timestamp = timestamp, .durable = durable, .retries = 0};
}

template <IsolationPolicy Isolation>
Result<Timestamp> TransactionManager<Isolation>::validate(Context& context, Timestamp after) {
  auto validated = validator_->validate(context.footprint, after, [&](TableId table, std::string_view key) {
    if (context.lost_key.assign(key)) context.lost_table = table;
  });
  if (validated) return validated;
  if (validated.error().code() == Errc::conflict) validation_conflicts_.fetch_add(1, std::memory_order_relaxed);
  return doom(context, validated.error());
}

template <IsolationPolicy Isolation>
void TransactionManager<Isolation>::remember(const CommitSection::Token&, typename Isolation::Validator::Commit&& commit, Timestamp timestamp) {
  validator_->remember(std::move(commit), timestamp);
  if constexpr (Isolation::tracks_reads) {
    constexpr std::uint64_t seldom = 64;  // asking for the oldest snapshot costs a look at every slot
    if (number(timestamp) % seldom == 0) validator_->forget(snapshots().oldest(published()));
  }
}

template <IsolationPolicy Isolation>
Result<CommitInfo> TransactionManager<Isolation>::commit(Transaction& transaction) {
  if (transaction.context_ == nullptr) return Error{Errc::transaction_closed};
  const Result<CommitInfo> done = commit(*transaction.context_, section_, NoSteps{});
  transaction.end(done ? TransactionState::committed : TransactionState::aborted);
  return done;
}

template <IsolationPolicy Isolation>
Result<void> TransactionManager<Isolation>::Transaction::put(TableId table, std::string_view key, std::string_view value) {
  if (context_ == nullptr) return Error{Errc::transaction_closed};
  AEGIS_TRY(manager_->claim(*context_, table, key));
  AEGIS_TRY(context_->writes.write(table, key, WriteKind::put, value));
  return {};
}

template <IsolationPolicy Isolation>
TransactionStats TransactionManager<Isolation>::stats() const {
  TransactionStats stats;
  contexts_.for_each([&](const Context& context) {
    const TransactionCounters& counters = context.counters;
    stats.begun += counters.begun.load(std::memory_order_relaxed);
    stats.committed += counters.committed.load(std::memory_order_relaxed);
    stats.aborted += counters.aborted.load(std::memory_order_relaxed);
    stats.conflicts += counters.conflicts.load(std::memory_order_relaxed);
    stats.deadlocks += counters.deadlocks.load(std::memory_order_relaxed);
    stats.lock_timeouts += counters.lock_timeouts.load(std::memory_order_relaxed);
    stats.snapshots_too_old += counters.snapshots_too_old.load(std::memory_order_relaxed);
  });
  stats.active = stats.begun > stats.committed + stats.aborted ? stats.begun - stats.committed - stats.aborted : 0;
  stats.validation_conflicts = validation_conflicts_.load(std::memory_order_relaxed);
  stats.write_conflicts = stats.conflicts - (stats.validation_conflicts < stats.conflicts ? stats.validation_conflicts : stats.conflicts);
  stats.published = published();
  if (!usable()) return stats;
  const VersionStats versions = versions_->stats();
  stats.versions = versions.versions;
  stats.version_bytes = versions.bytes;
  stats.oldest_snapshot = contexts_.registry().oldest(stats.published);
  return stats;
}

}  // namespace aegis::storage
