// SPDX-License-Identifier: Apache-2.0
// Rows on their way into the new store, many in one transaction. A change that does not fit beside others begins the next one.
// One thread.
#pragma once

#include <aegis/storage/core/error.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/txn/key_range.hpp>

#include <cstddef>
#include <optional>
#include <string_view>

namespace aegis::storage {

template <class Engine>
class SalvageTarget {
 public:
  using Table = typename Engine::Table;
  using Transaction = typename Engine::Transaction;

  explicit SalvageTarget(Engine& engine) : engine_(engine) {}

  /// too_large when a transaction of the new store cannot hold it; any other error ends the salvage.
  Result<void> put(const Table& table, std::string_view key, std::string_view value) {
    return change(key.size() + value.size(), [&](Transaction& transaction) { return transaction.put(table, key, value); });
  }
  Result<void> erase(const Table& table, std::string_view key) {
    return change(key.size(), [&](Transaction& transaction) -> Result<void> {
      AEGIS_TRY(transaction.erase(table, key));
      return {};
    });
  }
  Result<void> erase(const Table& table, const KeyRange& range) {
    return change(0, [&](Transaction& transaction) -> Result<void> {
      auto row = transaction.scan(table, range);
      for (; row.valid(); row.next()) AEGIS_TRY(transaction.erase(table, row.key()));
      return row.status();
    });
  }
  Result<void> commit() {
    bytes_ = changes_ = 0;
    if (!transaction_) return {};
    auto done = transaction_->commit();
    transaction_.reset();
    if (!done) return done.error();
    return {};
  }
  Engine& engine() { return engine_; }

 private:
  static constexpr std::size_t batch_bytes = std::size_t{1} << 20;
  static constexpr std::size_t batch_changes = 4096;

  template <class Change>
  Result<void> change(std::size_t bytes, Change&& wanted) {
    if (bytes_ >= batch_bytes || changes_ >= batch_changes) AEGIS_TRY(commit());
    for (;;) {
      if (!transaction_) transaction_.emplace(engine_.begin());
      Result<void> done = wanted(*transaction_);
      if (done) break;
      if (done.error().code() != Errc::too_large || changes_ == 0) return done;
      AEGIS_TRY(commit());
    }
    bytes_ += bytes;
    ++changes_;
    return {};
  }

  Engine& engine_;
  std::optional<Transaction> transaction_;
  std::size_t bytes_ = 0, changes_ = 0;  // of transaction_
};

}  // namespace aegis::storage
