// SPDX-License-Identifier: Apache-2.0
// The segments of a FileLog in order, and its spares. Whatever call the process dies in, the files named wal-* form an
// unbroken chain with durable headers: a name is given only to a finished file, and given or taken one at a time, each
// time with the directory synced. One appender (advance, cut); reserve, drop_before and at from any thread beside it.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/log/segment_file.hpp>
#include <aegis/storage/log/segment_queue.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class SegmentChain {
 public:
  using Segment = SegmentFile<Files>;
  using Directory = typename Files::Directory;

  static constexpr std::uint32_t unit_bytes = SegmentHeader::bytes;

  SegmentChain(Directory directory, const LogOptions& options)
      : directory_(std::move(directory)), identity_(options.identity), max_bytes_(options.max_bytes), process_durable_(options.process_durable) {
    const std::uint64_t wanted = options.segment_bytes != 0 ? options.segment_bytes : options.max_bytes / 8;
    const std::uint64_t whole = wanted / unit_bytes * unit_bytes;
    segment_bytes_ = whole > Segment::smallest_bytes ? whole : Segment::smallest_bytes;
    fixed_size_ = options.segment_bytes != 0;
  }
  SegmentChain(const SegmentChain&) = delete;

  /// What a new chain is given by whoever reads the directory, before any other thread knows of it.
  Directory& directory() { return directory_; }
  bool direct() const { return !process_durable_; }
  Result<void> add_spare(std::unique_ptr<Segment> spare, std::uint64_t id) {
    spare->set_id(id);
    const std::lock_guard guard{mutex_};
    const std::size_t count = chain_.size() + spares_.size() + 1;
    if (!chain_.ensure(count) || !spares_.ensure(count)) return Error{Errc::out_of_memory, "opening of log segment", spare->id()};
    leave_out(id);
    total_bytes_ += spare->size_bytes();
    spares_.push_back(std::move(spare));
    set_room();
    return {};
  }
  Result<void> add_segment(std::unique_ptr<Segment> segment, const SegmentHeader& header) {
    segment->adopt(header);
    const std::lock_guard guard{mutex_};
    const std::size_t count = chain_.size() + spares_.size() + 1;
    if (!chain_.ensure(count) || !spares_.ensure(count)) return Error{Errc::out_of_memory, "opening of log segment", header.sequence};
    if (!chain_.empty()) tail_->end_at(header.first);
    if (chain_.empty()) begin_.store(number(header.first), std::memory_order_release);
    total_bytes_ += segment->size_bytes();
    tail_ = segment.get();
    chain_.push_back(std::move(segment));
    set_room();
    return {};
  }
  /// No spare gets this number: a file that is still there has it.
  void leave_out(std::uint64_t id) {
    if (id >= next_spare_) next_spare_ = id + 1;
  }
  /// The first segment of a log, or of one that begins again: leftovers below `sequence` count no more once it is there.
  Result<void> start(Lsn first, std::uint64_t sequence) { return link({.identity = identity_, .first = first, .sequence = sequence, .restart = true}); }

  /// Makes spares until everything up to `target` can be appended and one spare is still left. busy at max_bytes; a
  /// failure to make one harms nothing. No lock and no system call when there is room already.
  Result<void> reserve(Lsn target) {
    if (number(target) <= room_.load(std::memory_order_acquire)) return {};
    const std::lock_guard one_maker{making_};
    while (number(target) > room_.load(std::memory_order_acquire)) AEGIS_TRY(make_spare());
    return {};
  }

  /// A spare becomes the segment that begins at `first`, the end of the last one. A spare is there when reserve() covers
  /// more than the last segment holds; otherwise one is made, and that may fail.
  Result<void> advance(Lsn first) {
    if (first != tail_->limit()) tail_->end_at(first);  // only under cut(), when nobody else looks
    return link({.identity = identity_, .first = first, .sequence = tail_->id() + 1});
  }

  /// Only whole segments that end at or below `lsn`, never the last one.
  Result<void> drop_before(Lsn lsn) {
    const std::lock_guard one_dropper{dropping_};
    for (;;) {
      Segment* first = nullptr;
      {
        const std::lock_guard guard{mutex_};
        if (chain_.size() < 2 || chain_.front().limit() > lsn) return {};
        first = &chain_.front();
      }
      AEGIS_TRY(const std::uint64_t spare, retire(*first));
      const std::lock_guard guard{mutex_};
      first->set_id(spare);
      spares_.push_back(chain_.pop_front());
      begin_.store(number(chain_.front().first()), std::memory_order_release);
      set_room();
    }
  }

  /// The chain goes on at `lsn`, a multiple of the unit not below begin(); nobody syncs or drops meanwhile.
  Result<void> cut(Lsn lsn) {
    while (chain_.size() > 1 && tail_->first() >= lsn) AEGIS_TRY(drop_back());
    tail_->prepare(process_durable_);
    const bool may_go_on = tail_->can_go_on();
    if (lsn > tail_->limit() || (lsn == tail_->first() && !may_go_on)) return restart(lsn);
    if (lsn < tail_->limit() && !may_go_on) return advance(lsn);
    return {};
  }

  Lsn begin() const { return Lsn{begin_.load(std::memory_order_acquire)}; }
  bool empty() const { return tail_ == nullptr; }
  Segment& tail() const { return *tail_; }  // the appender's
  /// After a failed sync of the directory nothing is known of names any more, and none may be relied on.
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  /// The segment that holds an LSN of [begin(), tail().limit()).
  Segment* at(Lsn lsn) const {
    const std::lock_guard guard{mutex_};
    for (std::size_t i = 0; i < chain_.size(); ++i)
      if (lsn >= chain_[i].first() && lsn < chain_[i].limit()) return &chain_[i];
    return nullptr;
  }
  /// What can be appended without making a spare; the appender's question.
  Lsn full_room() const {
    const std::lock_guard guard{mutex_};
    Lsn room = chain_.back().limit();
    for (std::size_t i = 0; i < spares_.size(); ++i) room = room + spares_[i].capacity();
    return room;
  }
  std::uint64_t max_bytes() const { return max_bytes_; }
  std::uint64_t file_bytes() const {
    const std::lock_guard guard{mutex_};
    return total_bytes_;
  }
  std::size_t spares() const {
    const std::lock_guard guard{mutex_};
    return spares_.size();
  }

  Result<void> ensure_spares(std::size_t count) {
    const std::lock_guard one_maker{making_};
    while (spares() < count) AEGIS_TRY(make_spare());
    return {};
  }
  /// Gives back spares that a lowered max_bytes does not allow; one stays.
  Result<void> trim() {
    while (spares_.size() > 1 && total_bytes_ > max_bytes_) {
      AEGIS_TRY(directory_.unlink(SegmentName{SegmentRole::spare, spares_.back().id()}));
      total_bytes_ -= spares_.back().size_bytes();
      spares_.pop_back();
    }
    set_room();
    return {};
  }

 private:
  /// What reserve() may promise: the last spare stays out of it, for what must be appended in a log that is full.
  void set_room() {
    if (chain_.empty()) return;
    Lsn room = chain_.back().limit();
    for (std::size_t i = 0; i + 1 < spares_.size(); ++i) room = room + spares_[i].capacity();
    room_.store(number(room), std::memory_order_release);
  }

  /// Unless the user named a size, files grow with the log, so that a small store has a small log; 0: no room for more.
  std::uint64_t next_size() const {
    constexpr std::uint64_t modest = std::uint64_t{1} << 20;
    const std::uint64_t total = file_bytes(), left = total < max_bytes_ ? max_bytes_ - total : 0;
    if (fixed_size_) return segment_bytes_ <= left ? segment_bytes_ : 0;
    std::uint64_t size = total < modest ? modest : total / unit_bytes * unit_bytes;
    if (size > segment_bytes_) size = segment_bytes_;
    if (size <= left) return size;
    const std::uint64_t rest = left / unit_bytes * unit_bytes;
    return rest >= Segment::smallest_bytes && rest >= segment_bytes_ / 16 ? rest : 0;
  }

  /// A spare at any cost: a log that is full must still be opened, cut and begun anew. It may pass max_bytes by one segment.
  Result<void> need_spare() {
    const std::lock_guard one_maker{making_};
    if (spares() != 0) return {};
    return make_spare(std::max(segment_bytes_ / 4 / unit_bytes * unit_bytes, Segment::smallest_bytes));
  }

  /// With making_ held. The new file is durable under its spare name before anybody relies on it. `otherwise` is its size
  /// where max_bytes leaves none.
  Result<void> make_spare(std::uint64_t otherwise = 0) {
    const std::uint64_t size = next_size() != 0 ? next_size() : otherwise;
    if (size == 0) return Error{Errc::busy, "log at its max_bytes, which are", max_bytes_};
    const std::uint64_t id = draw_spare_id();
    auto made = Segment::make(directory_, id, size, direct());
    if (!made) {
      static_cast<void>(directory_.unlink(SegmentName{SegmentRole::fresh, id}));  // the next open removes it otherwise
      return made.error();
    }
    AEGIS_TRY(directory_.rename(SegmentName{SegmentRole::fresh, id}, SegmentName{SegmentRole::spare, id}));
    AEGIS_TRY(sync_directory());
    (*made)->prepare(process_durable_);  // here, not in the append that comes to it
    return add_spare(*std::move(made), id);
  }

  /// The first spare enters the chain: header durable, then the name, then the directory. It stays in its queue until
  /// then, so that a reserve() that comes between counts it.
  Result<void> link(SegmentHeader header) {
    if (spares() == 0) AEGIS_TRY(need_spare());
    header.unit_bytes = unit_bytes;
    Segment* spare = nullptr;
    {
      const std::lock_guard guard{mutex_};
      spare = &spares_.front();
    }
    const SegmentName old_name{SegmentRole::spare, spare->id()};
    spare->prepare(process_durable_);
    AEGIS_TRY(spare->become(header, header_buffer_));
    AEGIS_TRY(directory_.rename(old_name, SegmentName{SegmentRole::wal, header.sequence}));
    AEGIS_TRY(sync_directory());
    const std::lock_guard guard{mutex_};
    if (chain_.empty()) begin_.store(number(header.first), std::memory_order_release);
    chain_.push_back(spares_.pop_front());
    tail_ = spare;
    set_room();
    return {};
  }

  /// A segment's file leaves the chain for good; its spare number.
  Result<std::uint64_t> retire(Segment& segment) {
    const std::uint64_t spare = draw_spare_id();
    AEGIS_TRY(directory_.rename(SegmentName{SegmentRole::wal, segment.id()}, SegmentName{SegmentRole::spare, spare}));
    AEGIS_TRY(sync_directory());
    return spare;
  }

  Result<void> drop_back() {
    AEGIS_TRY(const std::uint64_t spare, retire(*tail_));
    const std::lock_guard guard{mutex_};
    tail_->set_id(spare);
    spares_.push_back(chain_.pop_back());
    tail_ = &chain_.back();
    tail_->end_at_capacity();
    set_room();
    return {};
  }

  /// Begins again at an LSN that the chain does not reach, or in whose segment nothing may be written any more. Once the
  /// new segment has its name, older ones are leftovers, whether this life or the next one takes them away.
  Result<void> restart(Lsn lsn) {
    while (chain_.size() > 1) AEGIS_TRY(drop_back());
    AEGIS_TRY(start(lsn, tail_->id() + 1));
    AEGIS_TRY(const std::uint64_t spare, retire(chain_.front()));
    const std::lock_guard guard{mutex_};
    chain_.front().set_id(spare);
    spares_.push_back(chain_.pop_front());
    begin_.store(number(lsn), std::memory_order_release);
    set_room();
    return {};
  }

  Result<void> sync_directory() {
    auto done = directory_.sync();
    if (!done) failed_.store(true, std::memory_order_release);
    return done;
  }

  std::uint64_t draw_spare_id() {
    const std::lock_guard guard{mutex_};
    return next_spare_++;
  }

  Directory directory_;
  StoreIdentity identity_;
  std::uint64_t max_bytes_;
  std::uint64_t segment_bytes_;   // of a full-sized segment
  bool fixed_size_;               // every new file is of that size
  bool process_durable_;
  alignas(AlignedBuffer::alignment) std::byte header_buffer_[SegmentHeader::bytes]{};  // the appender's

  std::mutex making_, dropping_;  // one maker of spares, one dropper at a time; taken before mutex_, never both
  mutable std::mutex mutex_;      // guards the queues, total_bytes_ and next_spare_; held over no system call
  SegmentQueue<Segment> chain_;   // ascending; each has room in both queues
  SegmentQueue<Segment> spares_;
  Segment* tail_ = nullptr;        // chain_.back(); changed by the appender only, under mutex_
  std::uint64_t total_bytes_ = 0;  // of all files; at most max_bytes_ but for need_spare() and a former life with a larger one
  std::uint64_t next_spare_ = 1;
  std::atomic<std::uint64_t> begin_{0};  // first LSN of the chain
  std::atomic<std::uint64_t> room_{0};   // what reserve() may promise without a further spare
  std::atomic<bool> failed_{false};
};

}  // namespace aegis::storage
