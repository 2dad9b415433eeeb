// SPDX-License-Identifier: Apache-2.0
// The hash of a key in a table, for tables in memory that take all of their bits from it. Not stored, not the same on
// every machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace aegis::storage {

/// `space` keeps equal keys of different tables apart.
inline std::uint64_t hash_of_key(std::uint64_t space, std::string_view key) {
  const std::uint64_t mixed = (std::hash<std::string_view>{}(key) ^ (space * 0x9e3779b97f4a7c15)) * 0xd6e8feb86659fd93;
  return mixed ^ (mixed >> 32);
}

}  // namespace aegis::storage
