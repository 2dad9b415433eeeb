// SPDX-License-Identifier: Apache-2.0
// No checksum: for media that check every read themselves. Damage is then noticed only where it breaks a structure.
#pragma once

#include <aegis/storage/checksum/policy.hpp>

namespace aegis::storage {

struct NoChecksum {
  static constexpr Axis axis = Axis::checksum;
  static constexpr std::string_view name = "none";
  static constexpr ChecksumKind kind = ChecksumKind::none;

  std::uint64_t operator()(Bytes) const noexcept { return 0; }
};

static_assert(ChecksumPolicy<NoChecksum>);

}  // namespace aegis::storage
