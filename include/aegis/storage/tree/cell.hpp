// SPDX-License-Identifier: Apache-2.0
// The rows of leaves as bytes. Decoding is safe on any bytes, also while another thread changes them: it answers
// nullopt or something that lies within the tuple.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/tree/limits.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace aegis::storage {

/// absent: no row. ghost: a deleted row that a snapshot may still ask for; absent to whoever has no version of it.
enum class RowKind : std::uint8_t { absent, ghost, in_place, overflow };

/// Where a value stands that is too long for its leaf.
struct OverflowRef {
  static constexpr std::size_t encoded_bytes = 16;

  PageId first{};
  std::uint64_t bytes = 0;

  void encode(std::byte* to) const {
    store_le(to, number(first));
    store_le(to + 8, bytes);
  }
  static OverflowRef decode(const std::byte* from) { return {PageId{load_le<std::uint64_t>(from)}, load_le<std::uint64_t>(from + 8)}; }
  friend constexpr bool operator==(OverflowRef, OverflowRef) = default;
};

/// A row's value as its leaf keeps it: nothing (absent, ghost), the value itself (in_place), or an encoded OverflowRef.
/// Kept by whoever saves versions; the chain of a reference stays readable until its pages are released to be used again.
struct StoredValue {
  RowKind kind = RowKind::absent;
  std::string_view bytes;

  bool present() const { return kind == RowKind::in_place || kind == RowKind::overflow; }
  OverflowRef overflow() const { return OverflowRef::decode(bytes_of(bytes).data()); }
};

/// The offset-and-length part of a read: two loads that no compiler repeats, so what was checked is what is used.
inline std::size_t load_length(const std::byte* at) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(at));
  const std::uint32_t low = std::atomic_ref<std::uint8_t>(bytes[0]).load(std::memory_order_relaxed);
  const std::uint32_t high = std::atomic_ref<std::uint8_t>(bytes[1]).load(std::memory_order_relaxed);
  return low | high << 8;
}

//  offset  bytes  leaf row
//       0      1  flags: 1 = ghost, 2 = overflow
//       1      2  suffix length
//       3      n  key suffix: the key without the node's prefix
//     3+n      *  value, or first overflow page 8 and value length 8
struct LeafCell {
  static constexpr std::uint8_t ghost_flag = 1, overflow_flag = 2;

  std::string_view suffix;
  StoredValue value;

  static std::optional<std::string_view> suffix_of(Bytes tuple) {
    if (tuple.size() < leaf_cell_header_bytes) return std::nullopt;
    const std::size_t length = load_length(tuple.data() + 1);
    if (length > tuple.size() - leaf_cell_header_bytes) return std::nullopt;
    return text_of(tuple.subspan(leaf_cell_header_bytes, length));
  }
  static Maybe<LeafCell> decode(Bytes tuple) {
    const auto suffix = suffix_of(tuple);
    if (!suffix) return std::nullopt;
    const auto flags = std::to_integer<std::uint8_t>(tuple[0]);
    const std::string_view rest = text_of(tuple.subspan(leaf_cell_header_bytes + suffix->size()));
    if (flags > overflow_flag || (flags == ghost_flag && !rest.empty())) return std::nullopt;
    if (flags == overflow_flag && rest.size() != OverflowRef::encoded_bytes) return std::nullopt;
    const RowKind kind = flags == ghost_flag ? RowKind::ghost : flags == overflow_flag ? RowKind::overflow : RowKind::in_place;
    return LeafCell{*suffix, {kind, rest}};
  }

  std::size_t tuple_bytes() const { return leaf_cell_header_bytes + suffix.size() + value.bytes.size(); }
  /// Into `to`, which has room for tuple_bytes() and does not overlap suffix or value.
  Bytes encode(std::byte* to) const {
    to[0] = std::byte{value.kind == RowKind::ghost ? ghost_flag : value.kind == RowKind::overflow ? overflow_flag : std::uint8_t{0}};
    store_le(to + 1, static_cast<std::uint16_t>(suffix.size()));
    copy_bytes({to + leaf_cell_header_bytes, suffix.size()}, bytes_of(suffix));
    copy_bytes({to + leaf_cell_header_bytes + suffix.size(), value.bytes.size()}, bytes_of(value.bytes));
    return {to, tuple_bytes()};
  }
};

}  // namespace aegis::storage
