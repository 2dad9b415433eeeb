// SPDX-License-Identifier: Apache-2.0
// A checkpoint is a transaction-consistent database: the pages as they stood at one instant of the commit section,
// published by one atomic sync. Whoever needs its end (log space, a frame) may run it; commits go on beside it.
// Ideas: WiredTiger's checkpoint with a logical log, and LMDB's atomic publication.
#pragma once

#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <atomic>

namespace aegis::storage {

template <class Chosen>
class Checkpointer {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;

  explicit Checkpointer(Parts& parts) : parts_(parts) {}
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  /// Everything committed before the call is in the published store on return, and the log before it is dropped, but for
  /// one spare segment. An error before publication leaves store and log as they were; a failed sync poisons the engine.
  /// Not from inside the section.
  Result<void> run() {
    const Guard one(mutex_);
    AEGIS_TRY(run_alone());
    parts_.wal->trim();
    return {};
  }
  /// The same, unless one was published since `number` was read: then its work is done. For those who need room in the
  /// log: its segments stay as spares, for they are wanted again at once.
  Result<void> run_unless_newer(std::uint64_t number) {
    const Guard one(mutex_);
    if (completed() != number) return {};
    return run_alone();
  }
  /// Runs one and then, before any other can follow, fn() -> Result<void>: the published generation is this one.
  template <class Fn>
  Result<void> run_then(Fn&& fn) {
    const Guard one(mutex_);
    AEGIS_TRY(run_alone());
    return fn();
  }

  /// fn() -> Result<void> while no checkpoint runs: block 0 stays what it is, and the log behind it whole.
  template <class Fn>
  Result<void> run_between(Fn&& fn) {
    const Guard one(mutex_);
    return fn();
  }

  std::uint64_t completed() const { return completed_.load(std::memory_order_acquire); }
  /// Pages whose blocks stood, or were about to, when the last checkpoint was cut: those not in use now are erased by the next.
  std::uint64_t pages_at_cut() const { return pages_at_cut_.load(std::memory_order_relaxed); }
  /// Pages written back until the last checkpoint was sealed; those written since wait for the next to give their old places back.
  std::uint64_t write_backs_at_seal() const { return write_backs_at_seal_.load(std::memory_order_relaxed); }
  /// Where a replay would start.
  Lsn lsn() const { return Lsn{lsn_.load(std::memory_order_acquire)}; }
  /// After opening: what block 0 said.
  void start_from(const Meta& meta) {
    parts_.meta = meta;
    pages_at_cut_.store(standing_pages(), std::memory_order_relaxed);
    remember(meta);
  }

 private:
  Result<void> run_alone() {
    Meta next = parts_.meta;
    AEGIS_TRY(cut(next));
    if (auto written = write_old_epoch(next); !written) {
      abandon();
      return written;
    }
    AEGIS_TRY(publish());
    pages_at_cut_.store(cut_pages_, std::memory_order_relaxed);
    parts_.meta = next;
    remember(next);
    AEGIS_TRY(parts_.wal->append_checkpoint(next.checkpoint_number, next.checkpoint.lsn));
    return parts_.wal->drop_before(next.checkpoint.lsn);
  }

  /// The instant: what is dirty now belongs to this checkpoint, whatever comes after does not.
  Result<void> cut(Meta& next) {
    Token token = parts_.pool->section().enter();
    AEGIS_TRY(parts_.healthy());
    AEGIS_TRY(next.checkpoint, parts_.wal->mark());
    parts_.allocator->release(token, parts_.manager.snapshots().oldest(parts_.acknowledged()));
    parts_.allocator->take_erases(token);
    parts_.pool->begin_epoch(token);
    cut_pages_ = standing_pages();
    ++next.checkpoint_number;
    next.page_count = parts_.pool->page_count();
    next.next_table = parts_.next_table.load(std::memory_order_relaxed);
    return {};
  }

  /// Needs neither the section nor a frame.
  Result<void> write_old_epoch(const Meta& next) {
    AEGIS_TRY(parts_.pool->write_epoch());
    AEGIS_TRY(parts_.allocator->for_each_taken_erase([&](PageId page) { return parts_.backend.erase(block_of(page)); }));
    AEGIS_TRY(parts_.backend.write(meta_block, next.encode()));
    return parts_.wal->sync_to(next.checkpoint.lsn);  // the published pages hold no commit that a crash could take back
  }

  Result<void> publish() {
    const std::uint64_t written = parts_.pool->write_backs();  // none of the new epoch's before the seal
    if constexpr (SealableBackend<typename Parts::Backend>) {
      parts_.backend.seal();
      parts_.pool->seal_epoch();
    }
    const Result<void> synced = parts_.backend.sync();
    if constexpr (!SealableBackend<typename Parts::Backend>) parts_.pool->seal_epoch();
    if (!synced) parts_.fail();
    else write_backs_at_seal_.store(written, std::memory_order_relaxed);
    return synced;
  }

  /// The pool first: somebody in the section may be waiting for a frame that only this frees.
  void abandon() {
    parts_.pool->abandon_epoch();
    Token token = parts_.pool->section().enter();
    parts_.allocator->give_back_erases(token);
  }

  std::uint64_t standing_pages() const { return parts_.allocator->used_pages() + parts_.allocator->withheld(); }
  void remember(const Meta& meta) {
    lsn_.store(number(meta.checkpoint.lsn), std::memory_order_release);
    completed_.store(meta.checkpoint_number, std::memory_order_release);
  }

  Parts& parts_;
  Mutex mutex_;  // one checkpoint at a time; taken before the section
  std::uint64_t cut_pages_ = 0;  // of the one that runs
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<std::uint64_t> lsn_{0};
  std::atomic<std::uint64_t> pages_at_cut_{0}, write_backs_at_seal_{0};
};

}  // namespace aegis::storage
