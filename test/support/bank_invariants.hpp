// SPDX-License-Identifier: Apache-2.0
// Two invariants over several rows that no single write breaks: a pair of accounts may be overdrawn by neither of its two
// owners (write skew on items), and somebody stays on call (write skew on a range; Cahill, Roehm, Fekete 2008). Every
// client looks at all rows of its group, and changes its own if the others allow it.
#pragma once

#include "support/engines.hpp"
#include "support/random.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test {

/// Rows "<group>/<member>" with balances. Withdrawals need the pair's sum, both rows read by key.
template <class Engine>
struct PairedAccounts {
  using Table = typename Engine::Table;
  static constexpr std::uint64_t members = 2;

  static std::string key(std::uint64_t group, std::uint64_t member) { return std::to_string(group) + "/" + std::to_string(member); }

  template <class Txn>
  static aegis::storage::Result<std::int64_t> sum(Txn& txn, const Table& table, std::uint64_t group) {
    std::int64_t total = 0;
    for (std::uint64_t member = 0; member < members; ++member) {
      AEGIS_TRY(const auto balance, txn.get(table, key(group, member)));
      total += balance ? std::stoll(*balance) : 0;
    }
    return total;
  }
  template <class Txn>
  static aegis::storage::Result<void> change(Txn& txn, const Table& table, std::uint64_t group, std::uint64_t member) {
    AEGIS_TRY(const std::int64_t total, sum(txn, table, group));
    AEGIS_TRY(const auto own, txn.get(table, key(group, member)));
    std::this_thread::yield();
    const std::int64_t balance = own ? std::stoll(*own) : 0;
    return txn.put(table, key(group, member), std::to_string(total >= 100 ? balance - 100 : balance + 70));
  }
  template <class Txn>
  static aegis::storage::Result<bool> holds(Txn& txn, const Table& table, std::uint64_t group) {
    AEGIS_TRY(const std::int64_t total, sum(txn, table, group));
    return total >= 0;
  }
};

/// Rows "<group>/<member>" of those on call, found by a scan. Who is not alone goes home; who is at home comes.
template <class Engine>
struct OnCall {
  using Table = typename Engine::Table;
  static constexpr std::uint64_t members = 2;

  static std::string key(std::uint64_t group, std::uint64_t member) { return std::to_string(group) + "/" + std::to_string(member); }

  template <class Txn>
  static aegis::storage::Result<std::uint64_t> present(Txn& txn, const Table& table, std::uint64_t group) {
    const std::string from = std::to_string(group) + "/", to = std::to_string(group) + "0";
    std::uint64_t rows = 0;
    auto cursor = txn.scan(table, {.from = from, .to = to});
    for (; cursor.valid(); cursor.next()) ++rows;
    AEGIS_TRY(cursor.status());
    return rows;
  }
  template <class Txn>
  static aegis::storage::Result<void> change(Txn& txn, const Table& table, std::uint64_t group, std::uint64_t member) {
    AEGIS_TRY(const std::uint64_t others_and_own, present(txn, table, group));
    AEGIS_TRY(const auto own, txn.get(table, key(group, member)));
    std::this_thread::yield();
    if (!own) return txn.put(table, key(group, member), "on call");
    if (others_and_own >= 2) AEGIS_TRY(txn.erase(table, key(group, member)));
    return {};
  }
  template <class Txn>
  static aegis::storage::Result<bool> holds(Txn& txn, const Table& table, std::uint64_t group) {
    AEGIS_TRY(const std::uint64_t rows, present(txn, table, group));
    return rows != 0;
  }
};

/// Eight clients in four groups of two, at most so many transactions together. After each of its own a client looks at its
/// group in a snapshot; true as soon as the invariant was seen broken.
template <class Invariant, class Engine>
bool breaks(Engine& engine, std::uint64_t transactions) {
  namespace storage = aegis::storage;
  const auto table = table_of(engine, "groups");
  constexpr std::uint64_t groups = 4;
  for (std::uint64_t i = 0; i < groups * Invariant::members; ++i) put(engine, table, Invariant::key(i / Invariant::members, i % Invariant::members), "100");

  std::atomic<std::uint64_t> done{0}, given_up{0};
  std::atomic<bool> broken{false};
  std::mutex mutex;
  std::string complaint;
  const auto complain = [&](const storage::Error& error) {
    const std::lock_guard lock(mutex);
    complaint = error.message();
    broken = true;
  };
  std::vector<std::thread> threads;
  for (std::uint64_t client = 0; client < groups * Invariant::members; ++client)
    threads.emplace_back([&, group = client / Invariant::members, member = client % Invariant::members] {
      while (!broken && done < transactions) {
        const auto changed = engine.transact([&](typename Engine::Transaction& txn) { return Invariant::change(txn, table, group, member); });
        if (changed) ++done;
        else if (storage::is_retryable(changed.error().code())) ++given_up;
        else return complain(changed.error());
        auto reader = engine.snapshot();
        const auto holds = Invariant::holds(reader, table, group);
        if (!holds && !storage::is_retryable(holds.error().code())) return complain(holds.error());
        if (holds && !*holds) broken = true;
      }
    });
  for (auto& thread : threads) thread.join();
  MESSAGE("transactions " << done.load() << ", given up " << given_up.load() << (broken ? std::string(", broken") : std::string()));
  INFO(complaint);
  CHECK(complaint.empty());
  CHECK(done > 0);
  return broken;
}

}  // namespace aegis_test
