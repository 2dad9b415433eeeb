// SPDX-License-Identifier: Apache-2.0
// The bytes of a log in memory: a window [begin, end) of an endless stream, kept in chunks that exist once something was
// written into them; what was never written reads as zeros. Not synchronised; MemoryMedium is.
#pragma once

#include <aegis/storage/core/bytes.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace aegis::storage {

class MemoryStream {
 public:
  static constexpr std::uint64_t chunk_bytes = 64 << 10;

  MemoryStream() = default;
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;
  ~MemoryStream() { reset(0); }

  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

  /// Empty, at `position`.
  void reset(std::uint64_t position) {
    for (std::size_t i = 0; i < count_; ++i) std::free(chunks_[i]);
    std::free(chunks_);
    chunks_ = nullptr;
    count_ = 0;
    begin_ = end_ = position;
    first_ = position / chunk_bytes;
  }

  /// Makes every chunk up to `until`, so that appends up to there cannot fail. False when memory is out.
  bool prepare(std::uint64_t until) {
    if (until <= end_) return true;
    const std::uint64_t last = (until - 1) / chunk_bytes;
    if (!widen(static_cast<std::size_t>(last - first_) + 1)) return false;
    for (std::uint64_t chunk = end_ / chunk_bytes; chunk <= last; ++chunk) {
      std::byte*& room = chunks_[chunk - first_];
      if (room == nullptr) room = static_cast<std::byte*>(std::calloc(1, chunk_bytes));
      if (room == nullptr) return false;
    }
    return true;
  }

  bool append(Bytes bytes) {
    if (!prepare(end_ + bytes.size())) return false;
    while (!bytes.empty()) {
      const std::uint64_t inside = end_ % chunk_bytes;
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), chunk_bytes - inside));
      copy_bytes({chunks_[end_ / chunk_bytes - first_] + inside, part}, bytes.first(part));
      bytes = bytes.subspan(part);
      end_ += part;
    }
    return true;
  }

  /// `from` is at least begin(). Bytes copied: fewer than asked for where the stream ends.
  std::size_t read(std::uint64_t from, MutableBytes into) const {
    const std::size_t wanted = from >= end_ ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), end_ - from));
    for (std::size_t done = 0; done < wanted;) {
      const std::uint64_t inside = (from + done) % chunk_bytes;
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(wanted - done, chunk_bytes - inside));
      const std::uint64_t index = (from + done) / chunk_bytes - first_;
      if (index < count_ && chunks_[index] != nullptr)
        std::memcpy(into.data() + done, chunks_[index] + inside, part);
      else
        std::memset(into.data() + done, 0, part);
      done += part;
    }
    return wanted;
  }

  /// The stream ends at `position` >= begin(): what lay behind is gone, a gap before it reads as zeros.
  void cut(std::uint64_t position) {
    for (std::uint64_t chunk = position / chunk_bytes; chunk - first_ < count_; ++chunk) {
      std::byte*& room = chunks_[chunk - first_];
      if (room == nullptr) continue;
      if (chunk == position / chunk_bytes && position % chunk_bytes != 0) {
        std::memset(room + position % chunk_bytes, 0, static_cast<std::size_t>(chunk_bytes - position % chunk_bytes));
      } else {
        std::free(room);
        room = nullptr;
      }
    }
    end_ = position;
  }

  /// `position` is within [begin(), end()].
  void drop_before(std::uint64_t position) {
    const std::uint64_t first = position / chunk_bytes;
    const std::size_t gone = static_cast<std::size_t>(std::min<std::uint64_t>(first - first_, count_));
    for (std::size_t i = 0; i < gone; ++i) std::free(chunks_[i]);
    if (gone != 0) std::memmove(chunks_, chunks_ + gone, (count_ - gone) * sizeof *chunks_);
    count_ -= gone;
    first_ = first;
    begin_ = position;
  }

 private:
  bool widen(std::size_t count) {
    if (count <= count_) return true;
    auto** wider = static_cast<std::byte**>(std::realloc(chunks_, count * sizeof *chunks_));
    if (wider == nullptr) return false;
    for (std::size_t i = count_; i < count; ++i) wider[i] = nullptr;
    chunks_ = wider;
    count_ = count;
    return true;
  }

  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t first_ = 0;       // number of the chunk that chunks_[0] is
  std::byte** chunks_ = nullptr;  // count_ of them; nullptr: nothing but zeros
  std::size_t count_ = 0;
};

}  // namespace aegis::storage
