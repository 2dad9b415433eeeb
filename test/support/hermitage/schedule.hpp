// SPDX-License-Identifier: Apache-2.0
// Runs a schedule of several transactions exactly as it is written, one thread a transaction. When a step is given out,
// every earlier one has either finished or its transaction is registered as a waiter with the lock manager; nothing sleeps,
// and time decides nothing but that a hang is reported. After a retryable error a transaction's further steps are left
// out, its commit() has to fail, and it is aborted. One thread drives.
#pragma once

#include "support/hermitage/performer.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test::hermitage {

/// What became of a schedule.
struct Outcome {
  std::map<std::string, std::string> said;   // by a step's name; an error by its name
  std::map<char, std::string> failed;        // transactions that got a retryable error: its name
  std::uint64_t waits = 0;                   // how often a transaction waited for a lock
  bool committed_after_error = false;
  std::string rows;                          // what a new transaction reads afterwards
};

template <class Engine>
class Schedule {
 public:
  using Table = typename Engine::Table;

  Schedule(Engine& engine, std::vector<Table> tables) : engine_(engine), tables_(std::move(tables)), locks_(&engine.begin().hold().store().manager().locks()) {}

  /// `snapshots`: transactions that run as snapshot(). Outcome::rows is left to the caller.
  Outcome run(const std::vector<Step>& steps, std::string_view snapshots) {
    outcome_ = {};
    const std::uint64_t waits = locks_->stats().waits;
    for (const Step& step : steps) {
      auto& actor = actors_[step.txn];
      if (!actor) actor = std::make_unique<Actor>(*this, step.txn, snapshots.find(step.txn) != std::string_view::npos);
      actor->give(step);
      settle();
    }
    until("end", [&] {
      for (auto& [name, actor] : actors_)
        if (!actor->is_done()) return false;
      return true;
    });
    actors_.clear();
    outcome_.waits = locks_->stats().waits - waits;
    return std::move(outcome_);
  }

 private:
  /// One transaction in its thread.
  class Actor {
   public:
    Actor(Schedule& schedule, char name, bool is_snapshot) : schedule_(schedule), name_(name), thread_([this, is_snapshot] { is_snapshot ? read() : write(); }) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return has_begun_; });
    }
    ~Actor() {
      {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
        changed_.notify_all();
      }
      thread_.join();
    }

    void give(const Step& step) {
      const std::lock_guard lock(mutex_);
      todo_.push_back(step);
      changed_.notify_all();
    }
    bool is_done() {
      const std::lock_guard lock(mutex_);
      return todo_.empty() && !is_busy_;
    }
    /// Nothing to do, or waiting for a lock.
    bool is_settled() { return is_done() || (owner_ != nullptr && owner_->is_waiting()); }

   private:
    void write() {
      auto txn = schedule_.engine_.begin();
      begin(&txn.hold()->locks);
      loop(txn);
    }
    void read() {
      auto txn = schedule_.engine_.snapshot();
      begin(nullptr);
      loop(txn);
    }
    void begin(const aegis::storage::LockOwner* owner) {
      const std::lock_guard lock(mutex_);
      owner_ = owner;
      has_begun_ = true;
      changed_.notify_all();
    }
    template <class Txn>
    void loop(Txn& txn) {
      Performer<Engine, Txn> performer{txn, schedule_.tables_};
      bool has_failed = false;
      std::unique_lock lock(mutex_);
      for (;;) {
        changed_.wait(lock, [&] { return is_stopping_ || !todo_.empty(); });
        if (todo_.empty()) return;
        const Step step = todo_.front();
        todo_.pop_front();
        is_busy_ = true;
        lock.unlock();
        if (!has_failed) has_failed = fails(txn, performer, step);
        schedule_.completed_.fetch_add(1);
        lock.lock();
        is_busy_ = false;
      }
    }
    /// Carries the step out. True when the transaction has come to its end by an error.
    template <class Txn>
    bool fails(Txn& txn, Performer<Engine, Txn>& performer, const Step& step) {
      const auto answer = performer.perform(step);
      const std::string error{answer ? std::string_view{} : aegis::storage::name_of(answer.error().code())};
      const bool failed = !answer && aegis::storage::is_retryable(answer.error().code());
      bool committed = false;
      if constexpr (requires { txn.commit(); }) {
        if (failed) {
          committed = txn.commit().has_value();
          (void)txn.abort();
        }
      }
      schedule_.note(step, answer ? *answer : error, failed ? name_ : '\0', committed);
      return failed;
    }

    Schedule& schedule_;
    const char name_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Step> todo_;
    bool has_begun_ = false, is_busy_ = false, is_stopping_ = false;
    const aegis::storage::LockOwner* owner_ = nullptr;  // none of a snapshot(): it must never wait
    std::thread thread_;                                // last: it uses the others
  };

  /// Until every transaction has nothing to do or waits for a lock. Whoever was found waiting may have been granted by a
  /// step that ended while the others were looked at: then it is looked again.
  void settle() {
    until("settle", [&] {
      const std::uint64_t completed = completed_.load();
      for (auto& [name, actor] : actors_)
        if (!actor->is_settled()) return false;
      return completed == completed_.load();
    });
  }
  template <class Ready>
  static void until(const char* what, Ready&& ready) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (!ready()) {
      if (std::chrono::steady_clock::now() > deadline) {
        std::fprintf(stderr, "a schedule hangs: it does not %s\n", what);
        std::abort();
      }
      std::this_thread::yield();
    }
  }
  void note(const Step& step, const std::string& answer, char failed, bool committed) {
    const std::lock_guard lock(mutex_);
    outcome_.said[step.name] = answer;
    if (failed != '\0') outcome_.failed[failed] = answer;
    outcome_.committed_after_error = outcome_.committed_after_error || committed;
  }

  Engine& engine_;
  const std::vector<Table> tables_;
  typename Engine::Store::Manager::Locks* const locks_;
  std::atomic<std::uint64_t> completed_{0};  // steps
  std::mutex mutex_;                         // guards outcome_ while transactions run
  Outcome outcome_;
  std::map<char, std::unique_ptr<Actor>> actors_;
};

}  // namespace aegis_test::hermitage
