// SPDX-License-Identifier: Apache-2.0
// Damage done to the files of a store on a simulated disk, behind its back, and where in the data file its blocks stand:
// read from superblock and map by this file's own few lines, not by the code that is tested.
#pragma once

#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/engine/meta.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/testing/simulated_files.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace aegis_test {

using aegis::storage::Bytes, aegis::storage::MutableBytes, aegis::storage::Extent, aegis::storage::Superblock;
using aegis::storage::testing::SimulatedMedium;

/// A disk that was left in peace: everything on it is durable.
inline SimulatedMedium settled(SimulatedMedium medium) {
  for (auto& [number, file] : medium.files) {
    file.durable = file.seen;
    file.durable_size = file.size;
    file.pending.clear();
  }
  for (auto& [path, directory] : medium.directories) {
    directory.durable = true;
    directory.durable_names = directory.names;
    directory.pending.clear();
  }
  return medium;
}

/// One file of a medium, to be looked at and to be damaged.
class DamagedFile {
 public:
  DamagedFile(SimulatedMedium& medium, const std::string& name, const std::string& directory = "store")
      : file_(&medium.files.at(medium.directories.at(directory).names.at(name))) {}

  std::uint64_t size() const { return file_->size; }
  std::vector<std::byte> bytes(std::uint64_t offset, std::size_t count) const {
    std::vector<std::byte> found(count);
    file_->seen.read(offset, found);
    return found;
  }
  void put(std::uint64_t offset, Bytes bytes) {
    file_->seen.write(offset, bytes);
    file_->durable.write(offset, bytes);
  }
  void flip(std::uint64_t offset, unsigned bit) {
    auto byte = bytes(offset, 1);
    byte[0] ^= std::byte{static_cast<unsigned char>(1u << bit)};
    put(offset, byte);
  }
  void zero(std::uint64_t offset, std::size_t count) { put(offset, std::vector<std::byte>(count)); }
  void truncate(std::uint64_t size) {
    for (auto* content : {&file_->seen, &file_->durable}) content->clear_from(size);
    file_->size = file_->durable_size = size;
  }

 private:
  SimulatedMedium::File* file_;
};

inline void remove_file(SimulatedMedium& medium, const std::string& name, const std::string& directory = "store") {
  medium.directories.at(directory).names.erase(name);
  medium.directories.at(directory).durable_names.erase(name);
}
/// Each of the two gets the other's content.
inline void exchange_files(SimulatedMedium& medium, const std::string& one, const std::string& other, const std::string& directory = "store") {
  auto& place = medium.directories.at(directory);
  for (auto* names : {&place.names, &place.durable_names}) std::swap(names->at(one), names->at(other));
}
/// The segments of the log, in order.
inline std::vector<std::string> log_files(const SimulatedMedium& medium, const std::string& directory = "store") {
  std::vector<std::string> found;
  for (const auto& [name, file] : medium.directories.at(directory).names)
    if (name.starts_with("wal-")) found.push_back(name);
  return found;
}

/// Where something of the published generation stands in the data file.
struct LiveExtent {
  std::uint64_t offset, bytes;
  bool is_map;       ///< A map block; otherwise the block `id`.
  std::uint64_t id;  ///< Of a map block: the first that it names.
};

inline Superblock superblock_in(const DamagedFile& data) {
  Superblock newest{};
  bool found = false;
  for (unsigned slot = 0; slot < Superblock::slots; ++slot) {
    const auto bytes = data.bytes(Superblock::slot_offset(slot), Superblock::slot_bytes);
    const auto block = Superblock::decode(std::span<const std::byte, Superblock::slot_bytes>{bytes}, slot);
    if (block && (!found || block->generation > newest.generation)) newest = *block, found = true;
  }
  REQUIRE(found);
  return newest;
}

inline void collect_extents(const DamagedFile& data, std::uint64_t grain, const Extent& map, unsigned level, std::uint64_t first, std::vector<LiveExtent>& into) {
  into.push_back({map.grain() * grain, map.bytes, true, first});
  const auto bytes = data.bytes(map.grain() * grain, map.bytes);
  for (std::size_t i = 0; i < aegis::storage::map_fanout; ++i) {
    const Extent entry = Extent::load(bytes.data() + i * Extent::stored_bytes);
    const std::uint64_t id = first + (static_cast<std::uint64_t>(i) << (8 * level));
    if (!entry.present()) continue;
    if (level != 0) collect_extents(data, grain, entry, level - 1, id, into);
    else into.push_back({entry.grain() * grain, entry.bytes, false, id});
  }
}
/// Of a store that is sound: its map blocks and blocks.
inline std::vector<LiveExtent> live_extents(SimulatedMedium& medium, const std::string& directory = "store") {
  const DamagedFile data{medium, "data", directory};
  const Superblock super = superblock_in(data);
  std::vector<LiveExtent> found;
  if (super.height != 0) collect_extents(data, super.unit_bytes / aegis::storage::ExtentGeometry::grains_per_unit, super.root, super.height - 1u, 0, found);
  return found;
}
inline LiveExtent extent_of(SimulatedMedium& medium, std::uint64_t id, const std::string& directory = "store") {
  for (const LiveExtent& extent : live_extents(medium, directory))
    if (!extent.is_map && extent.id == id) return extent;
  REQUIRE_MESSAGE(false, "no block " << id);
  return {};
}

}  // namespace aegis_test
