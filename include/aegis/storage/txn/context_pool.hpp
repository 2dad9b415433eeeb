// SPDX-License-Identifier: Apache-2.0
// The contexts of all running transactions, one a snapshot slot. Opening one is claiming a slot; the memory of whoever
// had it before serves again. Any thread; no lock.
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/txn/context.hpp>

#include <atomic>
#include <new>

namespace aegis::storage {

template <IsolationPolicy Isolation>
class ContextPool {
 public:
  using Context = TransactionContext<Isolation>;

  ContextPool(std::size_t capacity, std::size_t max_transaction_bytes) : max_transaction_bytes_(max_transaction_bytes) {
    auto registry = SnapshotRegistry::open(capacity);
    if (!registry) return;
    contexts_.reset(new (std::nothrow) std::atomic<Context*>[registry->capacity()]{});
    if (contexts_) registry_.emplace(*std::move(registry));
  }

  ContextPool(const ContextPool&) = delete;
  ContextPool& operator=(const ContextPool&) = delete;
  ~ContextPool() {
    if (!registry_) return;
    for (std::size_t i = 0; i < registry_->capacity(); ++i) delete contexts_[i].load(std::memory_order_relaxed);
  }

  /// busy when all are in use; out_of_memory.
  Result<Context*> open() {
    if (!registry_) return Error{Errc::out_of_memory, "transactions"};
    SnapshotRegistry::Slot* const slot = registry_->claim();
    if (slot == nullptr) return Error{Errc::busy, "transactions open at once", registry_->capacity()};
    const std::size_t index = registry_->index_of(*slot);
    Context* context = contexts_[index].load(std::memory_order_relaxed);
    if (context == nullptr) {
      context = new (std::nothrow) Context(max_transaction_bytes_, index);
      if (context == nullptr) {
        registry_->release(*slot);
        return Error{Errc::out_of_memory, "transaction"};
      }
      contexts_[index].store(context, std::memory_order_release);
    }
    context->slot = slot;
    context->id.store(TransactionId{context->id_of_next += registry_->capacity()}, std::memory_order_relaxed);
    return context;
  }

  /// The context is the pool's again; its locks are released already.
  void close(Context& context) {
    SnapshotRegistry::Slot& slot = *context.slot;
    context.reset();
    registry_->release(slot);
  }

  /// fn(const Context&) for every context that was ever used; only its counters may be looked at.
  template <class Fn>
  void for_each(Fn&& fn) const {
    if (!registry_) return;
    for (std::size_t i = 0; i < registry_->capacity(); ++i)
      if (const Context* context = contexts_[i].load(std::memory_order_acquire)) fn(*context);
  }

  bool usable() const { return registry_.has_value(); }
  SnapshotRegistry& registry() { return *registry_; }
  const SnapshotRegistry& registry() const { return *registry_; }

 private:
  std::size_t max_transaction_bytes_;
  Maybe<SnapshotRegistry> registry_;              // empty: there was no memory for it
  Owned<std::atomic<Context*>[]> contexts_;  // by slot, made by the slot's first holder, then kept
};

}  // namespace aegis::storage
