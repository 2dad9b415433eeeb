// SPDX-License-Identifier: Apache-2.0
// What became of one interleaving, and what a level allows, by brute force over orders and committed states; it knows
// nothing of how an engine works. Serial: in some order of the committed transactions, run one after the other, every one
// sees what it saw and the same rows remain; strict: one that had committed before another began comes before it.
#pragma once

#include "support/interleavings/programs.hpp"

#include <aegis/storage/core/error.hpp>

#include <algorithm>
#include <string>

namespace aegis_test {

/// One transaction's part. Moments are counted in events of the whole run.
struct TransactionRun {
  enum class End : std::uint8_t { open, committed, aborted, failed };

  End end = End::open;
  bool failed_at_commit = false;
  aegis::storage::Errc error{};                     // of a transaction that failed
  std::size_t done = 0;                             // operations that returned something, commit and abort not counted
  std::array<Seen, max_operations> seen;
  std::array<std::uint8_t, max_operations> from{};  // of each: the commits that had returned when it was called ...
  std::array<std::uint8_t, max_operations> until{}; // ... and when it returned
  unsigned began = 0, ended = 0;                    // its first call; its last return
};

struct Run {
  std::array<TransactionRun, max_transactions> transactions;
  std::array<std::uint8_t, max_transactions> commits{};  // in their order
  std::uint8_t commit_count = 0;
  State last;                       // the rows afterwards
  std::string unexpected;           // what no level allows: errors that nobody may get
  unsigned waits = 0;

  void clear() {
    for (TransactionRun& transaction : transactions) {
      transaction.end = TransactionRun::End::open;
      transaction.failed_at_commit = false;
      transaction.done = 0;
      transaction.began = transaction.ended = 0;
    }
    commit_count = 0;
    waits = 0;
    unexpected.clear();
  }
  template <class Predicate>
  bool any_failed(Predicate&& predicate) const {
    for (const TransactionRun& transaction : transactions)
      if (transaction.end == TransactionRun::End::failed && predicate(transaction)) return true;
    return false;
  }
};

class Oracle {
 public:
  Oracle(const Suite& suite, const Run& run) : suite_(suite), run_(run) { replay(); }

  /// Whether the rows afterwards are those of the commits in their order: nothing of any other transaction is left.
  bool leaves_no_trace() const { return states_[run_.commit_count] == run_.last; }

  bool is_serial(bool strict) const { return is_serial(strict, 0, suite_.initial); }

  /// Every operation, also of transactions that did not commit, equals one committed state with the own writes on top, not
  /// older than what had been committed when it was called, and never older than the operation's before.
  bool is_read_committed() const {
    for (std::size_t t = 0; t < suite_.programs.size(); ++t)
      if ((suite_.snapshots >> t & 1U) != 0 ? snapshot_of(t) < 0 : !reads_forward(t)) return false;
    return leaves_no_trace();
  }

  /// Every transaction saw one committed state, with its own writes on top, not older than what had been committed when it
  /// began, and of two that overlapped and committed a write of one key there is none.
  bool is_snapshot_isolation() const {
    for (std::size_t t = 0; t < suite_.programs.size(); ++t)
      if (snapshot_of(t) < 0) return false;
    return leaves_no_trace();
  }

 private:
  using End = TransactionRun::End;

  const std::vector<Operation>& operations(std::size_t t) const { return suite_.programs[t].operations; }

  /// The committed states: states_[n] after n commits, from what each transaction saw.
  void replay() {
    states_[0] = suite_.initial;
    for (std::size_t n = 0; n < run_.commit_count; ++n) {
      const State own = writes_of(run_.commits[n], run_.transactions[run_.commits[n]].done);
      states_[n + 1] = over(states_[n], own);
      for (std::size_t key = 0; key < key_count; ++key)
        if (own[key] != untouched) written_[n + 1] = static_cast<KeyMask>(written_[n + 1] | 1U << key);
    }
  }
  /// What its first operations wrote.
  State writes_of(std::size_t t, std::size_t count) const {
    State own = no_touch;
    Reads reads;
    for (std::size_t i = 0; i < count; ++i) {
      const Operation& operation = operations(t)[i];
      const Seen& seen = run_.transactions[t].seen[i];
      reads.note(operation, seen);
      if (operation.verb == 'w' || (operation.verb == 'i' && seen.value == 1)) {
        if (const Value value = reads.of(operation.value); value != untouched) own[operation.key] = value;
      } else if (operation.verb == 'd' && seen.value == 1) {
        own[operation.key] = absent;
      }
    }
    return own;
  }
  static State over(State below, const State& own) {
    for (std::size_t key = 0; key < key_count; ++key)
      if (own[key] != untouched) below[key] = own[key];
    return below;
  }

  /// Runs the transaction alone on these rows: whether it sees what it saw.
  bool sees_the_same(std::size_t t, State& rows) const {
    Reads reads;
    const TransactionRun& transaction = run_.transactions[t];
    for (std::size_t i = 0; i < transaction.done; ++i) {
      const Operation& operation = operations(t)[i];
      const Seen seen = perform_alone(operation, operation.writes() ? reads.of(operation.value) : untouched, rows);
      if (!(seen == transaction.seen[i])) return false;
      reads.note(operation, seen);
    }
    return true;
  }

  bool may_be_next(std::size_t t, unsigned placed) const {
    for (std::size_t o = 0; o < suite_.programs.size(); ++o) {
      const TransactionRun& other = run_.transactions[o];
      if (o != t && (placed >> o & 1U) == 0 && other.end == End::committed && other.ended < run_.transactions[t].began) return false;
    }
    return true;
  }
  bool is_serial(bool strict, unsigned placed, const State& rows) const {
    bool complete = true;
    for (std::size_t t = 0; t < suite_.programs.size(); ++t) {
      if (run_.transactions[t].end != End::committed || (placed >> t & 1U) != 0) continue;
      complete = false;
      if (strict && !may_be_next(t, placed)) continue;
      State after = rows;
      if (sees_the_same(t, after) && is_serial(strict, placed | 1U << t, after)) return true;
    }
    return complete && rows == run_.last;
  }

  /// After how many commits the transaction can have taken its snapshot; -1: never.
  int snapshot_of(std::size_t t) const {
    const TransactionRun& transaction = run_.transactions[t];
    for (int n = transaction.from[0]; transaction.done > 0 && n <= transaction.until[0]; ++n) {
      State rows = states_[static_cast<std::size_t>(n)];
      if (sees_the_same(t, rows) && !overwrites(t, n)) return n;
    }
    return transaction.done == 0 ? 0 : -1;
  }
  bool overwrites(std::size_t t, int snapshot) const {
    KeyMask others = 0;
    for (std::size_t n = static_cast<std::size_t>(snapshot) + 1; n <= run_.commit_count; ++n) {
      if (run_.commits[n - 1] == t) return run_.transactions[t].end == End::committed && (others & written_[n]) != 0;
      others = static_cast<KeyMask>(others | written_[n]);
    }
    return false;
  }

  bool reads_forward(std::size_t t) const {
    const TransactionRun& transaction = run_.transactions[t];
    std::size_t n = 0;
    for (std::size_t i = 0; i < transaction.done; ++i) {
      const Operation& operation = operations(t)[i];
      const State own = writes_of(t, i);
      n = std::max<std::size_t>(n, transaction.from[i]);
      for (;; ++n) {
        if (n > transaction.until[i]) return false;
        State rows = over(states_[n], own);
        if (perform_alone(operation, untouched, rows) == transaction.seen[i]) break;
      }
    }
    return true;
  }

  const Suite& suite_;
  const Run& run_;
  std::array<State, max_transactions + 1> states_;
  std::array<KeyMask, max_transactions + 1> written_{};
};

/// What every operation said, by transaction, and the rows afterwards.
inline std::string outcome_of(const Suite& suite, const Run& run) {
  const auto shown = [](Value value) { return value == absent ? std::string("-") : std::to_string(value); };
  const auto rows = [&](const State& state) {
    std::string text = "{";
    for (std::size_t key = 0; key < key_count; ++key)
      if (state[key] != absent && state[key] != untouched) text += (text.size() > 1 ? " " : "") + std::to_string(key) + ":" + shown(state[key]);
    return text + "}";
  };
  std::string text;
  for (std::size_t t = 0; t < suite.programs.size(); ++t) {
    const TransactionRun& transaction = run.transactions[t];
    for (std::size_t i = 0; i < transaction.done; ++i) {
      const Operation& operation = suite.programs[t].operations[i];
      text += notation::text_of(operation, t);
      if (operation.is_scan()) text += "->" + rows(transaction.seen[i].rows);
      else if (operation.verb != 'w') text += "->" + shown(transaction.seen[i].value);
      text += " ";
    }
    switch (transaction.end) {
      case TransactionRun::End::open: text += "open; "; break;
      case TransactionRun::End::committed: text += "committed; "; break;
      case TransactionRun::End::aborted: text += "aborted; "; break;
      case TransactionRun::End::failed: text += std::string(aegis::storage::name_of(transaction.error)) + (transaction.failed_at_commit ? " at the commit; " : "; ");
    }
  }
  return text + "at last " + rows(run.last) + run.unexpected;
}

}  // namespace aegis_test
