// SPDX-License-Identifier: Apache-2.0
// Which pages are dirty since which epoch. A checkpoint owns what was dirty when it began: old pages; what is dirtied
// later is new and must not be written before the checkpoint is sealed. Marks are set by the holder of the section and
// cleared by whoever copied the page for writing.
#pragma once

#include <aegis/storage/buffer/frame.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

template <class FrameType>
class DirtyEpochs {
 public:
  bool running() const { return running_.load(std::memory_order_relaxed); }
  std::uint64_t pages() const { return pages_.load(std::memory_order_relaxed); }
  bool is_current(Epoch epoch) const { return epoch == Epoch{epoch_.load(std::memory_order_relaxed)}; }

  /// The running checkpoint still has to write this page as it is. Acquire, with mark()'s release: whoever sees a page
  /// clean without the mutex may change it after it was copied.
  bool is_old(const FrameType& frame) const {
    const Epoch dirty = frame.dirty.load(std::memory_order_acquire);
    return dirty != clean && running() && !is_current(dirty);
  }
  /// The page must not be written now.
  bool is_held_back(const FrameType& frame) const { return running() && is_current(frame.dirty.load(std::memory_order_relaxed)); }

  void mark(FrameType& frame) { set(frame, Epoch{epoch_.load(std::memory_order_relaxed)}); }
  void clear(FrameType& frame) { set(frame, clean); }
  /// Dirty as before, unless it was marked meanwhile.
  void restore(FrameType& frame, Epoch was) {
    Epoch expected = clean;
    if (frame.dirty.compare_exchange_strong(expected, was, std::memory_order_acq_rel)) pages_.fetch_add(1, std::memory_order_relaxed);
  }

  /// In the section and under the mutex. Returns the epoch that ended.
  Epoch begin() {
    running_.store(true, std::memory_order_relaxed);
    return Epoch{epoch_.fetch_add(1, std::memory_order_relaxed)};
  }
  /// Under the mutex. Pages still old, if any, count as any other dirty page again.
  void end() { running_.store(false, std::memory_order_relaxed); }

 private:
  void set(FrameType& frame, Epoch epoch) {
    const Epoch was = frame.dirty.exchange(epoch, std::memory_order_acq_rel);
    if (was == clean && epoch != clean) pages_.fetch_add(1, std::memory_order_relaxed);
    if (was != clean && epoch == clean) pages_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> epoch_{1};  // of changes made now
  std::atomic<std::uint64_t> pages_{0};  // frames that are not clean
  std::atomic<bool> running_{false};     // dirty pages of earlier epochs belong to an unfinished checkpoint
};

}  // namespace aegis::storage
