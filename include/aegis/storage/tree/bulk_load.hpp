// SPDX-License-Identifier: Apache-2.0
// Sorted rows into a new table, unlogged: pages are filled one after the other and never read again. The caller enters
// the commit section for as many rows as it likes at a time; the tree is well-formed in between, so what was loaded
// before a failure can be destroyed like any tree.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/tree/btree.hpp>
#include <aegis/storage/tree/value_buffer.hpp>

#include <cstdint>
#include <string_view>

namespace aegis::storage {

template <class Pool, class Allocator>
class BulkLoader {
 public:
  using Token = typename Pool::Token;

  /// All pages carry `timestamp`, the load's.
  BulkLoader(BTree<Pool, Allocator>& tree, TableRoot root, Timestamp timestamp) : tree_(tree), root_(root), timestamp_(timestamp) {}

  /// invalid_argument unless the key lies behind the last; too_large; then nothing was added.
  Result<void> append(Token& token, std::string_view key, std::string_view value) {
    if (rows_ > 0 && compare_keys(last_.view(), key) >= 0) return Error{Errc::invalid_argument, "key out of order in bulk load, row", rows_};
    AEGIS_TRY(tree_.check_key(key));
    AEGIS_TRY(last_.reserve(key.size()));
    AEGIS_TRY(tree_.put(token, root_, key, value, timestamp_));
    ++rows_;
    return last_.assign(key);
  }

  std::uint64_t rows() const { return rows_; }
  TableRoot root() const { return root_; }

 private:
  BTree<Pool, Allocator>& tree_;
  TableRoot root_;
  Timestamp timestamp_;
  ValueBuffer last_;  // the newest key, if rows_ > 0
  std::uint64_t rows_ = 0;
};

}  // namespace aegis::storage
