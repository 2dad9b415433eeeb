// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/testing/checksum_suite.hpp>

#include <support/promises.hpp>

#include <vector>

using namespace aegis::storage;

TEST_CASE("Xxh3Checksum keeps the promises of a checksum") {
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_checksum<Xxh3Checksum>(report); });
  aegis_test::check_promises(promises);
}

TEST_CASE("XXH3 gives the reference values") {
  CHECK(Xxh3Checksum{}(bytes_of("abc")) == 0x78af5f94892f3950);
  CHECK(Xxh3Checksum{}(bytes_of("")) == 0x2d06800538d394c2);
  CHECK(Xxh3Checksum{}({}) == 0x2d06800538d394c2);
}

TEST_CASE("XXH3 gives the values of the reference's own sanity check, for every kind of length") {
  std::vector<std::byte> buffer(2367);
  std::uint64_t generator = 2654435761u;
  for (std::byte& byte : buffer) {
    byte = static_cast<std::byte>(generator >> 56);
    generator *= 0x9e3779b185ebca8d;
  }
  struct Known {
    std::size_t size;
    std::uint64_t value;
  };
  for (const Known known : {Known{1, 0xc44bdff4074eecdb}, {6, 0x27b56a84cd2d7325}, {12, 0xa713daf0dfbb77e7}, {24, 0xa3fe70bf9d3510eb}, {48, 0x397da259ecba1f11},
                            {80, 0xbcdefbbb2c47c90a}, {195, 0xcd94217ee362ec3a}, {403, 0xcdeb804d65c6dea4}, {512, 0x617e49599013cb6b}, {2048, 0xdd59e2c3a5f038e0},
                            {2240, 0x6e73a90539cf2948}, {2367, 0xcb37aeb9e5d361ed}}) {
    CAPTURE(known.size);
    CHECK(Xxh3Checksum{}(Bytes{buffer}.first(known.size)) == known.value);
  }
}
