// SPDX-License-Identifier: Apache-2.0
// The layout of a page's own header and slots. It follows the room of the block header, so that an uncompressed page
// is a block of exactly the page size. Numbers are little endian.
#pragma once

#include <aegis/storage/block/format.hpp>

#include <cstddef>
#include <cstdint>

namespace aegis::storage {

/// The byte at rest; every other value is corrupt. The same numbers as BlockType, which a page's block carries.
enum class PageType : std::uint8_t { data = 1, index = 2, overflow = 3, free = 4, meta = 5 };

constexpr bool is_page_type(std::uint8_t byte) { return byte >= 1 && byte <= 5; }

//  offset  bytes  field
//       0     48  block header
//      48      1  type
//      49      1  level (0 = leaf)
//      50      2  slot count
//      52      2  ghost count
//      54      2  prefix bytes
//      56      4  heap begin: offset of the lowest tuple byte, the page size when there is none
//      60      4  reclaimable: bytes at or above heap begin that belong to no tuple
//      64      8  newest commit timestamp
//      72      4  owner (TableId)
//      76      4  spare, zero
//      80      8  link: leftmost child, or next overflow page
//      88      8  spare, zero
//      96    8*n  slots: head 4, offset 2, length 2; free = all zero, never the last; an empty tuple has offset 96
//     ...         free room, then tuples up to the end of the page
struct PageLayout {
  static constexpr std::size_t type = 48, level = 49, slot_count = 50, ghost_count = 52, prefix_bytes = 54, heap_begin = 56,
                               reclaimable = 60, newest = 64, owner = 72, spare_a = 76, link = 80, spare_b = 88, slots = 96;
};

static_assert(PageLayout::type == block_header_bytes, "the page header follows the block header's room");

inline constexpr std::size_t page_header_bytes = PageLayout::slots;  ///< Both headers.
inline constexpr std::size_t page_slot_bytes = 8;

}  // namespace aegis::storage
