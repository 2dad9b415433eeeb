// SPDX-License-Identifier: Apache-2.0
// Building nodes: fences first, then rows copied from other nodes with their suffixes cut to the new prefix. A row's key
// never changes, only how much of it the node's prefix says. For pages held exclusively.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/limits.hpp>
#include <aegis/storage/tree/node.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace aegis::storage {

constexpr std::size_t fence_bytes(const Fences& fences) { return page_slot_bytes + fence_header_bytes + fences.low.size() + fences.high.size(); }

/// Makes an empty node. The fences must not lie in the page.
template <std::size_t Size>
void begin_node(Page<Size>& page, TableId owner, std::uint8_t level, const Fences& fences) {
  std::byte tuple[fence_header_bytes + 2 * max_key_bytes(Size)];
  AEGIS_ASSERT(fences.low.size() <= max_key_bytes(Size) && fences.high.size() <= max_key_bytes(Size));
  page.format(level == 0 ? PageType::data : PageType::index, owner, level);
  store_le(tuple, static_cast<std::uint16_t>(fences.low.size()));
  store_le(tuple + 2, static_cast<std::uint16_t>(fences.high.size()));
  tuple[4] = std::byte{fences.has_high ? std::uint8_t{1} : std::uint8_t{0}};
  copy_bytes({tuple + fence_header_bytes, fences.low.size()}, bytes_of(fences.low));
  copy_bytes({tuple + fence_header_bytes + fences.low.size(), fences.high.size()}, bytes_of(fences.high));
  page.set_prefix_bytes(static_cast<std::uint16_t>(fences.prefix_bytes()));
  const bool placed = page.insert_at(0, 0, {tuple, fence_header_bytes + fences.low.size() + fences.high.size()});
  AEGIS_ASSERT(placed);
}

/// Room that a row of an inner node takes, slot included.
template <std::size_t Size>
std::size_t inner_row_bytes(const Page<Size>& page, std::string_view key) {
  return page_slot_bytes + child_bytes + key.size() - page.prefix_bytes();
}

/// A whole key that lies within the page's fences. False: no room, nothing changed.
template <std::size_t Size>
bool insert_child(Page<Size>& page, std::size_t row, std::string_view key, PageId child) {
  std::byte tuple[child_bytes + max_key_bytes(Size)];
  const std::string_view suffix = key.substr(page.prefix_bytes());
  store_le(tuple, number(child));
  copy_bytes({tuple + child_bytes, suffix.size()}, bytes_of(suffix));
  return page.insert_at(row + 1, key_head(suffix), {tuple, child_bytes + suffix.size()});
}

/// What rows [begin, end) of a node take in one with these fences, the fences included.
template <std::size_t Size>
std::size_t bytes_under(const NodeView<Size>& node, std::size_t begin, std::size_t end, const Fences& fences) {
  std::size_t bytes = 0;
  for (std::size_t i = begin; i < end; ++i) bytes += page_slot_bytes + node.tuple(i).value_or(Bytes{}).size();
  return bytes + (end - begin) * node.page().prefix_bytes() - (end - begin) * fences.prefix_bytes() + fence_bytes(fences);
}

/// Appends rows [begin, end) of another node, whose keys lie behind the last and within the fences of `page`. There is room.
template <std::size_t Size>
void append_rows(Page<Size>& page, const NodeView<Size>& from, std::size_t begin, std::size_t end) {
  constexpr std::size_t most = max_row_bytes(Size) > child_bytes + max_key_bytes(Size) ? max_row_bytes(Size) : child_bytes + max_key_bytes(Size);
  std::byte tuple[most];
  char key_room[max_key_bytes(Size)];
  const std::size_t header = from.is_leaf() ? leaf_cell_header_bytes : child_bytes;
  for (std::size_t i = begin; i < end; ++i) {
    const auto old = from.tuple(i);
    AEGIS_ASSERT(old.has_value());
    if (page.prefix_bytes() == from.page().prefix_bytes()) {  // the row stays what it is
      if (from.is_leaf() && old->front() == std::byte{LeafCell::ghost_flag}) page.add_ghosts(1);
      const bool placed = page.insert_at(page.slot_count(), from.head(i), *old);
      AEGIS_ASSERT(placed);
      continue;
    }
    const auto key = from.key(i, key_room);
    AEGIS_ASSERT(key.has_value());
    const std::string_view suffix = key->substr(page.prefix_bytes());
    const Bytes rest = old->subspan(header + key->size() - from.page().prefix_bytes());
    copy_bytes(tuple, old->first(header));
    if (from.is_leaf()) {
      store_le(tuple + 1, static_cast<std::uint16_t>(suffix.size()));
      if (old->front() == std::byte{LeafCell::ghost_flag}) page.add_ghosts(1);
    }
    copy_bytes({tuple + header, suffix.size()}, bytes_of(suffix));
    copy_bytes({tuple + header + suffix.size(), rest.size()}, rest);
    const bool placed = page.insert_at(page.slot_count(), key_head(suffix), {tuple, header + suffix.size() + rest.size()});
    AEGIS_ASSERT(placed);
  }
}

/// What rows and fences take now.
template <std::size_t Size>
std::size_t used_bytes(const Page<Size>& page) {
  return node_capacity(Size) - page.free_bytes();
}

/// Worth a merge: less than a third full.
template <std::size_t Size>
bool is_under_full(const Page<Size>& page) {
  return used_bytes(page) * 3 < node_capacity(Size);
}

}  // namespace aegis::storage
