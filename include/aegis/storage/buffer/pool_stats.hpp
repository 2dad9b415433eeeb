// SPDX-License-Identifier: Apache-2.0
// What a pool tells of itself, and a counter that the hottest path can afford.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace aegis::storage {

struct PoolStats {
  std::uint64_t frames = 0, used = 0, free = 0;
  std::uint64_t dirty = 0;        ///< Pages changed and not yet written.
  std::uint64_t pinned = 0;       ///< Frames pinned at this moment.
  std::uint64_t hits = 0;         ///< A few may be lost when threads meet.
  std::uint64_t misses = 0, evictions = 0, write_backs = 0;
  std::uint64_t copies = 0;       ///< Pages copied for a running checkpoint.
  std::uint64_t table_bytes = 0;  ///< Memory of the translation table.
  bool huge_pages = false;        ///< The system took the advice.
};

/// Counts without a shared line: threads find their stripe by where their stack lies.
class StripedCounter {
 public:
  void add_one() {
    auto& stripe = stripes_[(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) >> 16) * 0x9e3779b97f4a7c15u >> 60].count;
    stripe.store(stripe.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  std::uint64_t sum() const {
    std::uint64_t all = 0;
    for (const Stripe& stripe : stripes_) all += stripe.count.load(std::memory_order_relaxed);
    return all;
  }

 private:
  struct alignas(64) Stripe {
    std::atomic<std::uint64_t> count{0};
  };

  Stripe stripes_[16];
};

}  // namespace aegis::storage
