// SPDX-License-Identifier: Apache-2.0
// Z2: block header, checksum, decompression. Any bytes decode to what was encoded or are a typed error; what is accepted
// has the expected id, the expected size and a right checksum (computed here once more), and encodes and decodes again.
// Input: mode (1: the checksum is made right before decoding; 2: the rest is a payload to encode), codec and checksum
// kind, id 8, payload size 2, then the stored block or the payload.
#pragma once

#include "fuzz/harness.hpp"

#include <aegis/storage/block/block.hpp>
#include <aegis/storage/checksum/crc32.hpp>
#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/checksum/none.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/codec/lz4.hpp>
#include <aegis/storage/codec/none.hpp>
#include <aegis/storage/codec/snappy.hpp>
#include <aegis/storage/codec/zstd.hpp>

#include <memory>

namespace aegis_fuzz {

struct BlockHarness {
  static constexpr const char* name = "z2_block";
  static constexpr std::size_t head_bytes = 12;

  static void run(Bytes bytes) {
    with_policies(bytes.size() > 1 ? static_cast<std::uint8_t>(bytes[1]) : std::uint8_t{0}, [&](auto codec, auto checksum) { run_with<decltype(codec), decltype(checksum)>(bytes); });
  }

  static void mutate(Data& data, Dice& dice) {
    if (data.size() < head_bytes + block_header_bytes || dice.one_in(4)) return mutate_bytes(data, dice, 64 << 10);
    constexpr struct {
      std::size_t at, width;
    } fields[] = {{0, 4}, {4, 2}, {6, 1}, {7, 1}, {8, 1}, {9, 1}, {10, 2}, {12, 4}, {16, 8}, {24, 4}, {28, 4}, {32, 8}, {40, 8}};
    const std::uint64_t what = dice.below(10);
    if (what < 4) {
      const auto& field = fields[dice.below(std::size(fields))];
      mutate_field(data, head_bytes + field.at, field.width, dice);
    } else if (what < 8 && data.size() > head_bytes + block_header_bytes) {
      const std::size_t at = head_bytes + block_header_bytes + dice.below(data.size() - head_bytes - block_header_bytes);
      mutate_field(data, at, std::size_t{1} << dice.below(3), dice);
    } else if (what == 8) {
      data.resize(head_bytes + dice.below(data.size() - head_bytes + 20));
    } else {
      mutate_field(data, dice.below(head_bytes), 2, dice);
    }
    if (data.size() < head_bytes + block_header_bytes || dice.one_in(4)) return;
    // What the fields say of sizes and places is made to fit, so that more than the first look is passed.
    const std::size_t stored = data.size() - head_bytes;
    if (dice.in_four(3)) store_le(data.data() + head_bytes + BlockHeader::stored_bytes_at, static_cast<std::uint32_t>(stored - block_header_bytes));
    if (dice.in_four(3)) copy_bytes(MutableBytes{data}.subspan(10, 2), Bytes{data}.subspan(head_bytes + BlockHeader::raw_bytes_at, 2));
    if (dice.in_four(3)) copy_bytes(MutableBytes{data}.subspan(2, 8), Bytes{data}.subspan(head_bytes + BlockHeader::id_at, 8));
    data[0] |= std::byte{1};
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    for (std::uint8_t kinds = 0; kinds < 16; ++kinds) {
      Data raw(kinds < 4 ? 120 : 1000);
      for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::byte>(i % 23 < 15 ? i / 100 : i * i);
      with_policies(kinds, [&](auto codec, auto checksum) { all.push_back(stored_seed<decltype(codec), decltype(checksum)>(kinds, raw)); });
      if (kinds % 4 != 0) continue;
      Output payload;
      all.push_back(payload.byte(2).byte(kinds).put(std::uint64_t{5}).put(std::uint16_t{0}).put_bytes(raw).data);
    }
    return all;
  }

  /// format.hpp's words on the checksum, for any policy.
  template <class Checksum>
  static std::uint64_t checksum_of(Bytes block) {
    if (Checksum::kind == ChecksumKind::none) return 0;
    Output head;
    head.put_bytes(block.first(32)).put(Checksum{}(block.subspan(40)));
    return Checksum{}(head.data);
  }

 private:
  template <class Fn>
  static void with_policies(std::uint8_t kinds, Fn&& fn) {
    const auto with_codec = [&](auto codec) {
      switch (kinds / 4 % 4) {
        case 0: return fn(codec, Xxh3Checksum{});
        case 1: return fn(codec, Crc32cChecksum{});
        case 2: return fn(codec, Crc32Checksum{});
        default: return fn(codec, NoChecksum{});
      }
    };
    switch (kinds % 4) {
      case 0: return with_codec(NoCodec{});
      case 1: return with_codec(Lz4Codec{});
      case 2: return with_codec(ZstdCodec<>{});
      default: return with_codec(SnappyCodec{});
    }
  }

  template <class Codec, class Checksum>
  static Data stored_seed(std::uint8_t kinds, const Data& raw) {
    const Block<Codec, Checksum> block;
    Data image(block_header_bytes);
    image.insert(image.end(), raw.begin(), raw.end());
    Data scratch(block.scratch_bytes(image.size()));
    const Bytes stored = block.encode(BlockId{77}, BlockType::data, image, scratch);
    Output output;
    output.byte(1).byte(kinds).put(std::uint64_t{77}).put(static_cast<std::uint16_t>(raw.size())).put_bytes(stored);
    return output.data;
  }

  template <class Codec, class Checksum>
  static void run_with(Bytes bytes) {
    Input input{bytes};
    const std::uint8_t mode = input.byte();
    (void)input.byte();
    const BlockId id{input.take<std::uint64_t>()};
    const std::size_t size = input.take<std::uint16_t>();
    const Bytes rest = input.bytes(input.left());
    if ((mode & 2) != 0) return round_trip<Codec, Checksum>(id, rest.first(std::min(rest.size(), block_payload_limit_bytes)));
    // Exact pieces of the heap, so that the sanitizer guards their ends.
    const auto stored = std::make_unique<std::byte[]>(rest.size());
    copy_bytes({stored.get(), rest.size()}, rest);
    const MutableBytes block{stored.get(), rest.size()};
    if ((mode & 1) != 0 && block.size() >= block_header_bytes) store_le(block.data() + BlockHeader::checksum_at, checksum_of<Checksum>(block));
    decode<Codec, Checksum>(id, block, std::min<std::size_t>(size, block_payload_limit_bytes));
  }

  template <class Codec, class Checksum>
  static void decode(BlockId id, Bytes stored, std::size_t raw_bytes) {
    const Block<Codec, Checksum> block;
    const auto image = std::make_unique<std::byte[]>(block_header_bytes + raw_bytes);
    const auto parsed = block.parse(id, stored);
    const auto header = block.decode(id, stored, {image.get(), block_header_bytes + raw_bytes});
    if (!parsed) require(!header, "decode() takes what parse() refuses");
    if (!header) return require_one_of(header.error(), {Errc::corrupt_block, Errc::incompatible_format}, "decode");
    require(header->id == id && header->raw_bytes == raw_bytes, "decode() takes another block, or one of another size");
    require(header->stored_bytes == stored.size() - block_header_bytes, "decode() takes a block of another stored size");
    require(header->checksum == checksum_of<Checksum>(stored), "decode() takes a wrong checksum");
    require(load_le<std::uint64_t>(stored.data() + 40) == 0 && load_le<std::uint32_t>(stored.data()) == BlockHeader::magic, "decode() takes a header that is none");
    if (header->codec == CodecId::none) require(std::equal(stored.begin() + block_header_bytes, stored.end(), image.get() + block_header_bytes), "decode() changes the payload");
    round_trip<Codec, Checksum>(id, Bytes{image.get() + block_header_bytes, raw_bytes});
  }

  template <class Codec, class Checksum>
  static void round_trip(BlockId id, Bytes raw) {
    const Block<Codec, Checksum> block;
    Data image(block_header_bytes);
    image.insert(image.end(), raw.begin(), raw.end());
    const auto scratch = std::make_unique<std::byte[]>(block.scratch_bytes(image.size()));
    const Bytes encoded = block.encode(id, BlockType::data, image, {scratch.get(), block.scratch_bytes(image.size())});
    const Data stored(encoded.begin(), encoded.end());
    require(stored.size() >= block_header_bytes && stored.size() <= block_header_bytes + raw.size(), "a block is stored in more bytes than its image has");
    Data again(block_header_bytes + raw.size());
    const auto header = block.decode(id, stored, again);
    require(header.has_value() && std::equal(raw.begin(), raw.end(), again.begin() + block_header_bytes), "a block does not decode to what was encoded");
    if (Checksum::kind != ChecksumKind::none) {
      Data damaged = stored;
      damaged[stored.size() / 2] ^= std::byte{4};
      require(!block.decode(id, damaged, again), "a block with a flipped bit is accepted");
    }
    require(!block.decode(BlockId{number(id) + 1}, stored, again), "a block is accepted under another id");
  }
};

}  // namespace aegis_fuzz
