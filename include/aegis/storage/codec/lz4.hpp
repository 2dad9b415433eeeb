// SPDX-License-Identifier: Apache-2.0
// LZ4 blocks (link liblz4): the fastest of ours to read, about half the size on typical rows. Works on the stack only
// (16 KiB while compressing), allocates nothing.
#pragma once

#include <aegis/storage/codec/policy.hpp>

#include <lz4.h>

#include <climits>

namespace aegis::storage {

struct Lz4Codec {
  static constexpr Axis axis = Axis::codec;
  static constexpr std::string_view name = "lz4";
  static constexpr CodecId id = CodecId::lz4;

  std::size_t bound(std::size_t raw) const noexcept {
    return raw > LZ4_MAX_INPUT_SIZE ? 0 : static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw)));
  }

  std::size_t compress(Bytes raw, MutableBytes to) const noexcept {
    if (raw.empty() || raw.size() > LZ4_MAX_INPUT_SIZE) return 0;
    const int used = LZ4_compress_default(reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(to.data()),
                                          static_cast<int>(raw.size()), room(to.size()));
    return used > 0 ? static_cast<std::size_t>(used) : 0;
  }

  bool decompress(Bytes stored, MutableBytes raw) const noexcept {
    if (stored.empty() || stored.size() > INT_MAX || raw.empty() || raw.size() > INT_MAX) return false;
    const int made = LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()), reinterpret_cast<char*>(raw.data()),
                                         static_cast<int>(stored.size()), static_cast<int>(raw.size()));
    return made >= 0 && static_cast<std::size_t>(made) == raw.size();
  }

 private:
  static int room(std::size_t bytes) { return bytes > INT_MAX ? INT_MAX : static_cast<int>(bytes); }
};

static_assert(CodecPolicy<Lz4Codec>);

}  // namespace aegis::storage
