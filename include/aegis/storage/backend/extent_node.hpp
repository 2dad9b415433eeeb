// SPDX-License-Identifier: Apache-2.0
// A map block in memory. Nodes are shared by the map's generations and counted; one that belongs to an older generation
// is never changed, but copied. All under the map's lock, except where extent_map.hpp says otherwise.
#pragma once

#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/backend/extent_reuse.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace aegis::storage {

struct ExtentNode {
  std::uint64_t generation = 0;       // the one that may change it
  std::uint64_t replaced_in = 0;      // the first one that has something else in its place; 0: none
  std::uint32_t references = 1;       // by parents and roots
  std::uint16_t count = 0;            // entries that are present, children that are not stored yet included
  std::uint8_t level = 0;
  Extent stored{};                    // where it stands in the file; absent: not written yet
  FreedExtent* freed = nullptr;       // for the day when `stored` is freed
  bool fresh[map_fanout] = {};         // leaves: extents written in `generation`, which no other generation names
  Extent entries[map_fanout];         // at a loaded child's index: out of date, the child's `stored` counts
  std::atomic<ExtentNode*>* children = nullptr;  // map_fanout of them above leaves; nullptr: absent or not loaded

  ExtentNode() = default;
  ExtentNode(const ExtentNode&) = delete;
  ExtentNode& operator=(const ExtentNode&) = delete;
  ~ExtentNode() {
    delete freed;
    delete[] children;
  }

  /// An empty node, or nullptr when memory is out.
  static ExtentNode* make(unsigned level, std::uint64_t generation) {
    auto* node = new (std::nothrow) ExtentNode;
    if (node == nullptr) return nullptr;
    node->level = static_cast<std::uint8_t>(level);
    node->generation = generation;
    node->freed = FreedExtent::prepare();
    if (level != 0) node->children = new (std::nothrow) std::atomic<ExtentNode*>[map_fanout] {};
    if (node->freed != nullptr && (level == 0 || node->children != nullptr)) return node;
    delete node;
    return nullptr;
  }

  /// The same content as a node of `generation`, its children shared.
  ExtentNode* copy(std::uint64_t copy_generation) const {
    ExtentNode* node = make(level, copy_generation);
    if (node == nullptr) return nullptr;
    node->count = count;
    std::memcpy(node->entries, entries, sizeof entries);
    if (level != 0)
      for (std::size_t i = 0; i < map_fanout; ++i)
        if (ExtentNode* below = child(i)) {
          ++below->references;
          node->children[i].store(below, std::memory_order_relaxed);
        }
    return node;
  }

  ExtentNode* child(std::size_t index) const { return level == 0 ? nullptr : children[index].load(std::memory_order_acquire); }
  bool has(std::size_t index) const { return entries[index].present() || child(index) != nullptr; }
  static std::size_t digit(std::uint64_t id, unsigned level) { return static_cast<std::size_t>(id >> (8 * level)) & (map_fanout - 1); }

  /// What stands in the file. Every loaded child is stored already.
  void encode(std::byte* to) const {
    for (std::size_t i = 0; i < map_fanout; ++i) {
      const ExtentNode* below = child(i);
      (below != nullptr ? below->stored : entries[i]).store(to + i * Extent::stored_bytes);
    }
  }
  /// False when an entry cannot be one. Places are for the caller to check.
  bool decode(const std::byte* from) {
    for (std::size_t i = 0; i < map_fanout; ++i) {
      const Extent entry = Extent::load(from + i * Extent::stored_bytes);
      if (!entry.is_canonical() || (entry.present() && level != 0 && entry.bytes != map_block_bytes)) return false;
      entries[i] = entry;
      count = static_cast<std::uint16_t>(count + (entry.present() ? 1 : 0));
    }
    return true;
  }

  std::size_t memory_bytes() const { return sizeof *this + sizeof(FreedExtent) + (level == 0 ? 0 : map_fanout * sizeof *children); }
};

}  // namespace aegis::storage
