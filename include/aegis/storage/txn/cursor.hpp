// SPDX-License-Identifier: Apache-2.0
// Walks a range of a table as one snapshot sees it, the transaction's own writes merged in, also those made ahead of the
// position while it walks. It stands on a copy of its leaf: nothing is latched or pinned between calls, and key() and
// value() stay until the next step. Moves, does not copy; one thread; fails with transaction_closed after its transaction.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/txn/key_range.hpp>
#include <aegis/storage/txn/row_view.hpp>
#include <aegis/storage/txn/scan_state.hpp>

#include <optional>
#include <string_view>
#include <utility>

namespace aegis::storage {

/// Store: what a transaction works on; see txn/transaction.hpp.
template <class Store>
class Cursor {
 public:
  using Context = typename Store::Context;
  using Table = typename Store::Table;

  /// A cursor that was refused from the start.
  explicit Cursor(Error error) : status_(error) {}
  Cursor(Store& store, Context& context, Table table, const KeyRange& range, Direction direction)
      : store_(&store), context_(&context), transaction_(context.id.load(std::memory_order_relaxed)), table_(table), direction_(direction), state_(new (std::nothrow) State) {
    start(range);
  }

  /// False at the end of the range, and after an error: status() tells which.
  bool valid() const { return valid_; }
  std::string_view key() const { return valid_ ? state_->key.view() : std::string_view{}; }
  std::string_view value() const { return valid_ ? state_->shown : std::string_view{}; }
  Result<void> status() const { return status_; }

  /// To the next row in the scan's direction.
  void next() {
    if (valid_) settle(step());
  }
  /// To the first row at or after the key (reverse: at or before it) within the range.
  void seek(std::string_view key) {
    if (state_ != nullptr && status_) settle(place(key));
  }

 private:
  using State = ScanState<Store>;

  bool forward() const { return direction_ == Direction::forward; }
  bool precedes(std::string_view a, std::string_view b) const { return forward() ? a < b : b < a; }

  void start(const KeyRange& range) {
    if (state_ == nullptr) return settle(Error{Errc::out_of_memory, "cursor"});
    auto begun = state_->begin(*store_, *context_, range);
    if (!begun) return settle(begun.error());
    settle(place(forward() ? state_->from.view() : std::string_view{}, forward()));
  }
  Result<void> check() const {
    if (context_->id.load(std::memory_order_relaxed) != transaction_) return Error{Errc::transaction_closed};
    if (context_->doomed) return *context_->doomed;
    return {};
  }
  void settle(Result<bool> moved) {
    valid_ = moved && *moved;
    if (!moved) status_ = moved.error();
  }

  /// Stands on the first row at or past `key`; `bounded` is false for a reverse scan from the table's end.
  Result<bool> place(std::string_view key, bool bounded = true) {
    AEGIS_TRY(check());
    State& state = *state_;
    bool inclusive = true;
    if (forward() && key < state.from.view()) key = state.from.view();
    if (!forward() && state.has_to && (!bounded || key >= state.to.view())) key = state.to.view(), inclusive = false, bounded = true;
    AEGIS_TRY(state.position.assign(key));
    state.at_position = inclusive, state.bounded = bounded;
    const Result<void> loaded = state.load(*store_, *context_, table_, direction_);
    AEGIS_TRY(state.still_visible(*store_, *context_, table_));
    AEGIS_TRY(loaded);
    return step();
  }

  /// Shows the nearest visible row past the position and moves the position onto it.
  Result<bool> step() {
    AEGIS_TRY(check());
    for (;;) {
      const Result<bool> stored = state_->find_stored(*store_, *context_, table_, direction_);
      AEGIS_TRY(state_->still_visible(*store_, *context_, table_));  // before any error: versions and pages may be gone
      AEGIS_TRY(stored);
      const auto* own = state_->find_own(context_->writes, table_.id(), direction_);
      if (own == nullptr && !*stored) {
        AEGIS_TRY(note_passed(std::nullopt));
        return false;
      }
      if (own == nullptr || (*stored && precedes(state_->stored_key(), own->key()))) {
        AEGIS_TRY(note_passed(state_->stored_key()));
        const Result<void> shown = state_->show_stored(*store_, table_);
        AEGIS_TRY(state_->still_visible(*store_, *context_, table_));
        AEGIS_TRY(shown);
        return true;
      }
      if (*stored && state_->stored_key() == own->key()) state_->pass_stored();
      AEGIS_TRY(note_passed(own->key()));
      AEGIS_TRY(state_->show_own(*own));
      if (own->present()) return true;
    }
  }

  /// Where reads are tracked: all from the position to the row `to`, or to the range's end, was looked at.
  Result<void> note_passed([[maybe_unused]] std::optional<std::string_view> to) {
    if constexpr (Store::Isolation::tracks_reads)
      if (!context_->read_only) return context_->footprint.note_range(table_.id(), state_->passed(direction_, to));
    return {};
  }

  Store* store_ = nullptr;
  Context* context_ = nullptr;
  TransactionId transaction_{};  // the context may serve another transaction by now
  Table table_{};
  Direction direction_ = Direction::forward;
  Owned<State> state_;
  Result<void> status_;
  bool valid_ = false;
};

}  // namespace aegis::storage
