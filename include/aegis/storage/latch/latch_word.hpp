// SPDX-License-Identifier: Apache-2.0
// The algorithm of both latches: one word with an exclusive bit, a waiting bit, the number of shared holders and a
// version. Waiters spin briefly, then sleep on the word. The waiting bit is set only while somebody holds the latch and
// cleared by the release that frees it, so whoever sees it set may sleep: a wake-up is still to come.
#pragma once

#include <aegis/storage/core/assert.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

class LatchWord {
 public:
  void lock() { acquire<exclusive | waiting | shared_mask>(exclusive); }
  bool try_lock() { return try_acquire<exclusive | waiting | shared_mask>(exclusive); }
  void unlock() {
    const std::uint64_t held = word_.load(std::memory_order_relaxed);
    AEGIS_ASSERT((held & exclusive) != 0);
    const std::uint64_t freed = (held & ~(exclusive | waiting | shared_mask)) + one_version;
    if ((word_.exchange(freed, std::memory_order_release) & waiting) != 0) word_.notify_all();
  }

  void lock_shared() { acquire<exclusive | waiting>(one_shared); }
  bool try_lock_shared() { return try_acquire<exclusive | waiting>(one_shared); }
  void unlock_shared() {
    std::uint64_t held = word_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t left = (held & shared_mask) == one_shared ? (held - one_shared) & ~waiting : held - one_shared;
      if (word_.compare_exchange_weak(held, left, std::memory_order_release, std::memory_order_relaxed)) break;
    }
    AEGIS_ASSERT((held & shared_mask) != 0);
    if ((held & waiting) != 0 && (held & shared_mask) == one_shared) word_.notify_all();
  }

  std::uint64_t load(std::memory_order order) const { return word_.load(order); }
  static constexpr bool is_exclusive(std::uint64_t word) { return (word & exclusive) != 0; }
  static constexpr std::uint64_t version(std::uint64_t word) { return word >> version_shift; }

 private:
  static constexpr unsigned version_shift = 16;
  static constexpr std::uint64_t exclusive = 1, waiting = 2, one_shared = 4, shared_mask = 0xfffc, one_version = 1 << version_shift;
  static constexpr int spins = 64;

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  // The first failed exchange may only mean that another shared holder came or went, hence the loop.
  template <std::uint64_t blocking>
  bool try_acquire(std::uint64_t gain) {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    while ((word & blocking) == 0 && (word & shared_mask) != shared_mask)
      if (word_.compare_exchange_weak(word, word + gain, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    return false;
  }

  template <std::uint64_t blocking>
  void acquire(std::uint64_t gain) {
    for (int i = 0; i < spins; ++i) {
      if (try_acquire<blocking>(gain)) return;
      pause();
    }
    for (;;) {
      if (try_acquire<blocking>(gain)) return;
      std::uint64_t word = word_.load(std::memory_order_relaxed);
      if ((word & blocking) == 0 || ((word & (exclusive | shared_mask)) == 0)) continue;
      if ((word & waiting) == 0 && !word_.compare_exchange_weak(word, word | waiting, std::memory_order_relaxed)) continue;
      word_.wait(word | waiting, std::memory_order_relaxed);
    }
  }

  std::atomic<std::uint64_t> word_{0};  // version 48 | shared holders 14 | waiting 1 | exclusive 1
};

}  // namespace aegis::storage
