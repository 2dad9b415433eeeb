// SPDX-License-Identifier: Apache-2.0
// What is locked in one table: intervals of its keys, or the table as such. A request is granted beside all overlapping
// locks and waiters before it that it goes with. It queues at the end, but goes before waiters that wait for its own
// owner: behind them it would wait for itself. The caller holds the mutex of the region, which is a part of the lock table.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/lock/interval_tree.hpp>

#include <new>
#include <utility>

namespace aegis::storage::locks {

struct IntervalSpace {
  /// Calls fn(IntervalRequest&) for granted and then, in their order, waiting requests that keep out `request`, which
  /// stands in the queue, until it says true; whether it did.
  template <class Fn>
  bool any_blocker(const IntervalRequest& request, Fn&& fn) {
    const auto keeps_out = [&](const IntervalRequest& lock) { return lock.owner != request.owner && !compatible(request.wanted, lock.held); };
    if (granted.any(request.span, *visits, [&](IntervalRequest& lock) { return keeps_out(lock) && fn(lock); })) return true;
    for (IntervalRequest* at = waiting.first(); at != &request; at = at->place.next)
      if (++*visits; excludes(*at, request) && fn(*at)) return true;
    return false;
  }

  /// Where the request belongs in the queue: before the one returned; nullptr: at the end. blocked: it has to wait there,
  /// behind those that it may not pass. Who passes one with an offer passes those behind it, too.
  template <class Waits>
  IntervalRequest* place_of(const IntervalRequest& request, const Waits& waits, bool& blocked) {
    blocked = false;
    bool passes_offer = false;
    for (IntervalRequest* at = waiting.first(); at != nullptr; at = at->place.next) {
      ++*visits;
      at->is_passed = request.owner->lock_count() != 0 && waits_for(*at, *request.owner);
      if (!excludes(*at, request)) continue;
      if (at->is_passed) return at;
      blocked = blocked || (!passes_offer && !waits.may_be_passed(*at));
      passes_offer = passes_offer || waits.has_offer(*at);
    }
    return nullptr;
  }
  /// The request comes in ahead of those that it may pass.
  template <class Waits>
  void overtake(const IntervalRequest& request, const Waits& waits, IntervalRequest* until) {
    for (IntervalRequest* at = waiting.first(); at != until; at = at->place.next)
      if (excludes(*at, request)) {
        ++at->overtaken;
        if (waits.has_offer(*at)) return;
      }
  }

  bool is_unused() const { return granted.empty() && waiting.empty(); }

  IntervalSpace* next = nullptr;  // in its region; in the free list
  TableId table{};
  bool whole_table = false;
  IntervalTree granted;
  RequestList<IntervalRequest, &IntervalRequest::place> waiting;
  std::uint64_t* visits = nullptr;  // the region's

 private:
  // Either way: U goes with the S that it meets, but the S that waits somewhere else would then wait for that U, too.
  static bool excludes(const IntervalRequest& waiter, const IntervalRequest& request) {
    return (!compatible(request.wanted, waiter.wanted) || !compatible(waiter.wanted, request.wanted)) && request.span.overlaps(waiter.span);
  }

  // Whether the waiter cannot be granted before `owner` is done: for a lock of the owner, or behind another such waiter.
  bool waits_for(const IntervalRequest& waiter, const LockOwner& owner) {
    if (granted.any(waiter.span, *visits, [&](IntervalRequest& lock) { return lock.owner == &owner && !compatible(waiter.wanted, lock.held); })) return true;
    for (IntervalRequest* at = waiting.first(); at != &waiter; at = at->place.next)
      if (at->is_passed && excludes(*at, waiter)) return true;
    return false;
  }
};

/// The spaces whose tables fall to it, with nodes that are used again. Allocations are nothrow and happen only when no
/// node is left over.
struct alignas(64) IntervalRegion {
  static constexpr std::uint32_t count = 32;       // ThreadSanitizer follows at most 64 mutexes held by one thread
  static constexpr std::uint32_t kept_nodes = 64;  // of each kind, for reuse
  static constexpr std::size_t short_key = 48;     // requests have room for keys of this length at least

  ~IntervalRegion() {
    AEGIS_ASSERT(spaces == nullptr);
    while (IntervalSpace* const space = free_spaces) free_spaces = space->next, delete space;
    while (IntervalRequest* const request = free_requests) free_requests = static_cast<IntervalRequest*>(request->next_of_owner), destroy(request);
  }
  static void destroy(IntervalRequest* request) {
    request->~IntervalRequest();
    ::operator delete(request);
  }

  IntervalSpace* find(TableId table, bool whole_table) {
    for (IntervalSpace* space = spaces; space != nullptr; space = space->next)
      if (++visits; space->table == table && space->whole_table == whole_table) return space;
    return nullptr;
  }
  IntervalSpace* make_space(TableId table, bool whole_table) {
    IntervalSpace* space = free_spaces;
    if (space != nullptr) {
      free_spaces = space->next;
      --free_space_count;
    } else {
      space = new (std::nothrow) IntervalSpace;
      if (space == nullptr) return nullptr;
      ++allocations;
    }
    space->table = table;
    space->whole_table = whole_table;
    space->visits = &visits;
    space->next = std::exchange(spaces, space);
    return space;
  }
  void drop_if_unused(IntervalSpace& space) {
    if (!space.is_unused()) return;
    IntervalSpace** at = &spaces;
    for (; *at != &space; at = &(*at)->next) ++visits;
    *at = space.next;
    if (free_space_count == kept_nodes) return delete &space;
    space.next = std::exchange(free_spaces, &space);
    ++free_space_count;
  }

  IntervalRequest* make_request(const LockSpan& span) {
    const bool one_key = span.end == LockSpan::End::open || (span.low.data() == span.high.data() && span.low.size() == span.high.size());
    const std::size_t bytes = span.low.size() + (one_key ? 0 : span.high.size());
    IntervalRequest* request = free_requests;
    if (request != nullptr && request->key_capacity >= bytes) {
      free_requests = static_cast<IntervalRequest*>(request->next_of_owner);
      --free_request_count;
    } else {
      const std::size_t capacity = bytes > short_key ? bytes : short_key;
      void* const memory = ::operator new(sizeof(IntervalRequest) + capacity, std::nothrow);
      if (memory == nullptr) return nullptr;
      request = ::new (memory) IntervalRequest;
      request->key_capacity = static_cast<std::uint32_t>(capacity);
      ++allocations;
    }
    auto* const keys = reinterpret_cast<std::byte*>(request + 1);
    copy_bytes({keys, span.low.size()}, bytes_of(span.low));
    if (!one_key) copy_bytes({keys + span.low.size(), span.high.size()}, bytes_of(span.high));
    const std::string_view low = text_of({keys, span.low.size()});
    request->span = {low, span.end == LockSpan::End::open ? std::string_view{} : one_key ? low : text_of({keys + low.size(), span.high.size()}), span.end};
    request->raises = nullptr;
    request->is_granted = false;
    request->overtaken = 0;
    request->number = ++numbers;
    random = random * 6364136223846793005 + 1442695040888963407;  // Knuth, MMIX
    request->priority = static_cast<std::uint32_t>(random >> 32);
    ++request_count;
    return request;
  }
  void recycle(IntervalRequest* request) {
    --request_count;
    if (free_request_count == kept_nodes || request->key_capacity > short_key) return destroy(request);
    request->next_of_owner = std::exchange(free_requests, request);
    ++free_request_count;
  }

  template <class Fn>
  static void for_each_blocker(Request& request, Fn&& fn) {
    auto& wish = static_cast<IntervalRequest&>(request);
    wish.space->any_blocker(wish, [&](IntervalRequest& blocker) { return fn(*blocker.owner), false; });
  }

  mutable Mutex mutex;  // guards everything that hangs on the region; two are held only by a search for circles, by rising index
  IntervalSpace* spaces = nullptr;
  std::uint64_t request_count = 0, allocations = 0, visits = 0;
  std::uint64_t numbers = 0, random = 0;
  IntervalSpace* free_spaces = nullptr;
  IntervalRequest* free_requests = nullptr;
  std::uint32_t free_space_count = 0, free_request_count = 0;
};

}  // namespace aegis::storage::locks
