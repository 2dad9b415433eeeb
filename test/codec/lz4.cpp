// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/codec/lz4.hpp>
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

TEST_CASE("Lz4Codec keeps the promises of a codec") {
  static const std::uint64_t seed = aegis_test::seed(101);
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_codec<Lz4Codec>(report, seed); });
  INFO(aegis_test::replay(seed, "codec/lz4"));
  aegis_test::check_promises(promises);
}

TEST_CASE("LZ4 reads a block written by hand from the format's description") {
  // Token 1 literal, match 4 + 15 + 39 = 58; 'a'; offset 1; 39; token 5 literals; "aaaaa": 64 times 'a'.
  const auto stored = bytes({0x1f, 'a', 1, 0, 39, 0x50, 'a', 'a', 'a', 'a', 'a'});
  std::vector<std::byte> raw(64);
  REQUIRE(Lz4Codec{}.decompress(stored, raw));
  CHECK(text_of(raw) == std::string(64, 'a'));
}

TEST_CASE("D22: an LZ4 bomb costs no more than the buffer it is given") {
  auto bomb = bytes({0x1f, 'a', 1, 0});  // a match as long as what follows says: 255 a byte
  bomb.resize(64 * 1024, std::byte{0xff});
  testing::GuardedBuffer raw(8144);
  aegis_test::largest_allocation = 0;
  CHECK_FALSE(Lz4Codec{}.decompress(bomb, raw.bytes()));
  CHECK(raw.intact());
  if constexpr (aegis_test::allocations_are_counted) CHECK(aegis_test::largest_allocation == 0);
}

TEST_CASE("LZ4 refuses a match that begins before the block") {
  std::vector<std::byte> raw(64);
  CHECK_FALSE(Lz4Codec{}.decompress(bytes({0x1f, 'a', 2, 0, 39, 0x50, 'a', 'a', 'a', 'a', 'a'}), raw));
}

TEST_CASE("LZ4 declines inputs beyond its format") { CHECK(Lz4Codec{}.bound(std::size_t{LZ4_MAX_INPUT_SIZE} + 1) == 0); }
