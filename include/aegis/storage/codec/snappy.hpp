// SPDX-License-Identifier: Apache-2.0
// Raw Snappy (link libsnappy): between LZ4 and nothing. Reading allocates nothing. While compressing the library takes
// working memory of up to some 200 KB by operator new, and a program that has none left ends there: prefer Lz4Codec
// where memory is tight.
#pragma once

#include <aegis/storage/codec/policy.hpp>

#include <snappy.h>

namespace aegis::storage {

struct SnappyCodec {
  static constexpr Axis axis = Axis::codec;
  static constexpr std::string_view name = "snappy";
  static constexpr CodecId id = CodecId::snappy;

  std::size_t bound(std::size_t raw) const noexcept { return snappy::MaxCompressedLength(raw); }

  std::size_t compress(Bytes raw, MutableBytes to) const noexcept {
    if (raw.empty() || raw.size() > limit_bytes || to.size() < bound(raw.size())) return 0;
    std::size_t used = 0;
    snappy::RawCompress(text(raw), raw.size(), reinterpret_cast<char*>(to.data()), &used);
    return used;
  }

  bool decompress(Bytes stored, MutableBytes raw) const noexcept {
    std::size_t declared = 0;
    if (raw.empty() || !snappy::GetUncompressedLength(text(stored), stored.size(), &declared) || declared != raw.size()) return false;
    return snappy::RawUncompress(text(stored), stored.size(), reinterpret_cast<char*>(raw.data()));
  }

 private:
  static constexpr std::size_t limit_bytes = 0xffff'ffff;  // of the format

  static const char* text(Bytes bytes) { return reinterpret_cast<const char*>(bytes.data()); }
};

static_assert(CodecPolicy<SnappyCodec>);

}  // namespace aegis::storage
