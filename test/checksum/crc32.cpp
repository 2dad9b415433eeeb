// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/checksum/crc32.hpp>
#include <aegis/storage/testing/checksum_suite.hpp>

#include <support/promises.hpp>

using namespace aegis::storage;

TEST_CASE("Crc32Checksum keeps the promises of a checksum") {
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_checksum<Crc32Checksum>(report); });
  aegis_test::check_promises(promises);
}

TEST_CASE("CRC-32 gives the check values of IEEE 802.3") {
  const Crc32Checksum crc;
  CHECK(crc(bytes_of("123456789")) == 0xcbf43926);
  CHECK(crc(bytes_of("")) == 0);
  CHECK(crc(bytes_of("a")) == 0xe8b7be43);
  CHECK(crc(bytes_of("The quick brown fox jumps over the lazy dog")) == 0x414fa339);
}
