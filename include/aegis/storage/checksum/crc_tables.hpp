// SPDX-License-Identifier: Apache-2.0
// What the reflected 32-bit CRCs share: tables, the portable loop over them, and the arithmetic that moves a CRC over zeros,
// from which parallel streams are joined. Tables are made when they are first asked for, in microseconds; made by the compiler
// they would cost every file that includes this fifty milliseconds. Any thread.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>

#include <cstddef>
#include <cstdint>

namespace aegis::storage {

/// rows[k][b] is the CRC register after byte b and k zero bytes, from register 0.
struct CrcTables {
  std::uint32_t rows[8][256]{};
};

/// A table over all values of a byte is linear: known for the single bits, it is known for their sums.
inline void complete_crc_row(std::uint32_t (&row)[256]) {
  for (std::uint32_t value = 3; value < 256; ++value)
    if ((value & (value - 1)) != 0) row[value] = row[value & (value - 1)] ^ row[value & (0 - value)];
}

inline CrcTables make_crc_tables(std::uint32_t polynomial) {
  CrcTables tables;
  std::uint32_t crc = polynomial;
  for (std::uint32_t bit = 128; bit != 0; bit >>= 1) {
    tables.rows[0][bit] = crc;
    crc = (crc & 1) != 0 ? (crc >> 1) ^ polynomial : crc >> 1;
  }
  complete_crc_row(tables.rows[0]);
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables.rows[k - 1][byte];
      tables.rows[k][byte] = (before >> 8) ^ tables.rows[0][before & 0xff];
    }
  return tables;
}

inline std::uint32_t crc_by_tables(const CrcTables& tables, std::uint32_t crc, Bytes bytes) noexcept {
  const auto& t = tables.rows;
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
  std::uint32_t rows[4][256]{};

  std::uint32_t operator()(std::uint32_t crc) const {
    return rows[0][crc & 0xff] ^ rows[1][(crc >> 8) & 0xff] ^ rows[2][(crc >> 16) & 0xff] ^ rows[3][crc >> 24];
  }
};

/// The product of two registers, read as polynomials over GF(2) with the highest power in the lowest bit.
inline std::uint32_t crc_product(std::uint32_t polynomial, std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t power = std::uint32_t{1} << 31; power != 0; power >>= 1) {
    if ((a & power) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ polynomial : b >> 1;
  }
  return product;
}

/// `zeros` is a power of two. Zero bytes multiply a register by a power of x, which squaring finds (Adler, crc32_combine).
inline CrcShift make_crc_shift(std::uint32_t polynomial, std::size_t zeros) {
  std::uint32_t power = std::uint32_t{1} << 30;  // x
  for (std::size_t bits = 1; bits < zeros * 8; bits *= 2) power = crc_product(polynomial, power, power);
  CrcShift shift;
  for (std::size_t byte = 0; byte < 4; ++byte) {
    for (std::size_t bit = 0; bit < 8; ++bit) shift.rows[byte][std::size_t{1} << bit] = crc_product(polynomial, power, std::uint32_t{1} << (8 * byte + bit));
    complete_crc_row(shift.rows[byte]);
  }
  return shift;
}

}  // namespace aegis::storage
