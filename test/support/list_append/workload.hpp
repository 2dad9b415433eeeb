// SPDX-License-Identifier: Apache-2.0
// Eight clients that read lists and append to them, on an engine of any isolation level, and write down what they saw. Few
// live keys, which retire after some 28 appends, so that there are many conflicts and the lists stay short. An append is a
// read and a put. Which operations a client runs depends on the seed alone, how the clients meet on the machine.
#pragma once

#include "support/engines.hpp"
#include "support/list_append/history.hpp"
#include "support/random.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test::list_append {

/// How an append reads the list that it extends.
enum class AppendBy : std::uint8_t { plain_read, read_for_update, either };

struct WorkloadOptions {
  std::uint64_t seed = 1;
  std::size_t transactions = 5000;
  AppendBy append_by = AppendBy::either;
  bool survives_failure = false;  // an engine that fails ends the run; what commit() was doing then is undecided
};

template <class Engine>
class Workload {
 public:
  static constexpr std::uint32_t clients = 8, live_keys = 9;

  explicit Workload(const WorkloadOptions& options) : options_(options) {}

  /// `halfway()` is called once, by a client, when half of the transactions have ended.
  template <class Halfway>
  void run(Engine& engine, Halfway&& halfway) {
    table_ = table_of(engine, "lists");
    std::array<History, clients> histories;
    std::vector<std::thread> threads;
    for (std::uint32_t client = 0; client < clients; ++client) threads.emplace_back([&, client] { Client{*this, engine, client, histories[client]}.run(halfway); });
    for (auto& thread : threads) thread.join();
    for (const History& one : histories) history_.merge(one);
  }

  /// Every list that ever was, in one snapshot.
  FinalRead final_read(Engine& engine) {
    table_ = table_of(engine, "lists");
    FinalRead lists(next_key());
    auto reader = engine.snapshot();
    for (Key key = 0; key < lists.size(); ++key) {
      const auto found = reader.read(table_, name_of(key), [&](std::string_view value) { lists[key] = decode(value); });
      REQUIRE(found.has_value());
    }
    return lists;
  }

  const History& history() const { return history_; }
  /// The first error that no transaction may meet; empty when there was none.
  const std::string& complaint() const { return complaint_; }

 private:
  using Error = aegis::storage::Error;
  using Errc = aegis::storage::Errc;
  template <class T>
  using Result = aegis::storage::Result<T>;

  class Client {
   public:
    Client(Workload& workload, Engine& engine, std::uint32_t number, History& history)
        : work_(workload), engine_(engine), store_(engine.begin().hold().store()), history_(history), random_(workload.options_.seed * 1000 + number), number_(number) {}

    template <class Halfway>
    void run(Halfway& halfway) {
      const std::size_t share = (work_.options_.transactions + clients - 1) / clients;
      for (std::size_t i = 0; i < share; ++i) {
        if (!failed_) one_transaction();
        if (++work_.ended_ == share * clients / 2) halfway();
        if (number_ == 0 && !failed_ && i % 64 == 63) note(engine_.checkpoint());
      }
    }

   private:
    struct Planned {
      bool is_append;
      std::uint32_t slot;
    };

    void one_transaction() {
      planned_.clear();
      bool writes = false;
      for (std::uint64_t left = 1 + random_.below(6); left != 0; --left) {
        planned_.push_back({random_.one_in(2), static_cast<std::uint32_t>(random_.below(live_keys))});
        writes = writes || planned_.back().is_append;
      }
      Transaction& record = history_.begin(work_.now());
      record.thread = number_;
      record.status = Status::fail;
      record.is_snapshot = !writes && random_.one_in(5);
      if (record.is_snapshot) read_all(record);
      else read_and_write(record);
      record.returned = work_.now();
      if (record.status != Status::ok) return;
      for (const Planned& planned : planned_)
        if (planned.is_append) ++work_.appended_[planned.slot];
    }

    void read_all(Transaction& record) {
      auto txn = engine_.snapshot();
      for (const Planned& planned : planned_)
        if (!note(read(txn, work_.live_key(planned.slot), false))) return;
      record.snapshot = number(txn.snapshot());
      record.status = Status::ok;
    }

    void read_and_write(Transaction& record) {
      auto txn = engine_.begin();
      for (const Planned& planned : planned_) {
        const Key key = work_.live_key(planned.slot);
        if (!note(planned.is_append ? append(txn, key) : read(txn, key, false))) return;
        if (random_.one_in(4)) std::this_thread::yield();
      }
      record.snapshot = number(txn.snapshot());
      if (random_.one_in(20)) return void(note(txn.abort()));
      const auto committed = txn.commit();
      if (committed) {
        record.status = Status::ok;
        record.commit = number(committed->timestamp);
      } else {
        const Errc code = committed.error().code();
        if (code == Errc::commit_undecided || code == Errc::engine_failed) record.status = Status::info;
        note(committed);
      }
    }

    template <class Txn>
    Result<void> read(Txn& txn, Key key, bool for_update) {
      const std::uint64_t before = number(store_.manager().published());
      seen_.clear();
      const std::string name = name_of(key);
      if constexpr (requires { txn.get_for_update(work_.table_, name); }) {
        if (for_update) {
          AEGIS_TRY(const auto value, txn.get_for_update(work_.table_, name));
          if (value) seen_ = decode(*value);
        }
      }
      if (!for_update) AEGIS_TRY(txn.read(work_.table_, name, [&](std::string_view value) { seen_ = decode(value); }));
      Operation& done = history_.read(key, seen_);
      done.published_before = before;
      done.published_after = number(store_.manager().published());
      return {};
    }
    template <class Txn>
    Result<void> append(Txn& txn, Key key) {
      const AppendBy by = work_.options_.append_by;
      AEGIS_TRY(read(txn, key, by == AppendBy::read_for_update || (by == AppendBy::either && random_.one_in(2))));
      seen_.push_back(1 + number_ + clients * appends_++);
      AEGIS_TRY(txn.put(work_.table_, name_of(key), encode(seen_)));
      history_.append(key, seen_.back());
      return {};
    }

    /// True on success. What may happen to a transaction is no complaint; a lock that is never granted is one.
    template <class T>
    bool note(const Result<T>& result) {
      if (result) return true;
      const Errc code = result.error().code();
      const bool of_failure = code == Errc::engine_failed || code == Errc::commit_undecided;
      const bool expected = aegis::storage::is_retryable(code) && code != Errc::lock_timeout;
      failed_ = failed_ || !expected;
      if (!expected && !(of_failure && work_.options_.survives_failure)) work_.complain(result.error().message());
      return false;
    }

    Workload& work_;
    Engine& engine_;
    typename Engine::Store& store_;
    History& history_;
    Random random_;
    std::uint32_t number_;
    Element appends_ = 0;
    bool failed_ = false;            // the engine, for this client
    std::vector<Planned> planned_;
    std::vector<Element> seen_;      // by the last read
  };

  static constexpr std::size_t filler_bytes = 200;  // the lists need many more pages than the pool has frames

  std::uint64_t now() { return clock_.fetch_add(1); }
  Key live_key(std::uint32_t slot) const { return slot + live_keys * (appended_[slot].load() / (24 + slot)); }
  Key next_key() const {
    Key next = 0;
    for (std::uint32_t slot = 0; slot < live_keys; ++slot) next = std::max(next, live_key(slot) + 1);
    return next;
  }
  /// Neighbours in number are far apart in the table.
  static std::string name_of(Key key) {
    std::string name(8, '0');
    std::uint32_t scattered = key * 0x9e3779b1u;  // odd, so no two keys meet
    for (char& digit : name) digit = "0123456789abcdef"[scattered >> 28], scattered <<= 4;
    return name;
  }
  static std::string encode(const std::vector<Element>& list) {
    std::string bytes(list.size() * sizeof(Element) + filler_bytes, '.');
    std::memcpy(bytes.data(), list.data(), list.size() * sizeof(Element));
    return bytes;
  }
  static std::vector<Element> decode(std::string_view bytes) {
    std::vector<Element> list((bytes.size() - filler_bytes) / sizeof(Element));
    std::memcpy(list.data(), bytes.data(), list.size() * sizeof(Element));
    return list;
  }
  void complain(std::string what) {
    const std::lock_guard lock(mutex_);
    if (complaint_.empty()) complaint_ = std::move(what);
  }

  WorkloadOptions options_;
  typename Engine::Table table_;
  History history_;                                        // once all clients have ended
  std::atomic<std::uint64_t> clock_{1}, ended_{0};
  std::array<std::atomic<std::uint32_t>, live_keys> appended_{};
  std::mutex mutex_;
  std::string complaint_;                                  // the first one, under mutex_
};

}  // namespace aegis_test::list_append
