// SPDX-License-Identifier: Apache-2.0
// How owners wait for locks, whatever is locked: parked until they are told, without polling, until their time is up. A
// wait that would close a circle is refused to the one who closes it. What becomes free is offered to the first waiter
// before it is handed over: see Waits.
#pragma once

#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/lock/lock_owner.hpp>

#include <array>
#include <utility>

namespace aegis::storage {

struct LockOptions {
  Milliseconds timeout{10'000};  ///< The longest wait, unless acquire() is given another.
  unsigned overtake_limit = 0;   ///< How many newcomers may pass one waiter that they exclude, at any time.
  /// How many newcomers may pass one waiter while it is offered what it waits for: enough small transactions to fill the
  /// time that a thread takes to wake up on a busy machine. 0: it is handed over at once.
  unsigned offer_limit = 1024;
  unsigned spins = 64;           ///< Looks for a word before a waiter parks.
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

namespace locks {

/// The waiting in a lock table of `count` regions. A Region has a `mutex`, which guards the requests in it, and
/// for_each_blocker(request, fn), which calls fn(LockOwner&) for everyone whom a waiting request waits for. Whoever becomes
/// a blocker of one that waits already must itself be running, or be the one who begins to wait; so a circle is complete
/// when one of its members begins to wait, and that one finds it.
///
/// What becomes free is offered to its first waiter: that one is woken and keeps its place, and until it runs newcomers may
/// take what is free. To hand it over at once would let every release of a hot lock wait for a change of threads (Blasgen,
/// Gray, Mitoma and Price, The Convoy Phenomenon, 1979). It is handed over once offer_limit newcomers have passed, or once
/// the waiter came and found it taken (as the mutexes of Linux and WebKit do, but counted). Waiters do not pass each other
/// by this, so who has n of them before it is passed by at most (n + 1) * offer_limit newcomers.
template <class Region, std::uint32_t count>
class Waits {
 public:
  Waits(std::array<Region, count>& regions, const LockOptions& options) : regions_(regions), options_(options) {}

  /// The request stands in a queue of the region, whose mutex is held. On success it was granted, and may be gone; grant()
  /// takes it out of the queue and grants it, and is called when nobody stands in its way. After deadlock or lock_timeout
  /// the caller takes it out of its queue before it lets go of the mutex, and serves those behind it.
  template <class Grant>
  Result<LockOutcome> wait(Guard<Mutex>& lock, Region& region, Request& request, Milliseconds timeout, TableId table, Grant&& grant) {
    if (timeout <= Milliseconds{}) return Error{Errc::lock_timeout, "lock in table", number(table)};
    LockOwner& owner = *request.owner;
    owner.told_.store(Told::nothing, std::memory_order_relaxed);
    owner.wish_ = &request;
    owner.waits_in_.store(static_cast<std::uint32_t>(&region - regions_.data()), std::memory_order_seq_cst);
    if (closes_circle(lock, region, owner)) {
      deadlocks_.fetch_add(1, std::memory_order_relaxed);
      stop_waiting(owner);
      return Error{Errc::deadlock, "lock in table", number(table)};
    }
    waits_.fetch_add(1, std::memory_order_relaxed);
    if (owner.told_.load(std::memory_order_relaxed) == Told::nothing) look_out(lock, owner);
    const SteadyClock::time_point deadline = SteadyClock::after(timeout);
    for (bool in_time = true;;) {
      const Told told = owner.told_.load(std::memory_order_relaxed);
      if (told == Told::grant || (told == Told::offer && takes_offer(owner, grant))) return LockOutcome{.waited = true};
      if (told == Told::offer) {
        look_out(lock, owner);
      } else if (in_time) {
        in_time = owner.signal_.wait_until(lock, deadline);
      } else {
        timeouts_.fetch_add(1, std::memory_order_relaxed);
        stop_waiting(owner);
        return Error{Errc::lock_timeout, "lock in table", number(table)};
      }
    }
  }

  /// The owner's wish was granted. Under the region's mutex to the end: the owner may be gone as soon as it is free.
  void wake(LockOwner& owner) {
    stop_waiting(owner);
    tell(owner, Told::grant);
  }

  /// Nobody stands in the waiting request's way. Offers it what it waits for; false: it has been passed often enough, and
  /// is to be granted it. With an offer it still counts as one that waits: newcomers may get into its way.
  bool offer(Request& request) {
    if (request.overtaken >= options_.offer_limit) return false;
    if (!has_offer(request)) tell(*request.owner, Told::offer);
    return true;
  }
  static bool has_offer(const Request& waiter) { return waiter.owner->told_.load(std::memory_order_relaxed) == Told::offer; }
  /// Whether a newcomer may take first what the waiter keeps it from.
  bool may_be_passed(const Request& waiter) const {
    return waiter.overtaken < options_.overtake_limit || (has_offer(waiter) && waiter.overtaken < options_.offer_limit);
  }

  std::uint64_t waiting() const { return waiting_.load(std::memory_order_acquire); }
  LockStats stats() const { return {.waiting = waiting(), .waits = waits_.load(), .deadlocks = deadlocks_.load(), .timeouts = timeouts_.load()}; }

 private:
  // Who comes too late for an offer is not passed any more, and is granted its wish when next it can be.
  template <class Grant>
  bool takes_offer(LockOwner& owner, Grant&& grant) {
    Request& wish = *owner.wish_;
    bool is_free = true;
    Region::for_each_blocker(wish, [&](LockOwner&) { is_free = false; });
    if (is_free) {
      stop_waiting(owner);
      grant();
    } else {
      if (wish.overtaken < options_.offer_limit) wish.overtaken = options_.offer_limit;
      owner.told_.store(Told::nothing, std::memory_order_relaxed);
    }
    return is_free;
  }
  // Waits for a word a short while without the mutex: it may come before a sleep would have begun.
  void look_out(Guard<Mutex>& lock, LockOwner& owner) {
    if (!owner.is_parked_.exchange(true, std::memory_order_acq_rel)) waiting_.fetch_add(1, std::memory_order_acq_rel);
    lock.unlock();
    for (unsigned i = 0; i < options_.spins && owner.told_.load(std::memory_order_acquire) == Told::nothing; ++i) pause();
    lock.lock();
  }

  void tell(LockOwner& owner, Told what) {
    owner.told_.store(what, std::memory_order_release);
    clear_parked(owner);
    owner.signal_.notify_one();
  }
  void stop_waiting(LockOwner& owner) {
    owner.wish_ = nullptr;
    owner.waits_in_.store(nowhere, std::memory_order_seq_cst);
    clear_parked(owner);
  }
  void clear_parked(LockOwner& owner) {
    if (owner.is_parked_.exchange(false, std::memory_order_acq_rel)) waiting_.fetch_sub(1, std::memory_order_acq_rel);
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  // Whether the owners that `owner` waits for wait, in the end, for it. Most often nobody in sight waits in another region
  // and this region's mutex is enough; else all of them are taken. Whoever of a circle began to wait last (waits_in_ is
  // seq_cst) sees all others waiting, so a circle is found; the searches that hold all mutexes come one after the other
  // and a victim leaves its queue under them, so it is found by one.
  bool closes_circle(Guard<Mutex>& lock, Region& region, LockOwner& owner) {
    bool leaves_region = false;
    if (circle_in_sight(owner, &region, leaves_region)) return true;
    if (!leaves_region) return false;
    lock.unlock();
    for (Region& each : regions_) each.mutex.lock();
    const bool found = owner.told_.load(std::memory_order_relaxed) != Told::grant && circle_in_sight(owner, nullptr, leaves_region);
    for (Region& each : regions_)
      if (&each != &region) each.mutex.unlock();
    lock.adopt();
    return found;
  }

  // Breadth first over owners that wait in `only` (nullptr: anywhere), whose mutexes are held.
  bool circle_in_sight(LockOwner& owner, const Region* only, bool& leaves_region) {
    const std::uint64_t search = searches_.fetch_add(1, std::memory_order_relaxed) + 1;
    LockOwner* last = &owner;
    owner.next_to_visit_ = nullptr;
    owner.visited_by_ = search;
    bool found = false;
    for (LockOwner* at = &owner; at != nullptr && !found; at = at->next_to_visit_)
      Region::for_each_blocker(*at->wish_, [&](LockOwner& blocker) {
        if (&blocker == &owner) found = true;
        const std::uint32_t where = blocker.waits_in_.load(std::memory_order_seq_cst);
        if (found || where == nowhere) return;
        if (only != nullptr && &regions_[where] != only) {
          leaves_region = true;
          return;
        }
        if (std::exchange(blocker.visited_by_, search) == search) return;
        blocker.next_to_visit_ = nullptr;
        last->next_to_visit_ = &blocker;
        last = &blocker;
      });
    return found;
  }

  std::array<Region, count>& regions_;
  const LockOptions options_;
  std::atomic<std::uint64_t> searches_{0};
  std::atomic<std::uint64_t> waiting_{0};  // owners whose is_parked_ is set
  std::atomic<std::uint64_t> waits_{0}, deadlocks_{0}, timeouts_{0};
};

}  // namespace locks

}  // namespace aegis::storage
