// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/testing/checksum_suite.hpp>

#include <support/promises.hpp>

#include <array>
#include <initializer_list>
#include <utility>
#include <vector>

using namespace aegis::storage;

TEST_CASE("Crc32cChecksum keeps the promises of a checksum") {
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_checksum<Crc32cChecksum>(report); });
  aegis_test::check_promises(promises);
}

TEST_CASE("CRC-32C gives the check value of the catalogue") {
  CHECK(Crc32cChecksum{}(bytes_of("123456789")) == 0xe3069283);
  CHECK(Crc32cChecksum{}.portable(bytes_of("123456789")) == 0xe3069283);
  CHECK(Crc32cChecksum{}(bytes_of("")) == 0);
}

TEST_CASE("CRC-32C gives the values of RFC 3720, appendix B.4") {
  std::array<std::byte, 32> zeros{}, ones{}, rising{}, falling{};
  for (std::size_t i = 0; i < 32; ++i) {
    ones[i] = std::byte{0xff};
    rising[i] = static_cast<std::byte>(i);
    falling[i] = static_cast<std::byte>(31 - i);
  }
  std::array<std::byte, 48> read_command{};
  for (const auto& [at, value] : {std::pair{0, 0x01}, {1, 0xc0}, {16, 0x14}, {22, 0x04}, {27, 0x14}, {31, 0x18}, {32, 0x28}, {40, 0x02}})
    read_command[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
  const auto both_are = [](Bytes bytes, std::uint64_t value) { return Crc32cChecksum{}(bytes) == value && Crc32cChecksum{}.portable(bytes) == value; };
  CHECK(both_are(zeros, 0x8a9136aa));
  CHECK(both_are(ones, 0x62a8ab43));
  CHECK(both_are(rising, 0x46dd794e));
  CHECK(both_are(falling, 0x113fdb5c));
  CHECK(both_are(read_command, 0xd9963a56));
}

TEST_CASE("the instruction and the tables agree at every length and alignment") {
  const auto sample = testing::checksum_sample(3 * 2048 * 2 + 3 * 256 * 2 + 64);
  const Crc32cChecksum crc;
  bool agree = true;
  for (std::size_t size = 0; size + 16 < sample.size(); size += size < 2000 ? 1 : 131)
    for (const std::size_t shift : std::initializer_list<std::size_t>{0, 1, 7}) agree = agree && crc(Bytes{sample}.subspan(shift, size)) == crc.portable(Bytes{sample}.subspan(shift, size));
  CHECK(agree);
}

TEST_CASE("a CRC register moves over zeros as if they were there") {
  constexpr std::uint32_t polynomial = 0x82f63b78;
  const CrcTables tables = make_crc_tables(polynomial);
  for (const std::size_t zeros : std::initializer_list<std::size_t>{1, 2, 64, 256, 2048}) {
    const CrcShift shift = make_crc_shift(polynomial, zeros);
    const std::vector<std::byte> nothing(zeros);
    for (const std::uint32_t crc : {1u, 0x80000000u, 0xdeadbeefu, 0xffffffffu}) CHECK(shift(crc) == crc_by_tables(tables, crc, nothing));
  }
}
