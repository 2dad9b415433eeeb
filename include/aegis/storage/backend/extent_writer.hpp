// SPDX-License-Identifier: Apache-2.0
// Packs the blocks of one generation next to each other: they are staged in memory and written a run of units at a time,
// once each. So small blocks share units, large writes go to the device, and no unit is ever written twice or shared by
// two generations. What is staged can be read. Any thread; lock order: this, then the map's lock.
#pragma once

#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_room.hpp>
#include <aegis/storage/core/mutex.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentWriter {
 public:
  static constexpr std::size_t run_bytes = 4 * AlignedBuffers::kept_bytes;
  static constexpr std::size_t block_bytes = AlignedBuffers::kept_bytes / 2;  // larger blocks are not for this

  ExtentWriter(ExtentFile<Files>& file, ExtentRoom<Files>& room, SharedMutex& map_lock, ExtentReuse& reuse)
      : file_(file), room_(room), map_lock_(map_lock), reuse_(reuse) {}
  ~ExtentWriter() {
    while (FreedExtent* freed = freed_) {
      freed_ = freed->next;
      delete freed;
    }
  }

  /// The writer for one block at a time; held while it is staged and entered into the map.
  Mutex& mutex() { return mutex_; }

  /// Under mutex(). Stages `content` (not empty, at most block_bytes) for `generation`; flushes what does not fit or is of
  /// an older generation. Nobody knows the extent until the caller enters it; unstage() takes it back.
  Result<Extent> stage(Bytes content, std::uint64_t generation) {
    const std::size_t room = padded(content.size());
    if (is_open() && (generation_ != generation || fill_ + room > capacity())) AEGIS_TRY(flush());
    if (!is_open()) AEGIS_TRY(open(content.size(), generation));
    std::byte* const at = buffer_.bytes().data() + fill_;
    copy_bytes({at, content.size()}, content);
    std::memset(at + content.size(), 0, room - content.size());
    const Extent extent = Extent::at(first_grain() + fill_ / file_.geometry().grain_bytes(), content);
    fill_ += room;
    return extent;
  }
  void unstage(const Extent& extent) { fill_ -= padded(extent.bytes); }

  /// Before a change of the map, as ExtentRoom's; what the open run does not need may be what is missing.
  Result<void> prepare_change(bool is_write) {
    const Result<void> ready = room_.prepare_change(is_write);
    if (ready || ready.error().code() != Errc::no_space) return ready;
    const Guard staging(mutex_);  // until it is taken: another block would open a run of it
    if (is_open()) AEGIS_TRY(flush());
    return room_.prepare_change(is_write);
  }
  /// Before a sync: writes what is staged of generations up to `generation`.
  Result<void> flush_until(std::uint64_t generation) {
    const Guard staging(mutex_);
    if (!is_open() || generation_ > generation) return {};
    return flush();
  }

  /// True when the extent was still staged and its bytes are in `into`.
  bool read(const Extent& extent, MutableBytes into) {
    if (!is_staged(extent)) return false;
    const Guard staging(mutex_);
    if (!is_staged(extent)) return false;
    const auto at = static_cast<std::size_t>((extent.grain() - first_grain()) * file_.geometry().grain_bytes());
    copy_bytes(into, Bytes{buffer_.bytes()}.subspan(at, extent.bytes));
    return true;
  }

  /// Under the map's lock: an extent of this generation was freed at once. Inside the open run it waits for the flush,
  /// which would overwrite whoever got its units.
  void retire(FreedExtent* freed) {
    if (freed->grain >= begin_.load(std::memory_order_relaxed) && freed->grain < end_.load(std::memory_order_relaxed)) {
      freed->next = freed_;
      freed_ = freed;
    } else {
      reuse_.retire(freed);
    }
  }

 private:
  std::size_t padded(std::size_t bytes) const { return std::size_t{file_.geometry().grains(bytes)} * file_.geometry().grain_bytes(); }
  std::size_t capacity() const { return std::size_t{run_.count} * file_.geometry().unit_bytes; }
  std::uint64_t first_grain() const { return run_.first * ExtentGeometry::grains_per_unit; }
  bool is_open() const { return run_.count != 0; }
  bool is_staged(const Extent& extent) const {
    return extent.grain() >= begin_.load(std::memory_order_acquire) && extent.grain() < end_.load(std::memory_order_acquire);
  }

  Result<void> open(std::size_t bytes, std::uint64_t generation) {
    if (!buffer_) buffer_ = file_.buffers().take(run_bytes);
    if (!buffer_) return Error{Errc::out_of_memory, "buffer for writes"};
    const ExtentGeometry& geometry = file_.geometry();
    AEGIS_TRY(const UnitRun run, room_.take(geometry.units(bytes), geometry.units(run_bytes), RoomFor::blocks));
    const Guard guard(map_lock_);
    run_ = run;
    fill_ = 0;
    generation_ = generation;
    end_.store((run.first + run.count) * ExtentGeometry::grains_per_unit, std::memory_order_release);
    begin_.store(first_grain(), std::memory_order_release);
    return {};
  }
  /// Failing leaves all staged, for another try.
  Result<void> flush() {
    const ExtentGeometry& geometry = file_.geometry();
    const std::size_t length = std::size_t{geometry.units(fill_)} * geometry.unit_bytes;
    std::memset(buffer_.bytes().data() + fill_, 0, length - fill_);
    if (length != 0) AEGIS_TRY(file_.write_run(run_, buffer_.bytes().first(length)));
    const Guard guard(map_lock_);
    const std::uint64_t used = fill_ / geometry.grain_bytes();
    room_.space.release(first_grain() + used, run_.count * std::uint64_t{ExtentGeometry::grains_per_unit} - used);
    begin_.store(~std::uint64_t{0}, std::memory_order_release);
    run_ = {};
    while (FreedExtent* freed = freed_) {
      freed_ = freed->next;
      reuse_.retire(freed);
    }
    return {};
  }

  ExtentFile<Files>& file_;
  ExtentRoom<Files>& room_;
  SharedMutex& map_lock_;
  ExtentReuse& reuse_;
  Mutex mutex_;                  // guards the run and its buffer
  AlignedBuffers::Buffer buffer_;     // of run_bytes, once something was staged
  UnitRun run_;                       // taken from the free space; count 0: none is open
  std::size_t fill_ = 0;              // bytes staged, a multiple of the grain
  std::uint64_t generation_ = 0;      // whose blocks these are
  std::atomic<std::uint64_t> begin_{~std::uint64_t{0}}, end_{0};  // grains of the open run; written under both locks
  FreedExtent* freed_ = nullptr;      // under the map's lock: freed inside the open run
};

}  // namespace aegis::storage
