// SPDX-License-Identifier: Apache-2.0
// Making and opening the data file of a directory. Opening for writing reads every map block once (4 KiB for up to 256
// blocks), which proves that no extents overlap or leave the file, and finds the free space; opening for reading reads
// the superblocks alone, so a store with a damaged map can still be read around the damage.
#pragma once

#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_store.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/file/policy.hpp>

#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentOpen {
 public:
  using Directory = typename Files::Directory;
  using File = typename Files::File;
  using Store = ExtentStore<Files>;

  static constexpr std::string_view data_name = "data";
  static constexpr std::string_view fresh_name = "data.new";

  /// Made under a temporary name, synced, renamed, the directory synced: it is there whole or not at all.
  static Result<void> create(Directory& directory, std::uint64_t place_id) {
    AEGIS_TRY(const bool stale, directory.exists(fresh_name));
    if (stale) AEGIS_TRY(directory.unlink(fresh_name));
    AEGIS_TRY(File data, directory.open(fresh_name, {.create = true, .exclusive = true, .direct = true}));
    const Superblock first{.unit_bytes = std::max(std::max(data.unit_bytes(), data.alignment()), std::uint32_t{512}), .place_id = place_id};
    if (!ExtentGeometry{first.unit_bytes}.is_valid()) return Error{Errc::invalid_argument, "unit of the device", first.unit_bytes};
    ExtentFile<Files> file{std::move(data), ExtentGeometry{first.unit_bytes}};
    AEGIS_TRY(file.allocate_steps(0, ExtentRoom<Files>::initial_steps));
    AEGIS_TRY(file.write_superblock(first));
    AEGIS_TRY(file.sync(true));
    AEGIS_TRY(directory.rename(fresh_name, data_name));
    return directory.sync();
  }

  /// Believes nothing of the page cache: what an earlier life failed to sync may stand there, clean and not on disk.
  static Result<Owned<Store>> open(Directory& directory, bool read_only) {
    AEGIS_TRY(File data, open_file(directory, true, read_only));
    if (!read_only) {
      AEGIS_TRY(data.sync_all());
      AEGIS_TRY(directory.sync());
      AEGIS_TRY(data.drop_cache());
    }
    AlignedBuffers buffers;
    AEGIS_TRY(const Superblock published, ExtentFile<Files>::read_superblock(data, buffers));
    if (data.alignment() > published.unit_bytes) {
      { const File given_up = std::move(data); }  // it is held alone
      AEGIS_TRY(data, open_file(directory, false, read_only));
    }
    Owned<Store> store{new (std::nothrow) Store{std::move(data), published}};
    if (!store) return Error{Errc::out_of_memory, "data file"};
    AEGIS_TRY(const std::uint64_t size, store->file.size());
    if (size < published.used_bytes) return Error::mismatch(Errc::corrupt_block, "length", published.used_bytes, size).at(StoreFile::data);
    if (read_only) return store;
    AEGIS_TRY(find_free_space(*store, published, size));
    AEGIS_TRY(store->file.mend_superblocks(published));
    return store;
  }

 private:
  struct Count {
    std::uint64_t blocks = 0, bytes = 0;
  };

  static Result<File> open_file(Directory& directory, bool direct, bool read_only) {
    return directory.open(data_name, {.direct = direct, .read_only = read_only, .alone = true});
  }

  static Result<void> find_free_space(Store& store, const Superblock& published, std::uint64_t size) {
    FreeSpace& space = store.room.space;
    const ExtentGeometry& geometry = store.file.geometry();
    AEGIS_TRY(store.room.adopt(size));
    if (!space.mark(0, geometry.grains(Superblock::region_bytes))) return Error{Errc::corrupt_block, "too short, bytes:", size}.at(StoreFile::data);
    Count count;
    if (published.height != 0) AEGIS_TRY(walk(store, published.root, published.height - 1u, 0, count));
    if (count.blocks != published.blocks) return Error::mismatch(Errc::corrupt_block, "number of blocks in the map", published.blocks, count.blocks);
    if (count.bytes != published.block_bytes) return Error::mismatch(Errc::corrupt_block, "bytes of blocks in the map", published.block_bytes, count.bytes);
    return find_holes(store, published.holes);
  }
  /// Marks a map block and all below it.
  static Result<void> walk(Store& store, const Extent& stored, unsigned level, std::uint64_t first_id, Count& count) {
    const ExtentGeometry& geometry = store.file.geometry();
    const std::uint64_t offset = geometry.offset(stored);
    const Error damaged{Errc::corrupt_block, "map block that overlaps another extent or leaves the file, at offset", offset};
    if (stored.bytes != map_block_bytes || !is_whole(stored)) return damaged;
    if (!store.room.space.mark(stored.grain(), geometry.units(map_block_bytes) * ExtentGeometry::grains_per_unit)) return damaged;
    const AlignedBuffers::Buffer image = store.file.buffers().take(map_block_bytes);
    const Owned<ExtentNode> node{ExtentNode::make(level, 0)};
    if (!image || !node) return Error{Errc::out_of_memory, "map block"};
    AEGIS_TRY(store.file.read(stored, image.bytes(), "map block at offset", offset));
    if (!node->decode(image.bytes().data())) return Error{Errc::corrupt_block, "entry of the map block at offset", offset};
    for (std::size_t i = 0; i < map_fanout; ++i) {
      const Extent& entry = node->entries[i];
      if (!entry.present()) continue;
      const std::uint64_t id = first_id + (static_cast<std::uint64_t>(i) << (8 * level));
      if (level != 0) {
        AEGIS_TRY(walk(store, entry, level - 1, id, count));
        continue;
      }
      if (entry.bytes > Store::max_block_bytes || !store.room.space.mark(entry.grain(), geometry.grains(entry.bytes)))
        return Error{Errc::corrupt_block, "extent that overlaps another one or leaves the file, of block", id}.at(StoreFile::data, geometry.offset(entry));
      ++count.blocks;
      count.bytes += entry.bytes;
    }
    return {};
  }
  static bool is_whole(const Extent& extent) { return extent.grain() % ExtentGeometry::grains_per_unit == 0; }

  static Result<void> find_holes(Store& store, const Extent& holes) {
    if (!holes.present()) return {};
    const ExtentGeometry& geometry = store.file.geometry();
    const std::uint64_t offset = geometry.offset(holes);
    const Error damaged{Errc::corrupt_block, "list of holes at offset", offset};
    if (holes.bytes > ExtentRoom<Files>::longest_hole_list * 8 || !is_whole(holes)) return damaged;
    if (!store.room.space.mark(holes.grain(), geometry.units(holes.bytes) * std::uint64_t{ExtentGeometry::grains_per_unit})) return damaged;
    const AlignedBuffers::Buffer list = store.file.buffers().take(holes.bytes);
    if (!list) return Error{Errc::out_of_memory, "list of holes"};
    AEGIS_TRY(store.file.read(holes, list.bytes(), "list of holes at offset", offset));
    if (!store.room.decode_holes(list.bytes().first(holes.bytes))) return damaged;
    return {};
  }
};

}  // namespace aegis::storage
