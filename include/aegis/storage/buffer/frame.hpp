// SPDX-License-Identifier: Apache-2.0
// What the pool knows of one frame, apart from the page in it: a cache line in a dense array.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/eviction/policy.hpp>
#include <aegis/storage/latch/policy.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

/// Counts checkpoints begun in the life of a pool; 0 is "not dirty".
enum class Epoch : std::uint64_t {};

inline constexpr Epoch clean{0};

/// Where a page was read and in which state; the pair never comes back for another state.
struct FrameVersion {
  FrameIndex frame = 0;
  std::uint64_t version = 0;
  friend constexpr bool operator==(FrameVersion, FrameVersion) = default;
};

/// Who keeps a page in its frame. Transient pins go by themselves, the section's when it is left; only a handle of the
/// user may stay, so only handles make a pool exhausted.
enum class PinKind : std::uint64_t { transient = 1, section = std::uint64_t{1} << 20, handle = std::uint64_t{1} << 40 };

template <LatchPolicy Latch>
struct alignas(64) Frame {
  static constexpr std::uint64_t no_page = ~std::uint64_t{0};
  static constexpr std::uint64_t claimed = std::uint64_t{1} << 63;

  bool holds(PageId id) const { return page.load(std::memory_order_acquire) == number(id); }

  /// False: the frame is being given another page just now, under the pool's mutex.
  bool pin(PinKind kind) {
    std::uint64_t count = pins.load(std::memory_order_relaxed);
    while ((count & claimed) == 0)
      if (pins.compare_exchange_weak(count, count + static_cast<std::uint64_t>(kind), std::memory_order_seq_cst, std::memory_order_relaxed))
        return true;
    return false;
  }
  bool claim() {
    std::uint64_t none = 0;
    return pins.compare_exchange_strong(none, claimed, std::memory_order_seq_cst);
  }
  static constexpr std::uint64_t count_of(std::uint64_t pins, PinKind kind) { return pins / static_cast<std::uint64_t>(kind) & 0xfffff; }

  Latch latch;                              // guards the page's bytes and what `page` says
  std::atomic<std::uint64_t> pins{0};       // 20 bits a kind; or `claimed` alone, while the pool's mutex is held
  std::atomic<std::uint64_t> page{no_page}; // changed with the latch held exclusively and the frame claimed or pinned
  std::atomic<Epoch> dirty{clean};          // the newest epoch with changes that were not written
  std::atomic<bool> loading{false};         // the latch's holder is reading the page; on failure `page` changes
  bool writing = false;                     // one write of this page is under way; pool's mutex
};

}  // namespace aegis::storage
