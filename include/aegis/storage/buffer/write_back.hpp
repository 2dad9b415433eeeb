// SPDX-License-Identifier: Apache-2.0
// How dirty pages get to the backend. A page is copied while nobody can change it, then encoded and written from the
// copy; it is clean from the copy on and dirty again should the write fail. One write of a page at a time. While a
// checkpoint runs, an old page is copied before it changes and a new one not written.
#pragma once

#include <aegis/storage/buffer/copy_buffers.hpp>
#include <aegis/storage/buffer/dirty_epochs.hpp>
#include <aegis/storage/buffer/frame.hpp>
#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/maybe.hpp>

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace aegis::storage {

struct WriteBackStats {
  std::uint64_t write_backs = 0, copies = 0;
};

template <class Frames, class Io, std::size_t PageSize>
class WriteBack {
 public:
  using Lock = typename Frames::Lock;
  using FrameType = typename Frames::FrameType;
  using Buffers = CopyBuffers<PageSize>;
  using Staging = typename Buffers::Staging;
  using Copy = typename Buffers::Copy;
  static constexpr bool reads_in_place = Io::reads_in_place;

  WriteBack(Frames& frames, Io io) : frames_(frames), io_(std::move(io)) {}
  Result<void> open(std::size_t stagings, std::size_t copies) { return buffers_.open(stagings, io_.scratch_bytes(), copies); }

  const Io& io() const { return io_; }
  std::uint64_t dirty_pages() const { return epochs_.pages(); }
  WriteBackStats stats(const Lock&) const { return stats_; }

  // By the holder of the section, with the frame pinned.

  /// A page about to change whose present state a running checkpoint still has to write: copies it away first, or
  /// writes it when every copy buffer is taken. If that fails the checkpoint fails, not the caller.
  void settle(FrameIndex index) {
    FrameType& frame = frames_.frame(index);
    if (!epochs_.is_old(frame)) return;
    Lock lock = frames_.lock();
    while (epochs_.is_old(frame) && !failure_) {
      if (frame.writing) {
        frames_.wait(lock);
      } else if (Copy* copy = buffers_.copy_in(Copy::State::idle)) {
        frames_.page(index).copy_image(copy->image->bytes().data());
        copy->id = PageId{frame.page.load(std::memory_order_relaxed)};
        copy->state = Copy::State::waiting;
        epochs_.clear(frame);
        ++stats_.copies;
        frames_.wake(lock);
      } else if (Staging* staging = take_staging(lock)) {
        if (epochs_.is_old(frame) && !frame.writing) static_cast<void>(write_copy(lock, index, *staging));  // failure_ keeps the error
        give_staging(lock, *staging);
      }
    }
  }
  /// With the latch held exclusively, after settle().
  void mark_dirty(FrameType& frame) { epochs_.mark(frame); }
  void mark_clean(FrameType& frame) {
    const Lock lock = frames_.lock();
    epochs_.clear(frame);
  }
  Epoch begin_epoch() {
    const Lock lock = frames_.lock();
    AEGIS_ASSERT(!running());
    cursor_ = 0;
    failure_.reset();
    return epochs_.begin();
  }

  // By any thread that holds no latch.

  Result<void> write_epoch() {
    Lock lock = frames_.lock();
    while (!failure_) {
      if (buffers_.copy_in(Copy::State::waiting) != nullptr) {
        write_waiting_copy(lock);
      } else if (const auto index = next_old(lock)) {
        write_old(lock, *index);
      } else if (in_flight_ != 0) {
        frames_.wait(lock);
      } else if (!failure_ && buffers_.copy_in(Copy::State::waiting) == nullptr) {
        return {};
      }
    }
    while (in_flight_ != 0) frames_.wait(lock);
    return *failure_;
  }
  void seal_epoch() {
    const Lock lock = frames_.lock();
    AEGIS_ASSERT(buffers_.copy_in(Copy::State::waiting) == nullptr);
    end_epoch(lock);
  }
  void abandon_epoch() {
    Lock lock = frames_.lock();
    while (in_flight_ != 0) frames_.wait(lock);
    buffers_.drop_waiting();
    end_epoch(lock);
  }
  bool running() const { return epochs_.running(); }

  /// Under the mutex: the page must not be written now, since it belongs to the epoch after the running checkpoint's.
  bool holds_back(const FrameType& frame) const { return epochs_.is_held_back(frame); }
  /// Writes a page that nobody pins, for whoever wants its frame. The mutex is released and taken again.
  Result<void> write_victim(Lock& lock, FrameIndex index) {
    Staging* const staging = take_staging(lock);
    const Result<void> done = write_if_dirty(lock, index, *staging);
    give_staging(lock, *staging);
    return done;
  }
  /// Writes the page if it is dirty and may be written, waiting for its latch and for another write of it. Whether it did.
  Result<bool> write_page(FrameIndex index) {
    Lock lock = frames_.lock();
    FrameType& frame = frames_.frame(index);
    if ((frame.dirty.load(std::memory_order_relaxed) == clean || holds_back(frame)) && !frame.writing) return false;
    if (!frame.pin(PinKind::transient)) return false;
    lock.unlock();
    frame.latch.lock_shared();
    lock.lock();
    Staging* const staging = take_staging(lock);
    while (frame.writing) frames_.wait(lock);
    const bool due = frame.dirty.load(std::memory_order_relaxed) != clean && !holds_back(frame);
    Result<void> done;
    if (due) done = write_copy(lock, index, *staging, &frame.latch);
    else frame.latch.unlock_shared();
    give_staging(lock, *staging);
    lock.unlock();
    frames_.unpin(index, PinKind::transient);
    if (!done) return done.error();
    return due;
  }

  /// Runs fn(Staging&) with a buffer of its own, without the mutex.
  template <class Fn>
  auto with_staging(Fn&& fn) {
    Lock lock = frames_.lock();
    Staging* const staging = take_staging(lock);
    lock.unlock();
    auto result = fn(*staging);
    lock.lock();
    give_staging(lock, *staging);
    return result;
  }

 private:
  // Holders of a staging buffer wait for the backend only, never for frames or latches: so this wait ends.
  Staging* take_staging(Lock& lock) {
    for (;;) {
      if (Staging* staging = buffers_.idle_staging()) {
        staging->busy = true;
        return staging;
      }
      frames_.wait(lock);
    }
  }
  void give_staging(const Lock& lock, Staging& staging) {
    staging.busy = false;
    frames_.wake(lock);
  }

  // A victim, seen unpinned under this mutex some time ago: everything is looked at again.
  Result<void> write_if_dirty(Lock& lock, FrameIndex index, Staging& staging) {
    FrameType& frame = frames_.frame(index);
    if (frame.dirty.load(std::memory_order_relaxed) == clean || frame.writing || holds_back(frame)) return {};
    if (!frame.pin(PinKind::transient)) return {};
    Result<void> done;
    if (frame.latch.try_lock_shared()) {
      if (frame.dirty.load(std::memory_order_relaxed) != clean && !holds_back(frame)) done = write_copy(lock, index, staging, &frame.latch);
      else frame.latch.unlock_shared();
    }
    frame.pins.fetch_sub(static_cast<std::uint64_t>(PinKind::transient), std::memory_order_seq_cst);
    frames_.wake(lock);
    return done;
  }

  // Copies the page, then writes the copy without the mutex. The page is pinned, dirty, not being written and cannot
  // change during the copy: `latch` is held shared (and released after the copy), or the page is old.
  template <class Latch = void>
  Result<void> write_copy(Lock& lock, FrameIndex index, Staging& staging, Latch* latch = nullptr) {
    FrameType& frame = frames_.frame(index);
    const PageId id{frame.page.load(std::memory_order_relaxed)};
    frames_.page(index).copy_image(staging.image->bytes().data());
    const Epoch was = frame.dirty.load(std::memory_order_relaxed);
    epochs_.clear(frame);
    frame.writing = true;
    ++in_flight_;
    lock.unlock();
    if constexpr (!std::is_void_v<Latch>) latch->unlock_shared();
    const Result<void> done = io_.store(id, *staging.image, staging.scratch);
    lock.lock();
    frame.writing = false;
    --in_flight_;
    if (done) ++stats_.write_backs;
    else restore(frame, was, done.error());
    frames_.wake(lock);
    return done;
  }
  // What could not be written is dirty as before, unless it was changed meanwhile and is dirty anyway. If it belonged to
  // the running checkpoint, that one has failed: nobody kept the old state from being changed while the write was on.
  void restore(FrameType& frame, Epoch was, const Error& error) {
    epochs_.restore(frame, was);
    if (running() && !epochs_.is_current(was)) failure_ = error;
  }

  void write_waiting_copy(Lock& lock) {
    Staging* const staging = take_staging(lock);
    if (Copy* copy = buffers_.copy_in(Copy::State::waiting)) {
      copy->state = Copy::State::writing;
      ++in_flight_;
      lock.unlock();
      const Result<void> done = io_.store(copy->id, *copy->image, staging->scratch);
      lock.lock();
      copy->state = Copy::State::idle;
      --in_flight_;
      if (!done) failure_ = done.error();
      else ++stats_.write_backs;
    }
    give_staging(lock, *staging);
  }
  // The cursor never goes back: a page becomes old at begin_epoch only.
  std::optional<FrameIndex> next_old(Lock& lock) {
    std::size_t at = cursor_;
    lock.unlock();
    while (at < frames_.count() && !epochs_.is_old(frames_.frame(static_cast<FrameIndex>(at)))) ++at;
    lock.lock();
    if (cursor_ < at) cursor_ = at;
    if (cursor_ == frames_.count()) return std::nullopt;
    return static_cast<FrameIndex>(cursor_);
  }
  void write_old(Lock& lock, FrameIndex index) {
    FrameType& frame = frames_.frame(index);
    Staging* const staging = take_staging(lock);
    if (epochs_.is_old(frame) && !failure_) {
      if (frame.writing) {
        frames_.wait(lock);
      } else if (frame.pin(PinKind::transient)) {
        static_cast<void>(write_copy(lock, index, *staging));  // failure_ keeps the error
        frame.pins.fetch_sub(static_cast<std::uint64_t>(PinKind::transient), std::memory_order_seq_cst);
      }
    }
    give_staging(lock, *staging);
  }
  void end_epoch(const Lock& lock) {
    epochs_.end();
    failure_.reset();
    frames_.wake(lock);
  }

  Frames& frames_;
  Io io_;
  Buffers buffers_;
  DirtyEpochs<FrameType> epochs_;

  // Under the mutex.
  Maybe<Error> failure_;            // why the running checkpoint cannot succeed
  std::size_t cursor_ = 0;                  // no frame before it holds an old page
  std::uint64_t in_flight_ = 0;             // writes under way
  WriteBackStats stats_;
};

}  // namespace aegis::storage
