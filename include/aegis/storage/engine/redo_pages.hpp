// SPDX-License-Identifier: Apache-2.0
// Puts what a window of the log holds into the pages, the rows of a table in key order, so that each leaf is touched once a
// window. Nothing is published, and nobody else uses the store meanwhile. One thread at a time.
#pragma once

#include <aegis/storage/engine/catalog_rows.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/redo_window.hpp>

#include <string_view>

namespace aegis::storage {

template <class Chosen>
class RedoPages {
 public:
  using Parts = storage::Parts<Chosen>;

  explicit RedoPages(Parts& parts) : parts_(parts) {}

  /// The window is empty afterwards. `newest`: of the transactions it is from.
  Result<void> apply(RedoWindow& window, Timestamp newest) {
    if (window.empty()) return {};
    Token token = parts_.pool->section().enter();
    newest_ = newest;
    {
      Run run;
      AEGIS_TRY(window.for_each([&](const LogRecord& last) { return apply_record(run, token, last); }));
    }
    window.clear();
    parts_.allocator->release(token, no_timestamp);  // nobody reads yet
    return {};
  }
  Result<void> apply(const LogRecord& record, Timestamp newest) {
    Token token = parts_.pool->section().enter();
    newest_ = newest;
    Run run;
    return apply_record(run, token, record);
  }

 private:
  using Token = typename Parts::Token;
  using Run = typename Parts::Tree::Run;

  /// Table 0 comes first in a window's order, so a table exists before its rows come.
  Result<void> apply_record(Run& run, Token& token, const LogRecord& last) {
    if (last.table != known_.table || !has_value(last.type)) run.release();
    return last.table == catalog_table ? apply_catalog(token, last) : apply_row(run, token, last);
  }
  Result<void> apply_row(Run& run, Token& token, const LogRecord& last) {
    AEGIS_TRY(const PageId root, root_of(token, last.table));
    if (root == PageId{}) return {};  // of a table that was dropped later on
    if (has_value(last.type)) return parts_.tree->put(run, token, {last.table, root}, last.key, last.value, newest_);
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
  Timestamp newest_{};   // of the transactions whose rows are being applied
  TableRoot known_{};    // the last table asked for; table 0: none
};

}  // namespace aegis::storage
