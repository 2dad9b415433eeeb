// SPDX-License-Identifier: Apache-2.0
// Bytes and text are the same memory seen twice; these are the only casts between them.
#pragma once

#include <compare>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace aegis::storage {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }
inline std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Copies `from` to the start of `to`, which is at least as long. Both may be empty.
inline void copy_bytes(MutableBytes to, Bytes from) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

/// The order of keys: unsigned bytes, a prefix before what it begins.
inline std::strong_ordering compare_keys(std::string_view a, std::string_view b) {
  const std::size_t shared = a.size() < b.size() ? a.size() : b.size();
  if (const int difference = shared == 0 ? 0 : std::memcmp(a.data(), b.data(), shared); difference != 0) return difference <=> 0;
  return a.size() <=> b.size();
}

}  // namespace aegis::storage
