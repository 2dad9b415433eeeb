// SPDX-License-Identifier: Apache-2.0
// Runs one interleaving on a system: an engine, or the reference model. While a transaction waits its later steps queue;
// once it was granted they run, in their order, before the next scheduled step; of several that were granted at once the
// one that had waited longest comes first. After an error the rest of a transaction is left out and it is aborted.
#pragma once

#include "support/interleavings/oracle.hpp"

namespace aegis_test {

/// What a system answers to an operation.
struct Reply {
  aegis::storage::Errc error{};  // none: `seen` counts
  bool failed = false;
  Seen seen;
};

/// A System has, for transactions 0 to 3:
///   void start(const State&): these rows, nothing else open.   void begin(t, is_snapshot).   State content().
///   bool perform(t, operation, value, Reply&): false when it waits, and then
///   bool has_finished(t, Reply&): whether it does no more, which only another transaction's call can change.
///   void abandon(t): after an error; what it holds is given back.
template <class System>
class Interleaver {
 public:
  explicit Interleaver(System& system) : system_(system) {}

  void run(const Suite& suite, const Order& order, Run& run) {
    suite_ = &suite;
    run_ = &run;
    run.clear();
    event_ = 0;
    waiting_.clear();
    ready_.clear();
    system_.start(suite.initial);
    for (std::size_t t = 0; t < suite.programs.size(); ++t) {
      actors_[t] = {};
      system_.begin(t, (suite.snapshots >> t & 1U) != 0);
    }
    for (const std::uint8_t t : order) {
      ++actors_[t].steps_due;
      proceed(t);
      while (!ready_.empty()) {
        const std::size_t next = ready_.front();
        ready_.erase(ready_.begin());
        proceed(next);
      }
    }
    for (std::size_t t = 0; t < suite.programs.size(); ++t)
      if (run.transactions[t].end == TransactionRun::End::open) {
        run.unexpected += " transaction " + std::to_string(t + 1) + (actors_[t].is_waiting ? " waits for ever" : " does not end");
        if (!actors_[t].is_waiting) system_.abandon(t);
      }
    run.last = system_.content();
  }

 private:
  struct Actor {
    std::size_t at = 0;         // the next operation
    std::size_t steps_due = 0;  // scheduled and not yet run to their end
    bool is_waiting = false, has_ended = false;
    Reads reads;
  };

  void proceed(std::size_t t) {
    Actor& actor = actors_[t];
    while (actor.steps_due > 0 && !actor.is_waiting && !actor.has_ended) {
      const Operation& operation = suite_->programs[t].operations[actor.at];
      TransactionRun& transaction = run_->transactions[t];
      ++event_;
      if (actor.at == 0) transaction.began = event_;
      if (transaction.done == actor.at && !operation.ends()) transaction.from[actor.at] = run_->commit_count;
      Reply reply;
      const Value value = operation.verb == 'w' || operation.verb == 'i' ? actor.reads.of(operation.value) : untouched;
      if ((operation.verb == 'w' || operation.verb == 'i') && value == untouched) {
        reply.seen.value = 1;  // nothing is to be written
      } else if (!system_.perform(t, operation, value, reply)) {
        actor.is_waiting = true;
        waiting_.push_back(t);
        ++run_->waits;
      }
      if (!actor.is_waiting) complete(t, reply);
      collect();
    }
  }

  void complete(std::size_t t, const Reply& reply) {
    Actor& actor = actors_[t];
    TransactionRun& transaction = run_->transactions[t];
    const Operation& operation = suite_->programs[t].operations[actor.at];
    transaction.ended = ++event_;
    if (reply.failed) {
      transaction.end = TransactionRun::End::failed;
      transaction.error = reply.error;
      transaction.failed_at_commit = operation.verb == 'c';
      actor.has_ended = true;
      if (reply.error != aegis::storage::Errc::conflict && reply.error != aegis::storage::Errc::deadlock)
        run_->unexpected += " " + std::string(aegis::storage::name_of(reply.error)) + " at " + notation::text_of(operation, t);
      system_.abandon(t);
      return;
    }
    if (operation.verb == 'c') {
      transaction.end = TransactionRun::End::committed;
      run_->commits[run_->commit_count++] = static_cast<std::uint8_t>(t);
    } else if (operation.verb == 'a') {
      transaction.end = TransactionRun::End::aborted;
    } else {
      transaction.seen[actor.at] = reply.seen;
      transaction.until[actor.at] = run_->commit_count;
      transaction.done = actor.at + 1;
      actor.reads.note(operation, reply.seen);
    }
    actor.has_ended = operation.ends();
    if (!operation.step_goes_on) --actor.steps_due;
    ++actor.at;
  }

  bool runs_on_at_once() const {
    if constexpr (requires { system_.grants_one_by_one(); }) return system_.grants_one_by_one();
    else return false;
  }

  /// Those that wait no more.
  void collect() {
    for (std::size_t i = 0; i < waiting_.size();) {
      const std::size_t t = waiting_[i];
      Reply reply;
      if (!system_.has_finished(t, reply)) {
        ++i;
        continue;
      }
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      actors_[t].is_waiting = false;
      complete(t, reply);
      if (runs_on_at_once()) proceed(t);
      else ready_.push_back(t);
      i = 0;  // others may have been granted what it gave back
    }
  }

  System& system_;
  const Suite* suite_ = nullptr;
  Run* run_ = nullptr;
  unsigned event_ = 0;
  std::array<Actor, max_transactions> actors_;
  std::vector<std::size_t> waiting_, ready_;  // in the order in which they began to wait; were granted
};

}  // namespace aegis_test
