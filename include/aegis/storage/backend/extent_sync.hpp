// SPDX-License-Identifier: Apache-2.0
// Publishing one sealed generation: its unwritten map blocks, children before parents and packed into runs, the list of
// holes, a sync, the two superblocks, a sync. One at a time; the generation's nodes do not change meanwhile.
#pragma once

#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_map.hpp>
#include <aegis/storage/backend/extent_reuse.hpp>
#include <aegis/storage/backend/extent_room.hpp>
#include <aegis/storage/core/mutex.hpp>

#include <cstdint>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentSync {
 public:
  struct State {
    MapRoot root{};
    std::uint64_t generation = 0;
    std::uint64_t blocks = 0, block_bytes = 0;
  };

  ExtentSync(ExtentFile<Files>& file, ExtentRoom<Files>& room, SharedMutex& map_lock, ExtentMap& map, ExtentReuse& reuse)
      : file_(file), room_(room), map_lock_(map_lock), map_(map), reuse_(reuse) {}

  /// The superblock that is durable now. `holes_version` becomes that of the list it names. Any failure leaves it
  /// unknown what the file says.
  Result<Superblock> publish(State& state, const Superblock& before, std::uint64_t& holes_version) {
    batch_ = file_.buffers().take(AlignedBuffers::kept_bytes);
    if (!batch_) return Error{Errc::out_of_memory, "buffer for map blocks"};
    if (state.root.node != nullptr && !state.root.node->stored.present()) AEGIS_TRY(write(state.root.node));
    AEGIS_TRY(flush());
    Superblock next = before;
    next.generation = before.generation + 1;
    next.height = static_cast<std::uint8_t>(state.root.height);
    next.root = state.root.node != nullptr ? state.root.node->stored : state.root.extent;
    next.blocks = state.blocks;
    next.block_bytes = state.block_bytes;
    std::uint64_t version = holes_version;
    if (before.generation == 0 || room_.holes_version() != holes_version) AEGIS_TRY(next.holes, write_holes(before.holes, state.generation, version));
    {
      const SharedGuard guard(map_lock_);
      next.used_bytes = room_.used_bytes();
    }
    AEGIS_TRY(file_.sync(false));
    AEGIS_TRY(file_.write_superblock(next));
    AEGIS_TRY(file_.sync(false));
    holes_version = version;
    return next;
  }

 private:
  std::uint32_t node_units() const { return file_.geometry().units(map_block_bytes); }
  std::size_t node_room() const { return std::size_t{node_units()} * file_.geometry().unit_bytes; }

  Result<void> write(ExtentNode* node) {
    if (node->level != 0)
      for (std::size_t i = 0; i < map_fanout; ++i)
        if (ExtentNode* below = node->child(i); below != nullptr && !below->stored.present()) AEGIS_TRY(write(below));
    if (fill_ + node_room() > std::size_t{run_.count} * file_.geometry().unit_bytes) AEGIS_TRY(next_run());
    std::byte* const at = batch_.bytes().data() + fill_;
    node->encode(at);
    std::memset(at + map_block_bytes, 0, node_room() - map_block_bytes);
    const std::uint64_t unit = run_.first + fill_ / file_.geometry().unit_bytes;
    fill_ += node_room();
    const Extent stored = Extent::at(unit * ExtentGeometry::grains_per_unit, {at, map_block_bytes});
    const Guard guard(map_lock_);
    map_.assign(node, stored, reuse_);
    return {};
  }
  Result<void> next_run() {
    AEGIS_TRY(flush());
    std::uint64_t unwritten = 0;
    {
      const SharedGuard guard(map_lock_);
      unwritten = map_.unwritten();
    }
    const std::uint64_t fitting = std::min<std::uint64_t>(unwritten, batch_.bytes().size() / node_room());
    AEGIS_TRY(run_, room_.take(node_units(), static_cast<std::uint32_t>(fitting) * node_units(), RoomFor::map));
    return {};
  }
  Result<void> flush() {
    if (fill_ != 0) AEGIS_TRY(file_.write_run(run_, batch_.bytes().first(fill_)));
    const auto used = static_cast<std::uint32_t>(fill_ / file_.geometry().unit_bytes);
    const Guard guard(map_lock_);
    room_.space.release((run_.first + used) * ExtentGeometry::grains_per_unit, std::uint64_t{run_.count - used} * ExtentGeometry::grains_per_unit);
    run_ = {};
    fill_ = 0;
    return {};
  }
  /// A new list; the old one's extent is free once this generation is published.
  Result<Extent> write_holes(const Extent& old, std::uint64_t generation, std::uint64_t& version) {
    const ExtentGeometry& geometry = file_.geometry();
    Extent list{};
    for (bool written = false; !written;) {
      const std::size_t length = room_.encode_holes(batch_.bytes().first(ExtentRoom<Files>::longest_hole_list * 8), version);
      if (length == 0) break;
      const std::uint32_t units = geometry.units(length);
      AEGIS_TRY(const UnitRun run, room_.take(units, units, RoomFor::map));
      written = room_.holes_version() == version;  // else its own room came from a hole that it names
      if (written) {
        const Bytes content = batch_.bytes().first(length);
        AEGIS_TRY(file_.write_padded(run, content));
        list = Extent::at(run.first * ExtentGeometry::grains_per_unit, content);
      } else {
        const Guard guard(map_lock_);
        room_.space.release(run.first * ExtentGeometry::grains_per_unit, std::uint64_t{run.count} * ExtentGeometry::grains_per_unit);
      }
    }
    if (!old.present()) return list;
    FreedExtent* freed = FreedExtent::prepare();
    if (freed == nullptr) return Error{Errc::out_of_memory, "list of holes"};
    freed->grain = old.grain();
    freed->grains = geometry.units(old.bytes) * ExtentGeometry::grains_per_unit;
    const Guard guard(map_lock_);
    reuse_.defer(freed, generation);
    return list;
  }

  ExtentFile<Files>& file_;
  ExtentRoom<Files>& room_;
  SharedMutex& map_lock_;
  ExtentMap& map_;
  ExtentReuse& reuse_;
  AlignedBuffers::Buffer batch_;  // map blocks on their way to run_
  UnitRun run_;
  std::size_t fill_ = 0;          // bytes of batch_ in use
};

}  // namespace aegis::storage
