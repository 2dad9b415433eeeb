// SPDX-License-Identifier: Apache-2.0
// A reference model of the four levels, for the counts to expect: one committed state after the other, first-in-first-out
// locks on keys and ranges, conflicts on newer versions, validation of everything read at the commit. One thread; nothing
// is stored. A fifth level is what the literature counts with: no locks, the first committer of a key wins.
#pragma once

#include "support/interleavings/interleave.hpp"

namespace aegis_test {

enum class Level : std::uint8_t { first_committer_wins, read_committed, snapshot_isolation, serializable, two_phase_locking };

/// What an engine may choose. late_snapshot: a transaction that begins with a write has its snapshot from after the wait,
/// when nothing can be newer; a version that is newer is looked for when the lock is there; locks that are given back are
/// granted anew all at once. published, the rules behind the published counts: from before the wait; newer versions that
/// are there already are a conflict without any wait; who is granted a lock runs on before the next one is granted.
enum class Rules : std::uint8_t { late_snapshot, published };

class Model {
 public:
  explicit Model(Level level, Rules rules = Rules::late_snapshot) : level_(level), rules_(rules) {}

  bool grants_one_by_one() const { return rules_ == Rules::published; }

  void start(const State& rows) {
    states_[0] = rows;
    commits_ = 0;
    arrivals_ = 0;
    for (Transaction& each : transactions_) each = {};
  }
  void begin(std::size_t t, bool is_snapshot) { transactions_[t].is_snapshot = is_snapshot; }

  bool perform(std::size_t t, const Operation& operation, Value value, Reply& reply) {
    Transaction& self = transactions_[t];
    self.operation = &operation;
    self.value = value;
    self.reply = {};
    self.mode = mode_of(self, operation);
    if (rules_ == Rules::published && operation.writes() && self.snapshot < 0) self.snapshot = static_cast<int>(commits_);
    self.wanted = self.mode == Mode::none ? KeyMask{0} : static_cast<KeyMask>(operation.keys() & ~self.covered());
    if (rules_ == Rules::published && is_too_old(self)) {
      fail(self, aegis::storage::Errc::conflict);
    } else if (self.wanted != 0 && blockers_of(t) != 0) {
      self.arrival = ++arrivals_;
      self.is_waiting = true;
      if (!closes_circle(t)) return false;
      self.is_waiting = false;
      fail(self, aegis::storage::Errc::deadlock);
    } else {
      execute(t);
    }
    reply = self.reply;
    return true;
  }
  bool has_finished(std::size_t t, Reply& reply) {
    if (grants_one_by_one() && transactions_[t].is_waiting && blockers_of(t) == 0) {
      transactions_[t].is_waiting = false;
      execute(t);
    }
    if (transactions_[t].is_waiting) return false;
    reply = transactions_[t].reply;
    return true;
  }
  void abandon(std::size_t t) { release(t); }
  State content() const { return states_[commits_]; }

 private:
  enum class Mode : std::uint8_t { none, shared, update, exclusive };
  struct Transaction {
    bool is_snapshot = false, is_waiting = false;
    int snapshot = -1;
    State own = no_touch;
    KeyMask written = 0, read = 0;
    std::array<KeyMask, 4> held{};  // by mode
    const Operation* operation = nullptr;
    Value value = untouched;
    Mode mode = Mode::none;
    KeyMask wanted = 0;
    unsigned arrival = 0;
    Reply reply;

    /// Where it holds the mode that it asks for, or a stronger one.
    KeyMask covered() const {
      KeyMask keys = 0;
      for (std::size_t mode_held = static_cast<std::size_t>(mode); mode_held < 4; ++mode_held) keys = static_cast<KeyMask>(keys | held[mode_held]);
      return keys;
    }
    bool is_upgrade() const { return ((held[1] | held[2] | held[3]) & wanted) != 0; }
  };

  static KeyMask bit(std::size_t key) { return static_cast<KeyMask>(1U << key); }
  static bool excludes(Mode requested, Mode other) { return other == Mode::exclusive || requested == Mode::exclusive || other == Mode::update; }

  Mode mode_of(const Transaction& self, const Operation& operation) const {
    if (self.is_snapshot || operation.ends() || level_ == Level::first_committer_wins) return Mode::none;
    if (operation.writes()) return Mode::exclusive;
    if (level_ == Level::two_phase_locking) return operation.verb == 'f' ? Mode::update : Mode::shared;
    return operation.verb == 'f' ? Mode::exclusive : Mode::none;
  }

  /// Those that t would wait for: holders, and who waits already, unless t holds a weaker lock there.
  unsigned blockers_of(std::size_t t) const {
    const Transaction& self = transactions_[t];
    unsigned blockers = 0;
    for (std::size_t o = 0; o < max_transactions; ++o) {
      const Transaction& other = transactions_[o];
      if (o == t) continue;
      bool blocks = false;
      for (const Mode mode : {Mode::shared, Mode::update, Mode::exclusive})
        blocks = blocks || ((other.held[static_cast<std::size_t>(mode)] & self.wanted) != 0 && excludes(self.mode, mode));
      const bool is_before = other.is_waiting && (other.is_upgrade() || !self.is_waiting || other.arrival < self.arrival);
      const bool is_queued = is_before && !self.is_upgrade() && (other.wanted & self.wanted) != 0;
      blocks = blocks || (is_queued && (excludes(self.mode, other.mode) || excludes(other.mode, self.mode)));
      if (blocks) blockers |= 1U << o;
    }
    return blockers;
  }
  bool closes_circle(std::size_t t) const {
    unsigned reached = blockers_of(t);
    for (unsigned before = 0; before != reached;) {
      before = reached;
      for (std::size_t o = 0; o < max_transactions; ++o)
        if ((reached >> o & 1U) != 0 && transactions_[o].is_waiting) reached |= blockers_of(o);
    }
    return (reached >> t & 1U) != 0;
  }

  void release(std::size_t t) {
    transactions_[t].held = {};
    transactions_[t].is_waiting = false;
    while (!grants_one_by_one()) {
      std::size_t next = max_transactions;
      for (std::size_t o = 0; o < max_transactions; ++o)
        if (transactions_[o].is_waiting && blockers_of(o) == 0 && (next == max_transactions || transactions_[o].arrival < transactions_[next].arrival)) next = o;
      if (next == max_transactions) return;
      transactions_[next].is_waiting = false;
      execute(next);
    }
  }

  static void fail(Transaction& self, aegis::storage::Errc error) {
    self.reply.failed = true;
    self.reply.error = error;
  }
  bool is_newer(const Transaction& self, KeyMask keys) const {
    for (std::size_t n = static_cast<std::size_t>(self.snapshot) + 1; n <= commits_; ++n)
      if ((written_[n] & keys) != 0) return true;
    return false;
  }

  bool is_too_old(const Transaction& self) const {
    const bool checks = level_ == Level::snapshot_isolation || level_ == Level::serializable;
    return checks && self.mode != Mode::none && self.snapshot >= 0 && is_newer(self, self.operation->keys());
  }

  /// The locks are there.
  void execute(std::size_t t) {
    Transaction& self = transactions_[t];
    const Operation& operation = *self.operation;
    if (self.mode != Mode::none) self.held[static_cast<std::size_t>(self.mode)] = static_cast<KeyMask>(self.held[static_cast<std::size_t>(self.mode)] | self.wanted);
    if (operation.verb == 'c') return commit(t);
    if (operation.verb == 'a') {
      self.reply.seen.value = 1;
      return release(t);
    }
    if (is_too_old(self)) return fail(self, aegis::storage::Errc::conflict);
    if (self.snapshot < 0) self.snapshot = static_cast<int>(commits_);
    const bool newest = !self.is_snapshot && (level_ == Level::read_committed || level_ == Level::two_phase_locking);
    State rows = states_[newest ? commits_ : static_cast<std::size_t>(self.snapshot)];
    for (std::size_t key = 0; key < key_count; ++key)
      if (self.own[key] != untouched) rows[key] = self.own[key];
    self.reply.seen = perform_alone(operation, self.value, rows);
    if (operation.writes() && self.reply.seen.value == 1) {
      self.own[operation.key] = rows[operation.key];
      self.written = static_cast<KeyMask>(self.written | bit(operation.key));
    } else {
      self.read = static_cast<KeyMask>(self.read | operation.keys());
    }
  }

  void commit(std::size_t t) {
    Transaction& self = transactions_[t];
    if (self.written != 0) {
      if (level_ == Level::serializable && is_newer(self, self.read)) return fail(self, aegis::storage::Errc::conflict);
      if (level_ == Level::first_committer_wins && is_newer(self, self.written)) return fail(self, aegis::storage::Errc::conflict);
      ++commits_;
      states_[commits_] = states_[commits_ - 1];
      for (std::size_t key = 0; key < key_count; ++key)
        if (self.own[key] != untouched) states_[commits_][key] = self.own[key];
      written_[commits_] = self.written;
    }
    self.reply.seen.value = 1;
    release(t);
  }

  Level level_;
  Rules rules_;
  std::array<Transaction, max_transactions> transactions_;
  std::array<State, max_transactions + 1> states_;     // after so many commits of transactions that wrote
  std::array<KeyMask, max_transactions + 1> written_{};
  std::size_t commits_ = 0;
  unsigned arrivals_ = 0;
};

}  // namespace aegis_test
