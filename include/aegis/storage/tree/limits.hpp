// SPDX-License-Identifier: Apache-2.0
// What a tree takes: the longest key, the longest value, and which values leave their leaf. All follow from the page
// size alone, so they are part of the layout: stores of one page size agree on them.
#pragma once

#include <aegis/storage/page/format.hpp>

#include <cstddef>
#include <cstdint>

namespace aegis::storage {

/// 512 at 4 KiB, 1,024 at 8 KiB, 8,192 at 64 KiB: an inner node holds two fences and at least five such keys.
constexpr std::size_t max_key_bytes(std::size_t page_size) { return page_size / 8; }

/// 1 GiB. A transaction's own limit is usually lower.
inline constexpr std::uint64_t max_value_bytes = std::uint64_t{1} << 30;

/// Levels of a tree, the leaves included. Four levels of 8 KiB pages hold more than 10^8 rows.
inline constexpr std::size_t max_tree_levels = 32;

inline constexpr std::size_t leaf_cell_header_bytes = 3;   ///< flags 1, suffix length 2
inline constexpr std::size_t fence_header_bytes = 5;       ///< low length 2, high length 2, flags 1
inline constexpr std::size_t child_bytes = 8;              ///< a page id in an inner row

/// What rows and fences of a node may use together.
constexpr std::size_t node_capacity(std::size_t page_size) { return page_size - page_header_bytes; }

/// The longest leaf row, slot included: four of them fit a leaf beside the longest fences.
constexpr std::size_t max_row_bytes(std::size_t page_size) {
  return (node_capacity(page_size) - page_slot_bytes - fence_header_bytes - 2 * max_key_bytes(page_size)) / 4;
}

/// The longest value that stays in its leaf beside this key; a longer one goes to overflow pages. Depends on the key's
/// whole length, never on the leaf, so that a row does not change its form when a leaf splits.
constexpr std::size_t max_inline_bytes(std::size_t page_size, std::size_t key_bytes) {
  return max_row_bytes(page_size) - page_slot_bytes - leaf_cell_header_bytes - key_bytes;
}

static_assert(max_key_bytes(8192) >= 1000, "promised at the default page size");
static_assert(max_inline_bytes(4096, max_key_bytes(4096)) >= 16, "an overflow reference fits beside the longest key");
static_assert(7 * (max_key_bytes(4096) + child_bytes + page_slot_bytes) + 64 <= node_capacity(4096),
              "any full inner node can be split into two that fit");

}  // namespace aegis::storage
