// SPDX-License-Identifier: Apache-2.0
// Block id -> extent: a copy-on-write radix tree whose nodes are loaded when first needed. A root names one generation
// for as long as it is held; the current generation copies what it changes, so a sync writes only that and its path.
// Readers hold the map's lock shared, changes hold it exclusive; the nodes of a held, sealed root may be read without
// it, for nothing but `stored` (by the one that syncs) and not yet loaded children ever changes there.
#pragma once

#include <aegis/storage/backend/extent_node.hpp>

#include <cstdint>
#include <utility>

namespace aegis::storage {

/// A whole generation. height 0: empty; not loaded yet: node is nullptr and `extent` present.
struct MapRoot {
  ExtentNode* node = nullptr;
  Extent extent{};
  unsigned height = 0;
};

/// What a search for one id came to. `missing`: the node at `level`, stored at `extent`, must be loaded first.
struct MapLookup {
  enum class State : std::uint8_t { absent, found, missing } state = State::absent;
  Extent extent{};
  unsigned level = 0;
};

class ExtentMap {
 public:
  explicit ExtentMap(ExtentGeometry geometry) : geometry_(geometry) {}
  ExtentMap(const ExtentMap&) = delete;
  ExtentMap& operator=(const ExtentMap&) = delete;
  ~ExtentMap() { drop(current); }

  static MapLookup find(const MapRoot& root, std::uint64_t id) {
    if (!covers(root, id)) return {};
    const ExtentNode* node = root.node;
    if (node == nullptr) return {MapLookup::State::missing, root.extent, root.height - 1};
    for (;;) {
      const std::size_t index = ExtentNode::digit(id, node->level);
      if (!node->has(index)) return {};
      if (node->level == 0) return {MapLookup::State::found, node->entries[index], 0};
      const ExtentNode* below = node->child(index);
      if (below == nullptr) return {MapLookup::State::missing, node->entries[index], node->level - 1u};
      node = below;
    }
  }

  /// The first present id at or after `id`, which becomes it.
  static MapLookup find_next(const MapRoot& root, std::uint64_t& id) {
    while (covers(root, id)) {
      const ExtentNode* node = root.node;
      if (node == nullptr) return {MapLookup::State::missing, root.extent, root.height - 1};
      std::size_t index = ExtentNode::digit(id, node->level);
      while (node->level != 0 && node->has(index)) {
        const ExtentNode* below = node->child(index);
        if (below == nullptr) return {MapLookup::State::missing, node->entries[index], node->level - 1u};
        node = below;
        index = ExtentNode::digit(id, node->level);
      }
      while (index < map_fanout && !node->has(index)) ++index;
      const unsigned shift = 8u * node->level;
      const std::uint64_t begin = shift + 8 >= 64 ? 0 : (id >> (shift + 8)) << (shift + 8);
      const std::uint64_t next = begin + (static_cast<std::uint64_t>(index) << shift);  // wraps only at the very end
      if (index < map_fanout) {
        if (next > id) id = next;
        if (node->level == 0) return {MapLookup::State::found, node->entries[index], 0};
      } else {
        if (shift + 8 >= 64 || next <= id) return {};
        id = next;
      }
    }
    return {};
  }

  /// The furthest grain among the stored nodes on the way to `id`, which are loaded; 0 when all are yet to be written.
  static std::uint64_t furthest_node(const MapRoot& root, std::uint64_t id) {
    std::uint64_t furthest = 0;
    for (const ExtentNode* node = root.node; node != nullptr; node = node->child(ExtentNode::digit(id, node->level)))
      if (node->stored.present() && node->stored.grain() > furthest) furthest = node->stored.grain();
    return furthest;
  }

  /// Puts a loaded node where find() missed it. False, and the node stays the caller's, when things have changed.
  bool install(MapRoot& root, std::uint64_t id, const MapLookup& missed, ExtentNode* node) {
    const MapLookup now = find(root, id);
    if (now.state != MapLookup::State::missing || now.extent != missed.extent || now.level != missed.level) return false;
    node->stored = missed.extent;
    memory_bytes_ += node->memory_bytes();
    if (root.node == nullptr) {
      root.node = node;
      return true;
    }
    ExtentNode* above = root.node;
    while (above->level != node->level + 1) above = above->child(ExtentNode::digit(id, above->level));
    above->children[ExtentNode::digit(id, above->level)].store(node, std::memory_order_release);
    return true;
  }

  /// What the current generation has at `id`, and whether no other generation names it.
  struct Previous {
    Extent extent{};
    bool fresh = false;
  };
  /// Enters `extent`, or removes the id when it is not present. The path is loaded. out_of_memory leaves all as it was.
  Result<Previous> set(std::uint64_t id, const Extent& extent, std::uint64_t generation, ExtentReuse& reuse) {
    AEGIS_TRY(raise(id, generation));
    ExtentNode* path[map_max_height] = {};
    AEGIS_TRY(ExtentNode * node, own(current.node, generation, reuse));
    current.node = node;
    current.extent = {};
    while (path[node->level] = node, node->level != 0) {
      const std::size_t index = ExtentNode::digit(id, node->level);
      ExtentNode* below = node->child(index);
      if (below == nullptr) AEGIS_TRY(below, make(node->level - 1u, generation));
      else AEGIS_TRY(below, own(below, generation, reuse));
      if (!node->has(index)) ++node->count;
      node->entries[index] = {};
      node->children[index].store(below, std::memory_order_release);
      node = below;
    }
    const std::size_t index = ExtentNode::digit(id, 0);
    const Previous previous{node->entries[index], node->fresh[index]};
    node->count = static_cast<std::uint16_t>(node->count + (extent.present() ? 1 : 0) - (previous.extent.present() ? 1 : 0));
    node->entries[index] = extent;
    node->fresh[index] = extent.present();
    if (node->count == 0) prune(path, id, generation, reuse);
    return previous;
  }

  /// Says where a node stands now; a generation that has replaced it meanwhile gets its extent freed.
  void assign(ExtentNode* node, const Extent& stored, ExtentReuse& reuse) {
    node->stored = stored;
    --unwritten_;
    if (node->replaced_in != 0) free_stored(node, node->replaced_in, reuse);
  }

  MapRoot hold(const MapRoot& root) {
    if (root.node != nullptr) ++root.node->references;
    return root;
  }
  void drop(MapRoot& root) {
    if (root.node != nullptr) unref(root.node);
    root = {};
  }

  std::uint64_t unwritten() const { return unwritten_; }
  std::uint64_t memory_bytes() const { return memory_bytes_; }
  const ExtentGeometry& geometry() const { return geometry_; }

  MapRoot current;  // of the generation that is being written

 private:
  static bool covers(const MapRoot& root, std::uint64_t id) {
    return root.height != 0 && (root.height == map_max_height || id >> (8 * root.height) == 0);
  }
  Result<ExtentNode*> make(unsigned level, std::uint64_t generation) {
    ExtentNode* node = ExtentNode::make(level, generation);
    if (node == nullptr) return Error{Errc::out_of_memory, "map block"};
    count_in(node);
    return node;
  }
  void count_in(const ExtentNode* node) {
    ++unwritten_;
    memory_bytes_ += node->memory_bytes();
  }
  /// Makes the tree high enough for `id`.
  Result<void> raise(std::uint64_t id, std::uint64_t generation) {
    if (current.height == 0) {
      unsigned height = 1;
      while (height < map_max_height && id >> (8 * height) != 0) ++height;
      AEGIS_TRY(current.node, make(height - 1, generation));
      current.height = height;
    }
    while (!covers(current, id)) {
      AEGIS_TRY(ExtentNode * above, make(current.height, generation));
      above->count = 1;
      above->entries[0] = current.extent;
      above->children[0].store(current.node, std::memory_order_release);
      current = {above, {}, current.height + 1};
    }
    return {};
  }
  /// `node` itself when `generation` may change it, else a copy that takes its place: the caller stores it there.
  Result<ExtentNode*> own(ExtentNode* node, std::uint64_t generation, ExtentReuse& reuse) {
    if (node->generation == generation) return node;
    ExtentNode* mine = node->copy(generation);
    if (mine == nullptr) return Error{Errc::out_of_memory, "map block"};
    count_in(mine);
    leave_behind(node, generation, reuse);
    return mine;
  }
  void leave_behind(ExtentNode* node, std::uint64_t generation, ExtentReuse& reuse) {
    node->replaced_in = generation;
    if (node->stored.present()) free_stored(node, generation, reuse);
    unref(node);
  }
  /// A node can be left behind once for each time that it is loaded, but its extent is freed by the current map alone.
  void free_stored(ExtentNode* node, std::uint64_t generation, ExtentReuse& reuse) {
    FreedExtent* freed = std::exchange(node->freed, nullptr);
    AEGIS_ASSERT(freed != nullptr);
    freed->grain = node->stored.grain();
    freed->grains = geometry_.units(map_block_bytes) * ExtentGeometry::grains_per_unit;
    reuse.defer(freed, generation);
  }
  /// The leaf of this path became empty: it goes, and whatever becomes empty by that.
  void prune(ExtentNode* const* path, std::uint64_t id, std::uint64_t generation, ExtentReuse& reuse) {
    for (unsigned level = 0;; ++level) {
      if (path[level]->count != 0) return;
      if (level + 1 == current.height) {
        leave_behind(path[level], generation, reuse);
        current = {};
        return;
      }
      path[level + 1]->children[ExtentNode::digit(id, level + 1)].store(nullptr, std::memory_order_release);
      leave_behind(path[level], generation, reuse);
      --path[level + 1]->count;
    }
  }
  void unref(ExtentNode* node) {
    if (--node->references != 0) return;
    if (node->level != 0)
      for (std::size_t i = 0; i < map_fanout; ++i)
        if (ExtentNode* below = node->child(i)) unref(below);
    if (!node->stored.present()) --unwritten_;
    memory_bytes_ -= node->memory_bytes();
    delete node;
  }

  const ExtentGeometry geometry_;
  std::uint64_t unwritten_ = 0;     // nodes without a place in the file
  std::uint64_t memory_bytes_ = 0;  // of all nodes
};

}  // namespace aegis::storage
