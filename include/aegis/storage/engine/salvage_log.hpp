// SPDX-License-Identifier: Apache-2.0
// The segments of a log of which any may be damaged or missing: unbroken runs of them, each readable as a log of its own.
// A segment without a readable header is placed by its neighbours; frames say themselves whether that was right, their LSN is
// in their checksums. Never writes; one file is open at a time. One thread.
#pragma once

#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/engine/salvage_report.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/log/segment.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis::storage {

/// Segments that follow each other without a gap: a log that can only be read.
template <FilePolicy Files>
class SegmentRun {
 public:
  using Directory = typename Files::Directory;
  static constexpr Axis axis = Axis::log;
  static constexpr std::string_view name = "salvage";
  static constexpr bool durable_medium = true;

  struct Segment {
    std::uint64_t sequence = 0;
    Lsn first{};
    Lsn limit{};
    bool placed = false;
    StoreIdentity identity{};  ///< {} without a readable header.
    bool restart = false;
  };

  SegmentRun(Directory& directory, std::vector<Segment> segments) : directory_(&directory), segments_(std::move(segments)) {}

  /// What cannot be read of the file is zeros, which are no frame.
  Result<std::size_t> read(Lsn lsn, MutableBytes into) {
    for (const Segment& segment : segments_) {
      if (lsn < segment.first || lsn >= segment.limit) continue;
      if (into.size() > segment.limit - lsn) into = into.first(static_cast<std::size_t>(segment.limit - lsn));
      if (!file_ || open_ != segment.sequence) AEGIS_TRY(file_, opened(segment.sequence));
      open_ = segment.sequence;
      const std::uint64_t offset = SegmentHeader::bytes + (lsn - segment.first);
      constexpr std::size_t step = 4096;
      for (std::size_t at = 0; at < into.size(); at += step) {
        const MutableBytes part = into.subspan(at, std::min(step, into.size() - at));
        const auto got = file_->read_at(offset + at, part);
        const std::size_t good = got ? *got : 0;
        std::memset(part.data() + good, 0, part.size() - good);
      }
      return into.size();
    }
    return std::size_t{0};
  }
  Lsn begin() const { return segments_.front().first; }
  Lsn end() const { return segments_.back().limit; }
  Lsn durable() const { return end(); }
  std::uint32_t unit_bytes() const { return SegmentHeader::bytes; }
  std::uint64_t used_bytes() const { return end() - begin(); }
  std::uint64_t max_bytes() const { return used_bytes(); }

  Result<void> append(Bytes) { return refuse(); }
  Result<void> sync() { return refuse(); }
  Result<void> cut(Lsn) { return refuse(); }
  Result<void> drop_before(Lsn) { return refuse(); }
  Result<void> reserve(std::uint64_t) { return refuse(); }

 private:
  using File = typename Files::File;

  static Result<void> refuse() { return Error{Errc::read_only, "log that is salvaged"}; }
  Result<std::optional<File>> opened(std::uint64_t sequence) {
    AEGIS_TRY(File file, directory_->open(SegmentName{SegmentRole::wal, sequence}, {.read_only = true}));
    return std::optional<File>{std::move(file)};
  }

  Directory* directory_;
  std::vector<Segment> segments_;  // ascending, each ending where the next one begins
  std::optional<File> file_;       // of the segment numbered open_
  std::uint64_t open_ = 0;
};

template <FilePolicy Files>
class DamagedLog {
 public:
  using Directory = typename Files::Directory;
  using Run = SegmentRun<Files>;
  using Segment = typename Run::Segment;

  DamagedLog(Directory& directory, SalvageReport& report) : directory_(directory), report_(report) {}

  /// Whose log it is when block 0 cannot say: the newest readable header's store. Segments of any other are left out.
  Result<void> open(std::optional<StoreIdentity> identity) {
    AEGIS_TRY(const std::vector<std::string> names, directory_.list());
    for (const std::string& name : names)
      if (const auto sequence = SegmentName::parse(SegmentRole::wal, name)) AEGIS_TRY(look_at(*sequence));
    sort(segments_.data(), segments_.size(), [](const Segment& a, const Segment& b) { return a.sequence < b.sequence; });
    for (std::size_t i = segments_.size(); !identity && i-- > 0;)
      if (segments_[i].placed) identity = segments_[i].identity;
    if (identity) identity_ = *identity;
    leave_out_others();
    place_by_neighbours();
    make_runs();
    return {};
  }
  bool empty() const { return runs_.empty(); }
  StoreIdentity identity() const { return identity_; }
  std::vector<Run>& runs() { return runs_; }

 private:
  Result<void> look_at(std::uint64_t sequence) {
    Segment segment{.sequence = sequence};
    auto file = directory_.open(SegmentName{SegmentRole::wal, sequence}, {.read_only = true});
    if (!file) return report_.damaged(file.error()), Result<void>{};
    const auto size = file->size();
    if (!size) return report_.damaged(size.error()), Result<void>{};
    if (*size <= SegmentHeader::bytes) return report_.damaged(Error{Errc::corrupt_log, "size of log segment", sequence}), Result<void>{};
    std::array<std::byte, SegmentHeader::bytes> image{};
    const auto got = file->read_at(0, image);
    const auto header = got ? SegmentHeader::decode(image, sequence) : Result<SegmentHeader>{got.error()};
    if (header && header->segment_bytes != *size) report_.damaged(Error::mismatch(Errc::corrupt_log, "size of log segment", header->segment_bytes, *size, sequence));
    if (header) segment = {.sequence = sequence, .first = header->first, .placed = true, .identity = header->identity, .restart = header->restart};
    else report_.damaged(header.error());
    segment.limit = segment.first + (*size - SegmentHeader::bytes);
    segments_.push_back(segment);
    return {};
  }

  void leave_out_others() {
    std::vector<Segment> kept;
    for (const Segment& segment : segments_) {
      if (segment.placed && !(segment.identity == identity_)) {
        report_.damaged(Error::foreign("store id of log segment", identity_.store, segment.identity.store, segment.sequence));
        continue;
      }
      if (segment.restart) kept.clear();  // leftovers
      kept.push_back(segment);
    }
    segments_ = std::move(kept);
  }
  static void move_to(Segment& segment, Lsn first) {
    segment.limit = first + (segment.limit - segment.first);
    segment.first = first;
    segment.placed = true;
  }
  void place_by_neighbours() {
    for (std::size_t i = 1; i < segments_.size(); ++i)
      if (!segments_[i].placed && segments_[i - 1].placed && segments_[i].sequence == segments_[i - 1].sequence + 1) move_to(segments_[i], segments_[i - 1].limit);
    for (std::size_t i = segments_.size(); i-- > 1;) {
      const std::uint64_t room = segments_[i - 1].limit - segments_[i - 1].first;
      if (!segments_[i - 1].placed && segments_[i].placed && segments_[i].sequence == segments_[i - 1].sequence + 1 && number(segments_[i].first) >= room)
        move_to(segments_[i - 1], Lsn{number(segments_[i].first) - room});
    }
  }
  void make_runs() {
    std::vector<Segment> run;
    const auto finish = [&] {
      if (!run.empty()) runs_.emplace_back(directory_, std::move(run));
      run = {};
    };
    Lsn reached{};
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      Segment segment = segments_[i];
      const bool overflows = number(segment.limit) < number(segment.first);
      if (!segment.placed || overflows || segment.first < reached) {
        if (segment.placed) report_.damaged(Error{Errc::corrupt_log, "first LSN of log segment", segment.sequence});
        continue;
      }
      const Lsn next = i + 1 < segments_.size() && segments_[i + 1].placed ? segments_[i + 1].first : segment.limit;
      if (next > segment.first && next < segment.limit) segment.limit = next;
      if (!run.empty() && run.back().limit != segment.first) finish();
      reached = segment.limit;
      run.push_back(segment);
    }
    finish();
  }

  Directory& directory_;
  SalvageReport& report_;
  StoreIdentity identity_{};
  std::vector<Segment> segments_;
  std::vector<Run> runs_;  // ascending
};

}  // namespace aegis::storage
