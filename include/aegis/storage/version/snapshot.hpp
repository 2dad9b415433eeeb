// SPDX-License-Identifier: Apache-2.0
// Snapshots in use. A snapshot is one number: it sees exactly the commits whose timestamp is not above it. The registry
// holds the numbers in use, so that reclaimers know what is still needed. No allocation after open; claim, take, clear and
// release are lock-free and may run in any thread beside any reclaimer; one slot is used by one thread at a time.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace aegis::storage {

struct Snapshot {
  Timestamp timestamp = never_committed;

  constexpr bool sees(Timestamp commit) const { return commit <= timestamp; }
  friend constexpr bool operator==(Snapshot, Snapshot) = default;
};

/// Taking a snapshot stores the watermark in a slot and reads it again until both agree (all seq_cst). A reclaimer loads its
/// watermark first, then all slots; a slot that it misses is therefore stored later and holds a number not below that
/// watermark. So whatever a reclaimer drops that ended at or below its watermark is needed by no slot it did not see.
class SnapshotRegistry {
 public:
  class Slot {
    friend class SnapshotRegistry;
    static constexpr std::uint64_t idle = ~std::uint64_t{0};
    static constexpr std::uint64_t revoked = idle - 1;
    static constexpr std::uint64_t first_special = revoked;

    alignas(64) std::atomic<std::uint64_t> state_{idle};  // idle, revoked, or the timestamp in use
  };

  /// Room for `capacity` snapshots at a time, at least one.
  static Result<SnapshotRegistry> open(std::size_t capacity) {
    if (capacity == 0) capacity = 1;
    const std::size_t groups = (capacity + Group::slots - 1) / Group::slots;
    Owned<Group[]> memory{new (std::nothrow) Group[groups]};
    if (!memory) return Error{Errc::out_of_memory, "snapshot slots", capacity};
    // The last group's slots beyond the capacity are nobody's, for ever.
    if (const std::size_t used = capacity % Group::slots; used != 0) memory[groups - 1].claimed_.store(~std::uint64_t{0} << used);
    return SnapshotRegistry{std::move(memory), groups, capacity};
  }

  /// A slot of the caller's own until release(), or nullptr: all are taken. Threads begin their search at different places.
  Slot* claim() {
    const char here = 0;
    // Stacks are at least pages apart, so the page number of a local tells threads apart without thread_local state.
    const std::uint64_t hint = (reinterpret_cast<std::uintptr_t>(&here) >> 12) * 0x9e3779b97f4a7c15;
    for (std::size_t i = 0; i < group_count_; ++i)
      if (Slot* slot = groups_[((hint >> 32) + i) % group_count_].claim(static_cast<int>(hint >> 58))) return slot;
    return nullptr;
  }

  /// The slot is the caller's and is used no more; its snapshot, if any, ends.
  void release(Slot& slot) {
    clear(slot);
    for (std::size_t i = 0; i < group_count_; ++i)
      if (groups_[i].release(slot)) return;
    AEGIS_ASSERT(false && "a slot of this registry");
  }

  /// Stores the current watermark in the slot and returns it. `watermark()` is a seq_cst load of a Timestamp that never falls.
  template <class Watermark>
  Timestamp take(Slot& slot, Watermark&& watermark) const {
    Timestamp taken = watermark();
    while (true) {
      slot.state_.store(number(taken), std::memory_order_seq_cst);
      const Timestamp again = watermark();
      if (again == taken) return taken;
      taken = again;
    }
  }

  void clear(Slot& slot) const { slot.state_.store(Slot::idle, std::memory_order_seq_cst); }

  /// True when versions that this snapshot needs may be gone. To be asked after every lookup that relied on the slot.
  bool is_revoked(const Slot& slot) const { return slot.state_.load(std::memory_order_seq_cst) == Slot::revoked; }

  /// The smallest of `otherwise` and all snapshots in use. `otherwise` was loaded before this call.
  Timestamp oldest(Timestamp otherwise) const {
    std::uint64_t smallest = number(otherwise);
    for_each_used([&](const Slot&, std::uint64_t at) { smallest = at < smallest ? at : smallest; });
    return Timestamp{smallest};
  }

  /// Whether a snapshot s with from <= s < until is in use.
  bool any_in(Timestamp from, Timestamp until) const {
    bool found = false;
    for_each_used([&](const Slot&, std::uint64_t at) { found = found || (number(from) <= at && at < number(until)); });
    return found;
  }

  /// Takes their right from the holders of the oldest snapshot in use, if it is below `limit`; how many they were.
  std::size_t revoke_oldest(Timestamp limit) {
    const std::uint64_t oldest_used = number(oldest(limit));
    if (oldest_used >= number(limit)) return 0;
    std::size_t revoked = 0;
    for_each_used([&](const Slot& slot, std::uint64_t at) {
      if (at != oldest_used) return;
      if (const_cast<Slot&>(slot).state_.compare_exchange_strong(at, Slot::revoked, std::memory_order_seq_cst)) ++revoked;
    });
    return revoked;
  }

  std::size_t capacity() const { return capacity_; }
  /// A number below capacity() that no other slot has.
  std::size_t index_of(const Slot& slot) const {
    for (std::size_t i = 0; i < group_count_; ++i)
      if (groups_[i].owns(slot)) return i * Group::slots + static_cast<std::size_t>(&slot - groups_[i].slots_);
    AEGIS_ASSERT(false && "a slot of this registry");
    return 0;
  }
  std::size_t claimed() const {
    std::size_t total = 0;
    for (std::size_t i = 0; i < group_count_; ++i) total += static_cast<std::size_t>(std::popcount(groups_[i].claimed_.load()));
    return total - (group_count_ * Group::slots - capacity_);
  }

 private:
  struct Group {
    static constexpr std::size_t slots = 64;

    Slot* claim(int from) {
      std::uint64_t taken = claimed_.load(std::memory_order_relaxed);
      while (taken != ~std::uint64_t{0}) {
        const int bit = (std::countr_one(std::rotr(taken, from)) + from) % 64;
        if (claimed_.compare_exchange_weak(taken, taken | (std::uint64_t{1} << bit), std::memory_order_seq_cst)) return &slots_[bit];
      }
      return nullptr;
    }
    bool owns(const Slot& slot) const { return !std::less<const Slot*>{}(&slot, slots_) && std::less<const Slot*>{}(&slot, slots_ + slots); }
    bool release(const Slot& slot) {
      if (!owns(slot)) return false;
      const std::uint64_t bit = std::uint64_t{1} << (&slot - slots_);
      AEGIS_ASSERT((claimed_.fetch_and(~bit, std::memory_order_seq_cst) & bit) != 0);
      return true;
    }

    alignas(64) std::atomic<std::uint64_t> claimed_{0};  // bit i: slots_[i] belongs to somebody; the others are idle
    Slot slots_[slots];
  };

  SnapshotRegistry(Owned<Group[]> groups, std::size_t count, std::size_t capacity)
      : groups_(std::move(groups)), group_count_(count), capacity_(capacity) {}

  template <class Fn>
  void for_each_used(Fn&& fn) const {
    for (std::size_t i = 0; i < group_count_; ++i)
      for (std::uint64_t rest = groups_[i].claimed_.load(std::memory_order_seq_cst); rest != 0; rest &= rest - 1) {
        const Slot& slot = groups_[i].slots_[std::countr_zero(rest)];
        if (const std::uint64_t at = slot.state_.load(std::memory_order_seq_cst); at < Slot::first_special) fn(slot, at);
      }
  }

  Owned<Group[]> groups_;  // never moves, so slots keep their address
  std::size_t group_count_;
  std::size_t capacity_;             // slots of the last group beyond it are claimed from the start and stay idle
};

}  // namespace aegis::storage
