// SPDX-License-Identifier: Apache-2.0
// What is wrong with single transactions, elements and lists, before any order between transactions is asked for.
#pragma once

#include "support/list_append/report.hpp"
#include "support/list_append/version_order.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

namespace aegis_test::list_append {

inline std::string named(std::size_t transaction) { return "T" + std::to_string(transaction); }
inline std::string listed(Key key, Element value) { return "key " + std::to_string(key) + " element " + std::to_string(value); }

/// The part of each read that others wrote: how long a prefix of the final read it is, or `none` where it is something else.
using Prefixes = std::vector<std::uint32_t>;

class ReadChecks {
 public:
  ReadChecks(const VersionOrder& order, Report& report) : order_(order), history_(order.history()), report_(report) {}

  Prefixes run() {
    for (Key key = 0; key < order_.keys(); ++key) check_final(key);
    check_undecided();
    prefixes_.assign(history_.operations.size(), none);
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t)
      if (order_.committed(t)) check_transaction(t);
    return std::move(prefixes_);
  }

 private:
  void check_final(Key key) {
    const auto list = order_.order(key);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Append* const append = order_.at(key, i);
      check_element(append, "the final read", key, list[i]);
      if (append != nullptr && append->position != i) report_.add(Anomaly::duplicate, [&] { return "the final read has twice " + listed(key, list[i]); });
      const Append* const before = i == 0 ? nullptr : order_.at(key, i - 1);
      if (append != nullptr && before != nullptr && append->transaction == before->transaction && append->operation < before->operation)
        report_.add(Anomaly::incompatible_order, [&] { return named(append->transaction) + " appended to key " + std::to_string(key) + " in another order than is stored"; });
      if (append != nullptr && failed(*append))
        report_.add(Anomaly::resurrected_abort, [&] { return listed(key, list[i]) + " of " + named(append->transaction) + ", which failed, was stored"; });
    }
    for (const Append& append : order_.appends(key))
      if (append.position == none && history_.transactions[append.transaction].status == Status::ok)
        report_.add(Anomaly::lost_commit, [&] { return listed(key, append.value) + " of " + named(append.transaction) + " is gone"; });
  }

  void check_undecided() {
    std::vector<std::uint32_t> missing(history_.transactions.size(), 0);
    for (Key key = 0; key < order_.keys(); ++key)
      for (const Append& append : order_.appends(key)) missing[append.transaction] += append.position == none ? 1 : 0;
    for (std::size_t t = 0; t < history_.transactions.size(); ++t)
      if (history_.transactions[t].status == Status::info && order_.committed(t) && missing[t] != 0)
        report_.add(Anomaly::torn_txn, [&] { return named(t) + " was stored in part: " + text_of(history_, history_.transactions[t]); });
  }

  bool failed(const Append& append) const { return history_.transactions[append.transaction].status == Status::fail; }
  /// False when nobody, or somebody who failed, wrote it.
  bool check_element(const Append* append, const std::string& reader, Key key, Element value) {
    if (append == nullptr) report_.add(Anomaly::garbage, [&] { return reader + " saw " + listed(key, value) + ", which nobody appended"; });
    else if (failed(*append)) report_.add(Anomaly::g1a, [&] { return reader + " saw " + listed(key, value) + " of " + named(append->transaction) + ", which failed"; });
    return append != nullptr && !failed(*append);
  }

  void check_transaction(std::uint32_t t) {
    const Transaction& transaction = history_.transactions[t];
    const auto operations = history_.operations_of(transaction);
    for (std::uint32_t i = 0; i < operations.size(); ++i) {
      if (operations[i].is_append) continue;
      const auto seen = history_.seen_by(operations[i]);
      const std::size_t own = own_before(operations, i);
      if (own == none || shows_own(t, operations, i, seen.first(seen.size() - own))) continue;
      prefixes_[transaction.first + i] = check_read(t, operations[i].key, seen.first(seen.size() - own));
    }
  }

  /// How many elements at the end are the transaction's own, none when they are not what it appended.
  std::size_t own_before(std::span<const Operation> operations, std::uint32_t read) {
    const auto seen = history_.seen_by(operations[read]);
    std::size_t own = 0;
    for (std::uint32_t i = read; i-- > 0;) {
      if (!operations[i].is_append || operations[i].key != operations[read].key) continue;
      ++own;
      if (own <= seen.size() && seen[seen.size() - own] == operations[i].value) continue;
      report_.add(Anomaly::internal,
                  [&] { return "a read of key " + std::to_string(operations[read].key) + " gave " + text_of(seen) + " after appending " + std::to_string(operations[i].value); });
      return none;
    }
    return own;
  }
  /// Whether an element of its own stands before, or although, it was appended.
  bool shows_own(std::uint32_t t, std::span<const Operation> operations, std::uint32_t read, std::span<const Element> foreign) {
    for (std::uint32_t i = 0; i < operations.size(); ++i) {
      if (!operations[i].is_append || operations[i].key != operations[read].key || std::find(foreign.begin(), foreign.end(), operations[i].value) == foreign.end()) continue;
      report_.add(i > read ? Anomaly::future_read : Anomaly::internal,
                  [&] { return named(t) + " saw its own " + listed(operations[i].key, operations[i].value) + " at the wrong time"; });
      return true;
    }
    return false;
  }

  std::uint32_t check_read(std::uint32_t t, Key key, std::span<const Element> foreign) {
    const auto order = order_.order(key);
    const bool prefix = foreign.size() <= order.size() && std::equal(foreign.begin(), foreign.end(), order.begin());
    if (!prefix && check_elements(t, key, foreign))
      report_.add(Anomaly::incompatible_order, [&] { return named(t) + " saw key " + std::to_string(key) + " as " + text_of(foreign) + ", others as " + text_of(order); });
    if (!foreign.empty()) {
      const Append* const last = order_.find(key, foreign.back());
      if (last != nullptr && !failed(*last) && !last->is_last)
        report_.add(Anomaly::g1b, [&] { return named(t) + " saw " + listed(key, last->value) + ", not the last that " + named(last->transaction) + " appended there"; });
    }
    return prefix ? static_cast<std::uint32_t>(foreign.size()) : none;
  }
  /// True when each of them is somebody's and stands there once.
  bool check_elements(std::uint32_t t, Key key, std::span<const Element> foreign) {
    bool sound = true;
    std::vector<Element> sorted(foreign.begin(), foreign.end());
    std::sort(sorted.begin(), sorted.end());
    for (const Element element : sorted) sound = check_element(order_.find(key, element), named(t), key, element) && sound;
    if (std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()) return sound;
    report_.add(Anomaly::duplicate, [&] { return named(t) + " saw an element twice: key " + std::to_string(key) + " as " + text_of(foreign); });
    return false;
  }

  const VersionOrder& order_;
  const History& history_;
  Report& report_;
  Prefixes prefixes_;
};

}  // namespace aegis_test::list_append
