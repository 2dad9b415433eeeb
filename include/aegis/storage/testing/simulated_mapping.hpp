// SPDX-License-Identifier: Apache-2.0
// Bytes of a simulated file that a program writes without a call. The disk compares them with what it knew before each call
// it serves: every store is then a pending write like any other. A thread may store while another one's call compares, as
// with a real mapping; a store that is half done is seen half. The thread sanitizer is told so.
#pragma once

#include <aegis/storage/core/bytes.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace aegis::storage::testing {

class MappedBytes {
 public:
  /// `content` are the file's bytes from `offset` on.
  MappedBytes(std::uint64_t file, std::uint64_t offset, std::size_t length)
      : file_(file), offset_(offset), size_(length), words_((length + 7) / 8), bytes_(new std::uint64_t[words_]{}), known_(new std::uint64_t[words_]{}) {}

  std::uint64_t file() const { return file_; }
  MutableBytes bytes() { return {reinterpret_cast<std::byte*>(bytes_.get()), size_}; }

  /// What a call wrote to the file is seen through the mapping, and is no store.
  void show(std::uint64_t offset, Bytes written) {
    const std::uint64_t begin = offset > offset_ ? offset : offset_;
    const std::uint64_t end = offset + written.size() < offset_ + size_ ? offset + written.size() : offset_ + size_;
    if (begin >= end) return;
    const Bytes part = written.subspan(static_cast<std::size_t>(begin - offset), static_cast<std::size_t>(end - begin));
    copy_bytes(bytes().subspan(static_cast<std::size_t>(begin - offset_)), part);
    copy_bytes(known().subspan(static_cast<std::size_t>(begin - offset_)), part);
  }

  /// fn(offset in the file, Bytes) for each run of changed words.
  template <class Fn>
  void for_each_store(Fn&& fn) {
    for (std::size_t at = 0; at < words_;) {
      const std::size_t begin = next_difference(at);
      if (begin == words_) return;
      const std::size_t end = take_difference(begin);
      const std::size_t first = begin * 8, last = end * 8 < size_ ? end * 8 : size_;
      fn(offset_ + first, Bytes{known().subspan(first, last - first)});
      at = end;
    }
  }

 private:
  MutableBytes known() { return {reinterpret_cast<std::byte*>(known_.get()), size_}; }

  __attribute__((no_sanitize("thread"))) std::size_t next_difference(std::size_t at) const {
    const volatile std::uint64_t* const now = bytes_.get();
    const std::uint64_t* const known = known_.get();
    // Almost nothing changes between two calls: many words are compared at once first.
    for (constexpr std::size_t many = 32; words_ - at >= many; at += many) {
      std::uint64_t changed = 0;
      for (std::size_t i = at; i < at + many; ++i) changed |= now[i] ^ known[i];
      if (changed != 0) break;
    }
    while (at < words_ && now[at] == known[at]) ++at;
    return at;
  }
  __attribute__((no_sanitize("thread"))) std::size_t take_difference(std::size_t at) {
    const volatile std::uint64_t* const now = bytes_.get();
    for (; at < words_; ++at) {
      const std::uint64_t word = now[at];
      if (word == known_[at]) break;
      known_[at] = word;
    }
    return at;
  }

  std::uint64_t file_, offset_;
  std::size_t size_, words_;
  std::unique_ptr<std::uint64_t[]> bytes_;  // what the program reads and writes; its address never changes
  std::unique_ptr<std::uint64_t[]> known_;  // what the disk saw last
};

}  // namespace aegis::storage::testing
