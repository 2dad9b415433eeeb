// SPDX-License-Identifier: Apache-2.0
// CLOCK (Corbato 1968): a hand goes round, a frame accessed since its last visit is passed over once. An access stores
// a byte, and only when it is clear, so hot frames cost no shared write. New frames start clear: what a scan reads
// once goes before what is used again.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/eviction/policy.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace aegis::storage {

class ClockEviction {
 public:
  static constexpr Axis axis = Axis::eviction;
  static constexpr std::string_view name = "clock";

  ClockEviction() = default;
  ClockEviction(const ClockEviction&) = delete;
  ClockEviction& operator=(const ClockEviction&) = delete;

  Result<void> resize(std::size_t frames) {
    accessed_.reset(new (std::nothrow) std::atomic<bool>[frames]());
    admitted_.reset(new (std::nothrow) bool[frames]());
    if (!accessed_ || !admitted_) return Errc::out_of_memory;
    frames_ = frames;
    return {};
  }
  void admit(FrameIndex frame) {
    accessed_[frame].store(false, std::memory_order_relaxed);
    admitted_[frame] = true;
  }
  void remove(FrameIndex frame) { admitted_[frame] = false; }
  void access(FrameIndex frame) {
    if (!accessed_[frame].load(std::memory_order_relaxed)) accessed_[frame].store(true, std::memory_order_relaxed);
  }
  /// Two rounds: the first may only clear; should others access everything meanwhile, the second takes the first it can.
  template <class Evictable>
  std::optional<FrameIndex> victim(Evictable&& evictable) {
    for (std::size_t step = 0; step < 2 * frames_; ++step) {
      const FrameIndex frame = static_cast<FrameIndex>(hand_);
      hand_ = hand_ + 1 == frames_ ? 0 : hand_ + 1;
      if (!admitted_[frame] || !evictable(frame)) continue;
      if (step >= frames_ || !accessed_[frame].load(std::memory_order_relaxed)) return frame;
      accessed_[frame].store(false, std::memory_order_relaxed);
    }
    return std::nullopt;
  }

 private:
  Owned<std::atomic<bool>[]> accessed_;  // by frame; any thread
  Owned<bool[]> admitted_;               // by frame; the lock's holder only
  std::size_t frames_ = 0;
  std::size_t hand_ = 0;                           // the next frame to look at
};

static_assert(EvictionPolicy<ClockEviction>);

}  // namespace aegis::storage
