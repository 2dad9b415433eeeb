// SPDX-License-Identifier: Apache-2.0
// What the engine knows of a table while it is open, and the bytes of its catalog row.
// A TableInfo lives as long as its engine, so a Table handle may be copied and kept freely until then.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/tree/btree.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace aegis::storage {

enum class TableState : std::uint8_t {
  open = 1,
  loading = 2,   ///< Filled by a bulk load; freed by recovery unless the load was finished.
  dropping = 3,  ///< Gone for new transactions; its pages are freed once no snapshot can see it.
};

/// The row of the catalog. Its key is the table's name: any bytes, never a path.
///
/// | offset | bytes | content                                                        |
/// |--------|-------|----------------------------------------------------------------|
/// | 0      | 4     | table id                                                       |
/// | 4      | 1     | state                                                          |
/// | 5      | 8     | root page: in the page only; the log says id and state, since page ids are not logged |
struct CatalogRow {
  static constexpr std::size_t logged_bytes = 5;
  static constexpr std::size_t stored_bytes = 13;

  TableId id{};
  TableState state = TableState::open;
  PageId root{};

  std::array<std::byte, stored_bytes> encode() const {
    std::array<std::byte, stored_bytes> bytes;
    store_le(bytes.data(), number(id));
    bytes[4] = static_cast<std::byte>(state);
    store_le(bytes.data() + 5, number(root));
    return bytes;
  }
  /// Accepts both forms; a row without root has root page 0.
  static Result<CatalogRow> decode(std::string_view text) {
    const Bytes bytes = bytes_of(text);
    if (bytes.size() != logged_bytes && bytes.size() != stored_bytes) return Error{Errc::corrupt_page, "catalog row, length", bytes.size()};
    const auto state = static_cast<std::uint8_t>(bytes[4]);
    if (state < 1 || state > 3) return Error{Errc::corrupt_page, "catalog row, table state", state};
    CatalogRow row{TableId{load_le<std::uint32_t>(bytes.data())}, static_cast<TableState>(state), PageId{}};
    if (bytes.size() == stored_bytes) row.root = PageId{load_le<std::uint64_t>(bytes.data() + 5)};
    if (row.id == catalog_table) return Error{Errc::corrupt_page, "catalog row names the catalog itself; table", 0};
    return row;
  }
};

struct TableInfo {
  bool state_is(TableState wanted) const { return state.load(std::memory_order_acquire) == wanted; }

  TableRoot root;
  std::atomic<TableState> state{TableState::open};
  std::atomic<bool> gone{false};   // dropped to the last page: the name may be used again
  std::atomic<Timestamp> loaded_at{};  // the commit that ended its bulk load: older snapshots do not see it; else 0
  std::atomic<Timestamp> dropped_at{};  // the commit that made it "dropping": older snapshots still read it
  std::string_view name;           // bytes behind this struct
  TableInfo* next_by_name = nullptr;
  TableInfo* next_by_id = nullptr;
};

}  // namespace aegis::storage
