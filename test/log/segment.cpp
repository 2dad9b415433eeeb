// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/log/segment.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

using namespace aegis::storage;

namespace {

using Image = std::array<std::byte, SegmentHeader::bytes>;

SegmentHeader sample() {
  return {.identity = {0x1122334455667788, 0x99aabbccddeeff00},
          .first = Lsn{0x123456789000},
          .sequence = 0x42,
          .segment_bytes = 0x1000000,
          .unit_bytes = 4096,
          .method = WriteMethod::mapped,
          .restart = true};
}
Image encoded(const SegmentHeader& header) {
  Image image;
  header.encode(image);
  return image;
}
void renew_checksum(Image& image) {
  store_le<std::uint32_t>(&image[4092], static_cast<std::uint32_t>(Crc32cChecksum{}(Bytes{image}.first(4092))));
}

}  // namespace

TEST_CASE("a segment header is read back as it was written") {
  const auto header = SegmentHeader::decode(encoded(sample()), 0x42);
  REQUIRE(header);
  CHECK(header->identity == sample().identity);
  CHECK(header->first == sample().first);
  CHECK(header->sequence == 0x42);
  CHECK(header->segment_bytes == 0x1000000);
  CHECK(header->unit_bytes == 4096);
  CHECK(header->method == WriteMethod::mapped);
  CHECK(header->restart);
  SegmentHeader other = sample();
  other.restart = false;
  CHECK_FALSE(SegmentHeader::decode(encoded(other), 0x42)->restart);
}

TEST_CASE("the bytes of a segment header stand where the table says") {
  const Image image = encoded(sample());
  constexpr unsigned char expected[] = {
      'A',  'E',  'G',  'L',  1,    0,    1,    0,                                                     // magic, version, flags
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99,  // identity
      0x00, 0x90, 0x78, 0x56, 0x34, 0x12, 0,    0,    0x42, 0,    0,    0,    0,    0,    0,    0,     // first LSN, sequence
      0,    0,    0,    1,    0,    0,    0,    0,    0,    0x10, 0,    0,    3};                      // size, unit, method
  for (std::size_t i = 0; i < sizeof expected; ++i) CHECK(image[i] == static_cast<std::byte>(expected[i]));
  for (std::size_t i = sizeof expected; i < 4092; ++i) REQUIRE(image[i] == std::byte{0});
  CHECK(load_le<std::uint32_t>(&image[4092]) == Crc32cChecksum{}(Bytes{image}.first(4092)));
}

TEST_CASE("no single bit of a segment header may change") {
  Image image = encoded(sample());
  for (std::size_t bit = 0; bit < image.size() * 8; ++bit) {
    image[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    const auto header = SegmentHeader::decode(image, 0x42);
    REQUIRE_FALSE(header);
    const bool version = bit / 8 == 4 || bit / 8 == 5;
    REQUIRE(header.error().code() == (version ? Errc::incompatible_format : Errc::corrupt_log));
    REQUIRE(header.error().id() == 0x42);
    image[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
  }
}

TEST_CASE("a sound header in the wrong place, or of a later kind, is told apart") {
  const auto moved = SegmentHeader::decode(encoded(sample()), 0x43);
  CHECK(moved.error().code() == Errc::corrupt_log);
  CHECK(moved.error().expected() == 0x43);
  CHECK(moved.error().found() == 0x42);
  for (const std::size_t at : {std::size_t{6}, std::size_t{52}}) {
    Image image = encoded(sample());
    image[at] = std::byte{0x80};
    renew_checksum(image);
    CHECK(SegmentHeader::decode(image, 0x42).error().code() == Errc::incompatible_format);
  }
}

TEST_CASE("segment names say what a file is, and only well-formed ones count") {
  CHECK(std::string_view{SegmentName{SegmentRole::wal, 0x1f}} == "wal-000000000000001f.log");
  CHECK(std::string_view{SegmentName{SegmentRole::spare, ~std::uint64_t{0}}} == "spare-ffffffffffffffff.log");
  CHECK(std::string_view{SegmentName{SegmentRole::fresh, 0}} == "fresh-0000000000000000.log");
  for (const SegmentRole role : {SegmentRole::wal, SegmentRole::spare, SegmentRole::fresh}) {
    const SegmentName name{role, 0xfedcba9876543210};
    CHECK(SegmentName::parse(role, name) == 0xfedcba9876543210);
    for (const SegmentRole other : {SegmentRole::wal, SegmentRole::spare, SegmentRole::fresh})
      CHECK(SegmentName::parse(other, name).has_value() == (other == role));
  }
  for (const std::string_view bad : {"", "wal-", "wal-1.log", "wal-000000000000001F.log", "wal-000000000000001g.log", "wal-000000000000001f.log2",
                                     "wal-000000000000001f.lox", "xal-000000000000001f.log", "wal-0000000000000001f.log"})
    CHECK_FALSE(SegmentName::parse(SegmentRole::wal, bad));
}
