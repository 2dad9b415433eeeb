// SPDX-License-Identifier: Apache-2.0
// Turns a payload in memory into bytes at rest and back: compress, encrypt, checksum, in this order. What decode()
// accepts is what encode() made for that id; any other byte string is a typed error, and no allocation is sized by it.
// All calls are const and may run in any number of threads on one instance. Needs no pool and no backend.
#pragma once

#include <aegis/storage/block/format.hpp>
#include <aegis/storage/checksum/policy.hpp>
#include <aegis/storage/cipher/none.hpp>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace aegis::storage {

template <CodecPolicy Codec, ChecksumPolicy Checksum, CipherPolicy Cipher = NoCipher>
class Block {
 public:
  /// The longest image, header room included, that encode() and decode() take.
  static constexpr std::size_t limit_bytes = block_header_bytes + block_payload_limit_bytes;
  /// Whether decode() may be given an image that begins where `stored` does.
  static constexpr bool decodes_in_place = Codec::id == CodecId::none && Cipher::id == CipherId::none;

  Block()
    requires(std::is_default_constructible_v<Cipher>)
  = default;
  explicit Block(Cipher cipher, Codec codec = {}) noexcept : codec_(std::move(codec)), cipher_(std::move(cipher)) {}

  /// The room encode() needs in scratch for an image of this size; 0 if it needs none.
  constexpr std::size_t scratch_bytes(std::size_t image_bytes) const {
    if constexpr (decodes_in_place) return 0;
    const std::size_t raw = image_bytes - block_header_bytes;
    const std::size_t compressed = Codec::id == CodecId::none ? 0 : codec_.bound(raw);
    if constexpr (Cipher::id == CipherId::none) return block_header_bytes + compressed;
    return block_header_bytes + raw + Cipher::overhead + compressed;
  }

  /// The room decode() needs in scratch: only between a cipher and a codec.
  static constexpr std::size_t decode_scratch_bytes(std::size_t image_bytes) {
    return Codec::id == CodecId::none || Cipher::id == CipherId::none ? 0 : image_bytes - block_header_bytes;
  }

  /// `image` is `block_header_bytes` of room followed by the payload. Returns the bytes to store, a view of `image`
  /// (whose header is then filled) or of `scratch`; empty only if the cipher failed. The buffers do not overlap.
  Bytes encode(BlockId id, BlockType type, MutableBytes image, MutableBytes scratch) const {
    AEGIS_ASSERT(image.size() >= block_header_bytes && image.size() <= limit_bytes);
    AEGIS_ASSERT(scratch.size() >= scratch_bytes(image.size()));
    const Bytes raw = image.subspan(block_header_bytes);
    BlockHeader header{.type = type, .checksum_kind = Checksum::kind, .cipher = Cipher::id, .key_id = cipher_.key_id(), .id = id};
    header.raw_bytes = static_cast<std::uint32_t>(raw.size());
    if constexpr (Cipher::id == CipherId::none) {
      const std::size_t packed = compress(raw, scratch, block_header_bytes);
      header.codec = packed == 0 ? CodecId::none : Codec::id;
      return finish(header, packed == 0 ? image : scratch.first(block_header_bytes + packed));
    } else {
      const std::size_t packed_at = block_header_bytes + raw.size() + Cipher::overhead;
      const std::size_t packed = compress(raw, scratch, packed_at);
      header.codec = packed == 0 ? CodecId::none : Codec::id;
      return seal(header, packed == 0 ? raw : Bytes{scratch.subspan(packed_at, packed)}, scratch);
    }
  }

  /// The payload of `stored` goes behind the header room of `image`, whose size says how long it must be; the header
  /// room itself is left alone. `image` may begin where `stored` does if `decodes_in_place` (nothing is then copied),
  /// and else overlaps neither it nor `scratch`. Checks, in this order: length, magic and version, kinds, bounds, id,
  /// checksum; after an error the payload in `image` is unspecified.
  /// corrupt_block: not what was written. incompatible_format: written by another version, or under other policies.
  Result<BlockHeader> decode(BlockId expected, Bytes stored, MutableBytes image, MutableBytes scratch = {}) const {
    AEGIS_ASSERT(image.size() >= block_header_bytes && image.size() <= limit_bytes);
    AEGIS_ASSERT(decodes_in_place || !overlap(stored, image));
    AEGIS_ASSERT(scratch.size() >= decode_scratch_bytes(image.size()));
    AEGIS_TRY(const BlockHeader header, parse(expected, stored));
    const std::uint64_t id = number(expected);
    const MutableBytes raw = image.subspan(block_header_bytes);
    if (header.raw_bytes != raw.size()) return Error::mismatch(Errc::corrupt_block, "raw size of block", raw.size(), header.raw_bytes, id);
    if (header.key_id != cipher_.key_id()) return Error::mismatch(Errc::incompatible_format, "key of block", cipher_.key_id(), header.key_id, id);
    if (const std::uint64_t found = checksum_of(stored); found != header.checksum)
      return Error::mismatch(Errc::corrupt_block, "checksum of block", header.checksum, found, id);
    if (!unpack(header, stored, raw, scratch)) return Error{Errc::corrupt_block, "payload of block", id};
    return header;
  }

  /// The header alone, before its checksum is proven: the form, the kinds, the bounds and the id are right.
  static Result<BlockHeader> parse(BlockId expected, Bytes stored) {
    AEGIS_TRY(const BlockHeader header, BlockHeader::read(expected, stored));
    const std::uint64_t id = number(expected);
    if (header.codec != Codec::id && header.codec != CodecId::none) return other_policy("codec of block", Codec::name, Codec::id, header.codec, id);
    if (header.checksum_kind != Checksum::kind) return other_policy("checksum of block", Checksum::name, Checksum::kind, header.checksum_kind, id);
    if (header.cipher != Cipher::id) return other_policy("cipher of block", Cipher::name, Cipher::id, header.cipher, id);
    if (header.raw_bytes > block_payload_limit_bytes) return Error::mismatch(Errc::corrupt_block, "raw size of block", block_payload_limit_bytes, header.raw_bytes, id);
    if (header.stored_bytes != stored.size() - block_header_bytes)
      return Error::mismatch(Errc::corrupt_block, "stored size of block", stored.size() - block_header_bytes, header.stored_bytes, id);
    if (!sizes_agree(header)) return Error::mismatch(Errc::corrupt_block, "stored size of block", std::uint64_t{header.raw_bytes} + Cipher::overhead, header.stored_bytes, id);
    if (header.id != expected) return Error::mismatch(Errc::corrupt_block, "id of block", id, number(header.id), id);
    return header;
  }

 private:
  static constexpr std::size_t authenticated_bytes = BlockHeader::checksum_at;

  static bool overlap(Bytes a, Bytes b) { return a.data() < b.data() + b.size() && b.data() < a.data() + a.size(); }

  template <class Kind>
  static Error other_policy(const char* subject, std::string_view expected_name, Kind expected, Kind found, std::uint64_t id) {
    if (const std::string_view found_name = name_of(found); !found_name.empty())
      return Error::named_mismatch(Errc::incompatible_format, subject, short_name(expected_name), short_name(found_name), id);
    return Error::mismatch(Errc::incompatible_format, subject, static_cast<std::uint64_t>(expected), static_cast<std::uint64_t>(found), id);
  }

  /// A block is compressed only if that made it smaller, and is exactly its payload otherwise.
  static constexpr bool sizes_agree(const BlockHeader& header) {
    if (header.stored_bytes < Cipher::overhead) return false;
    const std::size_t plain = header.stored_bytes - Cipher::overhead;
    return header.codec == CodecId::none ? plain == header.raw_bytes : plain != 0 && plain < header.raw_bytes;
  }

  static std::uint64_t checksum_of(Bytes block) {
    if constexpr (Checksum::kind == ChecksumKind::none) return 0;
    std::byte head[BlockHeader::checksum_at + 8];
    std::memcpy(head, block.data(), BlockHeader::checksum_at);
    store_le(head + BlockHeader::checksum_at, Checksum{}(block.subspan(BlockHeader::reserved_at)));
    return Checksum{}(head);
  }

  std::size_t compress(Bytes raw, MutableBytes scratch, std::size_t at) const {
    if constexpr (Codec::id == CodecId::none) return 0;
    if (raw.empty()) return 0;
    const std::size_t packed = codec_.compress(raw, scratch.subspan(at, codec_.bound(raw.size())));
    return packed < raw.size() ? packed : 0;
  }

  Bytes finish(BlockHeader header, MutableBytes block) const {
    header.stored_bytes = static_cast<std::uint32_t>(block.size() - block_header_bytes);
    header.write(block);
    store_le(block.data() + BlockHeader::checksum_at, checksum_of(block));
    return block;
  }

  Bytes seal(BlockHeader header, Bytes plain, MutableBytes scratch) const {
    const MutableBytes block = scratch.first(block_header_bytes + plain.size() + Cipher::overhead);
    header.stored_bytes = static_cast<std::uint32_t>(plain.size() + Cipher::overhead);
    header.write(block);
    if (cipher_.seal(block.first(authenticated_bytes), plain, block.subspan(block_header_bytes)) != header.stored_bytes) return {};
    return finish(header, block);
  }

  bool unpack(const BlockHeader& header, Bytes stored, MutableBytes raw, MutableBytes scratch) const {
    const Bytes payload = stored.subspan(block_header_bytes);
    const bool compressed = header.codec != CodecId::none;
    if constexpr (Cipher::id == CipherId::none) {
      if (compressed) return codec_.decompress(payload, raw);
      if (payload.data() != raw.data() && !raw.empty()) std::memmove(raw.data(), payload.data(), raw.size());
      return true;
    } else {
      const MutableBytes plain = compressed ? scratch.first(payload.size() - Cipher::overhead) : raw;
      if (!cipher_.open(stored.first(authenticated_bytes), payload, plain)) return false;
      return !compressed || codec_.decompress(plain, raw);
    }
  }

  [[no_unique_address]] Codec codec_;
  [[no_unique_address]] Cipher cipher_;
};

}  // namespace aegis::storage
