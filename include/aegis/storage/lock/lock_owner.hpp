// SPDX-License-Identifier: Apache-2.0
// Who asks for locks, and what every request for one has, whatever it is for. All locks of one owner come from one lock
// manager; who waits, and for what, is guarded by the mutex of the part of the lock table in which it waits.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/condition.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/lock/lock_mode.hpp>

#include <atomic>
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

class LockOwner;

namespace locks {

inline constexpr std::uint32_t nowhere = ~std::uint32_t{0};

/// What a waiter was told last. offer: nothing stands in its way any more, and until it runs newcomers may come first.
enum class Told : std::uint8_t { nothing, offer, grant };

struct Request {
  LockOwner* owner = nullptr;
  Request* next_of_owner = nullptr;  // of its owner, once granted; of the free list
  LockMode held{}, wanted{};         // held counts once granted; wanted while it waits
  bool is_granted = false;
  unsigned overtaken = 0;            // newcomers that passed it
};

template <class Region, std::uint32_t count>
class Waits;

}  // namespace locks

/// A transaction as a lock manager sees it. Stays at its address while it holds locks; one thread at a time acquires and
/// releases for it.
class LockOwner {
 public:
  LockOwner() = default;
  LockOwner(const LockOwner&) = delete;
  LockOwner& operator=(const LockOwner&) = delete;
  ~LockOwner() { AEGIS_ASSERT(locks_ == nullptr); }

  std::size_t lock_count() const { return count_; }
  /// For observers in other threads: it is queued, no circle was found, and nothing was granted or offered to it since.
  bool is_waiting() const { return is_parked_.load(std::memory_order_acquire); }

 private:
  friend class LockManager;
  friend class IntervalLockManager;
  template <class Region, std::uint32_t count>
  friend class locks::Waits;

  locks::Request* locks_ = nullptr;  // all of its locks, newest first
  std::size_t count_ = 0;
  Condition signal_;
  // The rest changes under the mutex of the region it waits in; the atomics are also read without it.
  locks::Request* wish_ = nullptr;                            // what it waits for
  std::atomic<std::uint32_t> waits_in_{locks::nowhere};       // that region
  std::atomic<locks::Told> told_{locks::Told::nothing};
  std::atomic<bool> is_parked_{false};
  std::uint64_t visited_by_ = 0;                              // the last search for circles that came here
  LockOwner* next_to_visit_ = nullptr;
};

}  // namespace aegis::storage
