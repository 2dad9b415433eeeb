// SPDX-License-Identifier: Apache-2.0
// Locks on keys and tables, held until their owner releases all of them. Waiters queue in order, and while one wakes up a
// limited number of newcomers may pass it. It is woken by its turn, never by a timer but the one that limits its wait. A
// wait that would close a circle is refused to the one who closes it. An acquisition without contention takes one mutex; a
// release costs what its owner holds.
#pragma once

#include <aegis/storage/core/hash.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/lock/lock_shard.hpp>
#include <aegis/storage/lock/lock_waits.hpp>

#include <array>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

class LockManager {
 public:
  static Result<Owned<LockManager>> open(LockOptions options = {}) {
    Owned<LockManager> manager{new (std::nothrow) LockManager(options)};
    if (!manager) return Error{Errc::out_of_memory, "lock manager"};
    for (Shard& shard : manager->shards_)
      if (!shard.grow(Shard::first_buckets)) return Error{Errc::out_of_memory, "lock table"};
    return manager;
  }
  LockManager(const LockManager&) = delete;
  LockManager& operator=(const LockManager&) = delete;

  /// Gives `owner` the mode, on top of what it holds on the target. Afterwards it holds it until release_all; after an
  /// error it holds what it held before. deadlock: waiting would close a circle. lock_timeout: the wait was too long, or
  /// `timeout` is zero and it would have to wait. out_of_memory.
  Result<LockOutcome> acquire(LockOwner& owner, const LockTarget& target, LockMode mode, Maybe<Milliseconds> timeout = {}) {
    const std::uint64_t hash = hash_of(target);
    Shard& shard = shards_[hash % shard_count];
    Guard lock{shard.mutex};
    Head* head = shard.find(hash, target);
    if (KeyRequest* const mine = head == nullptr ? nullptr : own_request(shard, *head, owner); mine != nullptr) {
      const LockMode wanted = combine(mine->held, mode);
      if (wanted == mine->held) return LockOutcome{.was_held = true};
      mine->wanted = wanted;
      if (locks::fits(wanted, head->held_modes(mine))) return pass(*head, wanted), strengthen(*mine), LockOutcome{};
      head->upgrades.push_back(*mine);
      return wait(lock, shard, *mine, timeout);
    }
    if (head == nullptr && (head = shard.make_head(hash, target)) == nullptr) return Error{Errc::out_of_memory, "lock", number(target.table)};
    KeyRequest* const request = shard.make_request();
    if (request == nullptr) {
      shard.drop_if_unused(*head);
      return Error{Errc::out_of_memory, "lock", number(target.table)};
    }
    request->head = head;
    request->owner = &owner;
    request->held = request->wanted = mode;
    if (may_enter(*head, mode)) return grant(*request), LockOutcome{};
    head->waiting.push_back(*request);
    return wait(lock, shard, *request, timeout);
  }

  /// Gives back all locks of the owner. What became free is offered to waiters or granted, in their order.
  void release_all(LockOwner& owner) {
    AEGIS_ASSERT(owner.wish_ == nullptr);
    while (auto* const request = static_cast<KeyRequest*>(owner.locks_)) {
      owner.locks_ = request->next_of_owner;
      Head& head = *request->head;
      Shard& shard = shards_[head.hash % shard_count];
      const Guard lock{shard.mutex};
      ++shard.visits;
      head.granted.erase(*request);
      --head.granted_count;
      --head.held[static_cast<std::size_t>(request->held)];
      shard.recycle(request);
      serve(head);
      shard.drop_if_unused(head);
    }
    owner.count_ = 0;
  }

  /// The owner's mode on the target, if any.
  Maybe<LockMode> held(const LockOwner& owner, const LockTarget& target) {
    const std::uint64_t hash = hash_of(target);
    Shard& shard = shards_[hash % shard_count];
    const Guard lock{shard.mutex};
    Head* const head = shard.find(hash, target);
    const KeyRequest* const mine = head == nullptr ? nullptr : own_request(shard, *head, owner);
    return mine == nullptr ? Maybe<LockMode>{} : Maybe<LockMode>{mine->held};
  }

  /// How many owners are waiting, in the sense of LockOwner::is_waiting. Any thread.
  std::uint64_t waiting_count() const { return waits_.waiting(); }

  LockStats stats() const {
    LockStats stats = waits_.stats();
    for (const Shard& shard : shards_) {
      const Guard lock{shard.mutex};
      stats.keys += shard.head_count;
      stats.locks += shard.request_count;
      stats.allocations += shard.allocations;
      stats.visits += shard.visits;
    }
    stats.locks -= stats.waiting < stats.locks ? stats.waiting : stats.locks;
    return stats;
  }

 private:
  using Head = locks::Head;
  using KeyRequest = locks::KeyRequest;
  using Shard = locks::Shard;

  static constexpr std::uint32_t shard_count = locks::Shard::count;

  explicit LockManager(LockOptions options) : options_(options), waits_(shards_, options) {}

  static std::uint64_t hash_of(const LockTarget& target) {
    return hash_of_key(std::uint64_t{number(target.table)} * 2 + (target.whole_table ? 1 : 0), target.key);
  }

  // The shorter of both lists is searched: a table has many holders, a transaction many locks, rarely both.
  static KeyRequest* own_request(Shard& shard, Head& head, const LockOwner& owner) {
    if (head.granted_count <= owner.count_) {
      for (KeyRequest& request : head.granted)
        if (++shard.visits; request.owner == &owner) return &request;
    } else {
      for (auto* request = static_cast<KeyRequest*>(owner.locks_); request != nullptr; request = static_cast<KeyRequest*>(request->next_of_owner))
        if (++shard.visits; request->head == &head) return request;
    }
    return nullptr;
  }

  // A newcomer enters beside all holders; it passes waiters that exclude it only within the limits. Who passes one with an
  // offer passes those behind it, too: they wait for that one.
  bool may_enter(Head& head, LockMode mode) const {
    if (!locks::fits(mode, head.held_modes())) return false;
    for (const KeyRequest& upgrade : head.upgrades)
      if (!compatible(mode, upgrade.wanted)) return false;
    for (const KeyRequest& waiter : head.waiting)
      if (!compatible(mode, waiter.wanted)) {
        if (!waits_.may_be_passed(waiter)) return false;
        if (waits_.has_offer(waiter)) break;
      }
    pass(head, mode);
    return true;
  }
  // Counts it. Who has the key already and raises its mode is not held up by the limits, but what it does counts, too.
  void pass(Head& head, LockMode mode) const {
    for (KeyRequest& waiter : head.waiting)
      if (!compatible(mode, waiter.wanted)) {
        ++waiter.overtaken;
        if (waits_.has_offer(waiter)) return;
      }
  }

  static void grant(KeyRequest& request) {
    Head& head = *request.head;
    request.held = request.wanted;
    request.is_granted = true;
    head.granted.push_back(request);
    ++head.granted_count;
    ++head.held[static_cast<std::size_t>(request.held)];
    request.next_of_owner = std::exchange(request.owner->locks_, &request);
    ++request.owner->count_;
  }
  static void strengthen(KeyRequest& request) {
    --request.head->held[static_cast<std::size_t>(request.held)];
    request.held = request.wanted;
    ++request.head->held[static_cast<std::size_t>(request.held)];
  }

  // Grants or offers what has become possible: upgrades first, then waiters, each only if it goes with all that still wait
  // before it.
  void serve(Head& head) {
    std::uint8_t before = 0;
    for (KeyRequest* at = head.upgrades.first(); at != nullptr;) {
      KeyRequest& request = *at;
      if (locks::fits(request.wanted, head.held_modes(&request))) {
        at = head.upgrades.erase(request);
        strengthen(request);
        waits_.wake(*request.owner);
      } else {
        before = static_cast<std::uint8_t>(before | bit_of(request.wanted));
        at = at->upgrade_place.next;
      }
    }
    for (KeyRequest* at = head.waiting.first(); at != nullptr && (before & bit_of(LockMode::exclusive)) == 0;) {
      KeyRequest& request = *at;
      if (locks::fits(request.wanted, static_cast<std::uint8_t>(head.held_modes() | before)) && !waits_.offer(request)) {
        at = head.waiting.erase(request);
        grant(request);
        waits_.wake(*request.owner);
      } else {
        before = static_cast<std::uint8_t>(before | bit_of(request.wanted));
        at = at->place.next;
      }
    }
  }

  // The request stands in a queue. Returns when it is granted or taken back.
  Result<LockOutcome> wait(Guard<Mutex>& lock, Shard& shard, KeyRequest& request, Maybe<Milliseconds> timeout) {
    Head& head = *request.head;
    const auto granted = waits_.wait(lock, shard, request, timeout.value_or(options_.timeout), head.table, [&] {
      head.waiting.erase(request);
      grant(request);
      serve(head);
    });
    if (granted) return granted;
    if (request.is_granted) {
      head.upgrades.erase(request);
    } else {
      head.waiting.erase(request);
      shard.recycle(&request);
    }
    serve(head);
    shard.drop_if_unused(head);
    return granted;
  }

  const LockOptions options_;
  std::array<Shard, shard_count> shards_;
  locks::Waits<Shard, shard_count> waits_;
};

}  // namespace aegis::storage
