// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/codec/snappy.hpp>
#include <aegis/storage/testing/codec_suite.hpp>

#include <support/allocations.hpp>
#include <support/promises.hpp>
#include <support/random.hpp>

#include <string>

#include <vector>

using namespace aegis::storage;

namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> made;
  for (const int value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

}  // namespace

TEST_CASE("SnappyCodec keeps the promises of a codec") {
  static const std::uint64_t seed = aegis_test::seed(103);
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_codec<SnappyCodec>(report, seed); });
  INFO(aegis_test::replay(seed, "codec/snappy"));
  aegis_test::check_promises(promises);
}

TEST_CASE("Snappy reads a block written by hand from the format's description") {
  // 64 bytes; literal of 1: 'a'; copy of 63 from offset 1 (two-byte offset).
  const auto stored = bytes({64, 0x00, 'a', (62 << 2) | 2, 1, 0});
  std::vector<std::byte> raw(64);
  REQUIRE(SnappyCodec{}.decompress(stored, raw));
  CHECK(text_of(raw) == std::string(64, 'a'));
}

TEST_CASE("D22: a Snappy bomb costs no more than the buffer it is given") {
  const auto first = bytes({0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 'a'});  // declares 2^32 - 1 bytes
  const auto second = bytes({0xb0, 0x3f, 0x00, 'a'});                   // declares 8112 bytes, the buffer's size
  for (const auto& head : {first, second}) {
    auto bomb = head;
    for (int i = 0; i < 20000; ++i) bomb.insert(bomb.end(), {std::byte{(63 << 2) | 2}, std::byte{1}, std::byte{0}});
    testing::GuardedBuffer raw(8112);
    aegis_test::largest_allocation = 0;
    CHECK_FALSE(SnappyCodec{}.decompress(bomb, raw.bytes()));
    CHECK(raw.intact());
    if constexpr (aegis_test::allocations_are_counted) CHECK(aegis_test::largest_allocation == 0);
  }
}

TEST_CASE("Snappy refuses a copy that begins before the block") {
  std::vector<std::byte> raw(64);
  CHECK_FALSE(SnappyCodec{}.decompress(bytes({64, 0x00, 'a', (62 << 2) | 2, 2, 0}), raw));
}
