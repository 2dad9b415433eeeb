// SPDX-License-Identifier: Apache-2.0
// The data file at rest, little endian. Blocks and map blocks are *extents*: whole grains (an eighth of a unit), never
// sharing a unit with an extent of another generation. Every extent is named, with its length and the CRC-32C of its
// bytes, by one entry of a map block or superblock, so that lost and misdirected writes are found.
#pragma once

#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace aegis::storage {

/// Where a block's bytes stand. 16 bytes at rest:
///   offset 0  u64  bit 63: present; bits 0..47: first grain
///   offset 8  u32  length in bytes
///   offset 12 u32  CRC-32C of these bytes
struct Extent {
  static constexpr std::size_t stored_bytes = 16;
  static constexpr std::uint64_t present_bit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t grain_limit = std::uint64_t{1} << 48;

  std::uint64_t place = 0;
  std::uint32_t bytes = 0;
  std::uint32_t checksum = 0;

  static Extent at(std::uint64_t grain, Bytes content) {
    return {grain | present_bit, static_cast<std::uint32_t>(content.size()), checksum_of(content)};
  }
  static std::uint32_t checksum_of(Bytes content) { return static_cast<std::uint32_t>(Crc32cChecksum{}(content)); }

  bool present() const { return (place & present_bit) != 0; }
  std::uint64_t grain() const { return place & ~present_bit; }
  bool is_canonical() const { return present() ? grain() < grain_limit : place == 0 && bytes == 0 && checksum == 0; }
  bool holds(Bytes content) const { return content.size() == bytes && checksum_of(content) == checksum; }
  friend bool operator==(const Extent&, const Extent&) = default;

  void store(std::byte* to) const {
    store_le(to, place);
    store_le(to + 8, bytes);
    store_le(to + 12, checksum);
  }
  static Extent load(const std::byte* from) {
    return {load_le<std::uint64_t>(from), load_le<std::uint32_t>(from + 8), load_le<std::uint32_t>(from + 12)};
  }
};

/// How a data file is divided.
struct ExtentGeometry {
  static constexpr std::uint32_t grains_per_unit = 8;
  static constexpr std::uint64_t step_bytes = 1 << 20;  // the file grows and shrinks by these

  std::uint32_t unit_bytes = 4096;

  bool is_valid() const { return std::has_single_bit(unit_bytes) && unit_bytes >= 512 && unit_bytes <= 64 << 10; }
  std::uint32_t grain_bytes() const { return unit_bytes / grains_per_unit; }
  std::uint32_t units_per_step() const { return static_cast<std::uint32_t>(step_bytes / unit_bytes); }
  std::uint32_t units(std::uint64_t bytes) const { return static_cast<std::uint32_t>((bytes + unit_bytes - 1) / unit_bytes); }
  std::uint32_t grains(std::uint64_t bytes) const { return static_cast<std::uint32_t>((bytes + grain_bytes() - 1) / grain_bytes()); }
  std::uint64_t offset(const Extent& extent) const { return extent.grain() * grain_bytes(); }
};

/// A map block: 256 entries, nothing else. Level 0 names blocks, level n map blocks of level n - 1; digit n (8 bits) of
/// the id chooses the entry. Its own name, place and content are vouched for by the checksum in the entry above.
inline constexpr std::size_t map_fanout = 256;
inline constexpr std::size_t map_block_bytes = map_fanout * Extent::stored_bytes;
inline constexpr unsigned map_max_height = 8;
static_assert(map_block_bytes == 4096);

/// A superblock: the first 512 bytes of a slot, the rest of which is zeros.
///   0 u32 magic "AEGX"   4 u16 version   6 u8 height of the map   7 u8 zero   8 u32 unit_bytes   12 u32 zero
///   16 u64 generation   24 extent: map root   40 extent: list of holes   56 u64 bytes of the file in use
///   64 u64 blocks   72 u64 their bytes   80 u64 id of the place   508 u32 CRC-32C of what precedes it
/// Slots stand at 0, 16, 32 and 48 KiB; generation g is in slots 2 (g mod 2) and 2 (g mod 2) + 1.
struct Superblock {
  static constexpr std::uint32_t magic = 0x58474541;
  static constexpr std::uint16_t format_version = 1;
  static constexpr std::size_t stored_bytes = 512;
  static constexpr std::size_t slot_bytes = 4096;
  static constexpr std::uint64_t slot_distance = 16 << 10;
  static constexpr unsigned slots = 4;
  static constexpr std::uint64_t region_bytes = slots * slot_distance;

  std::uint8_t height = 0;
  std::uint32_t unit_bytes = 0;
  std::uint64_t generation = 0;
  Extent root{};
  Extent holes{};
  std::uint64_t used_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t place_id = 0;
  friend bool operator==(const Superblock&, const Superblock&) = default;

  static constexpr std::uint64_t slot_offset(unsigned slot) { return slot * slot_distance; }
  static constexpr unsigned first_slot(std::uint64_t generation) { return static_cast<unsigned>(generation % 2) * 2; }

  void encode(std::span<std::byte, slot_bytes> to) const {
    std::memset(to.data(), 0, to.size());
    store_le(to.data(), magic);
    store_le(to.data() + 4, format_version);
    store_le(to.data() + 6, height);
    store_le(to.data() + 8, unit_bytes);
    store_le(to.data() + 16, generation);
    root.store(to.data() + 24);
    holes.store(to.data() + 40);
    store_le(to.data() + 56, used_bytes);
    store_le(to.data() + 64, blocks);
    store_le(to.data() + 72, block_bytes);
    store_le(to.data() + 80, place_id);
    store_le(to.data() + 508, Extent::checksum_of(Bytes{to}.first(508)));
  }

  /// corrupt_block, or incompatible_format for an intact superblock of another version.
  static Result<Superblock> decode(std::span<const std::byte, slot_bytes> from, unsigned slot) {
    const Error damaged = Error{Errc::corrupt_block, "superblock in slot", slot}.at(StoreFile::data, slot_offset(slot));
    if (load_le<std::uint32_t>(from.data()) != magic) return damaged;
    if (load_le<std::uint32_t>(from.data() + 508) != Extent::checksum_of(Bytes{from}.first(508))) return damaged;
    if (const auto version = load_le<std::uint16_t>(from.data() + 4); version != format_version)
      return Error::mismatch(Errc::incompatible_format, "version of the data file", std::uint64_t{format_version}, std::uint64_t{version}).at(StoreFile::data, slot_offset(slot));
    Superblock block{
        .height = load_le<std::uint8_t>(from.data() + 6),
        .unit_bytes = load_le<std::uint32_t>(from.data() + 8),
        .generation = load_le<std::uint64_t>(from.data() + 16),
        .root = Extent::load(from.data() + 24),
        .holes = Extent::load(from.data() + 40),
        .used_bytes = load_le<std::uint64_t>(from.data() + 56),
        .blocks = load_le<std::uint64_t>(from.data() + 64),
        .block_bytes = load_le<std::uint64_t>(from.data() + 72),
        .place_id = load_le<std::uint64_t>(from.data() + 80),
    };
    const bool sound = ExtentGeometry{block.unit_bytes}.is_valid() && block.height <= map_max_height && (block.height == 0) == !block.root.present() &&
                       block.root.is_canonical() && block.holes.is_canonical() && first_slot(block.generation) == (slot & ~1u);
    if (!sound) return damaged;
    return block;
  }
};

}  // namespace aegis::storage
