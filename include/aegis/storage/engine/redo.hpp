// SPDX-License-Identifier: Apache-2.0
// Applies committed transactions from the log to the pages of the last checkpoint. A window of the log is collected and the
// last operation of each key in it applied; with a maintenance thread to be, a thread applies one window while the next is
// collected. Windows take what versions and transactions, of which there are none yet, may. Nothing is published before the
// checkpoint after the opening: a crash in here costs only time. Alone, before the store is used.
#pragma once

#include <aegis/storage/core/condition.hpp>
#include <aegis/storage/engine/maintenance_thread.hpp>
#include <aegis/storage/engine/redo_pages.hpp>
#include <aegis/storage/engine/redo_window.hpp>

#include <atomic>

namespace aegis::storage {

/// What an opening did.
struct RecoveryReport {
  std::uint64_t transactions = 0;    ///< Committed ones that were applied again.
  std::uint64_t records = 0;
  std::uint64_t log_bytes = 0;       ///< Read to find them.
  bool clean = true;                 ///< The store was closed, not killed.
};

template <class Chosen>
class Redo {
 public:
  using Parts = storage::Parts<Chosen>;

  /// For a log of so many bytes at most.
  Redo(Parts& parts, std::uint64_t log_bytes)
      : parts_(parts), log_bytes_(log_bytes), pages_(parts), thread_(*this, Milliseconds{1000}), beside_(parts.options.maintenance_thread) {}

  /// In the order of their commits.
  Result<void> take(const WalTransaction& transaction) {
    ++report_.transactions;
    newest_ = std::max(newest_, transaction.timestamp);
    TransactionRecords records = transaction.records();
    for (LogRecord record;;) {
      AEGIS_TRY(const bool more, records.next(record));
      if (!more) return {};
      if (!has_key(record.type)) continue;  // the frame's own Begin and Commit
      ++report_.records;
      if (!filling().add(record)) AEGIS_TRY(make_room_for(record));
    }
  }
  /// After the last one.
  Result<RecoveryReport> finish(const WalScan& scan) {
    AEGIS_TRY(apply_all());
    thread_.stop();
    report_.clean = scan.clean;
    report_.log_bytes = scan.cut - parts_.meta.checkpoint.lsn;
    return report_;
  }

  /// The thread's: applies what was handed over.
  void maintain() {
    Guard lock(mutex_);
    if (!handed_over_) return;
    RedoWindow& window = windows_[1 - filling_];
    const Timestamp newest = handed_newest_;
    lock.unlock();
    const Result<void> done = pages_.apply(window, newest);
    lock.lock();
    handed_over_ = false;
    if (!done) failure_ = done.error();
    changed_.notify_all();
  }

 private:
  // Every window may read and write every leaf once, so where pages do not stay in the pool one large window is better.
  static constexpr std::size_t least_window_bytes = std::size_t{8} << 20, most_window_bytes = std::size_t{512} << 20;
  static constexpr std::size_t most_beside_bytes = std::size_t{24} << 20;  // the sooner the thread begins
  static constexpr std::size_t least_record_bytes = 4, write_quantum = 64;

  RedoWindow& filling() { return windows_[filling_]; }

  /// Room for a first window, for its like beside it, or in one that is applied. Also in the middle of a transaction, which
  /// nobody sees before all is applied.
  Result<void> make_room_for(const LogRecord& record) {
    if (!opened_) AEGIS_TRY(open_windows());
    else AEGIS_TRY(hand_over());
    if (filling().add(record)) return {};
    AEGIS_TRY(apply_all());
    return filling().add(record) ? Result<void>{} : pages_.apply(record, newest_);  // larger than any window
  }

  /// A log without transactions needs none, a short one no second. What running transactions may take is free now.
  Result<void> open_windows() {
    const EngineOptions& options = parts_.options;
    const std::size_t most = std::max(options.pool_bytes / 2 + options.version_bytes / 2, options.version_bytes + 2 * options.max_transaction_bytes);
    const std::uint64_t enough = log_bytes_ + log_bytes_ / least_record_bytes * RedoWindow::record_cost + 4096;
    window_bytes_ = static_cast<std::size_t>(std::min<std::uint64_t>(std::min(std::max(most, 2 * least_window_bytes), most_window_bytes), enough));
    beside_ = beside_ && enough > 2 * least_window_bytes;
    opened_ = true;
    const std::size_t bytes = beside_ ? std::min(window_bytes_ / 2, most_beside_bytes) : window_bytes_;
    AEGIS_TRY(windows_[0], RedoWindow::open(bytes));
    if (beside_) AEGIS_TRY(windows_[1], RedoWindow::open(bytes));
    return {};
  }

  /// The window that is full goes to the thread, or is applied here where there is none.
  Result<void> hand_over() {
    if (beside_ && !thread_.running()) beside_ = thread_.start().has_value();
    if (!beside_) return apply_all();
    filling().order();
    AEGIS_TRY(wait_for_thread());
    if (!pages_stay()) return go_on_alone();
    {
      const Guard lock(mutex_);
      filling_ = 1 - filling_;
      handed_newest_ = newest_;
      handed_over_ = true;
    }
    thread_.wake();
    return {};
  }
  /// False: pages that the last window needed had left the pool, and others left it for them.
  bool pages_stay() {
    const PoolStats now = parts_.pool->stats();
    const std::uint64_t back_and_forth = std::min(now.misses - seen_.misses, now.evictions - seen_.evictions);
    seen_ = now;
    return back_and_forth < now.frames / 4;
  }
  Result<void> go_on_alone() {
    AEGIS_TRY(apply_all());
    beside_ = false;
    thread_.stop();
    windows_[0] = RedoWindow{};
    windows_[1] = RedoWindow{};
    filling_ = 0;
    AEGIS_TRY(windows_[0], RedoWindow::open(window_bytes_));
    return {};
  }
  /// Who waits writes pages meanwhile, of which the thread needs the frames.
  Result<void> wait_for_thread() {
    while (handed_over_.load(std::memory_order_relaxed) && parts_.pool->dirty_pages() >= parts_.pool->frame_count() / 2) {
      AEGIS_TRY(const std::size_t written, parts_.pool->write_back(write_quantum));
      if (written == 0) break;
    }
    Guard lock(mutex_);
    changed_.wait(lock, [&] { return !handed_over_; });
    if (failure_) return *failure_;
    return {};
  }
  Result<void> apply_all() {
    filling().order();
    AEGIS_TRY(wait_for_thread());
    return pages_.apply(filling(), newest_);
  }

  Parts& parts_;
  const std::uint64_t log_bytes_;
  RecoveryReport report_;
  Timestamp newest_{};            // of the transactions collected so far
  bool opened_ = false;           // the windows
  std::size_t window_bytes_ = 0;  // for all windows
  PoolStats seen_;                // when the last window was applied
  RedoPages<Chosen> pages_;       // the thread's while a window is handed over
  RedoWindow windows_[2];

  Mutex mutex_;
  Condition changed_;
  // Under mutex_; filling_ changes only while nothing is handed over.
  int filling_ = 0;
  std::atomic<bool> handed_over_{false};  // the window that is not being filled; read outside, too
  Timestamp handed_newest_{};
  Maybe<Error> failure_;          // of the thread

  MaintenanceThread<Redo> thread_;  // stops before anything it uses goes
  bool beside_;
};

}  // namespace aegis::storage
