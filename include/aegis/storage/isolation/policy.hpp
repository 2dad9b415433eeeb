// SPDX-License-Identifier: Apache-2.0
// What transactions may see of each other. An isolation policy decides; snapshots, versions, locks and the commit belong
// to the transaction manager, which asks it. What a policy does not use does not exist in its transactions: an empty
// Footprint and an empty Validator take no room and no instruction.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace aegis::storage {

/// The keys k of one table with from <= k and, where `to` is given, k < to, or k <= to for a closed one.
struct KeyInterval {
  std::string_view from;
  std::optional<std::string_view> to;
  bool closed = false;
};

/// The footprint of a transaction whose reads need no memory.
struct NoFootprint {
  constexpr Result<void> note_point(TableId, std::string_view) { return {}; }
  constexpr Result<void> note_range(TableId, const KeyInterval&) { return {}; }
  constexpr void clear() {}
};

/// The validator of policies that are done once the locks are held and the snapshot was checked.
struct NoValidator {
  struct Commit {};

  static Result<NoValidator> open(std::uint64_t) { return NoValidator{}; }
  template <class Writes>
  Result<Commit> prepare(const Writes&) {
    return Commit{};
  }
  Result<Commit> prepare_table(TableId) { return Commit{}; }
  template <class Footprint, class Lost>
  Result<Timestamp> validate(const Footprint&, Timestamp after, Lost&&) const {
    return after;
  }
  void remember(Commit&&, Timestamp) {}
  void forget(Timestamp) {}
};

namespace isolation {
struct AnyWrites {  // what prepare() is given: for_each calls fn(TableId, key) for every key that the transaction changes
  template <class Fn>
  void for_each_key(Fn&& fn) const {
    fn(TableId{}, std::string_view{});
  }
};

struct NoLostKey {  // told by validate() of the key that a conflict was lost on
  constexpr void operator()(TableId, std::string_view) const {}
};
}  // namespace isolation

/// IsolationPolicy. At every level a write takes its key's exclusive lock until the commit is in the log or the abort.
///  1. snapshot_per_operation: every operation reads the newest published state (a scan is one operation), never an older
///     one than before; otherwise one snapshot, taken at the first operation, serves the whole transaction.
///  2. conflict_on_newer_version: a write, or a read for update, of a key that was committed after the snapshot is a
///     `conflict` at that operation, before key_exists and key_not_found are judged.
///  3. reads_take_locks: reads lock what they read until the end and then read the newest published state.
///  4. tracks_reads: every point read, hit or miss, every outcome of insert, update and erase, and every interval that a
///     cursor passed over (from where it began or was sent, to the row it stands on or, once it ran out, the range's end) is
///     noted in the Footprint; otherwise the Footprint is empty and nothing is noted. What only reads notes nothing.
///  5. Footprint: one a transaction. note_point and note_range may fail for memory only, and then the transaction fails;
///     they may remember more than they were told, never less. clear() forgets all.
///  6. Validator: one a manager, made by open(memory limit in bytes). prepare(writes) copies what it needs of a write set,
///     before the commit section, and is the only call that allocates, with prepare_table(table): the engine itself brings
///     or takes away all its rows. remember(commit, timestamp) runs in the section, in the order of timestamps, and cannot
///     fail.
///  7. validate(footprint, after, lost) is `conflict` if a commit later than `after` wrote something noted in the footprint
///     or if it cannot know; else it returns the newest commit that it looked at, from which a later call goes on. It is
///     called by any thread, before the section and again, for what was added since, inside it; only for transactions that
///     write. lost(table, key) is told of the key that made the conflict, if it was one.
///  8. forget(oldest), in the section: no footprint will be validated again from before `oldest`.
template <class I>
concept IsolationPolicy =
    OnAxis<I, Axis::isolation> && DefaultConstructible<I> && std::is_empty_v<I> &&
    DefaultConstructible<typename I::Footprint> && Movable<typename I::Validator> &&
    Movable<typename I::Validator::Commit> &&
    (I::tracks_reads || (std::is_empty_v<typename I::Footprint> && std::is_empty_v<typename I::Validator>)) &&
    requires(typename I::Footprint footprint, const typename I::Footprint noted, typename I::Validator validator,
             typename I::Validator::Commit commit, const isolation::AnyWrites writes, TableId table, std::string_view key,
             const KeyInterval& interval, Timestamp timestamp, isolation::NoLostKey lost) {
      { I::name } -> ConvertsTo<std::string_view>;
      { std::bool_constant<I::snapshot_per_operation>{} };
      { std::bool_constant<I::conflict_on_newer_version>{} };
      { std::bool_constant<I::reads_take_locks>{} };
      { std::bool_constant<I::tracks_reads>{} };
      { footprint.note_point(table, key) } -> std::same_as<Result<void>>;
      { footprint.note_range(table, interval) } -> std::same_as<Result<void>>;
      { footprint.clear() } -> std::same_as<void>;
      { I::Validator::open(std::uint64_t{}) } -> std::same_as<Result<typename I::Validator>>;
      { validator.prepare(writes) } -> std::same_as<Result<typename I::Validator::Commit>>;
      { validator.prepare_table(table) } -> std::same_as<Result<typename I::Validator::Commit>>;
      { validator.validate(noted, timestamp, lost) } -> std::same_as<Result<Timestamp>>;
      { validator.remember(std::move(commit), timestamp) } -> std::same_as<void>;
      { validator.forget(timestamp) } -> std::same_as<void>;
    };

}  // namespace aegis::storage
