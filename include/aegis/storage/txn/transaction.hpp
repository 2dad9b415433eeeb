// SPDX-License-Identifier: Apache-2.0
// What users hold: a read-write transaction, and a read-only one that never waits and never aborts. Both move, neither
// copies; one thread at a time each. A dropped transaction aborts. After its end every call says transaction_closed.
#pragma once

#include <aegis/storage/txn/context.hpp>
#include <aegis/storage/txn/cursor.hpp>
#include <aegis/storage/txn/key_range.hpp>
#include <aegis/storage/txn/point_read.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace aegis::storage {

/// A point in a read-write transaction; see Transaction::rollback_to.
struct Savepoint {
  TransactionId transaction{};
  std::uint64_t number = 0;
};

/// A Store gives a transaction what it works on: manager(), tree(), usable(table, context), view(context),
/// open_view(context), close_view(slot), commit(context) and finish(context, state). engine/store.hpp is the one that ships.
template <class Store>
class ReadTransaction {
 public:
  using Context = typename Store::Context;
  using Table = typename Store::Table;

  ReadTransaction(Store& store, Result<Context*> context) : hold_(store, context) {}

  /// The value, copied; nothing when the key is absent.
  Result<std::optional<std::string>> get(const Table& table, std::string_view key) { return copied_value(hold_, table, key); }
  /// Calls visitor(std::string_view) with the value, which lasts for the call; false when the key is absent. Allocates
  /// nothing once the transaction's buffer has grown to the values' size.
  template <class Visitor>
  Result<bool> read(const Table& table, std::string_view key, Visitor&& visitor) {
    return visited_value(hold_, table, key, visitor);
  }
  /// Rows of the range as this snapshot sees them.
  Cursor<Store> scan(const Table& table, const KeyRange& range = {}, Direction direction = Direction::forward) {
    return opened_cursor(hold_, table, range, direction);
  }

  TransactionId id() const { return hold_.id(); }
  /// Every commit up to this one is seen. Chosen at the first read: the newest acknowledged commit.
  Timestamp snapshot() const { return hold_.snapshot(); }

 private:
  ContextHold<Store> hold_;
};

template <class Store>
class Transaction {
 public:
  using Context = typename Store::Context;
  using Table = typename Store::Table;

  Transaction(Store& store, Result<Context*> context) : hold_(store, context) {}

  Result<std::optional<std::string>> get(const Table& table, std::string_view key) { return copied_value(hold_, table, key); }
  template <class Visitor>
  Result<bool> read(const Table& table, std::string_view key, Visitor&& visitor) {
    return visited_value(hold_, table, key, visitor);
  }
  Cursor<Store> scan(const Table& table, const KeyRange& range = {}, Direction direction = Direction::forward) {
    return opened_cursor(hold_, table, range, direction);
  }

  /// Reads like get, but first takes the key's lock, so that nobody else changes it until the end of this transaction.
  Result<std::optional<std::string>> get_for_update(const Table& table, std::string_view key) {
    AEGIS_TRY(may_claim(table, key));
    AEGIS_TRY(hold_.store().manager().claim_for_update(*hold_, table.id(), key));
    return copied_value(hold_, table, key);
  }

  /// Inserts or replaces.
  Result<void> put(const Table& table, std::string_view key, std::string_view value) {
    AEGIS_TRY(check(value));
    AEGIS_TRY(claim(table, key));
    return write(table, key, WriteKind::put, value);
  }
  /// key_exists when the key is present; the transaction goes on then.
  Result<void> insert(const Table& table, std::string_view key, std::string_view value) {
    AEGIS_TRY(check(value));
    AEGIS_TRY(claim(table, key));
    AEGIS_TRY(const bool present, fetch(hold_, table, key));
    if (present) return Error{Errc::key_exists};
    return write(table, key, WriteKind::insert, value);
  }
  /// key_not_found when the key is absent; the transaction goes on then.
  Result<void> update(const Table& table, std::string_view key, std::string_view value) {
    AEGIS_TRY(check(value));
    AEGIS_TRY(claim(table, key));
    AEGIS_TRY(const bool present, fetch(hold_, table, key));
    if (!present) return Error{Errc::key_not_found};
    return write(table, key, WriteKind::update, value);
  }
  /// False when the key was absent already.
  Result<bool> erase(const Table& table, std::string_view key) {
    AEGIS_TRY(claim(table, key));
    AEGIS_TRY(const bool present, fetch(hold_, table, key));
    if (present) AEGIS_TRY(write(table, key, WriteKind::erase, {}));
    return present;
  }

  /// A point to come back to, as often as wanted, until the transaction ends or returns to an earlier one. too_large, as for
  /// a write: each takes some bytes of the transaction's limit.
  Result<Savepoint> savepoint() {
    AEGIS_TRY(hold_.open());
    AEGIS_TRY(const std::uint64_t number, hold_->writes.mark());
    return Savepoint{hold_.id(), number};
  }
  /// Takes back every write since then. Locks stay, and so does what was read: it still counts when the commit is judged.
  /// invalid_argument for a savepoint of another transaction, or of a stretch that was taken back itself.
  Result<void> rollback_to(const Savepoint& savepoint) {
    AEGIS_TRY(hold_.open());
    if (savepoint.transaction != hold_.id() || !hold_->writes.rollback_to(savepoint.number))
      return Error{Errc::invalid_argument, "savepoint of another transaction, or taken back already", savepoint.number};
    return {};
  }

  /// All or nothing. On success everything is visible, and survives what the durability policy promises. After
  /// commit_undecided or engine_failed reopening decides; every other error means that it had no effect.
  Result<CommitInfo> commit() {
    AEGIS_TRY(hold_.running());
    return hold_.end([&](Store& store, Context& context) { return store.commit(context); });
  }
  /// Forgets every write. transaction_closed when it has ended already.
  Result<void> abort() {
    AEGIS_TRY(hold_.running());
    hold_.drop();
    return {};
  }

  TransactionId id() const { return hold_.id(); }
  TransactionState state() const { return hold_.state(); }
  /// no_timestamp before the first operation.
  Timestamp snapshot() const { return hold_.snapshot(); }

  /// For transact(): the context while the transaction is open.
  ContextHold<Store>& hold() { return hold_; }

 private:
  Result<void> check(std::string_view value) const {
    AEGIS_TRY(hold_.open());
    return Store::Tree::check_value(value);
  }
  Result<void> may_claim(const Table& table, std::string_view key) {
    AEGIS_TRY(hold_.open());
    AEGIS_TRY(hold_.store().usable(table, *hold_));
    return Store::Tree::check_key(key);
  }
  Result<void> claim(const Table& table, std::string_view key) {
    AEGIS_TRY(may_claim(table, key));
    return hold_.store().manager().claim(*hold_, table.id(), key);
  }
  Result<void> write(const Table& table, std::string_view key, WriteKind kind, std::string_view value) {
    AEGIS_TRY(WriteEntry* const entry, hold_->writes.write(table.id(), key, kind, value));
    if (hold_->leaf_table == table.id()) entry->leaf = hold_->leaf;
    return {};
  }

  ContextHold<Store> hold_;
};

}  // namespace aegis::storage
