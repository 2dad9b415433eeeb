// SPDX-License-Identifier: Apache-2.0
// The first 4096 bytes of a log segment's file, and the names of such files. The payload follows; the byte at LSN x
// stands at file offset 4096 + (x - first LSN). A segment ends where its file does, or where its successor begins.
#pragma once

#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace aegis::storage {

/// How a segment's payload is written. One segment knows one method only: a mapping and direct writes of one file would
/// see different bytes.
enum class WriteMethod : std::uint8_t {
  direct = 1,    ///< Past the page cache; durable when the write returned.
  buffered = 2,  ///< Through the page cache, made durable by sync_data.
  mapped = 3,    ///< By stores into a shared mapping, made durable by sync_data.
};

/// Little endian:
///   offset size
///        0    4  magic "AEGL"
///        4    2  format version, 1
///        6    2  flags: bit 0 = the log restarts here, segments of lower sequence number are leftovers
///        8    8  store id
///       16    8  lineage id
///       24    8  first LSN
///       32    8  sequence number, from 1, rising by one from segment to segment
///       40    8  size of the file
///       48    4  unit_bytes of the log
///       52    1  write method
///       53 4039  zero
///     4092    4  CRC-32C of the 4092 bytes before
struct SegmentHeader {
  static constexpr std::size_t bytes = 4096;
  static constexpr std::uint32_t magic = 0x4c474541;
  static constexpr std::uint16_t format_version = 1;
  static constexpr std::uint16_t restart_flag = 1;

  StoreIdentity identity{};
  Lsn first{};
  std::uint64_t sequence = 0;
  std::uint64_t segment_bytes = 0;
  std::uint32_t unit_bytes = 0;
  WriteMethod method = WriteMethod::buffered;
  bool restart = false;

  void encode(std::span<std::byte, bytes> to) const {
    std::memset(to.data(), 0, to.size());
    store_le<std::uint32_t>(&to[0], magic);
    store_le<std::uint16_t>(&to[4], format_version);
    store_le<std::uint16_t>(&to[6], restart ? restart_flag : std::uint16_t{0});
    store_le<std::uint64_t>(&to[8], identity.store);
    store_le<std::uint64_t>(&to[16], identity.lineage);
    store_le<std::uint64_t>(&to[24], number(first));
    store_le<std::uint64_t>(&to[32], sequence);
    store_le<std::uint64_t>(&to[40], segment_bytes);
    store_le<std::uint32_t>(&to[48], unit_bytes);
    to[52] = static_cast<std::byte>(method);
    store_le<std::uint32_t>(&to[checksum_at], checksum_of(to));
  }

  /// `sequence` is what the file's name says; errors carry it. corrupt_log, or incompatible_format for another version.
  static Result<SegmentHeader> decode(std::span<const std::byte, bytes> from, std::uint64_t sequence) {
    if (load_le<std::uint32_t>(&from[0]) != magic) return Error{Errc::corrupt_log, "header of log segment", sequence};
    const auto version = load_le<std::uint16_t>(&from[4]);
    if (version != format_version)
      return Error::mismatch(Errc::incompatible_format, "format version of log segment", format_version, version, sequence);
    if (load_le<std::uint32_t>(&from[checksum_at]) != checksum_of(from)) return Error{Errc::corrupt_log, "header of log segment", sequence};
    SegmentHeader header;
    header.identity = {load_le<std::uint64_t>(&from[8]), load_le<std::uint64_t>(&from[16])};
    header.first = Lsn{load_le<std::uint64_t>(&from[24])};
    header.sequence = load_le<std::uint64_t>(&from[32]);
    header.segment_bytes = load_le<std::uint64_t>(&from[40]);
    header.unit_bytes = load_le<std::uint32_t>(&from[48]);
    header.method = static_cast<WriteMethod>(from[52]);
    const auto flags = load_le<std::uint16_t>(&from[6]);
    header.restart = (flags & restart_flag) != 0;
    if (header.sequence != sequence)
      return Error::mismatch(Errc::corrupt_log, "sequence number of log segment", sequence, header.sequence, sequence);
    const bool known = from[52] >= std::byte{1} && from[52] <= std::byte{3} && (flags & ~restart_flag) == 0;
    if (!known) return Error{Errc::incompatible_format, "flags of log segment", sequence};
    return header;
  }

 private:
  static constexpr std::size_t checksum_at = bytes - 4;

  static std::uint32_t checksum_of(Bytes header) { return static_cast<std::uint32_t>(Crc32cChecksum{}(header.first(checksum_at))); }
};

/// wal-<16 hex>.log is a segment of the log, by sequence number; spare-<16 hex>.log a written file that waits to become
/// one; fresh-<16 hex>.log one that is still being written, worthless after a crash.
enum class SegmentRole : std::uint8_t { wal, spare, fresh };

class SegmentName {
 public:
  SegmentName(SegmentRole role, std::uint64_t id) {
    const std::string_view prefix = prefix_of(role);
    std::memcpy(text_, prefix.data(), prefix.size());
    size_ = prefix.size();
    for (int shift = 60; shift >= 0; shift -= 4) text_[size_++] = "0123456789abcdef"[(id >> shift) & 15];
    std::memcpy(text_ + size_, suffix.data(), suffix.size());
    size_ += suffix.size();
  }
  operator std::string_view() const { return {text_, size_}; }

  /// Spares have lower numbers than this, however long a log lives.
  static constexpr std::uint64_t spare_limit = std::uint64_t{1} << 63;

  /// The id in a file's name, if it is one of that role.
  static Maybe<std::uint64_t> parse(SegmentRole role, std::string_view name) {
    const std::string_view prefix = prefix_of(role);
    if (name.size() != prefix.size() + 16 + suffix.size() || !name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
    std::uint64_t id = 0;
    for (const char c : name.substr(prefix.size(), 16)) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
      id = (id << 4) | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return id;
  }

 private:
  static constexpr std::string_view suffix = ".log";
  static constexpr std::string_view prefix_of(SegmentRole role) {
    return role == SegmentRole::wal ? "wal-" : role == SegmentRole::spare ? "spare-" : "fresh-";
  }

  char text_[32]{};
  std::size_t size_ = 0;
};

}  // namespace aegis::storage
