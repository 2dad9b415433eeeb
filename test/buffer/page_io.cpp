// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/buffer/page_io.hpp>
#include <aegis/storage/codec/lz4.hpp>

#include <buffer/pool_world.hpp>
#include <doctest/doctest.h>

#include <vector>

namespace storage = aegis::storage;
using storage::Errc;
using storage::MemoryBackend;
using storage::PageId;

namespace {

template <class Codec>
struct Io {
  storage::PageIo<MemoryBackend, Codec, storage::Xxh3Checksum, storage::NoCipher, 4096> io;
  std::vector<std::byte> scratch;
  explicit Io(MemoryBackend& backend) : io(backend, {}), scratch(io.scratch_bytes()) {}
  storage::Result<void> load(std::uint64_t id, storage::Page<4096>& page) { return io.load(PageId{id}, page, scratch); }
  storage::Result<void> store(std::uint64_t id, storage::Page<4096>& page) { return io.store(PageId{id}, page, scratch); }
};

storage::Page<4096> sample() {
  storage::Page<4096> page{};
  page.format(storage::PageType::index, storage::TableId{3}, 1);
  for (const char* text : {"alpha", "beta", "", "gamma"}) static_cast<void>(page.insert_at(page.slot_count(), 1, storage::bytes_of(text)));
  return page;
}

bool same(const storage::Page<4096>& a, const storage::Page<4096>& b) {
  return std::memcmp(a.bytes().data() + storage::block_header_bytes, b.bytes().data() + storage::block_header_bytes, 4096 - storage::block_header_bytes) == 0;
}

/// Every byte of the stored block, changed in several ways: a typed error, or the very same page.
template <class Codec>
void one_byte_changes() {
  MemoryBackend backend;
  Io<Codec> io{backend};
  auto page = sample();
  REQUIRE(io.store(5, page));
  std::vector<std::byte> stored(8192);
  stored.resize(*backend.read(storage::BlockId{5}, stored));
  for (std::size_t at = 0; at < stored.size(); ++at) {
    for (const unsigned change : {0x01u, 0x80u, 0xffu}) {
      auto broken = stored;
      broken[at] ^= std::byte{static_cast<unsigned char>(change)};
      REQUIRE(backend.write(storage::BlockId{5}, broken));
      storage::Page<4096> back{};
      const auto read = io.load(5, back);
      if (read) CHECK(same(back, page));
      else CHECK((read.error().code() == Errc::corrupt_block || read.error().code() == Errc::corrupt_page || read.error().code() == Errc::incompatible_format));
    }
  }
}

}  // namespace

TEST_CASE("a page comes back as it was stored") {
  MemoryBackend backend;
  auto page = sample();
  storage::Page<4096> back{};
  SUBCASE("raw") {
    Io<storage::NoCodec> io{backend};
    REQUIRE(io.store(5, page));
    REQUIRE(io.load(5, back));
    CHECK(backend.stats().stored_bytes == 4096);
  }
  SUBCASE("compressed") {
    Io<storage::Lz4Codec> io{backend};
    REQUIRE(io.store(5, page));
    REQUIRE(io.load(5, back));
    CHECK(backend.stats().stored_bytes < 1024);
  }
  CHECK(same(back, page));
}

TEST_CASE("a page keeps its promises and survives any changed byte of its block (D21)") {
  SUBCASE("raw") { one_byte_changes<storage::NoCodec>(); }
  SUBCASE("compressed") { one_byte_changes<storage::Lz4Codec>(); }
}

TEST_CASE("a whole block around a broken page is a corrupt page; a block of another length, id or type is refused") {
  MemoryBackend backend;
  Io<storage::NoCodec> io{backend};
  auto page = sample();
  storage::Page<4096> back{};
  SUBCASE("a slot outside the page") {
    storage::store_le<std::uint16_t>(page.bytes().data() + storage::PageLayout::slots + 4, 4095);
    REQUIRE(io.store(5, page));
    CHECK(io.load(5, back).error().code() == Errc::corrupt_page);
  }
  SUBCASE("too long") {
    REQUIRE(backend.write(storage::BlockId{5}, std::vector<std::byte>(5000)));
    CHECK(io.load(5, back).error().code() == Errc::corrupt_block);
  }
  SUBCASE("too short") {
    REQUIRE(backend.write(storage::BlockId{5}, std::vector<std::byte>(20)));
    CHECK(io.load(5, back).error().code() == Errc::corrupt_block);
  }
  SUBCASE("absent") { CHECK(io.load(5, back).error().code() == Errc::block_not_found); }
  SUBCASE("another page's block") {
    REQUIRE(io.store(6, page));
    REQUIRE(backend.write(storage::BlockId{5}, page.bytes()));
    CHECK(io.load(5, back).error().code() == Errc::corrupt_block);
  }
  SUBCASE("block and page disagree about the type") {
    std::vector<std::byte> scratch;
    const storage::Block<storage::NoCodec, storage::Xxh3Checksum> block;
    const auto stored = block.encode(storage::BlockId{5}, storage::BlockType::data, page.bytes(), scratch);
    REQUIRE(backend.write(storage::BlockId{5}, stored));
    CHECK(io.load(5, back).error().code() == Errc::corrupt_page);
  }
}
