// SPDX-License-Identifier: Apache-2.0
// The same history judged with the engine's own timestamps: replayed in commit order, every read must be what was stored at
// the moment its level names. Cheaper and sharper than cycles, and only as honest as the timestamps, which are therefore
// held against real time. A list at a timestamp is a prefix, so each read is right during one interval.
#pragma once

#include "support/list_append/read_checks.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace aegis_test::list_append {

class WhiteBox {
 public:
  /// For histories without undecided transactions.
  WhiteBox(const History& history, const FinalRead& final_read, Level level)
      : history_(history), final_(final_read), replayed_(replay(history, final_read.size())), order_(history, replayed_), level_(level) {}

  Report run() {
    Report ignored;  // the black box tells these
    prefixes_ = ReadChecks{order_, ignored}.run();
    check_timestamps();
    check_real_time();
    check_order();
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t)
      if (order_.committed(t)) check_reads(t);
    return std::move(report_);
  }

 private:
  struct Interval {
    std::uint64_t from = 0, to = never;  // both included
    Interval operator&(Interval other) const { return {std::max(from, other.from), std::min(to, other.to)}; }
    bool empty() const { return from > to; }
  };

  bool wrote(const Transaction& transaction) const {
    const auto operations = history_.operations_of(transaction);
    return std::any_of(operations.begin(), operations.end(), [](const Operation& operation) { return operation.is_append; });
  }
  std::string told(std::uint32_t t) const { return named(t) + " " + text_of(history_, history_.transactions[t]); }

  /// Unique, without holes between the first and the last, and none where nothing was written.
  void check_timestamps() {
    std::vector<std::uint64_t> commits;
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      const Transaction& transaction = history_.transactions[t];
      if (transaction.status != Status::ok) continue;
      if (wrote(transaction) != (transaction.commit != 0)) report_.add(Anomaly::timestamps, [&] { return "a commit has a timestamp if and only if it wrote: " + told(t); });
      if (transaction.commit != 0) commits.push_back(transaction.commit);
    }
    std::sort(commits.begin(), commits.end());
    for (std::size_t i = 1; i < commits.size(); ++i)
      if (commits[i] != commits[i - 1] + 1)
        report_.add(Anomaly::timestamps, [&] { return "commit " + std::to_string(commits[i]) + " follows " + std::to_string(commits[i - 1]); });
  }

  /// What had returned before a transaction began lies before its commit, and within its snapshot.
  void check_real_time() {
    struct Event {
      std::uint64_t at;
      bool is_return;
      std::uint32_t transaction;
    };
    std::vector<Event> events;
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      if (history_.transactions[t].status != Status::ok) continue;
      events.push_back({history_.transactions[t].invoked, false, t});
      events.push_back({history_.transactions[t].returned, true, t});
    }
    std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.at != b.at ? a.at < b.at : a.is_return < b.is_return; });
    std::uint64_t newest = 0;
    for (const Event& event : events) {
      const Transaction& transaction = history_.transactions[event.transaction];
      if (event.is_return) {
        newest = std::max(newest, transaction.commit);
        continue;
      }
      const auto words = [&] { return told(event.transaction) + " began after commit " + std::to_string(newest) + " had returned"; };
      if (transaction.commit != 0 && transaction.commit <= newest) report_.add(Anomaly::timestamps, words);
      if (transaction.snapshot < newest) report_.add(Anomaly::old_snapshot, words);
    }
  }

  /// Every list as stored is what the commits, in their order, made of it.
  void check_order() {
    for (Key key = 0; key < replayed_.size(); ++key) {
      const FinalRead::value_type nothing;
      const auto& stored = key < final_.size() ? final_[key] : nothing;
      if (stored != replayed_[key])
        report_.add(Anomaly::version_order, [&] { return "key " + std::to_string(key) + " is " + text_of(stored) + ", in commit order " + text_of(replayed_[key]); });
    }
  }
  static FinalRead replay(const History& history, std::size_t keys) {
    std::vector<const Transaction*> commits;
    for (const Transaction& transaction : history.transactions)
      if (transaction.status == Status::ok && transaction.commit != 0) commits.push_back(&transaction);
    std::sort(commits.begin(), commits.end(), [](const Transaction* a, const Transaction* b) { return a->commit < b->commit; });
    FinalRead lists(keys);
    for (const Transaction* const transaction : commits)
      for (const Operation& operation : history.operations_of(*transaction)) {
        if (!operation.is_append) continue;
        if (lists.size() <= operation.key) lists.resize(operation.key + std::size_t{1});
        lists[operation.key].push_back(operation.value);
      }
    return lists;
  }
  std::uint64_t commit_of(Key key, std::size_t position) const {
    const Append* const append = order_.at(key, position);
    return append == nullptr ? 0 : history_.transactions[append->transaction].commit;
  }

  /// While the first `length` elements of the list, and no more, were committed.
  Interval valid(Key key, std::uint32_t length) const {
    Interval interval;
    if (length > 0) interval.from = commit_of(key, length - std::size_t{1});
    if (length < order_.order(key).size()) interval.to = commit_of(key, length) - 1;
    return interval;
  }

  void check_reads(std::uint32_t t) {
    const Transaction& transaction = history_.transactions[t];
    const bool locks = level_ == Level::two_phase_locking && !transaction.is_snapshot;
    const bool moves = level_ == Level::read_committed && !transaction.is_snapshot;
    const bool serial = !transaction.is_snapshot && transaction.commit != 0 && (locks || level_ == Level::serializable);
    Interval together;                 // when all reads are right at once
    std::uint64_t reached = 0;         // what the last read saw, at read committed
    for (std::uint32_t i = transaction.first; i < transaction.first + transaction.count; ++i) {
      const Operation& read = history_.operations[i];
      if (read.is_append) continue;
      if (prefixes_[i] == none) {
        report_.add(Anomaly::wrong_snapshot, [&] { return "the read of key " + std::to_string(read.key) + " gave what never was there, in " + told(t); });
        continue;
      }
      const Interval right = valid(read.key, prefixes_[i]), during{read.published_before, read.published_after};
      const auto words = [&] {
        return "the read of key " + std::to_string(read.key) + ", right from " + std::to_string(right.from) + " to " + std::to_string(right.to) + ", in " + told(t);
      };
      together = together & right;
      if (serial && (right & Interval{transaction.commit - 1, transaction.commit - 1}).empty()) report_.add(Anomaly::not_serial, words);
      if (moves) {
        const Interval seen = right & during & Interval{reached, never};
        if (seen.empty()) report_.add(Anomaly::wrong_snapshot, words);
        else reached = seen.from;
      } else if (locks) {
        if ((right & during).empty()) report_.add(Anomaly::wrong_snapshot, words);
      } else if ((right & Interval{transaction.snapshot, transaction.snapshot}).empty()) {
        report_.add(Anomaly::wrong_snapshot, words);
      }
    }
    if (!moves && together.empty()) report_.add(Anomaly::not_serial, [&] { return "no moment at which all reads are right: " + told(t); });
  }

  const History& history_;
  const FinalRead& final_;
  FinalRead replayed_;     // what the commits made of each list
  VersionOrder order_;     // of that
  Level level_;
  Prefixes prefixes_;
  Report report_;
};

inline Report check_white_box(const History& history, const FinalRead& final_read, Level level) { return WhiteBox{history, final_read, level}.run(); }

}  // namespace aegis_test::list_append
