// SPDX-License-Identifier: Apache-2.0
// Runs a schedule of several transactions exactly as it is written, one thread a transaction. A step has either finished
// or its transaction is registered as a waiter with the lock manager when the next step is given out; nothing sleeps, and
// time decides nothing but that a hang is reported.
//
//   r1(1) read   f1(1) get_for_update   w1(1,11) put   u1(1,11) update   i1(1,11) insert   d1(1) erase
//   s1 scan all   s1[2,9) scan a range, either end may be missing   m1 largest key   c1 commit   a1 abort
//
//   +1(1,5) get and put the sum   *1(10) add to every row   D1(20) scan, and erase the rows of that value
//
// After a retryable error a transaction's further steps are left out, as its user would have to.
#pragma once

#include "support/engines.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test {

/// One step as written.
struct Step {
  char verb = 0;
  char txn = 0;
  std::string key, value;   // for scans: from and to
  std::string text;
};

inline std::vector<Step> steps_of(std::string_view schedule) {
  std::vector<Step> steps;
  std::size_t at = 0;
  while (at < schedule.size()) {
    if (schedule[at] == ' ') {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < schedule.size() && schedule[end] != ' ') ++end;
    Step step;
    step.text = schedule.substr(at, end - at);
    step.verb = step.text[0];
    step.txn = step.text[1];
    const std::string rest = step.text.substr(2);
    if (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      const std::size_t last = rest.size() - 1;
      step.key = rest.substr(1, (comma == std::string::npos ? last : comma) - 1);
      if (comma != std::string::npos) step.value = rest.substr(comma + 1, last - comma - 1);
    }
    steps.push_back(step);
    at = end;
  }
  return steps;
}

template <class Engine>
class Schedule {
 public:
  using Table = typename Engine::Table;
  using Errc = aegis::storage::Errc;
  using Locks = typename Engine::Store::Manager::Locks;

  /// What became of the schedule.
  struct Outcome {
    std::map<std::string, std::string> said;   // by "step" or "step#n" for its n-th occurrence from 2
    std::map<char, std::string> failed;        // transactions that got a retryable error: its name
    std::uint64_t waits = 0;                   // how often a transaction waited for a lock
    Rows rows;                                 // what a new transaction reads afterwards

    std::string operator[](const std::string& step) const {
      const auto found = said.find(step);
      return found == said.end() ? "(not run)" : found->second;
    }
    std::string content() const {
      std::string text;
      for (const auto& [key, value] : rows) text.append(text.empty() ? "" : " ").append(key).append(":").append(value);
      return text;
    }
    std::string failures() const {
      std::string text;
      for (const auto& [txn, error] : failed) text.append(text.empty() ? "" : " ").append(1, txn).append(":").append(error);
      return text;
    }
  };

  /// tables[i] is used by keys that begin with the letter 'A' + i and a dot; other keys live in tables[0].
  Schedule(Engine& engine, std::vector<Table> tables) : engine_(engine), tables_(std::move(tables)) {
    auto txn = engine_.begin();
    locks_ = &txn.hold().store().manager().locks();
  }
  ~Schedule() {
    for (auto& [name, actor] : actors_) actor->stop();
  }

  /// `readers`: transactions that run as snapshot().
  Outcome run(std::string_view schedule, std::string_view readers = {}) {
    outcome_ = {};
    const std::uint64_t waits = locks_->stats().waits;
    for (const Step& step : steps_of(schedule)) {
      Actor& actor = actor_of(step.txn, readers);
      actor.give(step);
      settle();
    }
    finish();
    for (auto& [name, actor] : actors_) actor->stop();
    actors_.clear();
    outcome_.waits = locks_->stats().waits - waits;
    auto reader = engine_.snapshot();
    outcome_.rows = rows_of(reader.scan(tables_[0]));
    return outcome_;
  }

 private:
  /// One transaction in its thread.
  class Actor {
   public:
    Actor(Schedule& schedule, bool reads_only) : schedule_(schedule), thread_([this, reads_only] { reads_only ? read() : write(); }) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return begun_; });
    }
    ~Actor() { stop(); }

    void give(const Step& step) {
      const std::lock_guard lock(mutex_);
      todo_.push_back(step);
      changed_.notify_all();
    }
    /// Nothing to do, or waiting for a lock.
    bool is_settled() {
      {
        const std::lock_guard lock(mutex_);
        if (todo_.empty() && !busy_) return true;
      }
      return owner_ != nullptr && owner_->is_waiting();
    }
    bool is_done() {
      const std::lock_guard lock(mutex_);
      return todo_.empty() && !busy_;
    }
    void stop() {
      {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        changed_.notify_all();
      }
      if (thread_.joinable()) thread_.join();
    }

   private:
    void write() {
      auto txn = schedule_.engine_.begin();
      begin(&txn.hold()->locks);
      loop([&](const Step& step) { return schedule_.perform(txn, step); });
    }
    void read() {
      auto txn = schedule_.engine_.snapshot();
      begin(nullptr);
      loop([&](const Step& step) { return schedule_.perform_read(txn, step); });
    }
    void begin(const aegis::storage::LockOwner* owner) {
      const std::lock_guard lock(mutex_);
      owner_ = owner;
      begun_ = true;
      changed_.notify_all();
    }
    template <class Perform>
    void loop(Perform&& perform) {
      std::unique_lock lock(mutex_);
      for (;;) {
        changed_.wait(lock, [&] { return stopping_ || !todo_.empty(); });
        if (todo_.empty()) return;
        const Step step = todo_.front();
        todo_.pop_front();
        busy_ = true;
        lock.unlock();
        if (!ended_) ended_ = perform(step);
        schedule_.completed_.fetch_add(1);
        lock.lock();
        busy_ = false;
      }
    }

    Schedule& schedule_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Step> todo_;
    bool begun_ = false, busy_ = false, stopping_ = false;
    bool ended_ = false;  // the thread's own: after an error the rest of its steps is left out
    const aegis::storage::LockOwner* owner_ = nullptr;
    std::thread thread_;
  };

  Actor& actor_of(char name, std::string_view readers) {
    auto& actor = actors_[name];
    if (!actor) actor = std::make_unique<Actor>(*this, readers.find(name) != std::string_view::npos);
    return *actor;
  }

  /// Until every transaction has nothing to do or waits for a lock. Whoever was found waiting may have been granted by a
  /// step that ended while the others were looked at: then it is looked again.
  void settle() {
    wait_until("settle", [&] {
      const std::uint64_t completed = completed_.load();
      for (auto& [name, actor] : actors_)
        if (!actor->is_settled()) return false;
      return completed == completed_.load();
    });
  }
  void finish() {
    wait_until("end", [&] {
      for (auto& [name, actor] : actors_)
        if (!actor->is_done()) return false;
      return true;
    });
  }
  template <class Ready>
  static void wait_until(const char* what, Ready&& ready) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!ready()) {
      if (std::chrono::steady_clock::now() > deadline) {
        std::fprintf(stderr, "a schedule hangs: it does not %s\n", what);
        std::abort();
      }
      std::this_thread::yield();
    }
  }

  /// Takes the table's name off the key.
  Table& table_of_key(std::string& key) {
    if (key.size() < 2 || key[1] != '.') return tables_[0];
    const auto index = static_cast<std::size_t>(key[0] - 'A');
    key.erase(0, 2);
    return tables_[index];
  }
  static std::string shown(const std::optional<std::string>& value) { return value ? *value : "-"; }

  /// True when the transaction has ended by it.
  template <class T>
  bool note(const Step& step, const aegis::storage::Result<T>& result, std::string text) {
    const std::lock_guard lock(mutex_);
    std::string name = step.text;
    for (int n = 2; outcome_.said.contains(name); ++n) name = step.text + "#" + std::to_string(n);
    if (result) {
      outcome_.said[name] = std::move(text);
      return false;
    }
    outcome_.said[name] = aegis::storage::name_of(result.error().code());
    if (!aegis::storage::is_retryable(result.error().code())) return false;
    outcome_.failed[step.txn] = aegis::storage::name_of(result.error().code());
    return true;
  }
  template <class Txn>
  std::string scanned(Txn& txn, const Step& step, aegis::storage::Result<void>& status) {
    aegis::storage::KeyRange range;
    if (!step.key.empty()) range.from = step.key;
    if (!step.value.empty()) range.to = step.value;
    std::string text;
    auto cursor = txn.scan(tables_[0], range);
    for (; cursor.valid(); cursor.next()) text.append(text.empty() ? "" : " ").append(cursor.key()).append(":").append(cursor.value());
    status = cursor.status();
    return text;
  }
  template <class Txn>
  bool perform_read(Txn& txn, const Step& step) {
    std::string key = step.key;
    const Table& table = table_of_key(key);
    aegis::storage::Result<void> status;
    if (step.verb == 'r') {
      const auto value = txn.get(table, key);
      return note(step, value, value ? shown(*value) : "");
    }
    if (step.verb == 's') {
      const std::string text = scanned(txn, step, status);
      return note(step, status, text);
    }
    if (step.verb == 'm') {
      auto cursor = txn.scan(tables_[0], {}, aegis::storage::Direction::reverse);
      return note(step, cursor.status(), cursor.valid() ? std::string(cursor.key()) : "-");
    }
    return note(step, aegis::storage::Result<void>{}, "ok");  // a reader just ends
  }
  template <class Txn>
  bool perform(Txn& txn, const Step& step) {
    std::string key = step.key;
    const Table& table = table_of_key(key);
    aegis::storage::Result<void> done;
    switch (step.verb) {
      case 'f': {
        const auto value = txn.get_for_update(table, key);
        return ended(txn, note(step, value, value ? shown(*value) : ""));
      }
      case 'w': done = txn.put(table, key, step.value); break;
      case 'i': done = txn.insert(table, key, step.value); break;
      case 'u': done = txn.update(table, key, step.value); break;
      case '+': {  // get and put in one step
        auto value = txn.get(table, key);
        if (!value) return ended(txn, note(step, value, ""));
        done = txn.put(table, key, std::to_string(std::stoi(value->value_or("0")) + std::stoi(step.value)));
        break;
      }
      case 'd': {
        const auto erased = txn.erase(table, key);
        return ended(txn, note(step, erased, erased && *erased ? "erased" : "-"));
      }
      case 'D': {  // erases what a scan finds with that value
        aegis::storage::Result<void> status;
        std::string hits;
        auto cursor = txn.scan(tables_[0]);
        for (; cursor.valid() && status; cursor.next())
          if (cursor.value() == step.key) {
            hits.append(hits.empty() ? "" : " ").append(cursor.key());
            if (auto erased = txn.erase(tables_[0], cursor.key()); !erased) status = erased.error();
          }
        if (status) status = cursor.status();
        return ended(txn, note(step, status, hits));
      }
      case '*': {  // adds to every row
        aegis::storage::Result<void> status;
        auto cursor = txn.scan(tables_[0]);
        for (; cursor.valid() && status; cursor.next()) status = txn.put(tables_[0], cursor.key(), std::to_string(std::stoi(std::string(cursor.value())) + std::stoi(step.key)));
        if (status) status = cursor.status();
        return ended(txn, note(step, status, ""));
      }
      case 'c': {
        const auto committed = txn.commit();
        (void)note(step, committed, "ok");
        return true;
      }
      case 'a': {
        const auto aborted = txn.abort();
        (void)note(step, aborted, "ok");
        return true;
      }
      default: return ended(txn, perform_read(txn, step));
    }
    return ended(txn, note(step, done, "ok"));
  }
  /// After a retryable error commit has to fail, and the transaction is aborted at once.
  template <class Txn>
  static bool ended(Txn& txn, bool failed) {
    if (failed && txn.commit().has_value()) {
      std::fprintf(stderr, "a transaction committed after a retryable error\n");
      std::abort();
    }
    return failed;
  }

  Engine& engine_;
  std::vector<Table> tables_;
  Locks* locks_ = nullptr;
  std::atomic<std::uint64_t> completed_{0};  // steps
  std::mutex mutex_;                         // guards outcome_ while actors run
  Outcome outcome_;
  std::map<char, std::unique_ptr<Actor>> actors_;
};

}  // namespace aegis_test
