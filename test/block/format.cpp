// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/block/format.hpp>

#include <doctest/doctest.h>
#include <golden/blocks.hpp>

#include <string>

using namespace aegis::storage;
using namespace std::string_view_literals;
namespace golden = aegis_test::golden;

TEST_CASE("a header is written as the table of the format says") {
  const BlockHeader header{.type = BlockType::index,
                           .checksum_kind = ChecksumKind::xxh3,
                           .id = BlockId{0x0102030405060708},
                           .raw_bytes = 12,
                           .stored_bytes = 12,
                           .checksum = 0x4323bc33cc3055b0};
  std::string room(block_header_bytes, '\xff');
  header.write({reinterpret_cast<std::byte*>(room.data()), room.size()});
  CHECK(room == golden::index_block_xxh3.substr(0, block_header_bytes));
}

TEST_CASE("every field of a header is read back from its own place") {
  const auto bytes = "AEGB" "\x01\x00" "\x03" "\x02" "\x80" "\x01" "\x00\x00" "\x11\x22\x33\x44" "\x01\x02\x03\x04\x05\x06\x07\x08"
                     "\x21\x22\x23\x24" "\x31\x32\x33\x34" "\x41\x42\x43\x44\x45\x46\x47\x48" "\x00\x00\x00\x00\x00\x00\x00\x00"sv;
  const Result<BlockHeader> header = BlockHeader::read(BlockId{1}, bytes_of(bytes));
  REQUIRE(header);
  CHECK(header->type == BlockType::overflow);
  CHECK(header->codec == CodecId::zstd);
  CHECK(header->checksum_kind == ChecksumKind{0x80});
  CHECK(header->cipher == CipherId::aes256_gcm);
  CHECK(header->key_id == 0x44332211);
  CHECK(header->id == BlockId{0x0807060504030201});
  CHECK(header->raw_bytes == 0x24232221);
  CHECK(header->stored_bytes == 0x34333231);
  CHECK(header->checksum == 0x4847464544434241);
}

TEST_CASE("D22: fewer bytes than a header are corrupt_block, whatever they are") {
  for (std::size_t size = 0; size < block_header_bytes; ++size) {
    const Result<BlockHeader> header = BlockHeader::read(BlockId{5}, bytes_of(golden::index_block_xxh3.substr(0, size)));
    REQUIRE_FALSE(header);
    CHECK(header.error().code() == Errc::corrupt_block);
    CHECK(header.error().id() == 5);
    CHECK(header.error().found() == size);
  }
}

TEST_CASE("D23: only the six block types are block types") {
  int types = 0;
  for (int byte = 0; byte < 256; ++byte) {
    std::string bytes{golden::index_block_xxh3};
    bytes[BlockHeader::type_at] = static_cast<char>(byte);
    const Result<BlockHeader> header = BlockHeader::read(BlockId{5}, bytes_of(bytes));
    CHECK(header.has_value() == (byte >= 1 && byte <= 6));
    if (header) ++types;
    if (!header) CHECK(header.error().code() == Errc::corrupt_block);
  }
  CHECK(types == 6);
}

TEST_CASE("another format version is incompatible_format and names both versions") {
  std::string bytes{golden::index_block_xxh3};
  bytes[BlockHeader::version_at] = 2;
  const Result<BlockHeader> header = BlockHeader::read(BlockId{5}, bytes_of(bytes));
  REQUIRE_FALSE(header);
  CHECK(header.error().code() == Errc::incompatible_format);
  CHECK(header.error().expected() == 1);
  CHECK(header.error().found() == 2);
}

TEST_CASE("flags and reserved bytes that version 1 does not know are corrupt_block") {
  for (const std::size_t at : {BlockHeader::flags_at, BlockHeader::flags_at + 1, BlockHeader::reserved_at, BlockHeader::reserved_at + 7}) {
    std::string bytes{golden::index_block_xxh3};
    bytes[at] = 1;
    const Result<BlockHeader> header = BlockHeader::read(BlockId{5}, bytes_of(bytes));
    REQUIRE_FALSE(header);
    CHECK(header.error().code() == Errc::corrupt_block);
  }
}
