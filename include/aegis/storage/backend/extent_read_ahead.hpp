// SPDX-License-Identifier: Apache-2.0
// Reads on behind reads that follow each other, as the page cache would, in a file that bypasses it: a scan or a redo in the
// order of the places costs one call for sixteen pages, later for sixty-four. What was read ahead is for who goes on near there, and dropped
// when something is written over it; a failure in it is nobody's. Any thread; who would wait reads alone.
#pragma once

#include <aegis/storage/backend/aligned_buffers.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstdint>

namespace aegis::storage {

template <class File>
class ExtentReadAhead {
 public:
  explicit ExtentReadAhead(AlignedBuffers& buffers) : buffers_(buffers) {}

  /// Fills `into` with the file's bytes from `begin`, aligned for it, and how many; none: read them yourself.
  Maybe<std::size_t> read(File& file, std::uint64_t begin, MutableBytes into) {
    if (!file.direct() || into.size() > largest || !mutex_.try_lock()) return {};
    // Neighbours may share a sector. What is read again is wanted from the file: it may have changed there.
    const bool follows = begin <= last_end_ + largest_gap && begin + file.alignment() >= last_end_ && begin != last_begin_;
    in_row_ = follows ? in_row_ + 1 : 0;
    if (in_row_ == 0) length_ = AlignedBuffers::kept_bytes;
    last_begin_ = begin;
    last_end_ = begin + into.size();
    if (in_row_ >= row_before && !covers(begin, into.size())) fill(file, begin);
    const bool served = in_row_ != 0 && covers(begin, into.size());
    if (served) copy_bytes(into, Bytes{buffer_.bytes()}.subspan(static_cast<std::size_t>(begin - begin_), into.size()));
    mutex_.unlock();
    return served ? Maybe<std::size_t>{into.size()} : Maybe<std::size_t>{};
  }
  /// After a write of these bytes, before anybody looks for them.
  void drop(std::uint64_t begin, std::size_t size) {
    const Guard guard(mutex_);
    if (begin < begin_ + size_ && begin_ < begin + size) size_ = 0;
  }

 private:
  static constexpr std::size_t largest = AlignedBuffers::kept_bytes / 4;  // of what is asked for
  static constexpr std::size_t longest = AlignedBuffers::kept_bytes * 4;  // of what is read ahead, in doubling steps as a row goes on
  static constexpr std::uint64_t largest_gap = 16 << 10;  // what was freed or belongs to the map lies between
  static constexpr unsigned row_before = 2;               // reads that follow each other before one is made longer

  bool covers(std::uint64_t begin, std::size_t size) const { return begin >= begin_ && begin + size <= begin_ + size_; }
  void fill(File& file, std::uint64_t begin) {
    size_ = 0;
    if (!buffer_) buffer_ = buffers_.take(longest);
    if (!buffer_) return;
    const Result<std::size_t> got = file.read_at(begin, buffer_.bytes().first(length_));
    if (!got) return;
    begin_ = begin;
    size_ = *got;
    length_ = std::min(2 * length_, longest);
  }

  AlignedBuffers& buffers_;
  Mutex mutex_;
  AlignedBuffers::Buffer buffer_;            // taken with the first long read, then kept
  std::uint64_t begin_ = 0;                  // of the buffer's bytes in the file
  std::uint64_t last_begin_ = 0, last_end_ = 0;  // of the last read
  std::size_t size_ = 0;                     // of the buffer's bytes that hold what the file does
  std::size_t length_ = AlignedBuffers::kept_bytes;  // of the next long read
  unsigned in_row_ = 0;                      // reads up to the last that each followed the one before
};

}  // namespace aegis::storage
