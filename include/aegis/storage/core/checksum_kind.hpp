// SPDX-License-Identifier: Apache-2.0
// How bytes at rest say which checksum guards them. Stands in core/ because blocks, logs and superblocks share it.
#pragma once

#include <cstdint>
#include <string_view>

namespace aegis::storage {

/// Written to disk: values never change their meaning. 4..127 are reserved, 128..255 are for users' own checksums.
enum class ChecksumKind : std::uint8_t { none = 0, crc32 = 1, crc32c = 2, xxh3 = 3 };

/// The name of one of ours, at most eight characters; empty for any other value.
constexpr std::string_view name_of(ChecksumKind kind) {
  switch (kind) {
    case ChecksumKind::none: return "none";
    case ChecksumKind::crc32: return "crc32";
    case ChecksumKind::crc32c: return "crc32c";
    case ChecksumKind::xxh3: return "xxh3";
  }
  return {};
}

}  // namespace aegis::storage
