// SPDX-License-Identifier: Apache-2.0
// How a page gets a frame: found, or read into one that is free or given up by another page. A page that is being read
// is already found, behind its frame's latch, so nobody reads it a second time. Whoever finds no frame waits for one,
// unless only handles of the user hold them all.
#pragma once

#include <aegis/storage/buffer/frame.hpp>
#include <aegis/storage/buffer/page_handle.hpp>
#include <aegis/storage/buffer/pool_options.hpp>
#include <aegis/storage/buffer/pool_stats.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace aegis::storage {

template <class Frames, class Writes>
class PageLoader {
 public:
  using Lock = typename Frames::Lock;

  PageLoader(Frames& frames, Writes& writes) : frames_(frames), writes_(writes) {}

  void count_hit(FrameIndex index) {
    frames_.eviction().access(index);
    hits_.add_one();
  }
  void tell(const Lock&, PoolStats& stats) const {
    stats.hits = hits_.sum();
    stats.misses = misses_;
    stats.evictions = evictions_;
  }

  /// The page, in a frame, pinned.
  Result<FramePin<Frames>> acquire(PageId id, PinKind kind) {
    for (;;) {
      if (const auto found = frames_.pin(id, kind)) {
        count_hit(*found);
        return FramePin<Frames>{frames_, *found, kind};
      }
      AEGIS_TRY(const auto loaded, load(id, kind, true));
      if (loaded) return FramePin<Frames>{frames_, *loaded, kind};
    }
  }
  /// Reads the page if that needs no waiting for a frame.
  void prefetch(PageId id) {
    if (const auto loaded = load(id, PinKind::transient, false); loaded && *loaded) frames_.unpin(**loaded, PinKind::transient);
  }

  /// Under the mutex: a claimed frame for a page that has none. Nothing: the mutex was released meanwhile and all may be different.
  Result<std::optional<FrameIndex>> take_for(Lock& lock, PageId id, PinKind kind, bool wait) {
    using Nothing = std::optional<FrameIndex>;
    if (frames_.find(id)) return Nothing{};
    AEGIS_TRY(frames_.ensure(id));
    if (const auto free = frames_.claim_free()) return free;
    const auto victim = frames_.victim([&](const auto& frame) { return !writes_.holds_back(frame); });
    if (!victim) {
      if (wait) AEGIS_TRY(wait_for_frame(lock, kind));
      return Nothing{};
    }
    if (frames_.frame(*victim).dirty.load(std::memory_order_relaxed) != clean) AEGIS_TRY(writes_.write_victim(lock, *victim));
    if (frames_.find(id) || !frames_.claimable(*victim) || !frames_.claim(*victim)) return Nothing{};
    ++evictions_;
    return victim;
  }

 private:
  // Reads the page into a frame and pins it there. Nothing: another thread did, or may have; look again.
  Result<std::optional<FrameIndex>> load(PageId id, PinKind kind, bool wait) {
    Lock lock = frames_.lock();
    AEGIS_TRY(const auto index, take_for(lock, id, kind, wait));
    if (!index) return index;
    frames_.publish(*index, id, kind, true);
    ++misses_;
    lock.unlock();
    if (const Result<void> done = fill(id, *index); !done) {
      frames_.retract(*index, kind);
      return done.error();
    }
    frames_.frame(*index).loading.store(false, std::memory_order_release);
    frames_.frame(*index).latch.unlock();
    return index;
  }
  Result<void> fill(PageId id, FrameIndex index) {
    if constexpr (Writes::reads_in_place) return writes_.io().load(id, frames_.page(index), {});
    else return writes_.with_staging([&](auto& staging) { return writes_.io().load(id, frames_.page(index), staging.scratch); });
  }

  enum class Hope { none, soon, now, after_epoch };

  // What the frames are held by, seen by somebody who found none. After the waiter was announced.
  Hope hope(PinKind kind) {
    bool soon = false, after_epoch = false;
    for (std::size_t i = 0; i < frames_.count(); ++i) {
      const auto& frame = frames_.frame(static_cast<FrameIndex>(i));
      const std::uint64_t pins = frame.pins.load(std::memory_order_seq_cst);
      if (pins == 0 && !writes_.holds_back(frame)) return Hope::now;
      if (pins == 0) after_epoch = true;
      if (frame.count_of(pins, PinKind::transient) != 0) soon = true;
      if (kind != PinKind::section && frame.count_of(pins, PinKind::section) != 0) soon = true;
    }
    return after_epoch ? Hope::after_epoch : soon ? Hope::soon : Hope::none;
  }
  Result<void> wait_for_frame(Lock& lock, PinKind kind) {
    Hope seen = hope(kind);
    // A running checkpoint needs neither section nor frame to reach its seal, so its thread gets there while this one waits.
    frames_.wait(lock, [&] { return (seen = hope(kind)) == Hope::soon || seen == Hope::after_epoch; });
    if (seen == Hope::none) return Error{Errc::pool_exhausted, "frames", frames_.count()};
    return {};
  }

  Frames& frames_;
  Writes& writes_;
  StripedCounter hits_;
  std::uint64_t misses_ = 0, evictions_ = 0;  // under the frames' mutex
};

}  // namespace aegis::storage
