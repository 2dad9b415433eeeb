// SPDX-License-Identifier: Apache-2.0
// The proof that a page from storage may be trusted: header fields known, every offset in bounds, no byte used twice,
// none unaccounted for. Linear in the page, no allocation, any bytes.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/page/format.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace aegis::storage {

/// Which bytes of a page are taken, one bit a byte.
template <std::size_t Size>
class TakenBytes {
 public:
  /// False when one of them was taken before. The range lies within Size.
  bool take(std::size_t begin, std::size_t length) {
    for (std::size_t at = begin, end = begin + length; at < end;) {
      const std::size_t bit = at % 64, run = end - at < 64 - bit ? end - at : 64 - bit;
      const std::uint64_t mask = (run == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << run) - 1) << bit;
      if ((words_[at / 64] & mask) != 0) return false;
      words_[at / 64] |= mask;
      at += run;
    }
    return true;
  }

 private:
  std::uint64_t words_[Size / 64] = {};
};

template <std::size_t Size>
Result<void> validate_page(std::span<const std::byte, Size> page, PageId id) {
  const std::byte* bytes = page.data();
  const auto broken = [&](const char* what) { return Error{Errc::corrupt_page, what, number(id)}; };
  const std::size_t count = load_le<std::uint16_t>(bytes + PageLayout::slot_count);
  const std::size_t heap = load_le<std::uint32_t>(bytes + PageLayout::heap_begin);
  const std::size_t reclaimable = load_le<std::uint32_t>(bytes + PageLayout::reclaimable);
  if (!is_page_type(static_cast<std::uint8_t>(bytes[PageLayout::type]))) return broken("type of page");
  if (heap > Size || PageLayout::slots + count * page_slot_bytes > heap) return broken("slot count or heap of page");
  if (reclaimable > Size - heap) return broken("free room of page");
  if (load_le<std::uint16_t>(bytes + PageLayout::ghost_count) > count) return broken("ghost count of page");
  if (load_le<std::uint16_t>(bytes + PageLayout::prefix_bytes) > Size - PageLayout::slots) return broken("key prefix of page");
  if (load_le<std::uint32_t>(bytes + PageLayout::spare_a) != 0 || load_le<std::uint64_t>(bytes + PageLayout::spare_b) != 0)
    return broken("spare field of page");

  TakenBytes<Size> taken;
  std::size_t used = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte* slot = bytes + PageLayout::slots + i * page_slot_bytes;
    if (load_le<std::uint64_t>(slot) == 0) {
      if (i + 1 == count) return broken("slot count of page");
      continue;
    }
    const std::size_t offset = load_le<std::uint16_t>(slot + 4), length = load_le<std::uint16_t>(slot + 6);
    if (length == 0 && offset == PageLayout::slots) continue;
    if (length == 0 || offset < heap || offset + length > Size) return broken("slot of page");
    if (!taken.take(offset, length)) return broken("overlapping tuples of page");
    used += length;
  }
  if (used + reclaimable != Size - heap) return broken("free room of page");
  return {};
}

}  // namespace aegis::storage
