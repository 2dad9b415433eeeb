// SPDX-License-Identifier: Apache-2.0
// Applies committed transactions from the log to the pages of the last checkpoint. A window of the log is collected, half as
// large as pool and versions (of which there are none yet) may be, and the last operation of each key applied in key order, so
// that each leaf is touched once a window. Nothing is published before the opening's own checkpoint: a crash in here costs
// only time. Alone, before the store is used.
#pragma once

#include <aegis/storage/engine/catalog_rows.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/redo_window.hpp>

#include <string_view>

namespace aegis::storage {

/// What an opening did.
struct RecoveryReport {
  std::uint64_t transactions = 0;    ///< Committed ones that were applied again.
  std::uint64_t records = 0;
  std::uint64_t log_bytes = 0;       ///< Read to find them.
  bool clean = true;                 ///< The store was closed, not killed.
};

template <class Chosen>
class Redo {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;

  explicit Redo(Parts& parts) : parts_(parts) {}

  Result<RecoveryReport> run() {
    RecoveryReport report;
    const std::size_t window_bytes = std::min(std::max(parts_.options.pool_bytes / 2 + parts_.options.version_bytes / 2, least_window_bytes), most_window_bytes);
    auto reader = parts_.wal->reader();
    WalTransaction transaction;
    for (;;) {
      AEGIS_TRY(const bool more, reader.next(transaction));
      if (!more) break;
      AEGIS_TRY(collect(transaction, report));
      if (window_.bytes() > window_bytes) AEGIS_TRY(apply());
    }
    AEGIS_TRY(apply());
    report.clean = parts_.wal->scan().clean;
    report.log_bytes = parts_.wal->scan().cut - parts_.meta.checkpoint.lsn;
    return report;
  }

 private:
  // Every window may read and write every leaf once, so few are better; a large pool can have a large window beside it.
  static constexpr std::size_t least_window_bytes = std::size_t{8} << 20, most_window_bytes = std::size_t{512} << 20;

  Result<void> collect(const WalTransaction& transaction, RecoveryReport& report) {
    ++report.transactions;
    newest_ = std::max(newest_, transaction.timestamp);
    TransactionRecords records = transaction.records();
    for (LogRecord record;;) {
      AEGIS_TRY(const bool more, records.next(record));
      if (!more) return {};
      if (!has_key(record.type)) continue;  // the frame's own Begin and Commit
      ++report.records;
      Result<void> added = window_.add(record);
      if (!added && added.error().code() == Errc::too_large) {  // in the middle of a transaction, which nobody sees before all is applied
        AEGIS_TRY(apply());
        added = window_.add(record);
      }
      AEGIS_TRY(added);
    }
  }

  /// Table 0 comes first in the window's order, so a table exists before its rows come.
  Result<void> apply() {
    Token token = parts_.pool->section().enter();
    AEGIS_TRY(window_.for_each([&](const LogRecord& last) { return last.table == catalog_table ? apply_catalog(token, last) : apply_row(token, last); }));
    window_.clear();
    parts_.allocator->release(token, no_timestamp);  // nobody reads yet
    return {};
  }

  Result<void> apply_row(Token& token, const LogRecord& last) {
    AEGIS_TRY(const PageId root, root_of(token, last.table));
    if (root == PageId{}) return {};  // of a table that was dropped later on
    if (has_value(last.type)) return parts_.tree->put(token, {last.table, root}, last.key, last.value, newest_);
    AEGIS_TRY(parts_.tree->erase(token, {last.table, root}, last.key, false, newest_));
    return {};
  }

  Result<void> apply_catalog(Token& token, const LogRecord& last) {
    AEGIS_TRY(CatalogRow wanted, CatalogRow::decode(last.value));
    AEGIS_TRY(const StoredValue before, parts_.tree->current(token, parts_.catalog, last.key));
    if (before.present()) {
      AEGIS_TRY(const CatalogRow old, CatalogRow::decode(before.bytes));
      if (old.id == wanted.id) {
        wanted.root = old.root;
      } else {
        AEGIS_TRY(destroy(token, {old.id, old.root}));  // the name was dropped and given to another table
      }
    }
    if (wanted.root == PageId{}) AEGIS_TRY(wanted.root, parts_.tree->create(token, wanted.id));
    if (number(wanted.id) >= parts_.next_table.load()) parts_.next_table.store(number(wanted.id) + 1);
    known_ = {};
    return parts_.tree->put(token, parts_.catalog, last.key, text_of(wanted.encode()), newest_);
  }

  Result<void> destroy(Token& token, TableRoot root) {
    for (bool empty = false; !empty;) AEGIS_TRY(empty, parts_.tree->destroy_some(token, root, 256, newest_));
    return {};
  }

  /// By walking the catalog, once for each run of rows of one table. Page 0 when there is no such table.
  Result<PageId> root_of(Token& token, TableId table) {
    if (known_.table == table) return known_.root;
    known_ = {table, PageId{}};
    AEGIS_TRY(for_each_catalog_row(parts_, token, [&](std::string_view, const CatalogRow& row) {
      if (row.id == table) known_.root = row.root;
      return Result<void>{};
    }));
    return known_.root;
  }

  Parts& parts_;
  RedoWindow window_;
  Timestamp newest_{};   // of the transactions collected so far
  TableRoot known_{};    // the last table asked for; table 0: none
};

}  // namespace aegis::storage
