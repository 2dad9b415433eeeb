// SPDX-License-Identifier: Apache-2.0
// Strong ids: two numbers of different meaning never mix by accident. All of them are totally ordered.
#pragma once

#include <cstdint>
#include <type_traits>

namespace aegis::storage {

enum class BlockId : std::uint64_t {};        ///< Names bytes at rest in a backend; page n is block n.
enum class PageId : std::uint64_t {};         ///< Dense; page 0 is the store's own description (block 0).
enum class TableId : std::uint32_t {};        ///< Never used twice in a store; 0 is the catalog.
enum class TransactionId : std::uint64_t {};  ///< Unique within one life of a manager.
enum class Lsn : std::uint64_t {};            ///< Byte offset in the logical stream of a log; never goes back.
enum class Timestamp : std::uint64_t {};      ///< Commit sequence number; 0 is "before every commit".

inline constexpr TableId catalog_table{0};
inline constexpr Timestamp never_committed{0};
inline constexpr Timestamp no_timestamp{~std::uint64_t{0}};

template <class Id>
  requires std::is_enum_v<Id>
constexpr auto number(Id id) {
  return static_cast<std::underlying_type_t<Id>>(id);
}

constexpr BlockId block_of(PageId page) { return BlockId{number(page)}; }
constexpr Lsn operator+(Lsn lsn, std::uint64_t bytes) { return Lsn{number(lsn) + bytes}; }
constexpr std::uint64_t operator-(Lsn end, Lsn begin) { return number(end) - number(begin); }
constexpr Timestamp next(Timestamp timestamp) { return Timestamp{number(timestamp) + 1}; }

/// Who a store is. A log or a backup that carries another identity is never taken for its own.
struct StoreIdentity {
  std::uint64_t store = 0;    ///< Drawn once, when the store is created.
  std::uint64_t lineage = 0;  ///< Drawn again by every backup, so that a copy's log never continues the original.
  friend constexpr bool operator==(StoreIdentity, StoreIdentity) = default;
};

}  // namespace aegis::storage
