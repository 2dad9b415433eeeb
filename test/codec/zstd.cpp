// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/codec/zstd.hpp>
#include <aegis/storage/testing/codec_suite.hpp>

#include <support/allocations.hpp>
#include <support/promises.hpp>
#include <support/random.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace aegis::storage;

namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> made;
  for (const int value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

}  // namespace

TEST_CASE("ZstdCodec<> keeps the promises of a codec") {
  static const std::uint64_t seed = aegis_test::seed(102);
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_codec<ZstdCodec<>>(report, seed); });
  INFO(aegis_test::replay(seed, "codec/zstd"));
  aegis_test::check_promises(promises);
}

TEST_CASE("Zstandard reads a frame written by hand from RFC 8878") {
  // Magic; single segment with one byte of content size; 64; last block, RLE of 64; 'a'.
  const auto stored = bytes({0x28, 0xb5, 0x2f, 0xfd, 0x20, 64, 0x03, 0x02, 0x00, 'a'});
  std::vector<std::byte> raw(64);
  REQUIRE(ZstdCodec<>{}.decompress(stored, raw));
  CHECK(text_of(raw) == std::string(64, 'a'));
}

TEST_CASE("D22: a Zstandard bomb costs no more than the buffer it is given") {
  const auto honest = bytes({0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0xff});        // declares 2^32 - 1 bytes
  const auto window = bytes({0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8});                          // a window of 2^31 bytes, no size
  const auto modest = bytes({0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xd0, 0x1f, 0x00, 0x00});        // declares 8144, makes more
  for (const auto& head : {honest, window, modest}) {
    auto bomb = head;
    for (int i = 0; i < 10000; ++i) bomb.insert(bomb.end(), {std::byte{0x02}, std::byte{0x00}, std::byte{0x10}, std::byte{'a'}});  // RLE of 2^17
    bomb.insert(bomb.end(), {std::byte{0x03}, std::byte{0x00}, std::byte{0x10}, std::byte{'a'}});
    testing::GuardedBuffer raw(8144);
    aegis_test::largest_allocation = 0;
    CHECK_FALSE(ZstdCodec<>{}.decompress(bomb, raw.bytes()));
    CHECK(raw.intact());
    if constexpr (aegis_test::allocations_are_counted) CHECK(aegis_test::largest_allocation <= 256 * 1024);  // a context
  }
}

TEST_CASE("Zstandard takes exactly one frame of today's format") {
  const auto frame = bytes({0x28, 0xb5, 0x2f, 0xfd, 0x20, 4, 0x23, 0x00, 0x00, 'a'});
  const auto skippable = bytes({0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'x', 'y'});
  const ZstdCodec<> codec;
  std::vector<std::byte> four(4), eight(8);
  CHECK(codec.decompress(frame, four));
  auto two = frame;
  two.insert(two.end(), frame.begin(), frame.end());
  CHECK_FALSE(codec.decompress(two, eight));
  auto late = frame;
  late.insert(late.end(), skippable.begin(), skippable.end());
  CHECK_FALSE(codec.decompress(late, four));
  auto early = skippable;
  early.insert(early.end(), frame.begin(), frame.end());
  CHECK_FALSE(codec.decompress(early, four));
  for (int version = 0x22; version <= 0x27; ++version) {  // the magic numbers of formats 0.2 to 0.7
    auto old = frame;
    old[0] = static_cast<std::byte>(version);
    CHECK_FALSE(codec.decompress(old, four));
  }
}

TEST_CASE("every level of Zstandard reads what every other wrote") {
  const auto sample = testing::codec_samples(7).at(4 * 10 + 2);  // 4048 bytes like rows
  const auto written = [&]<int Level>(ZstdCodec<Level> codec) {
    std::vector<std::byte> stored(codec.bound(sample.size()));
    stored.resize(codec.compress(sample, stored));
    return stored;
  };
  for (const auto& stored : {written(ZstdCodec<1>{}), written(ZstdCodec<3>{}), written(ZstdCodec<22>{})}) {
    CHECK(stored.size() < sample.size());
    std::vector<std::byte> raw(sample.size());
    CHECK(ZstdCodec<3>{}.decompress(stored, raw));
    CHECK(raw == sample);
  }
}

TEST_CASE("a Zstandard context serves the next call without another allocation") {
  const ZstdCodec<> codec;
  const std::string rows(8144, 'r');
  std::vector<std::byte> stored(codec.bound(rows.size())), raw(rows.size());
  aegis_test::largest_allocation = 0;
  const std::size_t used = codec.compress(bytes_of(rows), stored);
  REQUIRE(codec.decompress(Bytes{stored}.first(used), raw));
  if constexpr (aegis_test::allocations_are_counted) CHECK(aegis_test::largest_allocation > 0);
  aegis_test::largest_allocation = 0;
  bool held = true;
  for (int i = 0; i < 100; ++i) held = held && codec.compress(bytes_of(rows), stored) == used && codec.decompress(Bytes{stored}.first(used), raw);
  if constexpr (aegis_test::allocations_are_counted) CHECK(aegis_test::largest_allocation == 0);
  CHECK(held);
}

TEST_CASE("more threads than kept contexts use one Zstandard codec at once, and a copy works alone") {
  const ZstdCodec<> codec;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&codec, &wrong, t] {
      const ZstdCodec<> copy = codec;
      for (int round = 0; round < 50; ++round) {
        const std::string rows(static_cast<std::size_t>(1000 + 100 * t + round), static_cast<char>('a' + t));
        std::vector<std::byte> stored(codec.bound(rows.size())), raw(rows.size());
        const std::size_t used = codec.compress(bytes_of(rows), stored);
        if (used == 0 || !codec.decompress(Bytes{stored}.first(used), raw) || text_of(raw) != rows) ++wrong;
        if (round % 10 == 0 && !copy.decompress(Bytes{stored}.first(used), raw)) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
