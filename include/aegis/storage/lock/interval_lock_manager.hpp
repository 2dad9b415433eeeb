// SPDX-License-Identifier: Apache-2.0
// Locks on intervals of keys, a key being the shortest one, and on tables: what reads that lock need, since nothing may
// come into an interval that was read. Modes, order, waiting and circles are as in LockManager. An acquisition without
// contention takes one mutex and logarithmic time in the table's locks; a release costs what its owner holds, likewise.
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/lock/interval_space.hpp>
#include <aegis/storage/lock/lock_waits.hpp>

#include <array>
#include <new>
#include <utility>

namespace aegis::storage {

class IntervalLockManager {
 public:
  static Result<Owned<IntervalLockManager>> open(LockOptions options = {}) {
    Owned<IntervalLockManager> manager{new (std::nothrow) IntervalLockManager(options)};
    if (!manager) return Error{Errc::out_of_memory, "lock manager"};
    return manager;
  }
  IntervalLockManager(const IntervalLockManager&) = delete;
  IntervalLockManager& operator=(const IntervalLockManager&) = delete;

  /// Gives `owner` the mode on a key or a table, on top of what it holds. Afterwards it holds it until release_all; after an
  /// error it holds what it held before. deadlock: waiting would close a circle. lock_timeout: the wait was too long, or
  /// `timeout` is zero and it would have to wait. out_of_memory.
  Result<LockOutcome> acquire(LockOwner& owner, const LockTarget& target, LockMode mode, Maybe<Milliseconds> timeout = {}) {
    if (target.whole_table) return acquire(owner, target.table, true, LockSpan::everything(), mode, timeout);
    return acquire(owner, target.table, false, LockSpan::point(target.key), mode, timeout);
  }
  /// The same on every key of the interval, present or not. An empty interval is always held.
  Result<LockOutcome> acquire(LockOwner& owner, TableId table, const LockSpan& span, LockMode mode, Maybe<Milliseconds> timeout = {}) {
    return acquire(owner, table, false, span, mode, timeout);
  }

  /// Gives back all locks of the owner. What became free is offered to waiters or granted, in their order.
  void release_all(LockOwner& owner) {
    AEGIS_ASSERT(owner.wish_ == nullptr);
    while (owner.locks_ != nullptr) release_some(owner);
    owner.count_ = 0;
  }

  /// The owner's strongest mode on all of the target, if any.
  Maybe<LockMode> held(const LockOwner& owner, const LockTarget& target) {
    return held(owner, target.table, target.whole_table, target.whole_table ? LockSpan::everything() : LockSpan::point(target.key));
  }
  Maybe<LockMode> held(const LockOwner& owner, TableId table, const LockSpan& span) { return held(owner, table, false, span); }

  /// How many owners are waiting, in the sense of LockOwner::is_waiting. Any thread.
  std::uint64_t waiting_count() const { return waits_.waiting(); }

  /// keys: intervals and tables, once for each owner.
  LockStats stats() const {
    LockStats stats = waits_.stats();
    for (const Region& region : regions_) {
      const Guard lock{region.mutex};
      stats.keys += region.request_count;
      stats.allocations += region.allocations;
      stats.visits += region.visits;
    }
    stats.locks = stats.keys - (stats.waiting < stats.keys ? stats.waiting : stats.keys);
    return stats;
  }

 private:
  using Region = locks::IntervalRegion;
  using Space = locks::IntervalSpace;
  using Request = locks::IntervalRequest;

  static constexpr unsigned release_quantum = 64;  // locks given back in one stay under a mutex

  explicit IntervalLockManager(LockOptions options) : options_(options), waits_(regions_, options) {}

  Region& region_of(TableId table) { return regions_[number(table) % Region::count]; }

  Result<LockOutcome> acquire(LockOwner& owner, TableId table, bool whole_table, const LockSpan& span, LockMode mode, Maybe<Milliseconds> timeout) {
    if (span.is_empty()) return LockOutcome{.was_held = true};
    Region& region = region_of(table);
    Guard lock{region.mutex};
    Space* space = region.find(table, whole_table);
    Request* same = nullptr;
    bool blocked = false, queues = false;
    if (space != nullptr && space->granted.any(span, region.visits, [&](Request& each) {
          if (each.owner == &owner && each.span == span) same = &each;
          if (each.owner != &owner) blocked = blocked || !compatible(mode, each.held);
          return each.owner == &owner && combine(each.held, mode) == each.held && each.span.covers(span);
        }))
      return LockOutcome{.was_held = true};
    if (space == nullptr && (space = region.make_space(table, whole_table)) == nullptr) return Error{Errc::out_of_memory, "lock", number(table)};
    Request* const request = region.make_request(span);
    if (request == nullptr) {
      region.drop_if_unused(*space);
      return Error{Errc::out_of_memory, "lock", number(table)};
    }
    request->space = space;
    request->owner = &owner;
    request->held = request->wanted = mode;
    request->raises = same;
    Request* const next = space->place_of(*request, waits_, queues);
    if (!blocked && !queues) {
      space->overtake(*request, waits_, next);
      grant(region, *request);
      join_newest(region, owner);
      return LockOutcome{};
    }
    space->waiting.insert(next, *request);
    return wait(lock, region, *request, timeout.value_or(options_.timeout));
  }

  // The request stands in the queue. Returns when it is granted or taken back.
  Result<LockOutcome> wait(Guard<Mutex>& lock, Region& region, Request& request, Milliseconds timeout) {
    Space& space = *request.space;
    const auto granted = waits_.wait(lock, region, request, timeout, space.table, [&] {
      space.waiting.erase(request);
      grant(region, request);
      serve(region, space);
    });
    if (granted) return granted;
    space.waiting.erase(request);
    region.recycle(&request);
    serve(region, space);
    region.drop_if_unused(space);
    return granted;
  }

  // A lock on the same interval becomes stronger, so that an owner has one for an interval.
  static void grant(Region& region, Request& request) {
    if (request.raises != nullptr) {
      request.raises->held = combine(request.raises->held, request.wanted);
      return region.recycle(&request);
    }
    request.held = request.wanted;
    request.is_granted = true;
    request.space->granted.insert(request, region.visits);
    request.next_of_owner = std::exchange(request.owner->locks_, &request);
    ++request.owner->count_;
  }

  // A scan comes by in steps: its last two become one, so that it has one lock however far it goes. No waiter raises them,
  // since their owner is running.
  static void join_newest(Region& region, LockOwner& owner) {
    auto* const newest = static_cast<Request*>(owner.locks_);
    auto* const before = newest == nullptr ? nullptr : static_cast<Request*>(newest->next_of_owner);
    if (before == nullptr || before->space != newest->space || before->held != newest->held || !before->span.touches(newest->span)) return;
    Request* const joined = region.make_request(before->span.joined(newest->span));
    if (joined == nullptr) return;
    joined->space = newest->space;
    joined->owner = &owner;
    joined->wanted = newest->held;
    owner.locks_ = before->next_of_owner;
    owner.count_ -= 2;
    for (Request* const part : {newest, before}) {
      part->space->granted.erase(*part, region.visits);
      region.recycle(part);
    }
    grant(region, *joined);
  }

  // Grants or offers what has become possible, each only if it goes with all that still wait before it. Who raises what it
  // has is granted it: newcomers would only get into its way.
  void serve(Region& region, Space& space) {
    for (Request* at = space.waiting.first(); at != nullptr;) {
      Request& request = *at;
      if (space.any_blocker(request, [](Request&) { return true; }) || (request.raises == nullptr && waits_.offer(request))) {
        at = at->place.next;
        continue;
      }
      at = space.waiting.erase(request);
      LockOwner& owner = *request.owner;
      grant(region, request);
      waits_.wake(owner);
    }
  }

  void release_some(LockOwner& owner) {
    auto* request = static_cast<Request*>(owner.locks_);
    Region& region = region_of(request->space->table);
    const Guard lock{region.mutex};
    for (unsigned n = 1; request != nullptr && &region_of(request->space->table) == &region; ++n) {
      Space& space = *request->space;
      owner.locks_ = request->next_of_owner;
      space.granted.erase(*request, region.visits);
      region.recycle(request);
      request = static_cast<Request*>(owner.locks_);
      const bool goes_on = request != nullptr && request->space == &space && n < release_quantum;
      if (goes_on) continue;
      serve(region, space);
      region.drop_if_unused(space);
      if (n >= release_quantum) return;
    }
  }

  Maybe<LockMode> held(const LockOwner& owner, TableId table, bool whole_table, const LockSpan& span) {
    Region& region = region_of(table);
    const Guard lock{region.mutex};
    Maybe<LockMode> mode;
    if (Space* const space = region.find(table, whole_table); space != nullptr)
      space->granted.any(span, region.visits, [&](Request& each) {
        if (each.owner == &owner && each.span.covers(span)) mode = mode ? combine(*mode, each.held) : each.held;
        return false;
      });
    return mode;
  }

  const LockOptions options_;
  std::array<Region, Region::count> regions_;
  locks::Waits<Region, Region::count> waits_;
};

}  // namespace aegis::storage
