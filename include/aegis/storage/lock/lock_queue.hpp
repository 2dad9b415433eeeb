// SPDX-License-Identifier: Apache-2.0
// Who holds a lock and who waits for it: the parts that a lock manager is made of. Everything here is guarded by the mutex
// of the shard in which the lock lives, unless it says otherwise.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/lock/lock_mode.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aegis::storage {

/// What is locked: a key, present or not, or a table as such. Table and key locks of one table are different things.
struct LockTarget {
  TableId table{};
  std::string_view key{};
  bool whole_table = false;

  static LockTarget of_table(TableId table) { return {table, {}, true}; }
};

namespace locks {
struct Request;
struct Head;
inline constexpr std::uint32_t nowhere = ~std::uint32_t{0};
}  // namespace locks

/// A transaction as the lock manager sees it. Stays at its address while it holds locks; one thread at a time acquires and
/// releases for it.
class LockOwner {
 public:
  LockOwner() = default;
  LockOwner(const LockOwner&) = delete;
  LockOwner& operator=(const LockOwner&) = delete;
  ~LockOwner() { AEGIS_ASSERT(locks_ == nullptr); }

  std::size_t lock_count() const { return count_; }
  /// For observers in other threads: it is queued, no circle was found, and it has not been granted.
  bool is_waiting() const { return is_parked_.load(std::memory_order_acquire); }

 private:
  friend class LockManager;

  locks::Request* locks_ = nullptr;  // all of its locks, newest first
  std::size_t count_ = 0;
  std::condition_variable granted_signal_;
  // The rest changes under the mutex of the shard it waits in; the atomics are also read without it.
  locks::Request* wish_ = nullptr;                            // what it waits for
  std::atomic<std::uint32_t> waits_in_{locks::nowhere};       // that shard
  std::atomic<bool> is_granted_{false};
  std::atomic<bool> is_parked_{false};
  std::uint64_t visited_by_ = 0;                              // the last search for circles that came here
  LockOwner* next_to_visit_ = nullptr;
};

namespace locks {

/// Neighbours of a request in one of the lists that it stands in.
struct Links {
  Request* previous = nullptr;
  Request* next = nullptr;
};

struct Request {
  Head* head = nullptr;
  LockOwner* owner = nullptr;
  Request* next_of_owner = nullptr;  // of its owner, once granted; of the free list
  Links place;                       // in granted or waiting
  Links upgrade_place;               // in upgrades
  LockMode held{}, wanted{};         // held counts once granted; wanted while it waits
  bool is_granted = false;           // it stands in granted (an upgrade too), else in waiting
  unsigned overtaken = 0;            // newcomers that passed it
};

/// A list through members of the requests themselves.
template <Links Request::*links>
class RequestList {
 public:
  struct Iterator {
    Request* at;
    Request& operator*() const { return *at; }
    Iterator& operator++() { return at = (at->*links).next, *this; }
    bool operator!=(Iterator other) const { return at != other.at; }
  };

  bool empty() const { return first_ == nullptr; }
  Request* first() const { return first_; }
  Iterator begin() const { return {first_}; }
  Iterator end() const { return {nullptr}; }

  void push_back(Request& request) {
    request.*links = {last_, nullptr};
    (last_ == nullptr ? first_ : (last_->*links).next) = &request;
    last_ = &request;
  }
  /// Returns the one after it.
  Request* erase(Request& request) {
    const Links around = request.*links;
    (around.previous == nullptr ? first_ : (around.previous->*links).next) = around.next;
    (around.next == nullptr ? last_ : (around.next->*links).previous) = around.previous;
    return around.next;
  }

 private:
  Request* first_ = nullptr;
  Request* last_ = nullptr;
};

/// One locked thing. The key's bytes follow it.
struct Head {
  Head* next = nullptr;  // in its bucket; in the free list
  std::uint64_t hash = 0;
  TableId table{};
  bool whole_table = false;
  std::uint32_t key_bytes = 0, key_capacity = 0;
  std::uint32_t granted_count = 0;
  std::array<std::uint32_t, lock_mode_count> held{};  // how many hold each mode
  RequestList<&Request::place> granted, waiting;      // waiting: in order of arrival
  RequestList<&Request::upgrade_place> upgrades;      // of those granted that want more; served before waiting

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_bytes}; }
  bool is(std::uint64_t other_hash, const LockTarget& target) const {
    return hash == other_hash && table == target.table && whole_table == target.whole_table && key() == target.key;
  }
  /// The modes held, but for one holder of `mine`.
  std::uint8_t held_modes(const Request* mine = nullptr) const {
    std::uint8_t modes = 0;
    for (std::size_t i = 0; i < lock_mode_count; ++i)
      if (held[i] > (mine != nullptr && static_cast<std::size_t>(mine->held) == i ? 1U : 0U)) modes = static_cast<std::uint8_t>(modes | (1U << i));
    return modes;
  }
};

constexpr bool fits(LockMode requested, std::uint8_t modes) { return (modes & ~compatible_set(requested)) == 0; }
/// Calls fn(LockOwner&) for everyone that the waiting request waits for: holders, and waiters before it, that exclude it.
template <class Fn>
void for_each_blocker(Request& request, Fn&& fn) {
  Head& head = *request.head;
  for (Request& holder : head.granted)
    if (&holder != &request && !compatible(request.wanted, holder.held)) fn(*holder.owner);
  for (Request& upgrade : head.upgrades) {
    if (&upgrade == &request) return;
    if (!compatible(request.wanted, upgrade.wanted)) fn(*upgrade.owner);
  }
  for (Request& earlier : head.waiting) {
    if (&earlier == &request) return;
    if (!compatible(request.wanted, earlier.wanted)) fn(*earlier.owner);
  }
}

}  // namespace locks

}  // namespace aegis::storage
