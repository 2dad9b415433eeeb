// SPDX-License-Identifier: Apache-2.0
// Bytes of a simulated file, sparse, in pages that copies share until one of them writes: an image of a disk costs little.
// Copies may be used by different threads, one of them by one.
#pragma once

#include <aegis/storage/core/bytes.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace aegis::storage::testing {

class SimulatedContent {
 public:
  static constexpr std::size_t page_bytes = 4096;

  /// Holes, and what lies beyond every page, read as zeros.
  void read(std::uint64_t offset, MutableBytes into) const {
    for_each_part(offset, into.size(), [&](std::size_t page, std::size_t at, std::size_t done, std::size_t count) {
      if (page < pages_.size() && pages_[page])
        std::memcpy(into.data() + done, pages_[page]->data() + at, count);
      else
        std::memset(into.data() + done, 0, count);
    });
  }
  void write(std::uint64_t offset, Bytes from) {
    for_each_part(offset, from.size(), [&](std::size_t page, std::size_t at, std::size_t done, std::size_t count) {
      std::memcpy(own(page).data() + at, from.data() + done, count);
    });
  }
  void allocate(std::uint64_t offset, std::uint64_t length) {
    const Link zeros = std::make_shared<Page>();
    for_each_part(offset, length, [&](std::size_t page, std::size_t, std::size_t, std::size_t) {
      if (page >= pages_.size()) pages_.resize(page + 1);
      if (!pages_[page]) pages_[page] = zeros;
    });
  }
  /// Zeros; whole pages become holes.
  void clear(std::uint64_t offset, std::uint64_t length) {
    const std::uint64_t end = pages_.size() * page_bytes;
    if (offset >= end) return;
    for_each_part(offset, length < end - offset ? length : end - offset, [&](std::size_t page, std::size_t at, std::size_t, std::size_t count) {
      if (count == page_bytes)
        pages_[page].reset();
      else if (pages_[page])
        std::memset(own(page).data() + at, 0, count);
    });
  }
  void clear_from(std::uint64_t offset) {
    clear(offset, ~std::uint64_t{0} - offset);
    if (const std::size_t kept = (offset + page_bytes - 1) / page_bytes; kept < pages_.size()) pages_.resize(kept);
  }

  /// What the file takes of a disk, and what it takes more once a range is written.
  std::uint64_t room_bytes() const {
    std::uint64_t room = 0;
    for (const Link& page : pages_) room += page ? page_bytes : 0;
    return room;
  }
  std::uint64_t room_missing(std::uint64_t offset, std::uint64_t length) const {
    std::uint64_t room = 0;
    for_each_part(offset, length, [&](std::size_t page, std::size_t, std::size_t, std::size_t) {
      if (page >= pages_.size() || !pages_[page]) room += page_bytes;
    });
    return room;
  }

 private:
  using Page = std::array<std::byte, page_bytes>;
  using Link = std::shared_ptr<Page>;

  template <class Fn>
  static void for_each_part(std::uint64_t offset, std::uint64_t length, Fn&& fn) {
    for (std::uint64_t done = 0; done < length;) {
      const std::uint64_t at = (offset + done) % page_bytes;
      const std::uint64_t count = length - done < page_bytes - at ? length - done : page_bytes - at;
      fn(static_cast<std::size_t>((offset + done) / page_bytes), static_cast<std::size_t>(at), static_cast<std::size_t>(done), static_cast<std::size_t>(count));
      done += count;
    }
  }
  Page& own(std::size_t page) {
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page])
      pages_[page] = std::make_shared<Page>();
    else if (pages_[page].use_count() != 1)
      pages_[page] = std::make_shared<Page>(*pages_[page]);
    return *pages_[page];
  }

  std::vector<Link> pages_;  // null: a hole; shared with copies: not to be written
};

}  // namespace aegis::storage::testing
