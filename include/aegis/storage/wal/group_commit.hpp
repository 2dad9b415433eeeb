// SPDX-License-Identifier: Apache-2.0
// Who waits for which flush. Waiters park on the batch that will carry them: the one in flight or the one being filled.
// The end of a flush wakes its whole batch with one call and one waiter of the next batch, which then leads. No timer:
// a leader flushes as soon as the device is free, after at most a sixteenth of the last sync's duration in which the
// committers that this sync released may join it (Aether; pipelined group commit). Guarded by the Wal's mutex where said.
#pragma once

#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/mutex.hpp>

#include <atomic>
#include <cstdint>

#include <sched.h>

namespace aegis::storage {

/// Something others may wait for. `tick` is read under the mutex that also guards the condition; who changes the
/// condition announces it after the change, so no wake-up is lost.
class WakeUp {
 public:
  std::uint32_t tick() const { return ticks_.load(std::memory_order_acquire); }
  void wait(std::uint32_t tick) const { ticks_.wait(tick, std::memory_order_acquire); }
  void announce_to_all() {
    ticks_.fetch_add(1, std::memory_order_release);
    ticks_.notify_all();
  }
  void announce_to_one() {
    ticks_.fetch_add(1, std::memory_order_release);
    ticks_.notify_one();
  }

 private:
  std::atomic<std::uint32_t> ticks_{0};
};

class GroupCommit {
 public:
  using Clock = SteadyClock;
  using Lock = Guard<Mutex>;

  /// One wait of one thread; counts it once, in the batch where it first found itself.
  class Waiter {
   public:
    /// The batch that will carry `lsn`, for a thread that cannot lead. Mutex held.
    WakeUp& join(GroupCommit& group, Lsn lsn) {
      Batch& batch = group.batch_of(lsn);
      if (!counted_) batch.waiting.fetch_add(1, std::memory_order_relaxed);
      counted_ = true;
      return batch.wake_up;
    }

   private:
    bool counted_ = false;
  };

  bool leading() const { return leading_; }  ///< Mutex held.

  /// The caller has the log to itself until finish() or yield_lead(). Mutex held, nobody leading.
  void lead() { leading_ = true; }

  /// Gives the committers that the last sync released the chance to join. Unlocks meanwhile.
  void gather(Lock& lock) {
    const std::uint32_t expected = released_;
    const Clock::time_point deadline = Clock::now() + last_sync_ / 16;
    released_ = 0;
    if (expected < 2 || last_sync_ == 0) return;
    const std::atomic<std::uint32_t>& arrived = batches_[filling_].waiting;
    lock.unlock();
    while (arrived.load(std::memory_order_relaxed) < expected && Clock::now() < deadline) sched_yield();
    lock.lock();
  }

  /// Everything up to `end` is now in flight; whoever comes later joins the next batch. Mutex held.
  void depart(Lsn end) {
    flight_end_ = end;
    filling_ ^= 1u;
  }

  /// The flush ended after `took`, well or not; what it changed was changed before. Mutex held.
  void finish(Clock::duration took) {
    leading_ = false;
    last_sync_ = took;
    Batch& flown = batches_[filling_ ^ 1u];
    released_ = flown.waiting.exchange(0, std::memory_order_relaxed);
    if (released_ > 0) flown.wake_up.announce_to_all();
    hand_over();
  }

  /// Ends a lead that was no flush. Mutex held.
  void yield_lead() {
    leading_ = false;
    hand_over();
  }

  /// The log failed: everybody has to look.
  void announce_failure() {
    for (Batch& batch : batches_) batch.wake_up.announce_to_all();
  }

 private:
  struct Batch {
    WakeUp wake_up;
    std::atomic<std::uint32_t> waiting{0};  // changed under the mutex
  };

  Batch& batch_of(Lsn lsn) { return batches_[lsn <= flight_end_ ? filling_ ^ 1u : filling_]; }
  void hand_over() {
    Batch& next = batches_[filling_];
    if (next.waiting.load(std::memory_order_relaxed) > 0) next.wake_up.announce_to_one();
  }

  Batch batches_[2];
  unsigned filling_ = 0;            // the batch that appends go to; the other one is in flight, or was last
  Lsn flight_end_{};
  bool leading_ = false;
  std::uint32_t released_ = 0;      // waiters of the last flush
  Clock::duration last_sync_{};
};

}  // namespace aegis::storage
