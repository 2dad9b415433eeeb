// SPDX-License-Identifier: Apache-2.0
// Block 0: who the store is, how it is laid out and where its last checkpoint stands. Fixed 512 bytes, never
// compressed, always CRC-32C, whatever the policies, so that a mismatch of layout is told as such.
#pragma once

#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/wal/scan.hpp>

#include <array>
#include <cstdint>

namespace aegis::storage {

inline constexpr BlockId meta_block{0};
inline constexpr std::size_t meta_bytes = 512;

/// The layout-relevant choices; two stores with different fingerprints cannot read each other.
struct Fingerprint {
  std::uint64_t page_bytes = 0;
  std::uint64_t codec = 0, checksum = 0, cipher = 0;  // short_name()s
  std::uint64_t max_key_bytes = 0;

  /// incompatible_format naming the first policy that differs, with the store's value and the engine's.
  Result<void> accept(const Fingerprint& wanted) const {
    if (page_bytes != wanted.page_bytes) return Error::mismatch(Errc::incompatible_format, "page size", wanted.page_bytes, page_bytes);
    if (codec != wanted.codec) return Error::named_mismatch(Errc::incompatible_format, "codec", wanted.codec, codec);
    if (checksum != wanted.checksum) return Error::named_mismatch(Errc::incompatible_format, "checksum", wanted.checksum, checksum);
    if (cipher != wanted.cipher) return Error::named_mismatch(Errc::incompatible_format, "cipher", wanted.cipher, cipher);
    if (max_key_bytes != wanted.max_key_bytes)
      return Error::mismatch(Errc::incompatible_format, "key limit", wanted.max_key_bytes, max_key_bytes);
    return {};
  }
};

/// | offset | bytes | content                            |
/// |--------|-------|------------------------------------|
/// | 0      | 8     | magic "AEGISDB\0"                  |
/// | 8      | 4     | format version                     |
/// | 12     | 4     | CRC-32C of all 512 bytes, this field zero |
/// | 16     | 16    | store id, lineage id               |
/// | 32     | 8     | checkpoint number                  |
/// | 40     | 8     | checkpoint LSN: where replay starts |
/// | 48     | 8     | newest timestamp before that LSN   |
/// | 56     | 8     | page count                         |
/// | 64     | 8     | root page of the catalog           |
/// | 72     | 4     | next table id                      |
/// | 76     | 4     | flags: 1 = the log was created     |
/// | 80     | 40    | fingerprint: page bytes, codec, checksum, cipher, key limit |
/// | 120    | 8     | log generation before that LSN     |
/// | 128    | 384   | zero                               |
struct Meta {
  static constexpr std::uint64_t magic = 0x0042445349474541;  // "AEGISDB\0"
  static constexpr std::uint32_t format_version = 1;

  StoreIdentity identity{};
  std::uint64_t checkpoint_number = 0;
  WalPosition checkpoint{};
  std::uint64_t page_count = 0;
  PageId catalog_root{};
  std::uint32_t next_table = 1;
  bool log_created = false;
  Fingerprint fingerprint{};

  std::array<std::byte, meta_bytes> encode() const;
  static Result<Meta> decode(Bytes stored);
};

inline std::array<std::byte, meta_bytes> Meta::encode() const {
  std::array<std::byte, meta_bytes> bytes{};
  std::byte* at = bytes.data();
  store_le(at, magic);
  store_le(at + 8, format_version);
  const std::uint64_t numbers[] = {identity.store, identity.lineage, checkpoint_number, number(checkpoint.lsn), number(checkpoint.last), page_count, number(catalog_root)};
  for (std::size_t i = 0; i < std::size(numbers); ++i) store_le(at + 16 + 8 * i, numbers[i]);
  store_le(at + 72, next_table);
  store_le(at + 76, std::uint32_t{log_created});
  const std::uint64_t layout[] = {fingerprint.page_bytes, fingerprint.codec, fingerprint.checksum, fingerprint.cipher, fingerprint.max_key_bytes};
  for (std::size_t i = 0; i < std::size(layout); ++i) store_le(at + 80 + 8 * i, layout[i]);
  store_le(at + 120, std::uint64_t{checkpoint.generation});
  store_le(at + 12, static_cast<std::uint32_t>(Crc32cChecksum{}(bytes)));
  return bytes;
}

inline Result<Meta> Meta::decode(Bytes stored) {
  if (stored.empty()) return Error{Errc::corrupt_block, "an unfinished backup, to be made again; block", 0};
  if (stored.size() != meta_bytes) return Error::mismatch(Errc::corrupt_block, "block 0, length", meta_bytes, stored.size());
  std::array<std::byte, meta_bytes> bytes;
  copy_bytes(bytes, stored);
  const std::byte* at = bytes.data();
  if (load_le<std::uint64_t>(at) != magic) return Error{Errc::incompatible_format, "block 0 is not of an aegis store; block", 0};
  if (const auto version = load_le<std::uint32_t>(at + 8); version != format_version)
    return Error::mismatch(Errc::incompatible_format, "format version", format_version, version);
  const auto checksum = load_le<std::uint32_t>(at + 12);
  store_le(bytes.data() + 12, std::uint32_t{0});
  if (const auto found = static_cast<std::uint32_t>(Crc32cChecksum{}(bytes)); found != checksum)
    return Error::mismatch(Errc::corrupt_block, "checksum of block", checksum, found, 0);
  const auto field = [at](std::size_t offset) { return load_le<std::uint64_t>(at + offset); };
  Meta meta;
  meta.identity = {field(16), field(24)};
  meta.checkpoint_number = field(32);
  meta.checkpoint = {Lsn{field(40)}, Timestamp{field(48)}, static_cast<std::uint32_t>(field(120))};
  meta.page_count = field(56);
  meta.catalog_root = PageId{field(64)};
  meta.next_table = load_le<std::uint32_t>(at + 72);
  meta.log_created = (load_le<std::uint32_t>(at + 76) & 1) != 0;
  meta.fingerprint = {field(80), field(88), field(96), field(104), field(112)};
  return meta;
}

}  // namespace aegis::storage
