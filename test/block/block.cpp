// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/block/block.hpp>
#include <aegis/storage/checksum/crc32.hpp>
#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/checksum/none.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/codec/lz4.hpp>
#include <aegis/storage/codec/none.hpp>
#include <aegis/storage/codec/snappy.hpp>
#include <aegis/storage/codec/zstd.hpp>

#include <doctest/doctest.h>
#include <golden/blocks.hpp>
#include <support/allocations.hpp>
#include <support/random.hpp>

#include <initializer_list>
#include <string>
#include <vector>

using namespace aegis::storage;
using namespace std::string_view_literals;
namespace golden = aegis_test::golden;

namespace {

/// Not a secret keeper: exclusive or with the key, a checksum of header, key and plain bytes as tag. Enough to see what
/// Block hands to a cipher and what it does with the answer.
struct ToyCipher {
  static constexpr Axis axis = Axis::cipher;
  static constexpr std::string_view name = "toy";
  static constexpr CipherId id{130};
  static constexpr std::size_t overhead = 8;

  std::uint8_t key = 0x5a;
  bool fails = false;

  std::uint32_t key_id() const noexcept { return key; }
  std::size_t seal(Bytes header, Bytes plain, MutableBytes out) const noexcept {
    if (fails) return 0;
    for (std::size_t i = 0; i < plain.size(); ++i) out[i] = plain[i] ^ std::byte{key};
    store_le(out.data() + plain.size(), tag(header, out.first(plain.size())));
    return plain.size() + overhead;
  }
  bool open(Bytes header, Bytes sealed, MutableBytes plain) const noexcept {
    const Bytes hidden = sealed.first(sealed.size() - overhead);
    if (load_le<std::uint64_t>(sealed.data() + hidden.size()) != tag(header, hidden)) return false;
    for (std::size_t i = 0; i < hidden.size(); ++i) plain[i] = hidden[i] ^ std::byte{key};
    return true;
  }
  std::uint64_t tag(Bytes header, Bytes hidden) const noexcept { return (Xxh3Checksum{}(header) * 31 + Xxh3Checksum{}(hidden)) * 31 + key; }
};

/// Decodes nothing and tells when it is asked to.
struct TellingCodec {
  static constexpr Axis axis = Axis::codec;
  static constexpr std::string_view name = "telling";
  static constexpr CodecId id{131};
  static inline int asked = 0;

  std::size_t bound(std::size_t raw) const noexcept { return raw; }
  std::size_t compress(Bytes raw, MutableBytes to) const noexcept {
    copy_bytes(to, raw.first(raw.size() / 2));
    return raw.size() / 2;
  }
  bool decompress(Bytes, MutableBytes) const noexcept {
    ++asked;
    return true;
  }
};

std::vector<std::byte> image_of(std::string_view payload) {
  std::vector<std::byte> image(block_header_bytes);
  const Bytes bytes = bytes_of(payload);
  image.insert(image.end(), bytes.begin(), bytes.end());
  return image;
}

std::string payload_of(const std::vector<std::byte>& image) { return std::string{text_of(Bytes{image}.subspan(block_header_bytes))}; }

template <class Block>
std::string encoded(const Block& block, BlockId id, BlockType type, std::string_view payload) {
  std::vector<std::byte> image = image_of(payload), scratch(block.scratch_bytes(image.size()));
  return std::string{text_of(block.encode(id, type, image, scratch))};
}

/// Decodes from memory of exactly the given size, so that a sanitizer sees every byte too many.
template <class Block>
Result<BlockHeader> decoded(const Block& block, BlockId id, std::string_view stored, std::vector<std::byte>& image) {
  const Bytes bytes = bytes_of(stored);
  const std::vector<std::byte> exact(bytes.begin(), bytes.end());
  std::vector<std::byte> scratch(Block::decode_scratch_bytes(image.size()));
  return block.decode(id, exact, image, scratch);
}

template <class Block>
Result<BlockHeader> decoded(const Block& block, BlockId id, std::string_view stored, std::size_t payload_bytes) {
  std::vector<std::byte> image(block_header_bytes + payload_bytes);
  return decoded(block, id, stored, image);
}

bool is_typed(Errc code) { return code == Errc::corrupt_block || code == Errc::incompatible_format; }

template <std::unsigned_integral Number>
void put(std::string& block, std::size_t at, Number value) {
  store_le(reinterpret_cast<std::byte*>(block.data()) + at, value);
}

/// Gives a changed block the checksum that an attacker, or a program of another version, would give it.
template <class Checksum>
void reseal(std::string& block) {
  std::string head = block.substr(0, 40);
  put(head, 32, Checksum{}(bytes_of(block).subspan(40)));
  put(block, 32, Checksum{}(bytes_of(head)));
}

/// 1500 bytes like rows of a table: every codec makes them smaller.
std::string rows() {
  std::string text;
  for (int row = 0; text.size() < 1500; ++row) text += "row-" + std::to_string(1000 + row) + ":balance=00000" + std::to_string(row % 7) + ";";
  text.resize(1500);
  return text;
}

template <class Codec, class Checksum, class Cipher = NoCipher>
struct Kind {
  using codec = Codec;
  using checksum = Checksum;
  using cipher = Cipher;
  using block = Block<Codec, Checksum, Cipher>;
};

#define AEGIS_TEST_CHECKED_KINDS                                                                                                          \
  Kind<NoCodec, Xxh3Checksum>, Kind<NoCodec, Crc32Checksum>, Kind<NoCodec, Crc32cChecksum>, Kind<Lz4Codec, Xxh3Checksum>,                \
      Kind<ZstdCodec<>, Crc32cChecksum>, Kind<SnappyCodec, Crc32Checksum>, Kind<NoCodec, Xxh3Checksum, ToyCipher>, Kind<Lz4Codec, Crc32cChecksum, ToyCipher>

}  // namespace

TEST_CASE("blocks are written as the golden bytes say") {
  CHECK(encoded(Block<NoCodec, Xxh3Checksum>{}, BlockId{0x0102030405060708}, BlockType::index, "aegis-storag") == golden::index_block_xxh3);
  CHECK(encoded(Block<NoCodec, Crc32cChecksum>{}, BlockId{42}, BlockType::data, "aegis-storag") == golden::data_block_crc32c);
  CHECK(encoded(Block<NoCodec, Crc32Checksum>{}, BlockId{42}, BlockType::log, "aegis-storag") == golden::log_block_crc32);
  CHECK(encoded(Block<NoCodec, NoChecksum>{}, BlockId{42}, BlockType::meta, "aegis-storag") == golden::meta_block_unchecked);
  CHECK(encoded(Block<NoCodec, Xxh3Checksum>{}, BlockId{7}, BlockType::free, "") == golden::empty_free_block_xxh3);
  CHECK(encoded(Block<ZstdCodec<>, Xxh3Checksum>{}, BlockId{7}, BlockType::free, "") == golden::empty_free_block_xxh3);
}

TEST_CASE("blocks are read from the golden bytes") {
  std::vector<std::byte> image = image_of("------------");
  CHECK(decoded(Block<NoCodec, Xxh3Checksum>{}, BlockId{0x0102030405060708}, golden::index_block_xxh3, image).has_value());
  CHECK(payload_of(image) == "aegis-storag");
  CHECK(decoded(Block<Lz4Codec, Crc32cChecksum>{}, BlockId{42}, golden::data_block_crc32c, image).has_value());
  CHECK(decoded(Block<NoCodec, Crc32Checksum>{}, BlockId{42}, golden::log_block_crc32, image).has_value());
  CHECK(decoded(Block<NoCodec, NoChecksum>{}, BlockId{42}, golden::meta_block_unchecked, image).has_value());
  CHECK(decoded(Block<NoCodec, Xxh3Checksum>{}, BlockId{7}, golden::empty_free_block_xxh3, 0).has_value());
  image = image_of(std::string(64, '-'));
  const Result<BlockHeader> header = decoded(Block<Lz4Codec, Xxh3Checksum>{}, BlockId{9}, golden::data_block_lz4_xxh3, image);
  REQUIRE(header);
  CHECK(payload_of(image) == std::string(64, 'a'));
  CHECK(header->codec == CodecId::lz4);
  CHECK(header->type == BlockType::data);
}

TEST_CASE_TEMPLATE("a payload of any size up to the largest page comes back", K, AEGIS_TEST_CHECKED_KINDS) {
  const std::uint64_t seed = aegis_test::seed(11);
  INFO(aegis_test::replay(seed, "block/block"));
  aegis_test::Random random{seed};
  const typename K::block block;
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 2, 47, 48, 511, 512, 4048, 8144, 16336, 32720, 65488, 65536}) {
    for (const std::string& payload : {std::string(size, 'x'), random.bytes(size)}) {
      CAPTURE(size);
      const std::string stored = encoded(block, BlockId{3}, BlockType::overflow, payload);
      CHECK(stored.size() <= block_header_bytes + size + K::cipher::overhead);
      std::vector<std::byte> image(block_header_bytes + size, std::byte{0xee});
      const Result<BlockHeader> header = decoded(block, BlockId{3}, stored, image);
      REQUIRE(header);
      CHECK(payload_of(image) == payload);
      CHECK(header->type == BlockType::overflow);
      CHECK(header->raw_bytes == size);
      CHECK(header->stored_bytes == stored.size() - block_header_bytes);
    }
  }
}

TEST_CASE("an uncompressed block is its image, and is decoded in place without a copy") {
  const Block<NoCodec, Xxh3Checksum> block;
  std::vector<std::byte> image = image_of(rows());
  CHECK(block.scratch_bytes(image.size()) == 0);
  const Bytes stored = block.encode(BlockId{1}, BlockType::data, image, {});
  CHECK(stored.data() == image.data());
  CHECK(stored.size() == image.size());
  CHECK(block.decode(BlockId{1}, stored, image).has_value());
  CHECK(payload_of(image) == rows());
}

TEST_CASE_TEMPLATE("incompressible data is stored raw, compressible data smaller", K, Kind<Lz4Codec, Xxh3Checksum>, Kind<ZstdCodec<>, Xxh3Checksum>,
                   Kind<SnappyCodec, Xxh3Checksum>) {
  const std::uint64_t seed = aegis_test::seed(12);
  INFO(aegis_test::replay(seed, "block/block"));
  const typename K::block block;
  std::vector<std::byte> noise = image_of(aegis_test::Random{seed}.bytes(8144)), text = image_of(rows());
  std::vector<std::byte> scratch(block.scratch_bytes(noise.size()));
  const Bytes raw = block.encode(BlockId{1}, BlockType::data, noise, scratch);
  CHECK(raw.data() == noise.data());
  CHECK(K::block::parse(BlockId{1}, raw)->codec == CodecId::none);
  const Bytes packed = block.encode(BlockId{1}, BlockType::data, text, scratch);
  CHECK(packed.data() == scratch.data());
  CHECK(packed.size() < text.size());
  CHECK(K::block::parse(BlockId{1}, packed)->codec == K::codec::id);
}

TEST_CASE_TEMPLATE("D22: a block with any one byte changed is a typed error", K, AEGIS_TEST_CHECKED_KINDS) {
  const typename K::block block;
  const std::string payload = rows(), good = encoded(block, BlockId{77}, BlockType::data, payload);
  REQUIRE(decoded(block, BlockId{77}, good, payload.size()));
  std::size_t refused = 0, tried = 0;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int change : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      const Result<BlockHeader> header = decoded(block, BlockId{77}, bad, payload.size());
      ++tried;
      if (!header && is_typed(header.error().code())) ++refused;
    }
  CHECK(refused == tried);
  CHECK(tried == 9 * good.size());
}

TEST_CASE_TEMPLATE("D22: a block cut short or lengthened is corrupt_block", K, AEGIS_TEST_CHECKED_KINDS, Kind<NoCodec, NoChecksum>, Kind<Lz4Codec, NoChecksum>) {
  const typename K::block block;
  const std::string payload = rows(), good = encoded(block, BlockId{77}, BlockType::data, payload);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Result<BlockHeader> header = decoded(block, BlockId{77}, good.substr(0, size), payload.size());
    if (!header && header.error().code() == Errc::corrupt_block) ++refused;
  }
  CHECK(refused == good.size());
  for (const std::size_t more : std::initializer_list<std::size_t>{1, 8, 48, 512}) {
    const Result<BlockHeader> header = decoded(block, BlockId{77}, good + std::string(more, '\0'), payload.size());
    REQUIRE_FALSE(header);
    CHECK(header.error().code() == Errc::corrupt_block);
  }
}

TEST_CASE_TEMPLATE("D22: two blocks swapped are corrupt_block that names both ids", K, AEGIS_TEST_CHECKED_KINDS, Kind<NoCodec, NoChecksum>) {
  const typename K::block block;
  const std::string payload = rows(), other = encoded(block, BlockId{2}, BlockType::data, payload);
  const Result<BlockHeader> header = decoded(block, BlockId{1}, other, payload.size());
  REQUIRE_FALSE(header);
  CHECK(header.error().code() == Errc::corrupt_block);
  CHECK(header.error().subject() == "id of block");
  CHECK(header.error().expected() == 1);
  CHECK(header.error().found() == 2);
}

TEST_CASE_TEMPLATE("D22: hostile declared sizes under a valid checksum are corrupt_block and allocate nothing", K, AEGIS_TEST_CHECKED_KINDS,
                   Kind<Lz4Codec, NoChecksum>) {
  const typename K::block block;
  const std::string payload = rows(), good = encoded(block, BlockId{77}, BlockType::data, payload);
  std::vector<std::byte> image(block_header_bytes + payload.size()), scratch(K::block::decode_scratch_bytes(image.size()));
  const auto true_stored = static_cast<std::uint32_t>(good.size() - block_header_bytes);
  for (const std::size_t at : {BlockHeader::raw_bytes_at, BlockHeader::stored_bytes_at})
    for (const std::uint32_t size : {0u, 1u, 7u, true_stored - 1, true_stored + 1, 1499u, 1501u, 65536u, 65537u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
      std::string bad = good;
      put(bad, at, size);
      reseal<typename K::checksum>(bad);
      if (bad == good) continue;
      CAPTURE(at);
      CAPTURE(size);
      aegis_test::largest_allocation = 0;
      const Result<BlockHeader> header = block.decode(BlockId{77}, bytes_of(bad), image, scratch);
      const std::size_t allocated = aegis_test::largest_allocation;
      REQUIRE_FALSE(header);
      CHECK(header.error().code() == Errc::corrupt_block);
      if constexpr (aegis_test::allocations_are_counted) CHECK(allocated == 0);
    }
}

TEST_CASE("a block of another size than the page is refused, though its bytes are whole") {
  const Block<NoCodec, Xxh3Checksum> block;
  const std::string small = encoded(block, BlockId{1}, BlockType::data, std::string(4048, 'p'));
  const Result<BlockHeader> header = decoded(block, BlockId{1}, small, 8144);
  REQUIRE_FALSE(header);
  CHECK(header.error().code() == Errc::corrupt_block);
  CHECK(header.error().expected() == 8144);
  CHECK(header.error().found() == 4048);
}

namespace {

/// A block whose header is right in every respect and whose payload is a bomb.
template <class Codec>
void detonate(std::string bomb) {
  const Block<Codec, Xxh3Checksum> block;
  BlockHeader header{.type = BlockType::data, .codec = Codec::id, .checksum_kind = ChecksumKind::xxh3, .id = BlockId{6}, .raw_bytes = 8144};
  bomb.resize(8000, '\0');
  header.stored_bytes = static_cast<std::uint32_t>(bomb.size());
  std::string stored(block_header_bytes, '\0');
  header.write({reinterpret_cast<std::byte*>(stored.data()), stored.size()});
  stored += bomb;
  reseal<Xxh3Checksum>(stored);
  REQUIRE(decltype(block)::parse(BlockId{6}, bytes_of(stored)));
  std::vector<std::byte> image(block_header_bytes + 8144);
  aegis_test::largest_allocation = 0;
  const Result<BlockHeader> decoded = block.decode(BlockId{6}, bytes_of(stored), image);
  const std::size_t allocated = aegis_test::largest_allocation;
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code() == Errc::corrupt_block);
  CHECK(decoded.error().subject() == "payload of block");
  if constexpr (aegis_test::allocations_are_counted) CHECK(allocated <= 256 * 1024);
}

std::string repeated(std::string_view head, std::string_view body) {
  std::string bomb{head};
  while (bomb.size() + body.size() <= 8000) bomb += body;
  return bomb;
}

}  // namespace

TEST_CASE("D22: a decompression bomb in a valid block is corrupt_block, for each codec") {
  detonate<Lz4Codec>(repeated("\x1f" "a" "\x01\x00"sv, "\xff"sv));
  detonate<ZstdCodec<>>(repeated("\x28\xb5\x2f\xfd\xa0\xff\xff\xff\xff"sv, "\x02\x00\x10" "a"sv));
  detonate<ZstdCodec<>>(repeated("\x28\xb5\x2f\xfd\x00\xa8"sv, "\x02\x00\x10" "a"sv));
  detonate<SnappyCodec>(repeated("\xff\xff\xff\xff\x0f\x00" "a"sv, "\xfe\x01\x00"sv));
  detonate<SnappyCodec>(repeated("\xd0\x3f\x00" "a"sv, "\xfe\x01\x00"sv));
}

TEST_CASE_TEMPLATE("D23: every unknown enum byte under a valid checksum is a typed error", K, AEGIS_TEST_CHECKED_KINDS, Kind<NoCodec, NoChecksum>) {
  const typename K::block block;
  const std::string payload = rows(), good = encoded(block, BlockId{77}, BlockType::data, payload);
  for (const std::size_t at : {BlockHeader::type_at, BlockHeader::codec_at, BlockHeader::checksum_kind_at, BlockHeader::cipher_at})
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = good;
      changed[at] = static_cast<char>(byte);
      reseal<typename K::checksum>(changed);
      CAPTURE(at);
      CAPTURE(byte);
      const bool same = changed == good, type = at == BlockHeader::type_at && is_block_type(static_cast<std::uint8_t>(byte));
      const bool authenticated = K::cipher::id != CipherId::none;
      const Result<BlockHeader> header = decoded(block, BlockId{77}, changed, payload.size());
      CHECK(header.has_value() == (same || (type && !authenticated)));
      if (!header) CHECK(is_typed(header.error().code()));
      if (header) CHECK(static_cast<int>(header->type) == (at == BlockHeader::type_at ? byte : static_cast<int>(BlockType::data)));
    }
}

TEST_CASE("a block of other policies is incompatible_format and names both") {
  const std::string payload = rows(), zstd = encoded(Block<ZstdCodec<>, Xxh3Checksum>{}, BlockId{1}, BlockType::data, payload);
  const auto said = [&](const auto& block) {
    const Result<BlockHeader> header = decoded(block, BlockId{1}, zstd, payload.size());
    REQUIRE_FALSE(header);
    CHECK(header.error().code() == Errc::incompatible_format);
    return header.error().message();
  };
  CHECK(said(Block<Lz4Codec, Xxh3Checksum>{}).find("codec of block 1: the store has zstd, this program lz4; ") != std::string::npos);
  CHECK(said(Block<NoCodec, Xxh3Checksum>{}).find("the store has zstd, this program none; ") != std::string::npos);
  CHECK(said(Block<ZstdCodec<>, Crc32cChecksum>{}).find("checksum of block 1: the store has xxh3, this program crc32c; ") != std::string::npos);
  CHECK(said(Block<ZstdCodec<>, Xxh3Checksum, ToyCipher>{}).find("cipher of block 1: the store has none, this program toy; ") != std::string::npos);
}

TEST_CASE("checks are made in the promised order: length, magic, version, kinds, bounds, id, checksum") {
  const Block<NoCodec, Xxh3Checksum> block;
  const std::string good = encoded(block, BlockId{1}, BlockType::data, rows());
  std::string bad = good;
  const auto complaint = [&] {
    const Result<BlockHeader> header = decoded(block, BlockId{1}, bad, 1500);
    return header ? std::string{"none"} : std::string{header.error().subject()};
  };
  const auto repair = [&](std::size_t at, std::size_t size) { bad.replace(at, size, good, at, size); };
  for (std::size_t at = 0; at < BlockHeader::reserved_at; ++at) bad[at] = static_cast<char>(~bad[at]);
  CHECK(complaint() == "magic of block");
  repair(BlockHeader::magic_at, 4);
  CHECK(complaint() == "format version of block");
  repair(BlockHeader::version_at, 2);
  CHECK(complaint() == "type of block");
  repair(BlockHeader::type_at, 1);
  CHECK(complaint() == "flags of block");
  repair(BlockHeader::flags_at, 2);
  CHECK(complaint() == "codec of block");
  repair(BlockHeader::codec_at, 1);
  CHECK(complaint() == "checksum of block");
  repair(BlockHeader::checksum_kind_at, 1);
  CHECK(complaint() == "cipher of block");
  repair(BlockHeader::cipher_at, 1);
  CHECK(complaint() == "raw size of block");
  repair(BlockHeader::raw_bytes_at, 4);
  CHECK(complaint() == "stored size of block");
  repair(BlockHeader::stored_bytes_at, 4);
  CHECK(complaint() == "id of block");
  repair(BlockHeader::id_at, 8);
  CHECK(complaint() == "key of block");
  repair(BlockHeader::key_id_at, 4);
  CHECK(complaint() == "checksum of block");
  repair(BlockHeader::checksum_at, 8);
  CHECK(complaint() == "none");
}

TEST_CASE_TEMPLATE("any byte string is a typed error, never a crash", K, AEGIS_TEST_CHECKED_KINDS, Kind<NoCodec, NoChecksum>, Kind<ZstdCodec<>, NoChecksum>,
                   Kind<SnappyCodec, NoChecksum>, Kind<Lz4Codec, NoChecksum>) {
  const std::uint64_t seed = aegis_test::seed(13);
  INFO(aegis_test::replay(seed, "block/block"));
  aegis_test::Random random{seed};
  const typename K::block block;
  const std::string payload = rows(), good = encoded(block, BlockId{77}, BlockType::data, payload);
  int typed = 0, failed = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = random.one_in(3) ? random.bytes(random.below(200)) : good;
    if (bytes.size() >= block_header_bytes) {
      for (std::uint64_t n = random.below(6); n != 0; --n) bytes[random.below(bytes.size())] = static_cast<char>(random.next());
      if (random.one_in(2)) reseal<typename K::checksum>(bytes);
    }
    const Result<BlockHeader> header = decoded(block, BlockId{77}, bytes, random.one_in(4) ? random.below(4000) : payload.size());
    if (!header) ++failed;
    if (!header && is_typed(header.error().code())) ++typed;
  }
  CHECK(typed == failed);
  CHECK(failed > 1000);
}

TEST_CASE("a cipher sees the compressed payload, and the header is part of what it proves") {
  const Block<Lz4Codec, Xxh3Checksum, ToyCipher> block;
  const std::string payload = rows(), stored = encoded(block, BlockId{1}, BlockType::data, payload);
  const Result<BlockHeader> header = decltype(block)::parse(BlockId{1}, bytes_of(stored));
  REQUIRE(header);
  CHECK(header->codec == CodecId::lz4);
  CHECK(header->key_id == 0x5a);
  CHECK(stored.size() < payload.size());
  CHECK(stored.find("balance") == std::string::npos);
  for (const std::size_t at : {BlockHeader::type_at, BlockHeader::id_at, BlockHeader::raw_bytes_at}) {
    std::string relabelled = stored;
    relabelled[at] = static_cast<char>(relabelled[at] + 1);
    reseal<Xxh3Checksum>(relabelled);
    const BlockId id{at == BlockHeader::id_at ? std::uint64_t{2} : std::uint64_t{1}};
    const Result<BlockHeader> opened = decoded(block, id, relabelled, at == BlockHeader::raw_bytes_at ? 1501 : 1500);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().subject() == "payload of block");
  }
}

TEST_CASE("a payload that the cipher refuses never reaches the codec") {
  const Block<TellingCodec, Xxh3Checksum, ToyCipher> block;
  std::string stored = encoded(block, BlockId{1}, BlockType::data, rows());
  TellingCodec::asked = 0;
  CHECK(decoded(block, BlockId{1}, stored, 1500).has_value());
  CHECK(TellingCodec::asked == 1);
  stored.back() = static_cast<char>(stored.back() ^ 1);
  reseal<Xxh3Checksum>(stored);
  CHECK_FALSE(decoded(block, BlockId{1}, stored, 1500).has_value());
  CHECK(TellingCodec::asked == 1);
}

TEST_CASE("another key is incompatible_format, and no block without a cipher passes for one with it") {
  const Block<NoCodec, Xxh3Checksum, ToyCipher> mine{ToyCipher{.key = 1}}, theirs{ToyCipher{.key = 2}};
  const std::string stored = encoded(theirs, BlockId{1}, BlockType::data, rows());
  const Result<BlockHeader> other = decoded(mine, BlockId{1}, stored, 1500);
  REQUIRE_FALSE(other);
  CHECK(other.error().code() == Errc::incompatible_format);
  CHECK(other.error().expected() == 1);
  CHECK(other.error().found() == 2);
  const std::string open = encoded(Block<NoCodec, Xxh3Checksum>{}, BlockId{1}, BlockType::data, rows());
  const Result<BlockHeader> downgraded = decoded(mine, BlockId{1}, open, 1500);
  REQUIRE_FALSE(downgraded);
  CHECK(downgraded.error().code() == Errc::incompatible_format);
  CHECK(downgraded.error().subject() == "cipher of block");
}

TEST_CASE("a cipher that fails stores nothing") {
  CHECK(encoded(Block<NoCodec, Xxh3Checksum, ToyCipher>{ToyCipher{.fails = true}}, BlockId{1}, BlockType::data, rows()).empty());
}

TEST_CASE("policies without state cost a block nothing") {
  static_assert(sizeof(Block<NoCodec, Xxh3Checksum>) == 1);
  static_assert(sizeof(Block<Lz4Codec, Crc32cChecksum>) == 1);
  CHECK(Block<NoCodec, Xxh3Checksum>::decodes_in_place);
  CHECK_FALSE(Block<Lz4Codec, Xxh3Checksum>::decodes_in_place);
}
