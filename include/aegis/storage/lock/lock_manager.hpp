// SPDX-License-Identifier: Apache-2.0
// Locks on keys and tables, held until their owner releases all of them. Waiters queue in order and are woken when they are
// granted, never by a timer but the one that limits their wait. A wait that would close a circle is refused to the one who
// closes it. An acquisition without contention takes one mutex; a release costs what its owner holds.
#pragma once

#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/lock/lock_shard.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

namespace aegis::storage {

struct LockOptions {
  Milliseconds timeout{10'000};  ///< The longest wait, unless acquire() is given another.
  unsigned overtake_limit = 0;                ///< How many newcomers may pass one waiter that they exclude.
  unsigned spins = 64;                        ///< Looks at the grant before a waiter parks.
};

struct LockStats {
  std::uint64_t locks = 0, keys = 0;         ///< Held at present; held or waited for at present.
  std::uint64_t waiting = 0;                 ///< Owners that wait at present.
  std::uint64_t waits = 0, deadlocks = 0, timeouts = 0;
  std::uint64_t allocations = 0, visits = 0; ///< Since open: nodes allocated; nodes looked at by acquire and release_all.
};

struct LockOutcome {
  bool waited = false;    ///< Others may have committed between the call and its return.
  bool was_held = false;  ///< The owner held this mode, or a stronger one, before.
};

class LockManager {
 public:
  static Result<std::unique_ptr<LockManager>> open(LockOptions options = {}) {
    std::unique_ptr<LockManager> manager{new (std::nothrow) LockManager(options)};
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
  Result<LockOutcome> acquire(LockOwner& owner, const LockTarget& target, LockMode mode, std::optional<Milliseconds> timeout = {}) {
    const std::uint64_t hash = hash_of(target);
    Shard& shard = shards_[hash % shard_count];
    std::unique_lock lock{shard.mutex};
    Head* head = shard.find(hash, target);
    if (Request* const mine = head == nullptr ? nullptr : own_request(shard, *head, owner); mine != nullptr) {
      const LockMode wanted = combine(mine->held, mode);
      if (wanted == mine->held) return LockOutcome{.was_held = true};
      mine->wanted = wanted;
      if (locks::fits(wanted, head->held_modes(mine))) return strengthen(*mine), LockOutcome{};
      head->upgrades.push_back(*mine);
      return wait(lock, shard, *mine, timeout.value_or(options_.timeout));
    }
    if (head == nullptr && (head = shard.make_head(hash, target)) == nullptr) return Error{Errc::out_of_memory, "lock", number(target.table)};
    Request* const request = shard.make_request();
    if (request == nullptr) {
      shard.drop_if_unused(*head);
      return Error{Errc::out_of_memory, "lock", number(target.table)};
    }
    request->head = head;
    request->owner = &owner;
    request->held = request->wanted = mode;
    if (may_enter(*head, mode)) return grant(*request), LockOutcome{};
    head->waiting.push_back(*request);
    return wait(lock, shard, *request, timeout.value_or(options_.timeout));
  }

  /// Gives back all locks of the owner and grants to waiters what became free, in their order.
  void release_all(LockOwner& owner) {
    AEGIS_ASSERT(owner.wish_ == nullptr);
    while (Request* const request = owner.locks_) {
      owner.locks_ = request->next_of_owner;
      Head& head = *request->head;
      Shard& shard = shards_[head.hash % shard_count];
      const std::lock_guard lock{shard.mutex};
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
  std::optional<LockMode> held(const LockOwner& owner, const LockTarget& target) {
    const std::uint64_t hash = hash_of(target);
    Shard& shard = shards_[hash % shard_count];
    const std::lock_guard lock{shard.mutex};
    Head* const head = shard.find(hash, target);
    const Request* const mine = head == nullptr ? nullptr : own_request(shard, *head, owner);
    return mine == nullptr ? std::nullopt : std::optional{mine->held};
  }

  /// How many owners are waiting, in the sense of LockOwner::is_waiting. Any thread.
  std::uint64_t waiting_count() const { return waiting_.load(std::memory_order_acquire); }

  LockStats stats() const {
    LockStats stats{.waiting = waiting_count(), .waits = waits_.load(), .deadlocks = deadlocks_.load(), .timeouts = timeouts_.load()};
    for (const Shard& shard : shards_) {
      const std::lock_guard lock{shard.mutex};
      stats.keys += shard.head_count;
      stats.locks += shard.request_count;
      stats.allocations += shard.allocations;
      stats.visits += shard.visits;
    }
    stats.locks -= std::min(stats.locks, stats.waiting);
    return stats;
  }

 private:
  using Head = locks::Head;
  using Request = locks::Request;
  using Shard = locks::Shard;
  using Clock = SteadyClock;

  static constexpr std::uint32_t shard_count = locks::Shard::count;

  explicit LockManager(LockOptions options) : options_(options) {}

  static std::uint64_t hash_of(const LockTarget& target) {
    const std::uint64_t table = (std::uint64_t{number(target.table)} * 2 + (target.whole_table ? 1 : 0)) * 0x9e3779b97f4a7c15;
    const std::uint64_t mixed = (std::hash<std::string_view>{}(target.key) ^ table) * 0xd6e8feb86659fd93;
    return mixed ^ (mixed >> 32);
  }

  // The shorter of both lists is searched: a table has many holders, a transaction many locks, rarely both.
  static Request* own_request(Shard& shard, Head& head, const LockOwner& owner) {
    if (head.granted_count <= owner.count_) {
      for (Request& request : head.granted)
        if (++shard.visits; request.owner == &owner) return &request;
    } else {
      for (Request* request = owner.locks_; request != nullptr; request = request->next_of_owner)
        if (++shard.visits; request->head == &head) return request;
    }
    return nullptr;
  }

  // A newcomer enters beside all holders; it passes waiters that it would exclude, or that exclude it, only within the limit.
  bool may_enter(Head& head, LockMode mode) const {
    if (!locks::fits(mode, head.held_modes())) return false;
    for (const Request& upgrade : head.upgrades)
      if (!compatible(mode, upgrade.wanted)) return false;
    for (const Request& waiter : head.waiting)
      if (!compatible(mode, waiter.wanted) && waiter.overtaken >= options_.overtake_limit) return false;
    for (Request& waiter : head.waiting)
      if (!compatible(mode, waiter.wanted)) ++waiter.overtaken;
    return true;
  }

  static void grant(Request& request) {
    Head& head = *request.head;
    request.held = request.wanted;
    request.is_granted = true;
    head.granted.push_back(request);
    ++head.granted_count;
    ++head.held[static_cast<std::size_t>(request.held)];
    request.next_of_owner = std::exchange(request.owner->locks_, &request);
    ++request.owner->count_;
  }
  static void strengthen(Request& request) {
    --request.head->held[static_cast<std::size_t>(request.held)];
    request.held = request.wanted;
    ++request.head->held[static_cast<std::size_t>(request.held)];
  }

  // Grants what has become possible: upgrades first, then waiters, each only if it goes with all that still wait before it.
  void serve(Head& head) {
    std::uint8_t before = 0;
    for (Request* at = head.upgrades.first(); at != nullptr;) {
      Request& request = *at;
      if (locks::fits(request.wanted, head.held_modes(&request))) {
        at = head.upgrades.erase(request);
        strengthen(request);
        wake(*request.owner);
      } else {
        before = static_cast<std::uint8_t>(before | bit_of(request.wanted));
        at = at->upgrade_place.next;
      }
    }
    for (Request* at = head.waiting.first(); at != nullptr && (before & bit_of(LockMode::exclusive)) == 0;) {
      Request& request = *at;
      if (locks::fits(request.wanted, static_cast<std::uint8_t>(head.held_modes() | before))) {
        at = head.waiting.erase(request);
        grant(request);
        wake(*request.owner);
      } else {
        before = static_cast<std::uint8_t>(before | bit_of(request.wanted));
        at = at->place.next;
      }
    }
  }

  // Under the shard's mutex to the end: the owner may be gone as soon as it is free.
  void wake(LockOwner& owner) {
    stop_waiting(owner);
    owner.is_granted_.store(true, std::memory_order_release);
    owner.granted_signal_.notify_one();
  }
  void stop_waiting(LockOwner& owner) {
    owner.wish_ = nullptr;
    owner.waits_in_.store(locks::nowhere, std::memory_order_seq_cst);
    if (owner.is_parked_.exchange(false, std::memory_order_acq_rel)) waiting_.fetch_sub(1, std::memory_order_acq_rel);
  }

  // The request stands in a queue. Returns when it is granted or taken back.
  Result<LockOutcome> wait(std::unique_lock<std::mutex>& lock, Shard& shard, Request& request, Milliseconds timeout) {
    if (timeout <= Milliseconds::zero()) return take_back(shard, request, Errc::lock_timeout);
    LockOwner& owner = *request.owner;
    owner.is_granted_.store(false, std::memory_order_relaxed);
    owner.wish_ = &request;
    owner.waits_in_.store(static_cast<std::uint32_t>(&shard - shards_.data()), std::memory_order_seq_cst);
    if (closes_circle(lock, shard, owner)) {
      deadlocks_.fetch_add(1, std::memory_order_relaxed);
      return take_back(shard, request, Errc::deadlock);
    }
    waits_.fetch_add(1, std::memory_order_relaxed);
    if (!owner.is_granted_.load(std::memory_order_relaxed)) {
      waiting_.fetch_add(1, std::memory_order_acq_rel);
      owner.is_parked_.store(true, std::memory_order_release);
      lock.unlock();
      for (unsigned i = 0; i < options_.spins && !owner.is_granted_.load(std::memory_order_acquire); ++i) pause();
      lock.lock();
    }
    const auto deadline = Clock::now() + std::min(timeout, Milliseconds{std::chrono::hours{24 * 365}});
    while (!owner.is_granted_.load(std::memory_order_relaxed))
      if (owner.granted_signal_.wait_until(lock, deadline) == std::cv_status::timeout && !owner.is_granted_.load(std::memory_order_relaxed)) {
        timeouts_.fetch_add(1, std::memory_order_relaxed);
        return take_back(shard, request, Errc::lock_timeout);
      }
    return LockOutcome{.waited = true};
  }

  Error take_back(Shard& shard, Request& request, Errc why) {
    Head& head = *request.head;
    const Error error{why, "lock in table", number(head.table)};
    stop_waiting(*request.owner);
    if (request.is_granted) {
      head.upgrades.erase(request);
    } else {
      head.waiting.erase(request);
      shard.recycle(&request);
    }
    serve(head);
    shard.drop_if_unused(head);
    return error;
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  // Whether the owners that `owner` waits for wait, in the end, for it. Most often nobody in sight waits in another shard
  // and this shard's mutex is enough; else all of them are taken. Whoever of a circle began to wait last (waits_in_ is
  // seq_cst) sees all others waiting, so a circle is found; the searches that hold all mutexes come one after the other
  // and a victim leaves its queue under them, so it is found by one.
  bool closes_circle(std::unique_lock<std::mutex>& lock, Shard& shard, LockOwner& owner) {
    bool leaves_shard = false;
    if (circle_in_sight(owner, &shard, leaves_shard)) return true;
    if (!leaves_shard) return false;
    lock.unlock();
    for (Shard& each : shards_) each.mutex.lock();
    const bool found = !owner.is_granted_.load(std::memory_order_relaxed) && circle_in_sight(owner, nullptr, leaves_shard);
    for (Shard& each : shards_)
      if (&each != &shard) each.mutex.unlock();
    lock = std::unique_lock{shard.mutex, std::adopt_lock};
    return found;
  }

  // Breadth first over owners that wait in `only` (nullptr: anywhere), whose mutexes are held.
  bool circle_in_sight(LockOwner& owner, const Shard* only, bool& leaves_shard) {
    const std::uint64_t search = searches_.fetch_add(1, std::memory_order_relaxed) + 1;
    LockOwner* last = &owner;
    owner.next_to_visit_ = nullptr;
    owner.visited_by_ = search;
    bool found = false;
    for (LockOwner* at = &owner; at != nullptr && !found; at = at->next_to_visit_)
      locks::for_each_blocker(*at->wish_, [&](LockOwner& blocker) {
        if (&blocker == &owner) found = true;
        const std::uint32_t where = blocker.waits_in_.load(std::memory_order_seq_cst);
        if (found || where == locks::nowhere) return;
        if (only != nullptr && &shards_[where] != only) {
          leaves_shard = true;
          return;
        }
        if (std::exchange(blocker.visited_by_, search) == search) return;
        blocker.next_to_visit_ = nullptr;
        last->next_to_visit_ = &blocker;
        last = &blocker;
      });
    return found;
  }

  const LockOptions options_;
  std::array<Shard, shard_count> shards_;
  std::atomic<std::uint64_t> searches_{0};
  std::atomic<std::uint64_t> waiting_{0};  // owners whose is_parked_ is set
  std::atomic<std::uint64_t> waits_{0}, deadlocks_{0}, timeouts_{0};
};

}  // namespace aegis::storage
