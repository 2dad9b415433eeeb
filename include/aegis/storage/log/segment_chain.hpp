// SPDX-License-Identifier: Apache-2.0
// The segments of a FileLog in order, and its spares. Whatever call the process dies in, the files named wal-* form an
// unbroken chain with durable headers: a name is given only to a finished file, and given or taken one at a time, each
// time with the directory synced. One appender (advance, cut); reserve, drop_before and at from any thread beside it.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/log/segment_file.hpp>
#include <aegis/storage/log/segment_maker.hpp>
#include <aegis/storage/log/segment_queue.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class SegmentChain {
 public:
  using Segment = SegmentFile<Files>;
  using Directory = typename Files::Directory;

  static constexpr std::uint32_t unit_bytes = SegmentHeader::bytes;

  SegmentChain(Directory directory, const LogOptions& options) : maker_(std::move(directory), options), identity_(options.identity) {}
  SegmentChain(const SegmentChain&) = delete;

  /// What a new chain is given by whoever reads the directory, before any other thread knows of it.
  Directory& directory() { return maker_.directory(); }
  bool direct() const { return maker_.direct(); }
  Result<void> add_spare(Owned<Segment> spare) {
    const Guard guard{mutex_};
    const std::size_t count = chain_.size() + spares_.size() + 1;
    if (!chain_.ensure(count) || !spares_.ensure(count)) return Error{Errc::out_of_memory, "opening of log segment", spare->id()};
    maker_.leave_out(spare->id());
    total_bytes_ += spare->size_bytes();
    spares_.push_back(std::move(spare));
    set_room();
    return {};
  }
  Result<void> add_segment(Owned<Segment> segment, const SegmentHeader& header) {
    segment->adopt(header);
    const Guard guard{mutex_};
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
  /// The first segment of a log, or of one that begins again: leftovers below `sequence` count no more once it is there.
  Result<void> start(Lsn first, std::uint64_t sequence) { return link({.identity = identity_, .first = first, .sequence = sequence, .restart = true}); }

  /// Makes spares until everything up to `target` can be appended and one spare is still left. busy at max_bytes; a
  /// failure to make one harms nothing. No lock and no system call when there is room already.
  Result<void> reserve(Lsn target) {
    if (has_room(target)) {
      promise(target);
      if (has_room(target)) return {};  // else trim() came between
    }
    const Guard one_maker{making_};
    while (!has_room(target)) {
      const Result<void> made = make_spare();
      if (!made && made.error().code() == Errc::no_space && target <= last_room()) break;
      AEGIS_TRY(made);
    }
    promise(target);
    return {};
  }
  /// trim() leaves room up to here.
  void promise(Lsn target) {
    std::uint64_t seen = promised_.load();
    while (seen < number(target) && !promised_.compare_exchange_weak(seen, number(target))) {}
  }

  /// Whether the last segment is more than half full and reserve() would have to make a spare for what comes after it.
  bool spare_due(Lsn end) const { return number(end) >= spare_due_.load(std::memory_order_relaxed); }
  /// Makes that spare ahead of need. When it cannot be had, none is due until a segment is begun or dropped.
  Result<void> prepare_spare(Lsn end) {
    const Guard one_maker{making_};
    if (!spare_due(end)) return {};
    Result<void> made = make_spare();
    if (!made) spare_due_.store(~std::uint64_t{0}, std::memory_order_relaxed);
    return made;
  }

  /// A spare becomes the segment that begins at `first`, the end of the last one. A spare is there when reserve() covers
  /// more than the last segment holds; otherwise one is made, and that may fail.
  Result<void> advance(Lsn first) {
    if (first != tail_->limit()) tail_->end_at(first);  // only under cut(), when nobody else looks
    return link({.identity = identity_, .first = first, .sequence = tail_->id() + 1});
  }

  /// Only whole segments that end at or below `lsn`, never the last one. One whose name cannot be changed stays for the next
  /// call; that is an error where max_bytes lets no other be made for it.
  Result<void> drop_before(Lsn lsn) {
    const Guard one_dropper{dropping_};
    for (;;) {
      Segment* first = nullptr;
      {
        const Guard guard{mutex_};
        if (chain_.size() < 2 || chain_.front().limit() > lsn) return {};
        first = &chain_.front();
      }
      const Result<std::uint64_t> spare = maker_.retire(*first);
      if (!spare) return failed() || maker_.next_size(file_bytes()) == 0 ? Result<void>{spare.error()} : Result<void>{};
      const Guard guard{mutex_};
      first->set_id(*spare);
      spares_.push_back(chain_.pop_front());
      begin_.store(number(chain_.front().first()), std::memory_order_release);
      set_room();
    }
  }

  /// The chain goes on at `lsn`, a multiple of the unit not below begin(); nobody syncs or drops meanwhile.
  Result<void> cut(Lsn lsn) {
    while (chain_.size() > 1 && tail_->first() >= lsn) AEGIS_TRY(drop_back());
    tail_->prepare(maker_.process_durable());
    const bool may_go_on = tail_->can_go_on();
    if (lsn > tail_->limit() || (lsn == tail_->first() && !may_go_on)) return restart(lsn);
    if (lsn < tail_->limit() && !may_go_on) return advance(lsn);
    return {};
  }

  Lsn begin() const { return Lsn{begin_.load(std::memory_order_acquire)}; }
  bool empty() const { return tail_ == nullptr; }
  Segment& tail() const { return *tail_; }  // the appender's
  bool failed() const { return maker_.failed(); }
  /// The segment that holds an LSN of [begin(), tail().limit()).
  Segment* at(Lsn lsn) const {
    const Guard guard{mutex_};
    for (std::size_t i = 0; i < chain_.size(); ++i)
      if (lsn >= chain_[i].first() && lsn < chain_[i].limit()) return &chain_[i];
    return nullptr;
  }
  /// What can be appended without making a spare; the appender's question.
  Lsn full_room() const {
    const Guard guard{mutex_};
    Lsn room = chain_.back().limit();
    for (std::size_t i = 0; i < spares_.size(); ++i) room = room + spares_[i].capacity();
    return room;
  }
  std::uint64_t max_bytes() const { return maker_.max_bytes(); }
  std::uint64_t file_bytes() const {
    const Guard guard{mutex_};
    return total_bytes_;
  }
  std::size_t spares() const {
    const Guard guard{mutex_};
    return spares_.size();
  }

  Result<void> ensure_spares(std::size_t count) {
    const Guard one_maker{making_};
    while (spares() < count) AEGIS_TRY(make_spare());
    return {};
  }
  /// Gives spares back, the newest first, until the files take no more than `most_bytes`; one always stays, and with
  /// `keep_promised` so do those that reserve() needs. A spare that cannot be removed, or comes back after a crash, is one.
  Result<void> trim(std::uint64_t most_bytes, bool keep_promised) {
    const Guard one_maker{making_};
    for (;;) {
      Owned<Segment> spare;
      {
        const Guard guard{mutex_};
        if (spares_.size() < 2 || total_bytes_ <= most_bytes) return {};
        spare = spares_.pop_back();
        set_room();
        const bool is_needed = keep_promised && promised_.load() > room_.load();
        if (is_needed) {
          put_back(std::move(spare));
          return {};
        }
      }
      const Result<void> gone = maker_.remove(*spare);
      const Guard guard{mutex_};
      if (!gone) {
        put_back(std::move(spare));
        return gone;
      }
      total_bytes_ -= spare->size_bytes();
    }
  }

 private:
  /// What reserve() may promise: the last spare stays out of it, for what must be appended in a log that is full.
  void set_room() {
    if (chain_.empty()) return;
    Lsn room = chain_.back().limit();
    for (std::size_t i = 0; i + 1 < spares_.size(); ++i) room = room + spares_[i].capacity();
    if (spares_.empty() && is_full_) room = Lsn{number(room) - half(chain_.back())};
    room_.store(number(room));  // in one order with promised_: who promises sees what trim() took, or trim() the promise
    const Segment& last = chain_.back();
    const bool has_one_ready = spares_.size() > 1;
    spare_due_.store(has_one_ready ? ~std::uint64_t{0} : number(last.first()) + (last.limit() - last.first()) / 2, std::memory_order_relaxed);
  }
  bool has_room(Lsn target) const { return number(target) <= room_.load(); }
  /// On a full disk commits may have half of the last spare too: a checkpoint, which then fits still, makes spares again.
  Lsn last_room() {
    const Guard guard{mutex_};
    is_full_ = true;
    set_room();
    return Lsn{room_.load()} + (spares_.empty() ? 0 : half(spares_.back()));
  }
  static std::uint64_t half(const Segment& segment) { return segment.capacity() / 2 / unit_bytes * unit_bytes; }
  void put_back(Owned<Segment> spare) {
    spares_.push_back(std::move(spare));
    set_room();
  }

  /// A spare at any cost: a log that is full must still be opened, cut and begun anew. It may pass max_bytes by one segment.
  Result<void> need_spare() {
    const Guard one_maker{making_};
    if (spares() != 0) return {};
    return make_spare(maker_.least_size());
  }
  /// With making_ held. `otherwise` is its size where max_bytes leaves none.
  Result<void> make_spare(std::uint64_t otherwise = 0) {
    const std::uint64_t wanted = maker_.next_size(file_bytes()), size = wanted != 0 ? wanted : otherwise;
    if (size == 0) return Error{Errc::busy, "log at its max_bytes, which are", max_bytes()};
    AEGIS_TRY(Owned<Segment> made, maker_.make(size));
    {
      const Guard guard{mutex_};
      is_full_ = false;
    }
    return add_spare(std::move(made));
  }

  /// The first spare enters the chain: header durable, then the name, then the directory. It stays in its queue until
  /// then, so that a reserve() that comes between counts it.
  Result<void> link(SegmentHeader header) {
    if (spares() == 0) AEGIS_TRY(need_spare());
    Segment* spare = nullptr;
    {
      const Guard guard{mutex_};
      spare = &spares_.front();
    }
    AEGIS_TRY(maker_.enter(*spare, header, header_buffer_));
    const Guard guard{mutex_};
    if (chain_.empty()) begin_.store(number(header.first), std::memory_order_release);
    chain_.push_back(spares_.pop_front());
    tail_ = spare;
    set_room();
    return {};
  }

  Result<void> drop_back() {
    AEGIS_TRY(const std::uint64_t spare, maker_.retire(*tail_));
    const Guard guard{mutex_};
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
    AEGIS_TRY(const std::uint64_t spare, maker_.retire(chain_.front()));
    const Guard guard{mutex_};
    chain_.front().set_id(spare);
    spares_.push_back(chain_.pop_front());
    begin_.store(number(lsn), std::memory_order_release);
    set_room();
    return {};
  }

  SegmentMaker<Files> maker_;
  StoreIdentity identity_;
  alignas(AlignedBuffer::alignment) std::byte header_buffer_[SegmentHeader::bytes]{};  // the appender's

  Mutex making_, dropping_;  // one maker of spares, one dropper at a time; taken before mutex_, never both
  mutable Mutex mutex_;      // guards the queues and total_bytes_; held over no system call
  SegmentQueue<Segment> chain_;   // ascending; each has room in both queues
  SegmentQueue<Segment> spares_;
  bool is_full_ = false;           // the disk, when a spare was last wanted
  Segment* tail_ = nullptr;        // chain_.back(); changed by the appender only, under mutex_
  std::uint64_t total_bytes_ = 0;  // of all files; at most max_bytes() but for need_spare() and a former life with a larger one
  std::atomic<std::uint64_t> begin_{0};                      // first LSN of the chain
  std::atomic<std::uint64_t> room_{0};                       // what reserve() may promise without a further spare
  std::atomic<std::uint64_t> promised_{0};                   // LSN; never falls
  std::atomic<std::uint64_t> spare_due_{~std::uint64_t{0}};  // LSN; from it on prepare_spare() has something to do
};

}  // namespace aegis::storage
