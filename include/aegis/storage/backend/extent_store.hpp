// SPDX-License-Identifier: Apache-2.0
// The machinery below ExtentBackend: generations of the map, reads and writes of blocks, seal, sync and pins.
// A sync writes what is staged and the changed map blocks, syncs, writes two superblocks, syncs. Any thread. Lock order:
// sync_mutex_, the writer's mutex, the room's, the map's lock; no I/O is done under the map's lock.
#pragma once

#include <aegis/storage/backend/extent_check.hpp>
#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_map.hpp>
#include <aegis/storage/backend/extent_reuse.hpp>
#include <aegis/storage/backend/extent_room.hpp>
#include <aegis/storage/backend/extent_sync.hpp>
#include <aegis/storage/backend/extent_writer.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentStore {
 public:
  static constexpr std::size_t max_block_bytes = ExtentGeometry::step_bytes;
  static constexpr std::size_t max_pins = 64;

  ExtentStore(typename Files::File data, const Superblock& published)
      : file(std::move(data), ExtentGeometry{published.unit_bytes}),
        map(file.geometry()),
        room(file, lock_, map, reuse_),
        writer_(file, room, lock_, reuse_),
        superblock_(published) {
    map.current = published_ = {nullptr, published.root, published.height};
    blocks_ = published.blocks;
    block_bytes_ = published.block_bytes;
  }
  ~ExtentStore() {
    map.drop(published_);
    map.drop(sealed_);
  }

  Result<std::size_t> read(const MapRoot& root, BlockId id, MutableBytes into) {
    for (;;) {
      SharedGuard guard(lock_);
      const MapLookup found = ExtentMap::find(root, number(id));
      if (found.state == MapLookup::State::absent) return Error{Errc::block_not_found, "block", number(id)};
      const Extent& extent = found.extent;
      if (found.state == MapLookup::State::found && extent.bytes > into.size())
        return Error::mismatch(Errc::too_large, "buffer for block", into.size(), extent.bytes, number(id));
      const ReadingExtent reading(reuse_);
      guard.unlock();
      if (found.state == MapLookup::State::missing) {
        AEGIS_TRY(load(const_cast<MapRoot&>(root), number(id), found));
        continue;
      }
      if (extent.bytes != 0 && !writer_.read(extent, into)) AEGIS_TRY(file.read(extent, into, "extent of block", number(id)));
      return std::size_t{extent.bytes};
    }
  }
  Error located(const MapRoot& root, BlockId id, const Error& error) {
    const SharedGuard guard(lock_);
    const MapLookup found = ExtentMap::find(root, number(id));
    return found.state == MapLookup::State::found ? error.at(StoreFile::data, file.geometry().offset(found.extent)) : error;
  }
  /// The first block at or after `id`, which becomes it; nullopt: there is none.
  Result<Maybe<std::size_t>> next(const MapRoot& root, std::uint64_t& id) {
    for (;;) {
      SharedGuard guard(lock_);
      const MapLookup found = ExtentMap::find_next(root, id);
      if (found.state == MapLookup::State::absent) return Maybe<std::size_t>{};
      if (found.state == MapLookup::State::found) return Maybe<std::size_t>{found.extent.bytes};
      const ReadingExtent reading(reuse_);
      guard.unlock();
      AEGIS_TRY(load(const_cast<MapRoot&>(root), id, found));
    }
  }
  Result<bool> exists(BlockId id) {
    for (;;) {
      SharedGuard guard(lock_);
      const MapLookup found = ExtentMap::find(map.current, number(id));
      if (found.state != MapLookup::State::missing) return found.state == MapLookup::State::found;
      const ReadingExtent reading(reuse_);
      guard.unlock();
      AEGIS_TRY(load(map.current, number(id), found));
    }
  }

  Result<void> write(BlockId id, Bytes content) {
    AEGIS_TRY(prepare_change(id, true));
    if (content.size() > ExtentWriter<Files>::block_bytes) return write_alone(id, content);
    const Guard staging(writer_.mutex());
    for (;;) {
      const std::uint64_t generation = generation_.load(std::memory_order_acquire);
      Extent extent = Extent::at(0, {});
      if (!content.empty()) AEGIS_TRY(extent, writer_.stage(content, generation));
      const Result<bool> entered = enter(id, extent, generation);
      if (entered && *entered) return {};
      if (!content.empty()) writer_.unstage(extent);
      AEGIS_TRY(entered);
    }
  }
  Result<void> erase(BlockId id) {
    AEGIS_TRY(const bool present, exists(id));
    if (!present) return alive();
    AEGIS_TRY(prepare_change(id, false));
    AEGIS_TRY(enter(id, {}, any_generation));
    return {};
  }

  void seal() {
    const Guard guard(lock_);
    seal_locked();
  }
  Result<void> sync() {
    const Guard one_at_a_time(sync_mutex_);
    AEGIS_TRY(alive());
    SealedState state;
    {
      const Guard guard(lock_);
      if (!is_sealed_) seal_locked();
      is_sealed_ = false;
      state = {std::exchange(sealed_, {}), sealed_generation_, sealed_blocks_, sealed_block_bytes_};
    }
    Result<void> done = is_changed(state) ? publish(state) : Result<void>{};
    if (!done) failed_.store(true, std::memory_order_release);
    {
      const Guard guard(lock_);
      if (done) std::swap(published_, state.root);
      map.drop(state.root);
      if (!done) return done;
      published_generation_ = state.generation;
      expire();
    }
    room.give_back(published_holes_, superblock_.used_bytes);
    return {};
  }

  /// Whether anything at all, or the block `id` (its path loaded) or a map block above it, stands at or beyond a grain.
  bool reaches_beyond(std::uint64_t grain) const {
    const SharedGuard guard(lock_);
    return room.space.used_length() * std::uint64_t{file.geometry().units_per_step()} * ExtentGeometry::grains_per_unit > grain;
  }
  bool lies_beyond(std::uint64_t grain, std::uint64_t id) const {
    const SharedGuard guard(lock_);
    const MapLookup found = ExtentMap::find(map.current, id);
    return (found.extent.bytes != 0 && found.extent.grain() >= grain) || ExtentMap::furthest_node(map.current, id) >= grain;
  }

  struct Pinned {
    MapRoot root;
    std::uint64_t generation = 0;
  };
  Result<Pinned> pin() {
    const Guard guard(lock_);
    if (pin_count_ == max_pins) return Error{Errc::busy, "pinned generations"};
    pins_[pin_count_++] = published_generation_;
    return Pinned{map.hold(published_), published_generation_};
  }
  void unpin(Pinned& pinned) {
    const Guard guard(lock_);
    map.drop(pinned.root);
    std::size_t at = 0;
    while (pins_[at] != pinned.generation) ++at;
    pins_[at] = pins_[--pin_count_];
    expire();
  }

  /// Of the published generation; syncs wait, nothing else does.
  template <class Fn>
  Result<void> check(Fn&& fn) {
    const Guard no_sync(sync_mutex_);
    return ExtentCheck<Files>{file, superblock_}.run(fn);
  }

  Result<void> alive() const {
    if (failed_.load(std::memory_order_acquire) || file.sync_failed()) return Error{Errc::engine_failed, "backend"};
    return {};
  }
  bool is_new() const { return sequence_.load(std::memory_order_acquire) == 0; }

  struct Totals {
    std::uint64_t blocks, block_bytes, file_bytes, memory_bytes;
  };
  Totals totals() const {
    const SharedGuard guard(lock_);
    return {blocks_, block_bytes_, room.file_bytes(), map.memory_bytes() + room.space.memory_bytes()};
  }

  ExtentFile<Files> file;

 private:
  mutable SharedMutex lock_;  // "the map's lock": map, reuse, free space, roots, pins, totals
  ExtentReuse reuse_;

 public:
  ExtentMap map;
  ExtentRoom<Files> room;

 private:
  static constexpr std::uint64_t any_generation = ~std::uint64_t{0};
  using SealedState = typename ExtentSync<Files>::State;

  Result<void> load(MapRoot& root, std::uint64_t id, const MapLookup& missed) {
    const AlignedBuffers::Buffer image = file.buffers().take(map_block_bytes);
    Owned<ExtentNode> node{ExtentNode::make(missed.level, 0)};
    if (!image || !node) return Error{Errc::out_of_memory, "map block"};
    const std::uint64_t offset = file.geometry().offset(missed.extent);
    AEGIS_TRY(file.read(missed.extent, image.bytes(), "map block at offset", offset));
    if (!node->decode(image.bytes().data())) return Error{Errc::corrupt_block, "entry of the map block at offset", offset};
    const Guard guard(lock_);
    if (map.install(root, id, missed, node.get())) (void)node.release();
    return {};
  }
  /// Poisoned? Room for the map's growth? The path to `id` in memory?
  Result<void> prepare_change(BlockId id, bool is_write) {
    AEGIS_TRY(alive());
    AEGIS_TRY(writer_.prepare_change(is_write));
    AEGIS_TRY(exists(id));
    return {};
  }
  Result<void> write_alone(BlockId id, Bytes content) {
    const std::uint32_t units = file.geometry().units(content.size());
    AEGIS_TRY(const UnitRun run, room.take(units, units, RoomFor::blocks));
    const Extent extent = Extent::at(run.first * ExtentGeometry::grains_per_unit, content);
    Result<void> done = file.write_padded(run, content);
    if (done) {
      const std::uint64_t used = file.geometry().grains(content.size());
      const Result<bool> entered = enter(id, extent, any_generation);
      const Guard guard(lock_);
      if (entered) {
        room.space.release(extent.grain() + used, units * std::uint64_t{ExtentGeometry::grains_per_unit} - used);
        return {};
      }
      done = entered.error();
    }
    const Guard guard(lock_);
    room.space.release(extent.grain(), units * std::uint64_t{ExtentGeometry::grains_per_unit});
    return done;
  }
  /// False: `generation` has been sealed meanwhile.
  Result<bool> enter(BlockId id, const Extent& extent, std::uint64_t generation) {
    Owned<FreedExtent> freed{FreedExtent::prepare()};
    if (!freed) return Error{Errc::out_of_memory, "block", number(id)};
    for (;;) {
      Guard guard(lock_);
      const std::uint64_t now = generation_.load(std::memory_order_relaxed);
      if (generation != any_generation && generation != now) return false;
      const MapLookup found = ExtentMap::find(map.current, number(id));
      if (found.state == MapLookup::State::missing) {
        const ReadingExtent reading(reuse_);
        guard.unlock();
        AEGIS_TRY(load(map.current, number(id), found));
        continue;
      }
      if (found.state == MapLookup::State::absent && !extent.present()) return true;
      AEGIS_TRY(const ExtentMap::Previous previous, map.set(number(id), extent, now, reuse_));
      blocks_ = blocks_ + (extent.present() ? 1 : 0) - (previous.extent.present() ? 1 : 0);
      block_bytes_ = block_bytes_ + extent.bytes - previous.extent.bytes;
      if (previous.extent.bytes == 0) return true;
      freed->grain = previous.extent.grain();
      freed->grains = file.geometry().grains(previous.extent.bytes);
      if (previous.fresh)
        writer_.retire(freed.release());
      else
        reuse_.defer(freed.release(), now);
      return true;
    }
  }

  void seal_locked() {
    map.drop(sealed_);
    sealed_ = map.hold(map.current);
    sealed_blocks_ = blocks_;
    sealed_block_bytes_ = block_bytes_;
    sealed_generation_ = generation_.load(std::memory_order_relaxed);
    generation_.store(sealed_generation_ + 1, std::memory_order_release);
    is_sealed_ = true;
  }
  bool is_changed(const SealedState& state) const {
    const Extent root = state.root.node != nullptr ? state.root.node->stored : state.root.extent;
    return is_new() || state.root.height != superblock_.height || root != superblock_.root || room.holes_version() != published_holes_ ||
           room.could_shorten(superblock_.used_bytes);
  }
  Result<void> publish(SealedState& state) {
    AEGIS_TRY(writer_.flush_until(state.generation));
    ExtentSync<Files> sync{file, room, lock_, map, reuse_};
    AEGIS_TRY(const Superblock next, sync.publish(state, superblock_, published_holes_));
    superblock_ = next;
    sequence_.store(next.generation, std::memory_order_release);
    return {};
  }
  /// Everything that neither the published nor a pinned generation names may go.
  void expire() {
    std::uint64_t oldest = published_generation_;
    for (std::size_t i = 0; i < pin_count_; ++i) oldest = std::min(oldest, pins_[i]);
    reuse_.expire(oldest);
    reuse_.advance(room.space);
  }

  ExtentWriter<Files> writer_;
  Mutex sync_mutex_;
  Superblock superblock_;                      // the published one; under sync_mutex_
  std::atomic<std::uint64_t> sequence_{superblock_.generation};
  std::atomic<bool> failed_{false};            // a sync failed: nothing is ever written again
  std::uint64_t published_holes_ = 0;          // version of the hole list that superblock_ names

  // Generations count in memory only; 0 is what was opened. published_generation_ < sealed_generation_ < generation_.
  std::atomic<std::uint64_t> generation_{1};   // of map.current; changed under lock_
  std::uint64_t published_generation_ = 0;
  std::uint64_t sealed_generation_ = 0;
  MapRoot published_;
  MapRoot sealed_;                             // held while is_sealed_
  bool is_sealed_ = false;
  std::uint64_t sealed_blocks_ = 0, sealed_block_bytes_ = 0;
  std::uint64_t blocks_ = 0, block_bytes_ = 0;  // in map.current
  std::array<std::uint64_t, max_pins> pins_{};
  std::size_t pin_count_ = 0;
};

}  // namespace aegis::storage
