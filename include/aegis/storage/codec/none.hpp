// SPDX-License-Identifier: Apache-2.0
// No compression: blocks are stored as they are in memory, and read without a copy.
#pragma once

#include <aegis/storage/codec/policy.hpp>

namespace aegis::storage {

struct NoCodec {
  static constexpr Axis axis = Axis::codec;
  static constexpr std::string_view name = "none";
  static constexpr CodecId id = CodecId::none;

  std::size_t bound(std::size_t) const noexcept { return 0; }
  std::size_t compress(Bytes, MutableBytes) const noexcept { return 0; }
  bool decompress(Bytes, MutableBytes) const noexcept { return false; }
};

static_assert(CodecPolicy<NoCodec>);

}  // namespace aegis::storage
