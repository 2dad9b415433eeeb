// SPDX-License-Identifier: Apache-2.0
// What one transaction's reads, or two transactions with the same read, tell without a graph: repeated reads, lost updates,
// and what read committed promises here (monotonic atomic view, no stale reads).
#pragma once

#include "support/list_append/read_checks.hpp"

#include <string>
#include <vector>

namespace aegis_test::list_append {

class SessionChecks {
 public:
  SessionChecks(const VersionOrder& order, const Prefixes& prefixes, Level level, Report& report)
      : order_(order), history_(order.history()), prefixes_(prefixes), report_(report), level_(level) {}

  void run() {
    const bool weak = level_ == Level::read_committed;
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      if (!order_.committed(t)) continue;
      check_repeated_reads(t, weak && !history_.transactions[t].is_snapshot);
      if (weak) check_atomic_view(t), check_fresh(t);
    }
    if (weak) check_final_view();
    else check_lost_updates();
  }

 private:
  struct Needed {
    std::uint32_t by = none, length = 0, writer = none;
  };

  template <class Fn>
  void for_each_read(std::uint32_t t, Fn&& fn) const {
    const Transaction& transaction = history_.transactions[t];
    for (std::uint32_t i = transaction.first; i < transaction.first + transaction.count; ++i)
      if (!history_.operations[i].is_append && prefixes_[i] != none) fn(history_.operations[i].key, prefixes_[i], i);
  }

  void check_repeated_reads(std::uint32_t t, bool may_grow) {
    for_each_read(t, [&](Key key, std::uint32_t length, std::uint32_t at) {
      for (std::uint32_t i = at; i-- > history_.transactions[t].first;) {
        const Operation& before = history_.operations[i];
        if (before.is_append || before.key != key || prefixes_[i] == none) continue;
        const auto words = [&] {
          return named(t) + " saw " + std::to_string(prefixes_[i]) + " and then " + std::to_string(length) + " elements of others in key " + std::to_string(key);
        };
        if (length < prefixes_[i] && may_grow) report_.add(Anomaly::non_monotone, words);
        if (length != prefixes_[i] && !may_grow) report_.add(Anomaly::non_repeatable, words);
        return;
      }
    });
  }

  /// Two that read the same and both appended to it.
  void check_lost_updates() {
    std::vector<std::vector<std::uint32_t>> first(order_.keys());  // by key and length: who came first
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      if (!order_.committed(t)) continue;
      for_each_read(t, [&](Key key, std::uint32_t length, std::uint32_t at) {
        if (!appends_next(t, at)) return;
        auto& seen = first[key];
        if (seen.size() <= length) seen.resize(length + std::size_t{1}, none);
        if (seen[length] == none) seen[length] = t;
        else if (seen[length] != t)
          report_.add(Anomaly::lost_update,
                      [&] { return named(seen[length]) + " and " + named(t) + " both appended to the first " + std::to_string(length) + " elements of key " + std::to_string(key); });
      });
    }
  }
  /// The transaction appends to the key that it read here, before it reads it again.
  bool appends_next(std::uint32_t t, std::uint32_t read) const {
    const Transaction& transaction = history_.transactions[t];
    const auto is_same = [&](std::uint32_t i) { return history_.operations[i].key == history_.operations[read].key; };
    for (std::uint32_t i = transaction.first; i < read; ++i)
      if (is_same(i) && history_.operations[i].is_append) return false;  // what follows is its own
    for (std::uint32_t i = read + 1; i < transaction.first + transaction.count; ++i)
      if (is_same(i)) return history_.operations[i].is_append;
    return false;
  }

  void check_atomic_view(std::uint32_t t) {
    for_each_read(t, [&](Key key, std::uint32_t length, std::uint32_t) { look(t, named(t), key, length); });
  }
  void check_final_view() {
    const auto reader = static_cast<std::uint32_t>(history_.transactions.size());
    for (Key key = 0; key < order_.keys(); ++key) look(reader, "the final read", key, static_cast<std::uint32_t>(order_.order(key).size()));
  }
  /// Is what earlier reads call for there, and for what does this one call?
  void look(std::uint32_t reader, const std::string& name, Key key, std::uint32_t length) {
    if (needed_.empty()) needed_.resize(order_.keys()), looked_.resize(order_.keys());
    if (const Needed& needed = needed_[key]; needed.by == reader && needed.length > length)
      report_.add(Anomaly::mav, [&] { return name + " saw a part of " + named(needed.writer) + ", but not what it appended to key " + std::to_string(key); });
    if (looked_[key].by != reader) looked_[key] = {.by = reader, .length = 0};
    for (std::uint32_t position = looked_[key].length; position < length; ++position)
      if (const Append* const append = order_.at(key, position)) need_all_of(reader, append->transaction);
    looked_[key].length = std::max(looked_[key].length, length);
  }
  void need_all_of(std::uint32_t reader, std::uint32_t writer) {
    for (const Operation& operation : history_.operations_of(history_.transactions[writer])) {
      if (!operation.is_append) continue;
      const std::uint32_t position = order_.find(operation.key, operation.value)->position;
      Needed& needed = needed_[operation.key];
      if (needed.by != reader) needed = {.by = reader};
      const std::uint32_t length = position == none ? none : position + 1;
      if (length > needed.length) needed.length = length, needed.writer = writer;
    }
  }

  void check_fresh(std::uint32_t t) {
    for_each_read(t, [&](Key key, std::uint32_t length, std::uint32_t) {
      for (std::size_t position = length; position < order_.order(key).size(); ++position) {
        const Append* const append = order_.at(key, position);
        if (append == nullptr || append->transaction == t || history_.transactions[append->transaction].status != Status::ok ||
            history_.transactions[append->transaction].returned >= history_.transactions[t].invoked)
          continue;
        report_.add(Anomaly::stale_read,
                    [&] { return named(t) + " missed " + listed(key, append->value) + " of " + named(append->transaction) + ", which had returned before it began"; });
        return;
      }
    });
  }

  const VersionOrder& order_;
  const History& history_;
  const Prefixes& prefixes_;
  Report& report_;
  Level level_;
  std::vector<Needed> needed_, looked_;  // by key, for the reader in `by`
};

}  // namespace aegis_test::list_append
