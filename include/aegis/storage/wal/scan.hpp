// SPDX-License-Identifier: Apache-2.0
// Finds where the log ends. LogWalker goes from frame to frame; where none stands it looks through the whole rest of the log
// and tells a torn tail, which is cut, from a hole before bytes that were durable, which is corrupt_log. Rot in the last
// synced batch before a crash looks like a torn tail: nothing after it says that it had been durable.
// One thread at a time; nothing may append meanwhile.
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/wal/window.hpp>

#include <cstdint>

namespace aegis::storage {

/// Where reading starts, kept with every checkpoint. Without the generation a stale frame at the LSN could pass for a new one.
struct WalPosition {
  Lsn lsn{};
  Timestamp last{};              ///< The newest timestamp appended before the LSN.
  std::uint32_t generation = 0;  ///< Of the frames before the LSN; 0 in a new store.
  friend constexpr bool operator==(const WalPosition&, const WalPosition&) = default;
};

struct WalScan {
  Lsn cut{};                             ///< The end of the last frame that counts.
  Timestamp last{};                      ///< No timestamp up to this one may be used again.
  std::uint32_t generation = 0;          ///< The newest in use.
  bool clean = false;                    ///< The log ends with a clean close, or is that of a new store.
  std::uint64_t checkpoint_number = 0;   ///< The highest that the log names; 0: none.
  std::uint64_t frames = 0, transactions = 0, pieces = 0;
  std::uint64_t dropped_bytes = 0;       ///< By salvage: from the hole to the log's end; 0 otherwise.
  std::uint32_t dropped_generations = 0;

  /// The first timestamp that may be used: after an unclean end, beyond all that the lost tail can have used.
  Timestamp next_timestamp() const {
    return clean ? next(last) : Timestamp{number(last) + unclean_timestamp_gap * (std::uint64_t{dropped_generations} + 1)};
  }

  /// What is known before the first frame, and after each of them, in their order.
  static WalScan begun_at(WalPosition from) { return {.last = from.last, .clean = from.generation == 0}; }
  void see(const LogFrame& frame) {
    ++frames;
    if (frame.timestamp > last) last = frame.timestamp;
    if (frame.header.type == LogFrameType::transaction) ++transactions;
    if (frame.header.type == LogFrameType::piece) ++pieces;
    if (frame.header.type != LogFrameType::pad) clean = frame.header.type == LogFrameType::close;
    if (frame.header.type != LogFrameType::checkpoint) return;
    const auto checkpoint = LogCheckpointPayload::decode(frame.payload.data());
    if (checkpoint.number > checkpoint_number) checkpoint_number = checkpoint.number;
  }
};

template <LogPolicy Log, ChecksumPolicy Checksum>
class LogWalker {
 public:
  LogWalker(Log& log, StoreIdentity identity, WalPosition from, std::uint32_t max_payload, bool salvage = false)
      : probe_(log, identity), at_(from.lsn), earlier_(from.last), generation_(from.generation), max_payload_(max_payload), salvage_(salvage) {}

  /// False at the log's end, then position() is the cut. corrupt_log, naming the LSN, for a hole and where the log begins later.
  Result<bool> next(LogFrame& frame) {
    if (at_ < probe_.log_begin()) return Error::mismatch(Errc::corrupt_log, "begin of the log", number(at_), number(probe_.log_begin()), number(probe_.log_begin()));
    AEGIS_TRY(Maybe<LogFrame> found, probe_.at(at_, {generation_, generation_, max_payload_}));
    if (!found) {
      AEGIS_TRY(found, look_ahead(at_));
      if (!found) return false;
    }
    frame = *found;
    if (frame.header.type == LogFrameType::open) {
      const auto open = LogOpenPayload::decode(frame.payload.data());
      if (open.version != log_format_version) return Error::mismatch(Errc::incompatible_format, "log format version", log_format_version, open.version);
      earlier_ = frame.timestamp = Timestamp{number(open.first) - 1};
      generation_ = frame.header.generation;
    } else {
      frame.timestamp = earlier_ = restore_timestamp(earlier_, frame.header.timestamp);
    }
    at_ = frame.end();
    return true;
  }

  Lsn position() const { return at_; }
  /// At the log's end, for a scan that saw every frame.
  void conclude(WalScan& scan) const {
    scan.cut = at_;
    scan.dropped_bytes = dropped_bytes_;
    scan.dropped_generations = dropped_generations_;
    scan.generation = generation_ + dropped_generations_;
    scan.clean = scan.clean && dropped_bytes_ == 0;
  }

 private:
  static constexpr std::size_t stride = 64 << 10;

  /// No frame stands at `bad`. Either a later life cut the log here: its Open frame, wherever it stands, is the next one.
  /// Or something later claims durability beyond `bad`: a hole. Or neither: the torn tail, none.
  Result<Maybe<LogFrame>> look_ahead(Lsn bad) {
    if (probe_.log_end() < bad + log_frame_header_bytes) return Maybe<LogFrame>{};
    const std::uint64_t possible_opens = (probe_.log_end() - bad) / log_sector_bytes + 1;
    const std::uint64_t highest = std::min<std::uint64_t>(max_log_generation, generation_ + possible_opens);
    const FrameWanted wanted{generation_, static_cast<std::uint32_t>(highest), max_payload_};
    bool hole = false;
    for (Lsn from = bad; from + log_frame_header_bytes <= probe_.log_end();) {
      AEGIS_TRY(const Maybe<LogFrame> found, next_claim(from, bad, wanted));
      if (!found) break;
      if (!hole && continues(*found, bad)) return found;
      if (found->header.durable > bad) {
        if (!salvage_) return probe_.broken("hole in the log at LSN", bad);
        hole = true;
        note_dropped(*found, bad);
      }
      from = found->lsn + 1;
    }
    return Maybe<LogFrame>{};
  }

  bool continues(const LogFrame& frame, Lsn bad) const {
    return frame.header.type == LogFrameType::open && frame.header.generation > generation_ &&
           LogOpenPayload::decode(frame.payload.data()).cut == bad;
  }

  void note_dropped(const LogFrame& frame, Lsn bad) {
    dropped_bytes_ = probe_.log_end() - bad;
    const std::uint32_t ahead = frame.header.generation - generation_;
    if (ahead > dropped_generations_) dropped_generations_ = ahead;
  }

  /// The next proved frame at or after `from`, at whatever byte, that starts a generation or claims durability beyond `bad`;
  /// none at the log's end.
  Result<Maybe<LogFrame>> next_claim(Lsn from, Lsn bad, const FrameWanted& wanted) {
    while (true) {
      AEGIS_TRY(const Bytes bytes, probe_.window().view(from, stride + log_frame_header_bytes));
      if (bytes.size() < log_frame_header_bytes) return Maybe<LogFrame>{};
      Maybe<std::size_t> candidate;
      const std::size_t starts = bytes.size() - log_frame_header_bytes + 1;
      for (std::size_t i = past_zeros(bytes, 0); i < starts && !candidate; i = past_zeros(bytes, i + 1))
        if (promising(bytes.data() + i, from + i, bad, wanted)) candidate = i;
      if (!candidate) {
        from = from + starts;
        continue;
      }
      const Lsn lsn = from + *candidate;
      AEGIS_TRY(const Maybe<LogFrame> found, probe_.at(lsn, wanted));
      if (found) return found;
      from = lsn + 1;
    }
  }

  /// A start at or after `from`; none before it is promising, for nothing was ever written there. Most of a tail is that.
  static std::size_t past_zeros(Bytes bytes, std::size_t from) {
    constexpr std::size_t step = 64, seen = step + 16;
    for (; from + seen <= bytes.size(); from += step) {
      std::uint64_t any = load_le<std::uint64_t>(bytes.data() + from);
      if (any != 0) return from;
      for (std::size_t i = 8; i < seen; i += 8) any |= load_le<std::uint64_t>(bytes.data() + from + i);
      if (any != 0) return from;
    }
    return from;
  }
  bool promising(const std::byte* at, Lsn lsn, Lsn bad, const FrameWanted& wanted) const {
    if (load_le<std::uint64_t>(at) == 0 && load_le<std::uint64_t>(at + 8) == 0) return false;  // never written; one true frame in 2^128
    const LogFrameHeader header = probe_.header_at(at, lsn);
    if (!is_known(header.type) || !probe_.plausible(header, lsn, wanted)) return false;
    return header.durable > bad || (header.type == LogFrameType::open && header.generation > generation_);
  }

  FrameProbe<Log, Checksum> probe_;
  Lsn at_;                     // every frame before it was proved
  Timestamp earlier_;
  std::uint32_t generation_;
  std::uint32_t max_payload_;
  bool salvage_;               // a hole is taken as the end, what lies behind it is given up
  std::uint64_t dropped_bytes_ = 0;
  std::uint32_t dropped_generations_ = 0;
};

/// Goes once through the whole log from a position. corrupt_log when the log begins after it.
template <ChecksumPolicy Checksum, LogPolicy Log>
Result<WalScan> scan_log(Log& log, StoreIdentity identity, WalPosition from, std::uint32_t max_payload, bool salvage) {
  LogWalker<Log, Checksum> walker{log, identity, from, max_payload, salvage};
  WalScan scan = WalScan::begun_at(from);
  for (LogFrame frame;;) {
    AEGIS_TRY(const bool more, walker.next(frame));
    if (!more) break;
    scan.see(frame);
  }
  walker.conclude(scan);
  return scan;
}

}  // namespace aegis::storage
