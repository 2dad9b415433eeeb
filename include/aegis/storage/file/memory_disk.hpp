// SPDX-License-Identifier: Apache-2.0
// A disk in memory for tests and for stores that need not survive: MemoryBackend and MemoryLog open on it. It outlives
// them as a disk outlives a process, and it can lose power under them, backend and log at one common instant.
// Any thread.
#pragma once

#include <aegis/storage/file/memory_medium.hpp>

#include <cstdint>
#include <new>

namespace aegis::storage {

/// A copy names the same disk. Dropping a backend or log without sync is what a killed process leaves: blocks as last
/// published, the log with all that was appended.
class MemoryDisk {
 public:
  explicit MemoryDisk(MemoryDiskOptions options = {}) : medium_(new (std::nothrow) MemoryMedium(options)) {}

  /// Power fails: what was not published by sync(), and log bytes that were not synced, are gone. Backends, pins and logs
  /// that are open now answer engine_failed for ever; new ones may be opened at once.
  void crash() {
    if (medium_) medium_->crash();
  }
  /// The process dies: like crash(), but the log keeps what was appended.
  void kill() {
    if (medium_) medium_->kill();
  }
  /// crash() comes at the `calls`-th mutating call from now (write, erase, sync; append, sync, cut, drop_before of the
  /// log), which fails with engine_failed. 0 takes an earlier order
  /// back; opening does not, so a crash may come during recovery.
  void crash_after(std::uint64_t calls, CrashPoint point = CrashPoint::before_the_call) {
    if (medium_) medium_->crash_after(calls, point);
  }
  /// From now on blocks take at most so many bytes in all, images that a sync or pin still needs included.
  void limit(std::uint64_t capacity_bytes) {
    if (medium_) medium_->limit(capacity_bytes);
  }
  /// How many mutating calls there ever were.
  std::uint64_t mutating_calls() const { return medium_ ? medium_->mutating_calls() : 0; }

  const MemoryMediumRef& medium() const { return medium_; }

 private:
  MemoryMediumRef medium_;  // empty: memory was out; opening says so
};

}  // namespace aegis::storage
