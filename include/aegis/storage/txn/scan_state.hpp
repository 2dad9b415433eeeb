// SPDX-License-Identifier: Apache-2.0
// Where a scan stands: the copied leaf, the range, the position, and the stored row that comes next. A cursor owns one.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/isolation/policy.hpp>
#include <aegis/storage/lock/interval_lock_manager.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/tree/value_buffer.hpp>
#include <aegis/storage/txn/key_range.hpp>
#include <aegis/storage/txn/row_view.hpp>
#include <aegis/storage/txn/write_set.hpp>

#include <optional>
#include <string_view>

namespace aegis::storage {

template <class Store>
struct ScanState {
  using Tree = typename Store::Tree;
  using Table = typename Store::Table;
  using Context = typename Store::Context;

  ~ScanState() {
    if (own_slot != nullptr) store->manager().snapshots().release(*own_slot);
  }

  /// Copies the range's ends and takes the snapshot that the whole scan sees.
  Result<void> begin(Store& of, typename Store::Context& context, const KeyRange& range) {
    store = &of;
    AEGIS_TRY(from.assign(range.from.value_or(std::string_view{})));
    if (range.to) {
      AEGIS_TRY(to.assign(*range.to));
      has_to = true;
    }
    if (!range.within.empty()) AEGIS_TRY(narrow(range.within));
    return take_snapshot(context);
  }
  /// snapshot_too_old if the scan's snapshot was revoked, table_not_found if the table was dropped before it was taken; to be
  /// asked after every look-up, for versions and pages may have gone during it.
  Result<void> still_visible(Store& of, typename Store::Context& context, const Table& table) const {
    AEGIS_TRY(of.usable_at(table, snapshot));
    if (own_slot == nullptr) return of.manager().still_visible(context);
    if (!of.manager().snapshots().is_revoked(*own_slot)) return {};
    return Error{Errc::snapshot_too_old, "snapshot", number(snapshot)};
  }

  /// The leaf of the position, copied, and the first of its rows that comes into question.
  Result<void> load(Store& of, Context& context, const Table& table, Direction direction) {
    ready = ghost_told = false;
    const bool forward = direction == Direction::forward;
    const LeafPosition where = !bounded             ? LeafPosition::last()
                               : forward            ? LeafPosition::at(position.view())
                               : at_position        ? LeafPosition::at(position.view())
                               : position.size() == 0 ? LeafPosition::at(position.view())
                                                      : LeafPosition::below(position.view());
    AEGIS_TRY(copy_leaf(of, context, table, direction, where));
    row = bounded ? leaf.lower_bound(position.view()) : leaf.size();
    if (!forward && bounded && at_position && row < leaf.size() && leaf.key(row) == position.view()) ++row;
    return {};
  }

  /// Finds the next visible stored row, if it is not known yet; false when the range has no more.
  Result<bool> find_stored(Store& of, Context& context, const Table& table, Direction direction) {
    while (!ready) {
      const bool forward = direction == Direction::forward;
      if (forward ? row >= leaf.size() : row == 0) {
        if (forward ? leaf.is_last() || past_end(leaf.high()) : leaf.is_first() || leaf.low() <= from.view()) return false;
        AEGIS_TRY(copy_leaf(of, context, table, direction, forward ? LeafPosition::at(leaf.high()) : LeafPosition::below(leaf.low())));
        row = forward ? leaf.begin_row() : leaf.end_row();
        ghost_told = false;
        continue;
      }
      current = forward ? row++ : --row;
      const std::string_view found = leaf.key(current);
      if (forward ? past_end(found) : found < from.view()) {
        row = forward ? leaf.size() : 0;
        return false;
      }
      stored = leaf.value(current);
      if (leaf.newest() > snapshot) {
        AEGIS_TRY(const auto replaced, replaced_version(of.manager().versions(), table.id(), found, snapshot, version));
        if (replaced) stored = *replaced;
      } else if (stored.kind == RowKind::ghost && !ghost_told) {
        of.stepped_over_ghost(table.id(), found);
        ghost_told = true;  // its whole leaf is purged
      }
      ready = stored.present();
    }
    return true;
  }
  std::string_view stored_key() { return leaf.key(current); }
  void pass_stored() { ready = false; }

  Result<void> show_stored(Store& of, const Table& table) {
    ready = false;
    AEGIS_TRY(move_to(leaf.key(current)));
    shown = stored.bytes;
    if (stored.kind != RowKind::overflow) return {};
    AEGIS_TRY(of.tree().read_overflow(table.id(), stored.overflow(), value));
    shown = value.view();
    return {};
  }

  /// The transaction's own next write past the position and within the range, an erasure too.
  const WriteEntry* find_own(const WriteSet& writes, TableId table, Direction direction) const {
    if (writes.empty()) return nullptr;
    if (direction == Direction::forward) {
      const auto* entry = at_position ? writes.at_or_after(table, position.view()) : writes.after(table, position.view());
      return entry == nullptr || past_end(entry->key()) ? nullptr : entry;
    }
    const auto* entry = !bounded ? writes.last(table) : at_position ? writes.at_or_before(table, position.view()) : writes.before(table, position.view());
    return entry == nullptr || entry->key() < from.view() ? nullptr : entry;
  }
  Result<void> show_own(const WriteEntry& entry) {
    AEGIS_TRY(move_to(entry.key()));
    AEGIS_TRY(value.assign(entry.value()));
    shown = value.view();
    return {};
  }

  /// What lies between the position and the row `next`, that row included, or the range's end.
  KeyInterval passed(Direction direction, std::optional<std::string_view> next) const {
    if (direction == Direction::forward) {
      if (next) return {position.view(), next, true};
      return {position.view(), has_to ? std::optional{to.view()} : std::nullopt, false};
    }
    const std::string_view lowest = next ? *next : from.view();
    if (!bounded) return {lowest, std::nullopt, false};
    return {lowest, position.view(), at_position};
  }

  typename Store::LeafCopy leaf;
  ValueBuffer key, value, version;  // what is shown; what the version store gave
  ValueBuffer from, to, position;   // from is empty without a lower end
  std::string_view shown;           // the value, in `leaf`, `version` or `value`
  StoredValue stored;               // of the row `current`, while `ready`
  std::size_t row = 0, current = 0; // forward: the next row to look at; reverse: one past it
  Timestamp snapshot{};
  SnapshotRegistry::Slot* own_slot = nullptr;  // where every operation has a snapshot of its own, the scan keeps this one
  Store* store = nullptr;
  bool has_to = false;
  bool at_position = true;  // the position itself still comes into question
  bool bounded = true;      // false: the position is the table's end
  bool ready = false;       // `stored` is the next visible stored row
  bool ghost_told = false;  // the store heard of a ghost in this leaf

 private:
  /// `where` may point into the leaf that is there.
  Result<void> copy_leaf(Store& of, [[maybe_unused]] Context& context, const Table& table, [[maybe_unused]] Direction direction, LeafPosition where) {
    if constexpr (Store::Isolation::reads_take_locks)
      if (!context.read_only) return copy_locked_leaf(of, context, table, direction, where);
    return of.tree().copy_leaf(table.root(), where, leaf);
  }
  /// The leaf as it stays: the scan's part of it is locked until the end. Its fences are known only once it was copied, so
  /// it is copied again if somebody may have changed it before the lock was there.
  Result<void> copy_locked_leaf(Store& of, Context& context, const Table& table, Direction direction, LeafPosition where) {
    AEGIS_TRY(value.assign(where.key));
    where.key = value.view();
    for (bool stays = false; !stays;) {
      AEGIS_TRY(snapshot, of.view(context));
      AEGIS_TRY(of.tree().copy_leaf(table.root(), where, leaf));
      AEGIS_TRY(const LockOutcome lock, of.manager().claim_read(context, table.id(), direction == Direction::forward ? span_ahead(where) : span_behind(where)));
      stays = lock.was_held || (!lock.waited && of.manager().published() == snapshot);
    }
    return {};
  }
  /// What a scan forward, or in reverse, from there sees of this leaf.
  LockSpan span_ahead(const LeafPosition& where) {
    if (!leaf.is_last() && !past_end(leaf.high())) return {where.key, leaf.high(), LockSpan::End::excluded};
    if (has_to) return {where.key, to.view(), LockSpan::End::excluded};
    return {where.key, {}, LockSpan::End::open};
  }
  LockSpan span_behind(const LeafPosition& where) {
    const std::string_view low = leaf.low() < from.view() ? from.view() : leaf.low();
    if (where.side == LeafPosition::Side::last) return {low, {}, LockSpan::End::open};
    return {low, where.key, where.side == LeafPosition::Side::at ? LockSpan::End::included : LockSpan::End::excluded};
  }

  Result<void> take_snapshot(typename Store::Context& context) {
    if (context.read_only || !Store::Isolation::snapshot_per_operation || Store::Isolation::reads_take_locks) {
      AEGIS_TRY(snapshot, store->view(context));
      return {};
    }
    SnapshotRegistry& registry = store->manager().snapshots();
    own_slot = registry.claim();
    if (own_slot == nullptr) return Error{Errc::busy, "transactions and cursors open at once", registry.capacity()};
    snapshot = registry.take(*own_slot, [this] { return store->manager().published(); });
    AEGIS_TRY(store->view(context));  // not older: the transaction's commit answers for what its scans saw, too
    return {};
  }

  bool past_end(std::string_view candidate) const { return has_to && candidate >= to.view(); }

  Result<void> move_to(std::string_view shown_key) {
    AEGIS_TRY(key.assign(shown_key));
    AEGIS_TRY(position.assign(shown_key));
    at_position = false, bounded = true;
    return {};
  }

  /// Intersects the range with the keys that begin with `prefix`.
  Result<void> narrow(std::string_view prefix) {
    if (from.view() < prefix) AEGIS_TRY(from.assign(prefix));
    std::size_t kept = prefix.size();
    while (kept > 0 && static_cast<unsigned char>(prefix[kept - 1]) == 0xff) --kept;
    if (kept == 0) return {};
    AEGIS_TRY(value.assign(prefix.substr(0, kept)));
    auto& last = value.bytes()[kept - 1];
    last = static_cast<std::byte>(static_cast<unsigned>(last) + 1);
    if (has_to && to.view() <= value.view()) return {};
    has_to = true;
    return to.assign(value.view());
  }
};

}  // namespace aegis::storage
