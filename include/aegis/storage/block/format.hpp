// SPDX-License-Identifier: Apache-2.0
// What a block looks like at rest. All numbers are little endian; a block is its header followed by `stored_bytes` of
// payload and nothing else. Reading a header here proves its form only; Block proves that it belongs to its bytes.
#pragma once

#include <aegis/storage/cipher/policy.hpp>
#include <aegis/storage/codec/policy.hpp>
#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/checksum_kind.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/error.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstddef>
#include <cstdint>

namespace aegis::storage {

enum class BlockType : std::uint8_t { data = 1, index = 2, overflow = 3, free = 4, meta = 5, log = 6 };

constexpr bool is_block_type(std::uint8_t byte) { return byte >= 1 && byte <= 6; }

inline constexpr std::size_t block_header_bytes = 48;

/// The most that a block's payload may hold: the largest page, wherever its header stands.
inline constexpr std::size_t block_payload_limit_bytes = 64 * 1024;

//  offset  size  field
//       0     4  magic "AEGB"
//       4     2  format version, 1
//       6     1  block type
//       7     1  codec id; none: the payload is stored as it is
//       8     1  checksum kind
//       9     1  cipher id
//      10     2  flags, 0 in version 1
//      12     4  key id, 0 without a cipher
//      16     8  block id
//      24     4  raw bytes: the payload as it is in memory
//      28     4  stored bytes: the payload as it follows this header
//      32     8  checksum of (bytes 0..31, then the checksum of bytes 40..end as 8 bytes); 0 for kind none
//      40     8  reserved, 0
//      48        payload
// A cipher authenticates bytes 0..31 with the payload, so blocks can neither be swapped nor relabelled.
struct BlockHeader {
  static constexpr std::uint32_t magic = 0x42474541;  // "AEGB"
  static constexpr std::uint16_t format_version = 1;

  static constexpr std::size_t magic_at = 0, version_at = 4, type_at = 6, codec_at = 7, checksum_kind_at = 8, cipher_at = 9, flags_at = 10,
                               key_id_at = 12, id_at = 16, raw_bytes_at = 24, stored_bytes_at = 28, checksum_at = 32, reserved_at = 40;

  BlockType type = BlockType::data;
  CodecId codec = CodecId::none;
  ChecksumKind checksum_kind = ChecksumKind::none;
  CipherId cipher = CipherId::none;
  std::uint16_t flags = 0;
  std::uint32_t key_id = 0;
  BlockId id{};
  std::uint32_t raw_bytes = 0;
  std::uint32_t stored_bytes = 0;
  std::uint64_t checksum = 0;

  /// Writes the header to the first `block_header_bytes` of `to`.
  void write(MutableBytes to) const {
    AEGIS_ASSERT(to.size() >= block_header_bytes);
    std::byte* const at = to.data();
    store_le(at + magic_at, magic);
    store_le(at + version_at, format_version);
    store_le(at + type_at, static_cast<std::uint8_t>(type));
    store_le(at + codec_at, static_cast<std::uint8_t>(codec));
    store_le(at + checksum_kind_at, static_cast<std::uint8_t>(checksum_kind));
    store_le(at + cipher_at, static_cast<std::uint8_t>(cipher));
    store_le(at + flags_at, flags);
    store_le(at + key_id_at, key_id);
    store_le(at + id_at, number(id));
    store_le(at + raw_bytes_at, raw_bytes);
    store_le(at + stored_bytes_at, stored_bytes);
    store_le(at + checksum_at, checksum);
    store_le(at + reserved_at, std::uint64_t{0});
  }

  /// Reads a header: length, magic, version, type, flags. `expected` is only named in errors.
  static Result<BlockHeader> read(BlockId expected, Bytes stored) {
    const std::uint64_t id = number(expected);
    if (stored.size() < block_header_bytes) return Error::mismatch(Errc::corrupt_block, "length of block", block_header_bytes, stored.size(), id);
    const std::byte* const at = stored.data();
    if (const auto found = load_le<std::uint32_t>(at + magic_at); found != magic) return Error::mismatch(Errc::corrupt_block, "magic of block", magic, found, id);
    if (const auto found = load_le<std::uint16_t>(at + version_at); found != format_version)
      return Error::mismatch(Errc::incompatible_format, "format version of block", format_version, found, id);
    const auto type = load_le<std::uint8_t>(at + type_at);
    if (!is_block_type(type)) return Error::mismatch(Errc::corrupt_block, "type of block", static_cast<std::uint64_t>(BlockType::data), type, id);
    const auto flags = load_le<std::uint16_t>(at + flags_at);
    if (flags != 0) return Error::mismatch(Errc::corrupt_block, "flags of block", 0, flags, id);
    if (const auto found = load_le<std::uint64_t>(at + reserved_at); found != 0) return Error::mismatch(Errc::corrupt_block, "reserved bytes of block", 0, found, id);
    return BlockHeader{.type = BlockType{type},
                       .codec = CodecId{load_le<std::uint8_t>(at + codec_at)},
                       .checksum_kind = ChecksumKind{load_le<std::uint8_t>(at + checksum_kind_at)},
                       .cipher = CipherId{load_le<std::uint8_t>(at + cipher_at)},
                       .flags = flags,
                       .key_id = load_le<std::uint32_t>(at + key_id_at),
                       .id = BlockId{load_le<std::uint64_t>(at + id_at)},
                       .raw_bytes = load_le<std::uint32_t>(at + raw_bytes_at),
                       .stored_bytes = load_le<std::uint32_t>(at + stored_bytes_at),
                       .checksum = load_le<std::uint64_t>(at + checksum_at)};
  }
};

static_assert(BlockHeader::version_at == BlockHeader::magic_at + 4 && BlockHeader::type_at == BlockHeader::version_at + 2);
static_assert(BlockHeader::codec_at == 7 && BlockHeader::checksum_kind_at == 8 && BlockHeader::cipher_at == 9);
static_assert(BlockHeader::flags_at == 10 && BlockHeader::key_id_at == BlockHeader::flags_at + 2);
static_assert(BlockHeader::id_at == BlockHeader::key_id_at + 4 && BlockHeader::raw_bytes_at == BlockHeader::id_at + 8);
static_assert(BlockHeader::stored_bytes_at == BlockHeader::raw_bytes_at + 4 && BlockHeader::checksum_at == BlockHeader::stored_bytes_at + 4);
static_assert(BlockHeader::reserved_at == BlockHeader::checksum_at + 8 && block_header_bytes == BlockHeader::reserved_at + 8);

}  // namespace aegis::storage
