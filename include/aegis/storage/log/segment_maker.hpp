// SPDX-License-Identifier: Apache-2.0
// The files of a log: how large the next one is, and the making, naming and removing of them. A file has a spare name only
// when all of it is written and durable, a wal name only when its header is; each change of a name is synced. It does not
// know which segments there are. Any thread, for different segments.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/log/segment_file.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class SegmentMaker {
 public:
  using Segment = SegmentFile<Files>;
  using Directory = typename Files::Directory;

  static constexpr std::uint32_t unit_bytes = SegmentHeader::bytes;

  SegmentMaker(Directory directory, const LogOptions& options)
      : directory_(std::move(directory)), max_bytes_(options.max_bytes), fixed_size_(options.segment_bytes != 0), process_durable_(options.process_durable) {
    const std::uint64_t whole = (fixed_size_ ? options.segment_bytes : options.max_bytes / 8) / unit_bytes * unit_bytes;
    segment_bytes_ = whole > Segment::smallest_bytes ? whole : Segment::smallest_bytes;
  }

  Directory& directory() { return directory_; }
  std::uint64_t max_bytes() const { return max_bytes_; }
  bool process_durable() const { return process_durable_; }
  bool direct() const { return !process_durable_; }
  /// After a failed sync of the directory, or a rename of which nobody can tell whether it was done, nothing is known of
  /// names any more, and none may be relied on.
  bool failed() const { return failed_.load(std::memory_order_acquire); }

  /// No spare that is made later gets this number: a file that is there has it. Before any other thread knows of the log,
  /// or for a number that was drawn here. Numbers that are found are below SegmentName::spare_limit, so none is ever the last.
  void leave_out(std::uint64_t id) {
    AEGIS_ASSERT(id != ~std::uint64_t{0});
    if (id >= next_spare_.load(std::memory_order_relaxed)) next_spare_.store(id + 1, std::memory_order_relaxed);
  }

  /// Of the next file when all others take `total` bytes; 0: max_bytes leaves no room. Unless the user named a size, files
  /// grow with the log, so that a small store has a small log.
  std::uint64_t next_size(std::uint64_t total) const {
    constexpr std::uint64_t modest = std::uint64_t{1} << 20;
    const std::uint64_t left = total < max_bytes_ ? max_bytes_ - total : 0;
    if (fixed_size_) return segment_bytes_ <= left ? segment_bytes_ : 0;
    std::uint64_t size = total < modest ? modest : total / unit_bytes * unit_bytes;
    if (size > segment_bytes_) size = segment_bytes_;
    if (size <= left) return size;
    const std::uint64_t rest = left / unit_bytes * unit_bytes;
    return rest >= Segment::smallest_bytes && rest >= segment_bytes_ / 16 ? rest : 0;
  }
  /// Of a file that must be had even when max_bytes leaves no room.
  std::uint64_t least_size() const {
    const std::uint64_t quarter = segment_bytes_ / 4 / unit_bytes * unit_bytes;
    return quarter > Segment::smallest_bytes ? quarter : Segment::smallest_bytes;
  }

  /// A spare, durable under its name and ready to be written. A failure leaves none.
  Result<Owned<Segment>> make(std::uint64_t size) {
    const std::uint64_t id = draw_spare_id();
    auto made = Segment::make(directory_, id, size, direct());
    if (!made) {
      static_cast<void>(directory_.unlink(SegmentName{SegmentRole::fresh, id}));  // the next open removes it otherwise
      return made;
    }
    const SegmentName fresh{SegmentRole::fresh, id}, spare{SegmentRole::spare, id};
    if (auto named = directory_.rename(fresh, spare); !named) {
      if (!directory_.unlink(fresh)) static_cast<void>(directory_.unlink(spare));  // a rename that fails may have been done
      return named.error();
    }
    AEGIS_TRY(sync_directory());
    (*made)->prepare(process_durable_);  // here, not in the append that comes to it
    return made;
  }
  /// A spare becomes the segment that `header` says. `buffer` holds a header's bytes.
  Result<void> enter(Segment& spare, SegmentHeader header, MutableBytes buffer) {
    const SegmentName old_name{SegmentRole::spare, spare.id()};
    header.unit_bytes = unit_bytes;
    spare.prepare(process_durable_);
    AEGIS_TRY(spare.become(header, buffer));
    AEGIS_TRY(directory_.rename(old_name, SegmentName{SegmentRole::wal, header.sequence}));
    return sync_directory();
  }
  /// A segment's file leaves the log for good; the number it has as a spare, which is to be given to it. Unless failed(), an
  /// error leaves it in the log.
  Result<std::uint64_t> retire(const Segment& segment) {
    const std::uint64_t spare = draw_spare_id();
    const SegmentName name{SegmentRole::wal, segment.id()};
    if (auto renamed = directory_.rename(name, SegmentName{SegmentRole::spare, spare}); !renamed) {
      const auto stays = directory_.exists(name);  // a rename that fails may have been done
      if (!stays) failed_.store(true, std::memory_order_release);
      if (!stays || *stays) return renamed.error();
    }
    AEGIS_TRY(sync_directory());
    return spare;
  }
  /// Not synced: a spare that comes back after a crash is a spare.
  Result<void> remove(const Segment& spare) { return directory_.unlink(SegmentName{SegmentRole::spare, spare.id()}); }

 private:
  Result<void> sync_directory() {
    auto done = directory_.sync();
    if (!done) failed_.store(true, std::memory_order_release);
    return done;
  }
  std::uint64_t draw_spare_id() { return next_spare_.fetch_add(1, std::memory_order_relaxed); }

  Directory directory_;
  std::uint64_t max_bytes_;
  std::uint64_t segment_bytes_ = 0;  // of a full-sized segment
  bool fixed_size_;                  // every new file is of that size
  bool process_durable_;
  std::atomic<std::uint64_t> next_spare_{1};
  std::atomic<bool> failed_{false};
};

}  // namespace aegis::storage
