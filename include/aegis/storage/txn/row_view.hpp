// SPDX-License-Identifier: Apache-2.0
// What a snapshot sees of one row: its own write, the page's row, or a replaced version from the store.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/value_buffer.hpp>
#include <aegis/storage/version/version_store.hpp>

#include <string_view>

namespace aegis::storage {

/// The version that `snapshot` sees instead of the page's row, copied out; nothing when the page's row is the right one.
/// Only to be asked when the page holds changes after the snapshot. The kind is absent, in_place or overflow; the bytes
/// lie in `buffer`. The page has to be read before: a change saves the old version before it touches the page.
inline Result<Maybe<StoredValue>> replaced_version(VersionStore& versions, TableId table, std::string_view key, Timestamp snapshot,
                                                           ValueBuffer& buffer) {
  Maybe<StoredValue> seen;
  Result<void> copied;
  versions.lookup(table, key, snapshot, [&](const Version* version) {
    if (version == nullptr) return;
    const bool present = version->existence() == Existence::present;
    seen = StoredValue{!present ? RowKind::absent : version->is_overflow() ? RowKind::overflow : RowKind::in_place, {}};
    copied = buffer.assign(text_of(version->cell()));
  });
  if (!copied) return copied.error();
  if (seen) seen->bytes = buffer.view();
  return seen;
}

/// What a commit says of the row that it replaces, for whoever may still see it.
inline Replaced replaced_row(const StoredValue& old, bool deleted) {
  return {.existence = old.present() ? Existence::present : Existence::absent, .overflow = old.kind == RowKind::overflow, .deleted = deleted};
}

}  // namespace aegis::storage
