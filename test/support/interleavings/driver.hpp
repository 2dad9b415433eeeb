// SPDX-License-Identifier: Apache-2.0
// A real engine as a system for the Interleaver: one for any number of interleavings, over a disk in memory. Whatever cannot
// wait for a lock runs in the caller's thread; whatever may, in a thread that its transaction keeps, and it has finished or
// is registered as a waiter with the lock manager when the next call is made. Nothing sleeps and time decides nothing.
#pragma once

#include "support/engines.hpp"
#include "support/interleavings/interleave.hpp"

#include <atomic>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace aegis_test {

template <class Engine, class Isolation>
class EngineSystem {
 public:
  EngineSystem() : engine_(open_on<Engine>(disk_, options())), table_(table_of(engine_, "t")) {}
  ~EngineSystem() {
    for (auto& slot : slots_) slot.stop();
  }
  EngineSystem(const EngineSystem&) = delete;
  EngineSystem& operator=(const EngineSystem&) = delete;

  Engine& engine() { return engine_; }

  void start(const State& rows) {
    if (rows == rows_) return;
    auto txn = engine_.begin();
    for (std::size_t key = 0; key < key_count; ++key) {
      if (rows[key] == rows_[key]) continue;
      if (rows[key] == absent) require(txn.erase(table_, key_text(key)).has_value(), "an erase between two interleavings");
      else require(txn.put(table_, key_text(key), std::to_string(rows[key])).has_value(), "a put between two interleavings");
    }
    require(txn.commit().has_value(), "a commit between two interleavings");
    rows_ = rows;
  }
  void begin(std::size_t t, bool is_snapshot) {
    Slot& slot = slots_[t];
    slot.locked = slot.read = 0;
    if (is_snapshot) slot.reader.emplace(engine_.snapshot());
    else slot.writer.emplace(engine_.begin());
  }
  State content() {
    for (Slot& slot : slots_)
      if (slot.state.load() != Slot::given) slot.end();
    for (Slot& slot : slots_) {  // one that waited although all others had ended: for as long as it may
      while (slot.state.load() == Slot::given) std::this_thread::yield();
      slot.state.store(Slot::idle);
      slot.end();
    }
    auto reader = engine_.snapshot();
    Reply reply;
    scan(reader, 0, key_count, reply);
    require(!reply.failed, "a scan between two interleavings");
    return rows_ = reply.seen.rows;
  }

  bool perform(std::size_t t, const Operation& operation, Value value, Reply& reply) {
    Slot& slot = slots_[t];
    const bool may_wait = slot.writer && can_meet(t, operation);
    if (!operation.ends()) note(slot, operation);
    if (!may_wait) {
      reply = {};
      run(slot, operation, value, reply);
      return true;
    }
    slot.give(operation, value, *this);
    return has_finished(t, reply);
  }
  bool has_finished(std::size_t t, Reply& reply) {
    settle();
    Slot& slot = slots_[t];
    if (slot.state.load(std::memory_order_acquire) != Slot::done) return false;
    reply = slot.reply;
    slot.state.store(Slot::idle, std::memory_order_relaxed);
    return true;
  }
  void abandon(std::size_t t) {
    Slot& slot = slots_[t];
    if (slot.writer && slot.writer->state() == aegis::storage::TransactionState::active) require(!slot.writer->commit(), "a commit after an error succeeded");
    slot.locked = slot.read = 0;
  }

 private:
  /// A transaction, and the thread in which those of its operations run that may wait.
  struct Slot {
    static constexpr unsigned idle = 0, given = 1, done = 2, stopped = 3;

    ~Slot() { stop(); }
    void end() {
      reader.reset();
      writer.reset();
      locked = read = 0;
    }
    void give(const Operation& next, Value with, EngineSystem& system) {
      operation = &next;
      value = with;
      reply = {};
      state.store(given, std::memory_order_release);
      if (thread.joinable()) state.notify_one();
      else thread = std::thread([this, &system] { work(system); });
    }
    void work(EngineSystem& system) {
      for (;;) {
        unsigned now = state.load(std::memory_order_acquire);
        for (int looks = 0; looks < 20 && now != given && now != stopped; ++looks) {
          std::this_thread::yield();
          now = state.load(std::memory_order_acquire);
        }
        if (now == stopped) return;
        if (now != given) {
          state.wait(now, std::memory_order_acquire);
          continue;
        }
        system.run(*this, *operation, value, reply);
        system.completed_.fetch_add(1);
        state.store(done, std::memory_order_release);
      }
    }
    void stop() {
      if (!thread.joinable()) return;
      state.store(stopped, std::memory_order_release);
      state.notify_one();
      thread.join();
    }
    /// Neither at work nor about to be: it has done what it was given, or waits for a lock.
    bool is_settled() { return state.load(std::memory_order_acquire) != given || writer->hold()->locks.is_waiting(); }

    std::optional<typename Engine::Transaction> writer;
    std::optional<typename Engine::ReadTransaction> reader;
    KeyMask locked = 0, read = 0;  // keys that it has locked or is about to lock; keys that it has read
    std::atomic<unsigned> state{idle};
    const Operation* operation = nullptr;
    Value value = untouched;
    Reply reply;
    std::thread thread;
  };

  static aegis::storage::EngineOptions options() {
    auto options = small_options<Engine>();
    options.lock_timeout = aegis::storage::Milliseconds{60'000};  // an error that no interleaving may show
    return options;
  }
  static void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "interleavings, not as expected: %s\n", what);
    std::abort();
  }
  static std::string key_text(std::size_t key) { return std::string(1, static_cast<char>('0' + key)); }
  static Value number(std::string_view text) {
    int value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return static_cast<Value>(value);
  }

  /// Whether another transaction may hold, or wait for, a lock that this operation needs. More often true than need be.
  bool can_meet(std::size_t t, const Operation& operation) const {
    if (operation.ends() || (operation.reads() && !Isolation::reads_take_locks)) return false;
    const KeyMask keys = operation.is_scan() ? KeyMask{0xff} : operation.keys();
    for (std::size_t o = 0; o < slots_.size(); ++o) {
      const Slot& other = slots_[o];
      if (o != t && ((other.locked | (operation.reads() || !Isolation::reads_take_locks ? 0 : other.read)) & keys) != 0) return true;
    }
    return false;
  }
  static void note(Slot& slot, const Operation& operation) {
    const KeyMask keys = operation.is_scan() ? KeyMask{0xff} : operation.keys();
    KeyMask& noted = operation.reads() ? slot.read : slot.locked;
    if (slot.writer) noted = static_cast<KeyMask>(noted | keys);
  }

  /// Until whoever was given something has done it or waits. Who was found waiting may have been granted by another's end
  /// meanwhile: then all are looked at again.
  void settle() {
    for (;;) {
      const std::uint64_t completed = completed_.load();
      for (Slot& slot : slots_)
        while (!slot.is_settled()) std::this_thread::yield();
      if (completed == completed_.load()) return;
    }
  }

  template <class T>
  static bool keep(const aegis::storage::Result<T>& result, Reply& reply) {
    if (result) return true;
    reply.failed = true;
    reply.error = result.error().code();
    return false;
  }
  template <class Txn>
  void scan(Txn& txn, std::size_t from, std::size_t to, Reply& reply) {
    for (std::size_t key = from; key < to; ++key) reply.seen.rows[key] = absent;
    const std::string first = key_text(from), last = key_text(to);
    aegis::storage::KeyRange range;
    if (from > 0) range.from = first;
    if (to < key_count) range.to = last;
    auto cursor = txn.scan(table_, range);
    for (; cursor.valid(); cursor.next()) {
      const auto key = static_cast<std::size_t>(cursor.key()[0] - '0');
      require(cursor.key().size() == 1 && key < key_count, "a scan: a key that nobody wrote");
      reply.seen.rows[key] = number(cursor.value());
    }
    (void)keep(cursor.status(), reply);
  }
  template <class Txn>
  void read(Txn& txn, const Operation& operation, Reply& reply) {
    if constexpr (requires { Isolation::scans_without_locks; }) {  // a planted bug
      auto apart = engine_.snapshot();
      if (operation.is_scan()) return scan(apart, operation.key, operation.to, reply);
    }
    if (operation.is_scan()) return scan(txn, operation.key, operation.to, reply);
    const auto found = txn.get(table_, key_text(operation.key));
    if (keep(found, reply)) reply.seen.value = *found ? number(**found) : absent;
  }
  void run(Slot& slot, const Operation& operation, Value value, Reply& reply) {
    reply.seen.value = operation.is_scan() ? untouched : Value{1};
    if (slot.reader) {
      if (operation.ends()) slot.reader.reset();
      else read(*slot.reader, operation, reply);
      return;
    }
    auto& txn = *slot.writer;
    const std::string key = key_text(operation.key);
    switch (operation.verb) {
      case 'f': {
        const auto found = txn.get_for_update(table_, key);
        if (keep(found, reply)) reply.seen.value = *found ? number(**found) : absent;
        break;
      }
      case 'w': (void)keep(txn.put(table_, key, std::to_string(value)), reply); break;
      case 'i':
        if (const auto done = txn.insert(table_, key, std::to_string(value)); !done && done.error().code() == aegis::storage::Errc::key_exists) reply.seen.value = 0;
        else (void)keep(done, reply);
        break;
      case 'd':
        if (const auto erased = txn.erase(table_, key); keep(erased, reply)) reply.seen.value = *erased ? 1 : 0;
        break;
      case 'c':
        (void)keep(txn.commit(), reply);
        slot.locked = slot.read = 0;
        break;
      case 'a':
        (void)keep(txn.abort(), reply);
        slot.locked = slot.read = 0;
        break;
      default: read(txn, operation, reply);
    }
  }

  aegis::storage::MemoryDisk disk_;
  Engine engine_;
  typename Engine::Table table_;
  State rows_ = no_rows;      // what is stored when nothing is open
  std::atomic<std::uint64_t> completed_{0}; // operations that ran in a transaction's own thread
  std::array<Slot, max_transactions> slots_;
};

}  // namespace aegis_test
