// SPDX-License-Identifier: Apache-2.0
// The right to use a context until the transaction ends; gives it back when dropped. Moves, does not copy.
#pragma once

#include <aegis/storage/txn/context.hpp>

#include <utility>

namespace aegis::storage {

template <class Store>
class ContextHold {
 public:
  using Context = typename Store::Context;

  /// A transaction that could not be begun keeps the reason and says it at every call.
  ContextHold(Store& store, Result<Context*> context)
      : store_(&store), context_(context ? *context : nullptr), refusal_(context ? Error{Errc::transaction_closed} : context.error()) {
    if (context_ != nullptr) id_ = context_->id.load(std::memory_order_relaxed);
    else state_ = TransactionState::aborted;
  }
  ContextHold(ContextHold&& other) noexcept
      : store_(other.store_),
        context_(std::exchange(other.context_, nullptr)),
        refusal_(other.refusal_),
        id_(other.id_),
        snapshot_(other.snapshot_),
        state_(std::exchange(other.state_, TransactionState::aborted)) {}
  ContextHold& operator=(ContextHold&& other) noexcept {
    if (this == &other) return *this;
    drop();
    store_ = other.store_;
    context_ = std::exchange(other.context_, nullptr);
    refusal_ = other.refusal_;
    id_ = other.id_;
    snapshot_ = other.snapshot_;
    state_ = std::exchange(other.state_, TransactionState::aborted);
    return *this;
  }
  ~ContextHold() { drop(); }

  /// transaction_closed, or why it could not be begun, unless it is open.
  Result<void> running() const {
    if (context_ == nullptr) return refusal_;
    return {};
  }
  /// Whether it may go on: running, and not lost to an error that only abort() follows; that error is said again.
  Result<void> open() const {
    AEGIS_TRY(running());
    if (context_->doomed) return *context_->doomed;
    return {};
  }
  Context& operator*() { return *context_; }
  Context* operator->() { return context_; }
  Store& store() { return *store_; }

  /// Aborts, if it is open.
  void drop() {
    if (context_ == nullptr) return;
    close(TransactionState::aborted);
  }
  /// Ends it with finish(store, context) -> Result<CommitInfo>, whatever that says.
  template <class Finish>
  Result<CommitInfo> end(Finish&& finish) {
    Result<CommitInfo> done = finish(*store_, *context_);
    const bool undecided = !done && (done.error().code() == Errc::commit_undecided);
    close(done ? TransactionState::committed : undecided ? TransactionState::undecided : TransactionState::aborted);
    return done;
  }

  TransactionId id() const { return id_; }
  TransactionState state() const { return state_; }
  Timestamp snapshot() const { return context_ != nullptr ? context_->snapshot : snapshot_; }

 private:
  void close(TransactionState state) {
    snapshot_ = context_->snapshot;
    state_ = state;
    store_->finish(*std::exchange(context_, nullptr), state);
  }

  Store* store_;
  Context* context_;  // nullptr once the transaction ended, or when it was never begun
  Error refusal_;     // what calls say while context_ is nullptr
  TransactionId id_{};
  Timestamp snapshot_ = no_timestamp;
  TransactionState state_ = TransactionState::active;
};

}  // namespace aegis::storage
