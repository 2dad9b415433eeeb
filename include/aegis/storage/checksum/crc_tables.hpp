// SPDX-License-Identifier: Apache-2.0
// What the reflected 32-bit CRCs share: tables made by the compiler, the portable loop over them, and the arithmetic
// that moves a CRC over zeros (as in Mark Adler's crc32_combine), from which parallel streams are joined.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace aegis::storage {

using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

/// tables[k][b] is the CRC register after byte b and k zero bytes, from register 0.
constexpr CrcTables make_crc_tables(std::uint32_t polynomial) {
  CrcTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ polynomial : crc >> 1;
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  return tables;
}

inline std::uint32_t crc_by_tables(const CrcTables& t, std::uint32_t crc, Bytes bytes) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint32_t low = crc ^ load_le<std::uint32_t>(at);
    const std::uint32_t high = load_le<std::uint32_t>(at + 4);
    crc = t[7][low & 0xff] ^ t[6][(low >> 8) & 0xff] ^ t[5][(low >> 16) & 0xff] ^ t[4][low >> 24] ^  //
          t[3][high & 0xff] ^ t[2][(high >> 8) & 0xff] ^ t[1][(high >> 16) & 0xff] ^ t[0][high >> 24];
  }
  for (; left != 0; ++at, --left) crc = (crc >> 8) ^ t[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 0xff];
  return crc;
}

/// Moves a register over a fixed number of zero bytes, four table look-ups at a time.
struct CrcShift {
  std::array<std::array<std::uint32_t, 256>, 4> tables{};

  constexpr std::uint32_t operator()(std::uint32_t crc) const {
    return tables[0][crc & 0xff] ^ tables[1][(crc >> 8) & 0xff] ^ tables[2][(crc >> 16) & 0xff] ^ tables[3][crc >> 24];
  }
};

/// `zeros` is a power of two. A register is a vector over GF(2), "one zero bit" a matrix; squaring it doubles the bits.
constexpr CrcShift make_crc_shift(std::uint32_t polynomial, std::size_t zeros) {
  std::array<std::uint32_t, 32> matrix{};
  const auto times = [&matrix](std::uint32_t vector) {
    std::uint32_t product = 0;
    for (std::size_t bit = 0; vector != 0; ++bit, vector >>= 1)
      if ((vector & 1) != 0) product ^= matrix[bit];
    return product;
  };
  matrix[0] = polynomial;
  for (std::size_t bit = 1; bit < 32; ++bit) matrix[bit] = std::uint32_t{1} << (bit - 1);
  for (std::size_t bits = 1; bits < zeros * 8; bits *= 2) {
    std::array<std::uint32_t, 32> square{};
    for (std::size_t bit = 0; bit < 32; ++bit) square[bit] = times(matrix[bit]);
    matrix = square;
  }
  CrcShift shift;
  for (std::size_t byte = 0; byte < 4; ++byte)
    for (std::uint32_t value = 0; value < 256; ++value) shift.tables[byte][value] = times(value << (8 * byte));
  return shift;
}

}  // namespace aegis::storage
