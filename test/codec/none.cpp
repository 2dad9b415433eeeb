// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/codec/none.hpp>
#include <aegis/storage/testing/codec_suite.hpp>

#include <support/promises.hpp>

using namespace aegis::storage;

TEST_CASE("NoCodec keeps the promises of a codec") {
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_codec<NoCodec>(report); });
  aegis_test::check_promises(promises);
}

TEST_CASE("NoCodec needs no room and never compresses") {
  std::byte room[8]{};
  CHECK(NoCodec{}.bound(8192) == 0);
  CHECK(NoCodec{}.compress(bytes_of("aaaaaaaaaaaaaaaa"), room) == 0);
  CHECK_FALSE(NoCodec{}.decompress(room, room));
}
