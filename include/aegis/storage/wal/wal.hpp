// SPDX-License-Identifier: Apache-2.0
// The stream of records on a log. open() finds the end, begin_generation() cuts it there for good, append() gives a frame
// its place and wait() makes it durable, one sync for all who wait. After the first failed write or sync nothing is written
// any more: waiting commits get commit_undecided, every later call engine_failed. reserve, wait, sync_to and what is const:
// any thread; append: one thread at a time, in the order of timestamps; open, reading and begin_generation: alone.
#pragma once

#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/wal/durability.hpp>
#include <aegis/storage/wal/frame_writer.hpp>
#include <aegis/storage/wal/group_commit.hpp>
#include <aegis/storage/wal/reader.hpp>

#include <new>

namespace aegis::storage {

struct WalOptions {
  StoreIdentity identity{};
  WalPosition from{};                         ///< The checkpoint's; the log's start in a new store.
  std::uint64_t buffer_bytes = 1 << 20;       ///< Frames that wait for a flush; one larger frame is let in alone.
  std::uint32_t max_payload_bytes = 0;        ///< Of one frame; 0: half of the log's max_bytes.
  bool salvage = false;                       ///< Take a hole as the log's end; WalScan says what was given up.
};

struct WalStats {
  std::uint64_t frames = 0;         ///< Appended in this life.
  std::uint64_t syncs = 0;
  std::uint64_t padding_bytes = 0;
  std::uint64_t buffer_memory_bytes = 0;
  std::uint64_t log_bytes = 0, log_max_bytes = 0;
};

template <LogPolicy Log, ChecksumPolicy Checksum, DurabilityPolicy Durability>
class Wal {
 public:
  using Reader = WalReader<Log, Checksum>;

  /// Scans the log from options.from. corrupt_log for a hole, a log that begins later, or broken frames; io as it came.
  static Result<Owned<Wal>> open(Log log, const WalOptions& options) {
    AEGIS_TRY(Owned<Wal> wal, prepare_to_open(std::move(log), options));
    AEGIS_TRY(wal->scan_, scan_log<Checksum>(wal->log_, options.identity, options.from, wal->max_payload_, options.salvage));
    return wal;
  }
  /// The same, and each(const WalTransaction&) -> Result<void> for every committed transaction on the way: while the log is
  /// read for the first and only time, so that what comes later in it may still be an error.
  template <class Each>
  static Result<Owned<Wal>> open(Log log, const WalOptions& options, Each&& each) {
    AEGIS_TRY(Owned<Wal> wal, prepare_to_open(std::move(log), options));
    Reader reader{wal->log_, options.identity, options.from, wal->log_.end(), wal->max_payload_, options.salvage};
    for (WalTransaction transaction;;) {
      AEGIS_TRY(const bool more, reader.next(transaction));
      if (!more) break;
      AEGIS_TRY(each(std::as_const(transaction)));
    }
    wal->scan_ = reader.scan();
    return wal;
  }
  Wal(const Wal&) = delete;
  Wal& operator=(const Wal&) = delete;

  const WalScan& scan() const { return scan_; }
  /// Committed transactions from the position the Wal was opened with, or from a later one. Before begin_generation.
  Reader reader() { return reader(options_.from); }
  Reader reader(WalPosition from) { return Reader{log_, options_.identity, from, scan_.cut, max_payload_}; }

  /// Cuts the log at scan().cut and makes Open{generation + 1} durable there. `first`, at least scan().next_timestamp(), is
  /// the smallest timestamp that this life may append. Nothing can be appended before.
  Result<void> begin_generation(Timestamp first) {
    const Guard lock{mutex_};
    if (phase_ != Phase::opened) return Error{Errc::invalid_argument, "log generation begun twice"};
    if (first <= scan_.last) return Error::mismatch(Errc::invalid_argument, "first timestamp", number(scan_.next_timestamp()), number(first));
    if (scan_.generation >= max_log_generation) return Error{Errc::too_large, "log generation", scan_.generation};
    if (Result<void> begun = writer_.start_generation(scan_.generation + 1, first, scan_.cut); !begun) {
      fail();
      return begun;
    }
    phase_ = Phase::running;
    durable_timestamp_.store(number(first) - 1, std::memory_order_release);
    durable_.store(number(writer_.end()), std::memory_order_release);
    return {};
  }

  /// Draws the checksum of a payload; any thread, best before the commit section.
  static LogPayload prepare(Bytes payload) { return {payload, LogFrameCodec<Checksum>::payload_checksum(payload)}; }

  /// Room in log and buffer for one append of that many payload bytes; to be used by it, or given back by release().
  /// May flush. too_large for a frame that is never taken, busy while the log has to be checkpointed and dropped first.
  Result<void> reserve(std::uint64_t payload_bytes) {
    if (payload_bytes > max_payload_) return Error{Errc::too_large, "log frame"};
    const std::uint64_t cost = writer_.cost(payload_bytes);
    Lock lock{mutex_};
    AEGIS_TRY(wait_for_room(lock, cost));
    reserved_ += cost;
    Result<void> done = writer_.prepare(reserved_ + slack_bytes());
    if (done) done = promise_log(lock);
    if (!done) give_back(cost);
    return done;
  }
  void release(std::uint64_t payload_bytes) {
    const Guard lock{mutex_};
    give_back(writer_.cost(payload_bytes));
  }

  /// Appends a transaction of one frame; the room was reserved. Returns its end, which is what wait() takes. The timestamp is
  /// larger than all before. invalid_argument and engine_failed change nothing; commit_undecided: it may be in the log.
  Result<Lsn> append(Timestamp timestamp, Bytes payload) { return append(timestamp, prepare(payload)); }
  Result<Lsn> append(Timestamp timestamp, LogPayload payload) { return append_as(LogFrameType::transaction, timestamp, payload); }
  /// Appends a piece of a streamed transaction (FrameBuilder::start_piece). A timestamp with the piece that holds the Commit,
  /// never_committed with all others.
  Result<Lsn> append_piece(Timestamp timestamp, Bytes payload) { return append_as(LogFrameType::piece, timestamp, prepare(payload)); }

  /// A commit's wait: returns as Durability says, or commit_undecided.
  Result<void> wait(Lsn lsn) {
    if constexpr (Durability::wait)
      if (!sync_to(lsn)) return Error{Errc::commit_undecided, "commit at LSN", number(lsn)};
    return {};
  }

  /// Everything before `lsn` survives a power cut on return, whatever the durability.
  Result<void> sync_to(Lsn lsn) {
    for (GroupCommit::Waiter waiter; durable() < lsn;) {
      Lock lock{mutex_};
      if (durable() >= lsn) break;
      AEGIS_TRY(usable());
      if (lsn > writer_.end()) return Error{Errc::invalid_argument, "sync beyond the log's end", number(lsn)};
      WakeUp& wake_up = waiter.join(group_, lsn);
      if (!group_.leading()) {
        AEGIS_TRY(flush(lock));
        continue;
      }
      const std::uint32_t tick = wake_up.tick();
      lock.unlock();
      wake_up.wait(tick);
    }
    return {};
  }

  /// Where a checkpoint cuts: the end, brought to a unit's end so that a log may start there. In the commit section.
  Result<WalPosition> mark() {
    const Guard lock{mutex_};
    AEGIS_TRY(usable());
    AEGIS_TRY(writer_.prepare(reserved_ + slack_bytes()));
    if (Result<void> padded = writer_.pad(durable()); !padded) return failed_with(padded.error());
    return WalPosition{writer_.end(), writer_.last(), writer_.generation()};
  }

  /// Says in the log, durably on return, that a checkpoint with this number was published.
  Result<Lsn> append_checkpoint(std::uint64_t number, Lsn cut) {
    std::array<std::byte, LogCheckpointPayload::bytes> payload;
    LogCheckpointPayload{number, cut}.encode(payload.data());
    return append_and_sync(LogFrameType::checkpoint, payload);
  }
  /// Forgets what lies before `lsn`; the LSN of the last published checkpoint at most.
  Result<void> drop_before(Lsn lsn) {
    Lock lock{mutex_};
    while (group_.leading()) wait_for_change(lock);
    AEGIS_TRY(usable());
    group_.lead();
    if constexpr (Durability::wait) lock.unlock();  // appends go to the buffer; without one they have to stay out
    Result<void> dropped = log_.drop_before(lsn);
    if constexpr (Durability::wait) lock.lock();
    group_.yield_lead();
    changed();
    return dropped;
  }

  /// Reads again what is durable from a checkpoint's position on. corrupt_log, naming the LSN, where that is no unbroken chain
  /// of frames. Appends go on beside it; drop_before must not.
  Result<void> check(const WalPosition& from) {
    const Lsn end = durable();
    if (from.lsn < log_.begin() || from.lsn > end) return Error{Errc::corrupt_log, "checkpoint where the log cannot be, at LSN", number(from.lsn)};
    LogWalker<Log, Checksum> walker{log_, options_.identity, from, max_payload_};
    for (LogFrame frame; walker.position() < end;) {
      AEGIS_TRY(const bool more, walker.next(frame));
      if (!more) return Error{Errc::corrupt_log, "frame of the log at LSN", number(walker.position())};
    }
    return {};
  }

  /// Whether prepare_spare() would save a committer the making of a log segment; cheap. Any thread, as trim().
  bool spare_due() const {
    if constexpr (SparingLog<Log>) return log_.spare_due();
    else return false;
  }
  Result<void> prepare_spare() {
    if constexpr (SparingLog<Log>) return log_.prepare_spare();
    else return {};
  }
  /// Gives back spare segments but one, and what is reserved. Failing harms nothing.
  void trim() { trim(true); }

  /// Makes everything durable and marks the end as clean; `last` is the newest timestamp in use. Nothing can follow.
  Result<void> close(Timestamp last) {
    std::array<std::byte, 8> payload;
    store_le(payload.data(), number(last));
    {
      const Guard lock{mutex_};
      if (phase_ == Phase::opened) phase_ = Phase::closed;
      if (phase_ == Phase::closed) return {};
      if (last < writer_.last()) return Error::mismatch(Errc::invalid_argument, "last timestamp", number(writer_.last()), number(last));
    }
    AEGIS_TRY(sync_to(end()));
    AEGIS_TRY(append_and_sync(LogFrameType::close, payload, last));
    {
      const Guard lock{mutex_};
      phase_ = Phase::closed;
    }
    trim(false);
    return {};
  }

  Lsn end() const {
    const Guard lock{mutex_};
    return writer_.end();
  }
  Lsn durable() const { return Lsn{durable_.load(std::memory_order_acquire)}; }
  /// The newest commit whose frame is durable; set before anybody who waited for it returns.
  Timestamp durable_timestamp() const { return Timestamp{durable_timestamp_.load(std::memory_order_acquire)}; }
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  WalStats stats() {
    const Guard lock{mutex_};
    return {frames_, syncs_, writer_.padding_bytes(), writer_.buffer().memory_bytes(), log_.used_bytes(), log_.max_bytes()};
  }

 private:
  using Lock = Guard<Mutex>;
  enum class Phase : std::uint8_t { opened, running, closed };

  static Result<Owned<Wal>> prepare_to_open(Log log, const WalOptions& options) {
    Owned<Wal> wal{new (std::nothrow) Wal(std::move(log), options)};
    if (!wal) return Error{Errc::out_of_memory, "wal"};
    AEGIS_TRY(wal->writer_.open());
    return wal;
  }
  Wal(Log log, const WalOptions& options)
      : log_(std::move(log)), options_(options), max_payload_(payload_limit(log_, options)), writer_(log_, options.identity) {}

  static std::uint32_t payload_limit(const Log& log, const WalOptions& options) {
    const std::uint64_t wanted = options.max_payload_bytes != 0 ? options.max_payload_bytes : log.max_bytes() / 2;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, std::uint32_t{1} << 30));
  }
  /// Always left over in the log, so that a checkpoint's frame, its padding and a clean close find room when commits do not.
  std::uint64_t slack_bytes() const { return 8 * std::uint64_t{writer_.unit_bytes()} + 256; }

  Result<void> usable() const {
    if (failed()) return Error{Errc::engine_failed, "log"};
    if (phase_ != Phase::running) return Error{Errc::engine_failed, phase_ == Phase::closed ? "closed log" : "log before its generation began"};
    return {};
  }

  void trim(bool keep_promised) {
    if constexpr (SparingLog<Log>) static_cast<void>(log_.trim(keep_promised));
  }

  Result<Lsn> append_as(LogFrameType type, Timestamp timestamp, LogPayload payload) {
    const Guard lock{mutex_};
    AEGIS_TRY(usable());
    const std::uint64_t cost = writer_.cost(payload.bytes.size());
    if (cost > reserved_) return Error{Errc::invalid_argument, "append without reserve"};
    if (type == LogFrameType::piece && timestamp == never_committed)
      timestamp = writer_.last();
    else if (timestamp <= writer_.last())
      return Error::mismatch(Errc::invalid_argument, "timestamp of a commit", number(writer_.last()) + 1, number(timestamp));
    if (Result<void> put = writer_.put(type, timestamp, payload, durable()); !put) return failed_with(Error{Errc::commit_undecided, "append"});
    ++frames_;
    give_back(cost);
    return writer_.end();
  }

  Result<Lsn> append_and_sync(LogFrameType type, Bytes payload, Timestamp timestamp = never_committed) {
    const LogPayload prepared = prepare(payload);
    Lsn end;
    {
      const Guard lock{mutex_};
      AEGIS_TRY(usable());
      AEGIS_TRY(writer_.prepare(reserved_ + slack_bytes()));
      if (timestamp < writer_.last()) timestamp = writer_.last();
      if (Result<void> put = writer_.put(type, timestamp, prepared, durable()); !put) return failed_with(put.error());
      end = writer_.end();
    }
    AEGIS_TRY(sync_to(end));
    return end;
  }

  /// Leads one flush: everything appended until it departs is durable on return. Mutex held, nobody leading.
  Result<void> flush(Lock& lock) {
    group_.lead();
    if constexpr (Durability::wait) group_.gather(lock);
    Result<void> done = writer_.pad(durable());
    const Lsn end = writer_.end();
    const Timestamp last = writer_.last();
    const LogBuffer::Batch batch = writer_.buffer().take();
    group_.depart(end);
    lock.unlock();
    const GroupCommit::Clock::time_point start = GroupCommit::Clock::now();
    if (done) done = writer_.write(batch);
    if (done) done = log_.sync();
    const GroupCommit::Clock::duration took = GroupCommit::Clock::now() - start;
    lock.lock();
    writer_.buffer().give_back(batch, reserved_);
    if (done && !failed()) {
      ++syncs_;
      durable_timestamp_.store(number(last), std::memory_order_release);
      durable_.store(number(end), std::memory_order_release);
    } else {
      fail();
      if (done) done = Error{Errc::engine_failed, "log"};
    }
    group_.finish(took);
    changed();
    return done;
  }

  /// Waits until the buffer has room for `cost`, flushing it where nobody else does.
  Result<void> wait_for_room(Lock& lock, std::uint64_t cost) {
    while (true) {
      AEGIS_TRY(usable());
      if constexpr (!Durability::wait) return {};
      const std::uint64_t held = writer_.buffer().held_bytes();
      if (held + reserved_ == 0 || held + reserved_ + cost <= options_.buffer_bytes) return {};
      if (held > 0 && !group_.leading())
        AEGIS_TRY(flush(lock));
      else
        wait_for_change(lock);
    }
  }

  /// Lets the log promise room for everything that is reserved, some more at a time so that it is seldom asked.
  Result<void> promise_log(Lock& lock) {
    while (true) {
      const Lsn wanted = writer_.end() + reserved_ + slack_bytes();
      if (wanted <= promised_) return {};
      lock.unlock();
      const Lsn from = log_.end();
      const std::uint64_t bytes = wanted > from ? wanted - from : 0, generous = bytes + options_.buffer_bytes / 4;
      Lsn until = from + generous;
      Result<void> promised = log_.reserve(generous);
      if (!promised && (promised.error().code() == Errc::busy || promised.error().code() == Errc::no_space)) {
        until = from + bytes;
        promised = log_.reserve(bytes);
      }
      lock.lock();
      if (!promised) return promised;
      if (until > promised_) promised_ = until;
    }
  }

  void give_back(std::uint64_t cost) {
    AEGIS_ASSERT(cost <= reserved_);
    reserved_ -= cost;
    if (room_waiters_ > 0) changed();
  }
  void wait_for_change(Lock& lock) {
    const std::uint32_t tick = room_.tick();
    ++room_waiters_;
    lock.unlock();
    room_.wait(tick);
    lock.lock();
    --room_waiters_;
  }
  void changed() {
    if (room_waiters_ > 0) room_.announce_to_all();
  }

  Error failed_with(Error error) {
    fail();
    return error;
  }
  void fail() {
    failed_.store(true, std::memory_order_release);
    group_.announce_failure();
    changed();
  }

  Log log_;
  WalOptions options_;
  std::uint32_t max_payload_;
  WalScan scan_;
  mutable Mutex mutex_;                       // guards all below but the atomics; never held over a write or sync, but for unbuffered appends
  Phase phase_ = Phase::opened;
  FrameWriter<Log, Checksum, Durability::wait> writer_;
  GroupCommit group_;                              // who leads has the log's append (if buffered), sync and drop_before to itself
  WakeUp room_;                                    // announced when buffer or log may have room, or the lead is free
  std::uint32_t room_waiters_ = 0;
  std::uint64_t reserved_ = 0;                     // cost of the appends that may still come
  Lsn promised_{};                                 // the log has room up to here
  std::uint64_t frames_ = 0, syncs_ = 0;
  std::atomic<std::uint64_t> durable_{0};          // a unit's end; never ahead of what the log made durable
  std::atomic<std::uint64_t> durable_timestamp_{0};
  std::atomic<bool> failed_{false};                // once set, for ever
};

}  // namespace aegis::storage
