// SPDX-License-Identifier: Apache-2.0
// Who appended what, and where it stands in the final read, which gives every list's order of versions. Linear in the
// history but for a binary search within one key.
#pragma once

#include "support/list_append/history.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace aegis_test::list_append {

struct Append {
  Element value = 0;
  std::uint32_t transaction = 0;
  std::uint32_t operation = 0;     // in History::operations
  std::uint32_t position = none;   // in the final read
  bool is_last = true;             // of its transaction, to this key
};

class VersionOrder {
 public:
  VersionOrder(const History& history, const FinalRead& final_read) : history_(history), final_(final_read) {
    collect();
    place();
    mark_committed();
  }

  const History& history() const { return history_; }
  Key keys() const { return static_cast<Key>(begin_.size() - 1); }
  /// The list at its end.
  std::span<const Element> order(Key key) const { return key < final_.size() ? std::span<const Element>{final_[key]} : std::span<const Element>{}; }
  std::span<const Append> appends(Key key) const { return {appends_.data() + begin_[key], begin_[key + 1] - begin_[key]}; }

  /// Nobody's: nullptr.
  const Append* find(Key key, Element value) const {
    const auto all = appends(key);
    const auto at = std::lower_bound(all.begin(), all.end(), value, [](const Append& append, Element wanted) { return append.value < wanted; });
    return at != all.end() && at->value == value ? &*at : nullptr;
  }
  /// What stands at a place of the final read; nullptr beyond its end and for nobody's elements.
  const Append* at(Key key, std::size_t position) const {
    if (position >= order(key).size()) return nullptr;
    const std::uint32_t append = placed_[placed_begin_[key] + position];
    return append == none ? nullptr : &appends_[append];
  }

  /// It succeeded, or it was undecided and its appends are there.
  bool committed(std::size_t transaction) const { return committed_[transaction] != 0; }

 private:
  void collect() {
    Key keys = static_cast<Key>(final_.size());
    for (const Operation& operation : history_.operations) keys = std::max(keys, operation.key + 1);
    begin_.assign(keys + std::size_t{1}, 0);
    for (const Operation& operation : history_.operations) begin_[operation.key + 1] += operation.is_append ? 1 : 0;
    for (Key key = 0; key < keys; ++key) begin_[key + 1] += begin_[key];
    appends_.resize(begin_[keys]);
    std::vector<std::uint32_t> next(begin_.begin(), begin_.end() - 1);
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      const auto operations = history_.operations_of(history_.transactions[t]);
      for (std::size_t i = 0; i < operations.size(); ++i) {
        if (!operations[i].is_append) continue;
        Append& append = appends_[next[operations[i].key]++];
        append = {.value = operations[i].value, .transaction = t, .operation = static_cast<std::uint32_t>(&operations[i] - history_.operations.data())};
        for (std::size_t later = i + 1; later < operations.size(); ++later)
          if (operations[later].is_append && operations[later].key == operations[i].key) append.is_last = false;
      }
    }
    for (Key key = 0; key < keys; ++key)
      std::sort(appends_.begin() + begin_[key], appends_.begin() + begin_[key + 1], [](const Append& a, const Append& b) { return a.value < b.value; });
  }
  void place() {
    placed_begin_.reserve(final_.size());
    for (Key key = 0; key < final_.size(); ++key) {
      placed_begin_.push_back(placed_.size());
      for (std::uint32_t position = 0; position < final_[key].size(); ++position) {
        const Append* const append = find(key, final_[key][position]);
        const auto index = append == nullptr ? none : static_cast<std::uint32_t>(append - appends_.data());
        placed_.push_back(index);
        if (index != none && appends_[index].position == none) appends_[index].position = position;
      }
    }
  }
  void mark_committed() {
    committed_.reserve(history_.transactions.size());
    for (const Transaction& transaction : history_.transactions) committed_.push_back(transaction.status == Status::ok ? 1 : 0);
    for (const Append& append : appends_)
      if (append.position != none && history_.transactions[append.transaction].status == Status::info) committed_[append.transaction] = 1;
  }

  const History& history_;
  const FinalRead& final_;
  std::vector<std::uint32_t> begin_;         // by key: its appends in appends_; one more at the end
  std::vector<Append> appends_;              // of one key by value
  std::vector<std::size_t> placed_begin_;    // by key: its final read in placed_
  std::vector<std::uint32_t> placed_;        // an index in appends_, or none
  std::vector<std::uint8_t> committed_;
};

}  // namespace aegis_test::list_append
