// SPDX-License-Identifier: Apache-2.0
// The committed transactions in what can be read of a log, in order. Behind a hole they go on where bytes were durable: each
// frame is one whole transaction, proven by its checksum. Left out are frames that a later life cut off, and what lies behind a
// torn end. Two passes: survey() learns where lives began and what was durable. One thread.
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/engine/salvage_log.hpp>
#include <aegis/storage/wal/scan.hpp>
#include <aegis/storage/wal/window.hpp>

#include <cstdint>
#include <vector>

namespace aegis::storage {

/// A committed transaction's frame. Of a log whose beginning is not known, timestamps may have their low 40 bits only.
struct SalvagedFrame {
  Lsn lsn{};
  Bytes payload{};
  Timestamp timestamp{};
  bool whole_timestamp = false;
};

template <FilePolicy Files, ChecksumPolicy Checksum>
class LogSalvage {
 public:
  using Run = SegmentRun<Files>;

  LogSalvage(DamagedLog<Files>& log, SalvageReport& report) : log_(log), report_(report) {}

  /// `from`: where the pages end; without it the newest cut that the log names, or its begin, or with `everything` always that.
  Result<void> survey(const std::optional<WalPosition>& from, bool everything) {
    from_ = from.value_or(WalPosition{});
    knows_begin_ = from.has_value();
    wanted_.max_payload = std::uint32_t{1} << 30;
    AEGIS_TRY(const bool any, find_generations());
    if (!any) {
      report_.log_lost = true;
      return {};
    }
    AEGIS_TRY(walk(from_.lsn, [&](const LogFrame& frame) { return note(frame); }));
    if (!knows_begin_ && !everything && checkpoint_number_ != 0) {
      from_.lsn = checkpoint_cut_;
      knows_begin_ = true;
      knows_time_ = false;
    }
    return {};
  }
  /// The highest that the log names; 0: none.
  std::uint64_t checkpoint_number() const { return checkpoint_number_; }

  /// fn(const SalvagedFrame&) -> Result<void>. What is missing is counted in the report, anew each time.
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    if (report_.log_lost) return {};
    Lsn reached = from_.lsn;
    bool started = knows_begin_, ended = false, whole = knows_begin_ && knows_time_;
    std::uint32_t generation = from_.generation;
    Timestamp last = from_.last;
    report_.log_holes = report_.log_lost_bytes = report_.log_undecided = 0;
    AEGIS_TRY(walk(from_.lsn, [&](const LogFrame& frame) -> Result<void> {
      if (is_stale(frame)) return {};
      const bool is_open = frame.header.type == LogFrameType::open, is_transaction = frame.header.type == LogFrameType::transaction;
      const bool goes_on = !started || frame.lsn == reached || (is_open && cut_of(frame) <= reached);
      if (!goes_on && durable_ <= reached) ended = true;
      if (ended) {
        report_.log_undecided += is_transaction;
        return {};
      }
      if (!goes_on) lost(reached, frame.lsn);
      started = true;
      reached = frame.end();
      if (is_open) last = Timestamp{number(LogOpenPayload::decode(frame.payload.data()).first) - 1};
      whole = is_open || (whole && (frame.header.generation == generation || generation == 0));
      generation = frame.header.generation;
      if (!is_open && whole) last = restore_timestamp(last, frame.header.timestamp);
      if (!is_transaction) return {};
      return fn(SalvagedFrame{frame.lsn, frame.payload, whole ? last : Timestamp{frame.header.timestamp}, whole});
    }));
    if (started && !ended && durable_ > reached) lost(reached, durable_);
    return {};
  }

 private:
  using Probe = FrameProbe<Run, Checksum>;
  struct Beginning {
    std::uint32_t generation;
    Lsn cut;
  };

  static Lsn cut_of(const LogFrame& open) { return LogOpenPayload::decode(open.payload.data()).cut; }
  void lost(Lsn from, Lsn to) {
    ++report_.log_holes;
    report_.log_lost_bytes += to - from;
  }
  /// Of a life whose end, from here on, a later one cut off.
  bool is_stale(const LogFrame& frame) const {
    for (const Beginning& beginning : beginnings_)
      if (beginning.generation > frame.header.generation && beginning.cut <= frame.lsn) return true;
    return false;
  }
  Result<void> note(const LogFrame& frame) {
    if (frame.header.durable > durable_) durable_ = frame.header.durable;
    if (frame.header.type == LogFrameType::open) {
      beginnings_.push_back({frame.header.generation, cut_of(frame)});
      if (frame.lsn > durable_) durable_ = frame.lsn;
    }
    if (frame.header.type != LogFrameType::checkpoint) return {};
    const auto checkpoint = LogCheckpointPayload::decode(frame.payload.data());
    if (checkpoint.number > checkpoint_number_) checkpoint_number_ = checkpoint.number, checkpoint_cut_ = checkpoint.cut;
    return {};
  }

  /// Frames stand at many unit boundaries; those alone are tried with every generation, so that chance finds little.
  Result<bool> find_generations() {
    bool any = false;
    wanted_.lowest_generation = 0;
    wanted_.highest_generation = max_log_generation;
    std::uint32_t lowest = max_log_generation, highest = 0;
    for (Run& run : log_.runs()) {
      Probe probe{run, log_.identity()};
      for (Lsn at{round_up(number(run.begin()), log_sector_bytes)}; at < run.end(); at = at + log_sector_bytes) {
        AEGIS_TRY(const Maybe<LogFrame> frame, frame_at(probe, at));
        if (!frame) continue;
        any = true;
        lowest = std::min(lowest, frame->header.generation);
        highest = std::max(highest, frame->header.generation);
      }
    }
    wanted_.lowest_generation = knows_begin_ ? from_.generation : lowest;
    wanted_.highest_generation = std::max(highest, wanted_.lowest_generation);
    return any;
  }

  Result<Maybe<LogFrame>> frame_at(Probe& probe, Lsn at) {
    AEGIS_TRY(const Bytes bytes, probe.window().view(at, log_frame_header_bytes));
    if (bytes.size() < log_frame_header_bytes || !may_be_frame(probe, bytes.data(), at)) return Maybe<LogFrame>{};
    auto found = probe.at(at, wanted_);
    const bool is_other = !found && (found.error().code() == Errc::corrupt_log || found.error().code() == Errc::incompatible_format);
    return is_other ? Result<Maybe<LogFrame>>{Maybe<LogFrame>{}} : std::move(found);
  }
  bool may_be_frame(Probe& probe, const std::byte* at, Lsn lsn) const {
    if (load_le<std::uint64_t>(at) == 0 && load_le<std::uint64_t>(at + 8) == 0) return false;
    const LogFrameHeader header = probe.header_at(at, lsn);
    if (!probe.plausible(header, lsn, wanted_)) return false;
    switch (header.type) {
      case LogFrameType::transaction: return true;
      case LogFrameType::pad: return header.length <= SegmentHeader::bytes;
      case LogFrameType::checkpoint: return header.length == LogCheckpointPayload::bytes;
      case LogFrameType::open: return header.length == LogOpenPayload::bytes;
      case LogFrameType::close: return header.length == 8;
      case LogFrameType::piece: return false;  // an engine writes none
    }
    return false;
  }

  /// fn(const LogFrame&) -> Result<void> for every proven frame at or after `from`.
  template <class Fn>
  Result<void> walk(Lsn from, Fn&& fn) {
    for (Run& run : log_.runs()) {
      Probe probe{run, log_.identity()};
      for (Lsn at = from > run.begin() ? from : run.begin(); at < run.end();) {
        AEGIS_TRY(const Maybe<LogFrame> frame, frame_at(probe, at));
        if (!frame) {
          at = at + 1;
          continue;
        }
        AEGIS_TRY(fn(*frame));
        at = frame->end();
      }
    }
    return {};
  }

  DamagedLog<Files>& log_;
  SalvageReport& report_;
  WalPosition from_{};
  bool knows_begin_ = false, knows_time_ = true;
  FrameWanted wanted_{};
  std::vector<Beginning> beginnings_;  // one a life
  Lsn durable_{};                      // everything below was durable once
  std::uint64_t checkpoint_number_ = 0;
  Lsn checkpoint_cut_{};
};

}  // namespace aegis::storage
