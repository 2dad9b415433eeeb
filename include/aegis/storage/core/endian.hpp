// SPDX-License-Identifier: Apache-2.0
// Numbers at rest are little endian and may stand at any alignment; compilers turn these into one move.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

namespace aegis::storage {

template <std::unsigned_integral Number>
constexpr Number swap_bytes(Number value) {
  Number swapped = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) swapped = static_cast<Number>((swapped << 8) | ((value >> (8 * i)) & 0xff));
  return swapped;
}

template <std::unsigned_integral Number>
Number load_le(const std::byte* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return std::endian::native == std::endian::little || sizeof value == 1 ? value : swap_bytes(value);
}

template <std::unsigned_integral Number>
void store_le(std::byte* at, Number value) {
  if constexpr (std::endian::native == std::endian::big && sizeof(Number) > 1) value = swap_bytes(value);
  std::memcpy(at, &value, sizeof value);
}

template <std::unsigned_integral Number>
Number load_be(const std::byte* at) {
  const Number value = load_le<Number>(at);
  return sizeof value == 1 ? value : swap_bytes(value);
}

}  // namespace aegis::storage
