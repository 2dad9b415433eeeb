// SPDX-License-Identifier: Apache-2.0
// The same latch without optimistic reads: every reader is a shared holder. For tools that check every memory access
// (thread sanitizers) and for machines where an unsynchronised read is not to be had.
#pragma once

#include <aegis/storage/latch/latch_word.hpp>
#include <aegis/storage/latch/policy.hpp>

#include <cstdint>
#include <string_view>

namespace aegis::storage {

class PlainLatch {
 public:
  static constexpr Axis axis = Axis::latch;
  static constexpr std::string_view name = "plain";
  static constexpr bool optimistic = false;

  PlainLatch() = default;
  PlainLatch(const PlainLatch&) = delete;
  PlainLatch& operator=(const PlainLatch&) = delete;

  void lock() { word_.lock(); }
  bool try_lock() { return word_.try_lock(); }
  void unlock() { word_.unlock(); }
  void lock_shared() { word_.lock_shared(); }
  bool try_lock_shared() { return word_.try_lock_shared(); }
  void unlock_shared() { word_.unlock_shared(); }
  std::uint64_t version() const { return LatchWord::version(word_.load(std::memory_order_acquire)); }

 private:
  LatchWord word_;
};

static_assert(LatchPolicy<PlainLatch> && sizeof(PlainLatch) == 8);

}  // namespace aegis::storage
