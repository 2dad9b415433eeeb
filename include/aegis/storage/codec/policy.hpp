// SPDX-License-Identifier: Apache-2.0
// The axis of codecs: what makes blocks smaller at rest. A codec sees one block's payload at a time and keeps nothing
// from one call to the next. Every call may run in any number of threads on one instance.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/concepts.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace aegis::storage {

/// Written to disk: values never change their meaning. 4..127 are reserved, 128..255 are for users' own codecs.
enum class CodecId : std::uint8_t { none = 0, lz4 = 1, zstd = 2, snappy = 3 };

/// The name of one of ours, at most eight characters; empty for any other value.
constexpr std::string_view name_of(CodecId id) {
  switch (id) {
    case CodecId::none: return "none";
    case CodecId::lz4: return "lz4";
    case CodecId::zstd: return "zstd";
    case CodecId::snappy: return "snappy";
  }
  return {};
}

/// 1. What compress() makes, decompress() turns back into the same bytes, given a buffer of exactly their number.
/// 2. compress() returns the bytes it used, or 0: `to` was too small, or it is not worth it. With bound() bytes of room
///    "too small" does not happen.
/// 3. compress() and decompress() write nothing outside the buffer they are given.
/// 4. decompress() is true only if all of `stored` decodes to exactly raw.size() bytes; for any other input, however
///    hostile, it is false, and then the content of `raw` is unspecified.
/// 5. No allocation's size comes from `stored`: a bomb costs no more than raw.size() bytes and their time.
/// 6. An empty payload is never compressed: compress() returns 0, and decompress() into nothing is false.
/// 7. `name` has one to eight characters; a user's own id is 128 or more.
template <class Codec>
concept CodecPolicy =
    OnAxis<Codec, Axis::codec>
    && requires { { Codec::name } -> ConvertsTo<std::string_view>; }
    && requires { { Codec::id } -> ConvertsTo<CodecId>; }
    && requires(const Codec codec, std::size_t raw) { { codec.bound(raw) } noexcept -> std::same_as<std::size_t>; }
    && requires(const Codec codec, Bytes raw, MutableBytes to) { { codec.compress(raw, to) } noexcept -> std::same_as<std::size_t>; }
    && requires(const Codec codec, Bytes stored, MutableBytes raw) { { codec.decompress(stored, raw) } noexcept -> std::same_as<bool>; }
    && std::is_nothrow_default_constructible_v<Codec>
    && std::is_nothrow_move_constructible_v<Codec>;

}  // namespace aegis::storage
