// SPDX-License-Identifier: Apache-2.0
// The allocator's memory: a mirror of each map page with what is known only here (withheld, to be erased), and the
// queue of withheld pages. Nothing throws; failure to grow is out_of_memory and changes nothing.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

namespace aegis::storage {

template <std::size_t BitmapBytes>
class FreeMap {
 public:
  /// The page's bytes: bit i of byte i / 8 set = in use.
  void load(Bytes bits) {
    for (std::uint64_t& word : used_) word = 0;
    for (std::size_t i = 0; i < BitmapBytes; ++i) used_[i / 8] |= std::uint64_t{static_cast<unsigned char>(bits[i])} << (i % 8 * 8);
    search_ = 0;
  }
  std::uint64_t used() const { return used_from(0); }
  std::uint64_t used_from(std::uint64_t bit) const {
    std::uint64_t count = 0;
    for (std::size_t i = bit / 64; i < words; ++i)
      count += static_cast<std::uint64_t>(std::popcount(i == bit / 64 ? used_[i] >> bit % 64 : used_[i]));
    return count;
  }

  /// The lowest bit below `end` that is neither used nor withheld.
  Maybe<std::uint64_t> find_free(std::uint64_t end) {
    for (; search_ * 64 < end; ++search_) {
      const std::uint64_t taken = used_[search_] | withheld_[search_];
      if (taken == ~std::uint64_t{0}) continue;
      const std::uint64_t bit = search_ * 64 + static_cast<std::uint64_t>(std::countr_one(taken));
      if (bit < end) return bit;
      return std::nullopt;
    }
    return std::nullopt;
  }
  bool is_used(std::uint64_t bit) const { return (used_[bit / 64] >> bit % 64 & 1) != 0; }
  void set_used(std::uint64_t bit, bool used) { set(used_, bit, used); }
  void withhold(std::uint64_t bit, bool held) { set(withheld_, bit, held); }
  /// Free for use, its block to be erased.
  void release(std::uint64_t bit) {
    set(withheld_, bit, false);
    set(erase_, bit, true);
    search_ = std::min(search_, bit / 64);
  }
  void cancel_erase(std::uint64_t bit) { set(erase_, bit, false); }

  void take_erases() {
    for (std::size_t i = 0; i < words; ++i) taken_[i] = std::exchange(erase_[i], 0);
  }
  template <class Fn>
  Result<void> for_each_taken(Fn&& fn) const {
    for (std::size_t i = 0; i < words; ++i)
      for (std::uint64_t left = taken_[i]; left != 0; left &= left - 1) AEGIS_TRY(fn(i * 64 + static_cast<std::uint64_t>(std::countr_zero(left))));
    return {};
  }
  void give_back_erases() {
    for (std::size_t i = 0; i < words; ++i) erase_[i] |= std::exchange(taken_[i], 0) & ~used_[i];
  }

 private:
  static constexpr std::size_t words = (BitmapBytes + 7) / 8;

  static void set(std::uint64_t (&bits)[words], std::uint64_t bit, bool to) {
    const std::uint64_t mask = std::uint64_t{1} << bit % 64;
    bits[bit / 64] = to ? bits[bit / 64] | mask : bits[bit / 64] & ~mask;
  }

  std::uint64_t used_[words] = {};      // as in the map page
  std::uint64_t withheld_[words] = {};  // not used, but not to be given out
  std::uint64_t erase_[words] = {};     // blocks to erase with the current epoch; never used ones
  std::uint64_t taken_[words] = {};     // blocks that the running checkpoint erases
  std::uint64_t search_ = 0;            // no earlier word has a free bit
};

/// Grows by maps that never move, so that a checkpoint may walk them while the section adds one.
template <std::size_t BitmapBytes>
class FreeMaps {
 public:
  using Map = FreeMap<BitmapBytes>;
  static constexpr std::size_t max_maps = std::size_t{1} << 17;

  FreeMaps() = default;
  FreeMaps(FreeMaps&& other) noexcept : groups_(std::move(other.groups_)), size_(other.size_.load(std::memory_order_relaxed)) {}

  std::uint64_t size() const { return size_.load(std::memory_order_acquire); }
  Map& operator[](std::uint64_t at) { return *groups_[at / group_size]->maps[at % group_size]; }
  const Map& operator[](std::uint64_t at) const { return *groups_[at / group_size]->maps[at % group_size]; }

  /// too_large, out_of_memory.
  Result<void> grow(std::uint64_t size) {
    if (size > max_maps) return Error{Errc::too_large, "page map", size};
    if (!groups_) groups_.reset(new (std::nothrow) Owned<Group>[max_maps / group_size]);
    if (!groups_) return Errc::out_of_memory;
    for (std::uint64_t at = this->size(); at < size; ++at) {
      auto& group = groups_[at / group_size];
      if (!group) group.reset(new (std::nothrow) Group);
      if (!group) return Errc::out_of_memory;
      if (!group->maps[at % group_size]) group->maps[at % group_size].reset(new (std::nothrow) Map);
      if (!group->maps[at % group_size]) return Errc::out_of_memory;
      size_.store(at + 1, std::memory_order_release);
    }
    return {};
  }

 private:
  static constexpr std::size_t group_size = 256;
  struct Group {
    Owned<Map> maps[group_size];
  };

  Owned<Owned<Group>[]> groups_;
  std::atomic<std::uint64_t> size_{0};
};

/// Pages freed and not yet released, oldest first.
class Withheld {
 public:
  struct Entry {
    PageId page;
    Timestamp at;
  };

  Withheld() = default;
  Withheld(Withheld&& other) noexcept
      : ring_(std::move(other.ring_)), room_(std::exchange(other.room_, 0)), begin_(other.begin_), size_(other.size_.exchange(0)) {}

  std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }
  bool empty() const { return size() == 0; }
  const Entry& front() const { return ring_[begin_ % room_]; }
  Entry pop() {
    size_.store(size() - 1, std::memory_order_relaxed);
    return ring_[begin_++ % room_];
  }
  Result<void> reserve(std::uint64_t more) {
    if (size() + more <= room_) return {};
    const std::uint64_t room = std::max(std::max<std::uint64_t>(64, 2 * room_), size() + more);
    Owned<Entry[]> ring{new (std::nothrow) Entry[room]};
    if (!ring) return Errc::out_of_memory;
    for (std::uint64_t i = 0; i < size(); ++i) ring[i] = ring_[(begin_ + i) % room_];
    ring_ = std::move(ring);
    room_ = room;
    begin_ = 0;
    return {};
  }
  /// Within what was reserved.
  void push(Entry entry) {
    AEGIS_ASSERT(size() < room_);
    ring_[(begin_ + size()) % room_] = entry;
    size_.store(size() + 1, std::memory_order_relaxed);
  }

 private:
  Owned<Entry[]> ring_;
  std::uint64_t room_ = 0, begin_ = 0;
  std::atomic<std::uint64_t> size_{0};
};

}  // namespace aegis::storage
