// SPDX-License-Identifier: Apache-2.0
// CRC-32 as in IEEE 802.3, zip and png (reflected 0xedb88320): every burst of up to 32 bits is found. Eight bytes a step
// by tables (Intel's "slicing-by-8", Kounavis and Berry 2005). For formats that ask for it; Crc32cChecksum is faster.
#pragma once

#include <aegis/storage/checksum/crc_tables.hpp>
#include <aegis/storage/checksum/policy.hpp>

namespace aegis::storage {

struct Crc32Checksum {
  static constexpr Axis axis = Axis::checksum;
  static constexpr std::string_view name = "crc32";
  static constexpr ChecksumKind kind = ChecksumKind::crc32;

  std::uint64_t operator()(Bytes bytes) const noexcept { return ~crc_by_tables(tables(), ~std::uint32_t{0}, bytes); }

 private:
  static const CrcTables& tables() {
    static const CrcTables made = make_crc_tables(0xedb88320);
    return made;
  }
};

static_assert(ChecksumPolicy<Crc32Checksum>);

}  // namespace aegis::storage
