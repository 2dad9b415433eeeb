// SPDX-License-Identifier: Apache-2.0
// Gives back committed transactions in the order of their commits. What lacks its Commit is dropped. Memory is bounded by
// the largest frame, and for transactions that were streamed over several frames by `max_payload` for all open ones.
// One thread at a time; nothing may append meanwhile.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/wal/record.hpp>
#include <aegis/storage/wal/scan.hpp>

#include <new>

namespace aegis::storage {

/// The records of one transaction: its Begin, what it changed, its Commit.
class TransactionRecords {
 public:
  TransactionRecords(Bytes payload, Lsn lsn) : reader_(payload, lsn), lsn_(lsn) {}

  Result<bool> next(LogRecord& record) {
    if (stage_ == Stage::done) return false;
    if (stage_ == Stage::begin) {
      record = {.type = LogRecordType::begin};
      stage_ = Stage::changes;
      return true;
    }
    AEGIS_TRY(const bool more, reader_.next(record));
    if (more && !has_key(record.type)) return Error{Errc::corrupt_log, "record inside the transaction at LSN", number(lsn_)};
    if (more) return true;
    record = {.type = LogRecordType::commit};
    stage_ = Stage::done;
    return true;
  }

 private:
  enum class Stage : std::uint8_t { begin, changes, done };
  RecordReader reader_;
  Lsn lsn_;
  Stage stage_ = Stage::begin;
};

struct WalTransaction {
  Timestamp timestamp{};
  TransactionId id{};  ///< As streamed; 0 for a transaction of one frame.
  Lsn lsn{}, end{};    ///< The frame with its Commit.
  Bytes payload{};     ///< Changes only; valid until the reader moves.

  TransactionRecords records() const { return {payload, lsn}; }
};

template <LogPolicy Log, ChecksumPolicy Checksum>
class WalReader {
 public:
  /// Stops at `end`: the cut that a scan found, or the log's end for a scan of its own.
  WalReader(Log& log, StoreIdentity identity, WalPosition from, Lsn end, std::uint32_t max_payload, bool salvage = false)
      : walker_(log, identity, from, max_payload, salvage), scan_(WalScan::begun_at(from)), end_(end), max_payload_(max_payload), generation_(from.generation) {}
  WalReader(WalReader&&) = default;
  ~WalReader() { drop_all(); }

  /// The next committed transaction; false at the end.
  Result<bool> next(WalTransaction& transaction) {
    for (LogFrame frame; walker_.position() < end_;) {
      AEGIS_TRY(const bool more, walker_.next(frame));
      if (!more) break;
      scan_.see(frame);
      if (frame.header.type == LogFrameType::open && frame.header.generation != generation_) {
        generation_ = frame.header.generation;
        drop_all();  // the process that streamed them is gone
      }
      if (frame.header.type == LogFrameType::transaction) {
        transaction = {frame.timestamp, {}, frame.lsn, frame.end(), frame.payload};
        return true;
      }
      if (frame.header.type != LogFrameType::piece) continue;
      AEGIS_TRY(const bool committed, take_piece(frame, transaction));
      if (committed) return true;
    }
    walker_.conclude(scan_);
    return false;
  }
  /// What was read, once next() said false.
  const WalScan& scan() const { return scan_; }

 private:
  struct Stream {
    TransactionId id{};
    FrameBuilder changes;
    Owned<Stream> next;
  };

  /// True when the piece commits its transaction.
  Result<bool> take_piece(const LogFrame& frame, WalTransaction& transaction) {
    const TransactionId id{load_le<std::uint64_t>(frame.payload.data())};
    RecordReader records{frame.payload.subspan(8), frame.lsn};
    bool ended = false, first = true;
    LogRecord record;
    while (true) {
      AEGIS_TRY(const bool more, records.next(record));
      if (!more) return false;
      if (ended || (record.type == LogRecordType::begin && !first)) return broken(frame);
      if (record.type == LogRecordType::begin) AEGIS_TRY(start(id));
      first = false;
      const Owned<Stream>* stream = find(id);
      if (stream == nullptr) return broken(frame);
      if (record.type == LogRecordType::commit) {
        LogRecord beyond;
        AEGIS_TRY(const bool trailing, records.next(beyond));
        if (trailing) return broken(frame);
        committed_ = take(id);
        transaction = {frame.timestamp, id, frame.lsn, frame.end(), committed_->changes.payload()};
        return true;
      }
      if (record.type == LogRecordType::abort) {
        take(id);
        ended = true;
      }
      if (has_key(record.type)) AEGIS_TRY(keep(**stream, record));
    }
  }

  static Error broken(const LogFrame& frame) { return Error{Errc::corrupt_log, "order of records in the frame at LSN", number(frame.lsn)}; }

  Result<void> start(TransactionId id) {
    take(id);  // an earlier one of that id never saw its Commit
    Owned<Stream> stream{new (std::nothrow) Stream};
    if (!stream) return Error{Errc::out_of_memory, "streamed transaction"};
    stream->id = id;
    stream->next = std::move(streams_);
    streams_ = std::move(stream);
    return {};
  }
  Result<void> keep(Stream& stream, const LogRecord& record) {
    const std::size_t size = FrameBuilder::record_bytes(record.type, record.table, record.key, record.value);
    if (size > max_payload_ - open_bytes_) return Error{Errc::too_large, "streamed transactions that are open at once"};
    AEGIS_TRY(stream.changes.add(record.type, record.table, record.key, record.value));
    open_bytes_ += size;
    return {};
  }
  const Owned<Stream>* find(TransactionId id) const {
    for (const Owned<Stream>* link = &streams_; *link; link = &(*link)->next)
      if ((*link)->id == id) return link;
    return nullptr;
  }
  Owned<Stream> take(TransactionId id) {
    for (Owned<Stream>* link = &streams_; *link; link = &(*link)->next) {
      if ((*link)->id != id) continue;
      Owned<Stream> taken = std::move(*link);
      *link = std::move(taken->next);
      open_bytes_ -= taken->changes.payload().size();
      return taken;
    }
    return nullptr;
  }
  void drop_all() {
    while (streams_) streams_ = std::move(streams_->next);
    open_bytes_ = 0;
  }

  LogWalker<Log, Checksum> walker_;
  WalScan scan_;
  Lsn end_;
  std::size_t max_payload_;
  std::uint32_t generation_;            // of the last frame seen
  Owned<Stream> streams_;     // begun, neither committed nor aborted
  Owned<Stream> committed_;   // what the last transaction's payload views
  std::size_t open_bytes_ = 0;          // of all streams_
};

}  // namespace aegis::storage
