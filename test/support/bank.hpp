// SPDX-License-Identifier: Apache-2.0
// The bank: money moves between accounts, never appears or vanishes, and the ledger tells how. Accounts, ledger and
// counters are three tables; every transfer changes all three. Eight clients, two auditors, one of each kind of reader,
// who scan the accounts twice in a transaction; what a snapshot shows of the ledger must explain what it shows of them.
#pragma once

#include "support/engines.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test {

template <class Engine>
struct IsolationOf;
template <class Chosen>
struct IsolationOf<aegis::storage::BasicEngine<Chosen>> {
  using type = typename Chosen::Isolation;
};

template <class Engine>
class Bank {
 public:
  using Transaction = typename Engine::Transaction;
  using Table = typename Engine::Table;

  using Isolation = typename IsolationOf<Engine>::type;

  static constexpr std::uint64_t accounts = 100, clients = 8;
  static constexpr std::int64_t initial = 1000;

  /// `lock_reads`: transfers read with get_for_update.
  Bank(bool lock_reads, std::uint64_t seed) : lock_reads_(lock_reads), seed_(seed) {}

  void fill(Engine& engine) {
    open_tables(engine);
    auto txn = engine.begin();
    for (std::uint64_t i = 0; i < accounts; ++i) REQUIRE(txn.insert(accounts_, account(i), encode({initial, 0})).has_value());
    REQUIRE(txn.commit().has_value());
  }

  /// `halfway()` is called when half of the time is over. With `survives_failure` an engine that fails ends the run.
  template <class Halfway>
  void run(Engine& engine, double seconds, bool survives_failure, Halfway&& halfway) {
    survives_failure_ = survives_failure;
    std::vector<std::thread> threads = start(engine);
    for (int half = 0; half < 2; ++half) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds / 2);
      while (std::chrono::steady_clock::now() < end && !broken()) std::this_thread::yield();
      if (half == 0) halfway();
    }
    stop_ = true;
    for (auto& thread : threads) thread.join();
    MESSAGE("transfers " << transfers_.load() << ", given up " << given_up_.load() << ", aborted on purpose " << refused_.load() << ", audits " << audits_.load());
    INFO(complaint_);
    CHECK_FALSE(broken());
    CHECK(transfers_ > 0);
    CHECK(audits_ > 0);
  }
  void run(Engine& engine, double seconds) {
    run(engine, seconds, false, [] {});
  }

  /// For anomalies that a level must show: runs until `seen()`, which is the answer, or so many transfers. Auditors do not
  /// complain of a wrong total then, and clients let others in between what they read and what they write.
  template <class Seen>
  bool shows_within(Engine& engine, std::uint64_t transfers, Seen&& seen) {
    tolerant_ = true;
    std::vector<std::thread> threads = start(engine);
    while (transfers_ < transfers && !seen() && !broken()) std::this_thread::yield();
    stop_ = true;
    for (auto& thread : threads) thread.join();
    INFO(complaint_);
    CHECK_FALSE(broken());
    return seen();
  }

  /// The total, every account against its ledger rows, every client's ledger against its counter.
  void check(Engine& engine) {
    open_tables(engine);
    auto reader = engine.snapshot();
    std::vector<std::uint64_t> rows(clients);
    const auto done = explain(reader, rows);
    if (!done) MESSAGE(done.error().message());
    REQUIRE(done.has_value());
    INFO(*done);
    CHECK(done->empty());
    for (std::uint64_t client = 0; client < clients; ++client) {
      CHECK(rows[client] >= acknowledged_[client]);
      CHECK(rows[client] <= acknowledged_[client] + (survives_failure_ ? 1 : 0));  // the one under way may have made it
    }
  }

  std::uint64_t transfers() const { return transfers_; }
  std::uint64_t broken_audits() const { return broken_audits_; }
  std::uint64_t scans_that_differ() const { return scans_that_differ_; }

 private:
  struct Account {
    std::int64_t balance;
    std::uint64_t version;
  };
  struct Entry {
    std::uint64_t from, to;
    std::int64_t amount;
    std::uint64_t from_version, to_version;
  };

  static constexpr std::size_t account_bytes = 600;  // so that the accounts alone need more leaves than the pool has frames

  static std::string padded(std::uint64_t number, std::size_t width) {
    std::string digits = std::to_string(number);
    return std::string(width > digits.size() ? width - digits.size() : 0, '0') + digits;
  }
  static std::string account(std::uint64_t i) { return "account/" + padded(i, 4); }
  static std::string counter_key(std::uint64_t client) { return "C/" + std::to_string(client); }
  static std::string encode(const Account& value) {
    std::string bytes(account_bytes, '.');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  template <class T>
  static T decode_as(std::string_view bytes) {
    T value{};
    if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  void open_tables(Engine& engine) {
    accounts_ = table_of(engine, "accounts");
    ledger_ = table_of(engine, "ledger");
    counters_ = table_of(engine, "counters");
  }

  aegis::storage::Result<Account> read(Transaction& txn, std::uint64_t i) {
    AEGIS_TRY(auto bytes, lock_reads_ ? txn.get_for_update(accounts_, account(i)) : txn.get(accounts_, account(i)));
    if (!bytes) return aegis::storage::Error{aegis::storage::Errc::key_not_found, "account", i};
    return decode_as<Account>(*bytes);
  }

  void transfer(Engine& engine, std::uint64_t client) {
    Random random{seed_ * 1000 + client};
    std::uint64_t sequence = 0;
    while (!stop_) {
      const std::uint64_t a = random.below(accounts), b = (a + 1 + random.below(accounts - 1)) % accounts;
      const auto amount = static_cast<std::int64_t>(1 + random.below(200));
      const bool refuses = random.one_in(5);
      bool is_short = false;
      const auto done = engine.transact([&](Transaction& txn) -> aegis::storage::Result<void> {
        AEGIS_TRY(Account from, read(txn, a));
        AEGIS_TRY(Account to, read(txn, b));
        if (tolerant_ && random.one_in(4)) std::this_thread::yield();
        is_short = from.balance < amount;
        if (is_short) return {};
        from = {from.balance - amount, from.version + 1};
        to = {to.balance + amount, to.version + 1};
        AEGIS_TRY(txn.put(accounts_, account(a), encode(from)));
        AEGIS_TRY(txn.put(accounts_, account(b), encode(to)));
        const Entry entry{a, b, amount, from.version, to.version};
        std::string row(sizeof entry, '\0');
        std::memcpy(row.data(), &entry, sizeof entry);
        AEGIS_TRY(txn.insert(ledger_, "L/" + padded(client, 2) + "/" + padded(sequence + 1, 8), row));
        AEGIS_TRY(txn.put(counters_, counter_key(client), std::to_string(sequence + 1)));
        if (refuses) return aegis::storage::Errc::invalid_argument;  // the client thinks better of it
        return {};
      });
      if (done) {
        sequence += is_short ? 0 : 1;
        transfers_ += is_short ? 0 : 1;
        acknowledged_[client] = sequence;
      } else if (refuses && done.error().code() == aegis::storage::Errc::invalid_argument) {
        ++refused_;
      } else if (aegis::storage::is_retryable(done.error().code())) {
        ++given_up_;
      } else if (is_expected(done.error())) {
        return;
      } else {
        complain("transfer: " + done.error().message());
      }
      if (client == 0 && random.one_in(200))
        if (auto checkpoint = engine.checkpoint(); !checkpoint && !is_expected(checkpoint.error())) complain("checkpoint: " + checkpoint.error().message());
    }
  }

  std::vector<std::thread> start(Engine& engine) {
    stop_ = false;
    std::vector<std::thread> threads;
    for (std::uint64_t client = 0; client < clients; ++client) threads.emplace_back([&, client] { transfer(engine, client); });
    threads.emplace_back([&] { audit([&] { return engine.begin(); }); });
    threads.emplace_back([&] { audit([&] { return engine.snapshot(); }); });
    return threads;
  }

  /// What is wrong with the ledger, the accounts and the counters as a snapshot shows them; empty when nothing is. `rows`:
  /// how many of the ledger are each client's.
  template <class Reader>
  aegis::storage::Result<std::string> explain(Reader& reader, std::vector<std::uint64_t>& rows) {
    struct Replayed {
      std::int64_t balance = initial;
      std::vector<std::uint64_t> versions;
    };
    std::vector<Replayed> replayed(accounts);
    auto ledger = reader.scan(ledger_);
    for (; ledger.valid(); ledger.next()) {
      const std::string key{ledger.key()};
      const std::uint64_t client = std::stoull(key.substr(2, 2)), sequence = std::stoull(key.substr(5));
      if (client >= clients || sequence != ++rows[client]) return "the ledger has no row before " + key;
      const Entry entry = decode_as<Entry>(ledger.value());
      replayed[entry.from].balance -= entry.amount;
      replayed[entry.to].balance += entry.amount;
      replayed[entry.from].versions.push_back(entry.from_version);
      replayed[entry.to].versions.push_back(entry.to_version);
    }
    AEGIS_TRY(ledger.status());
    for (std::uint64_t client = 0; client < clients; ++client) {
      AEGIS_TRY(const auto counter, reader.get(counters_, counter_key(client)));
      if ((counter ? std::stoull(*counter) : 0) != rows[client]) return "client " + std::to_string(client) + " counts other than its " + std::to_string(rows[client]) + " ledger rows";
    }
    std::int64_t total = 0;
    for (std::uint64_t i = 0; i < accounts; ++i) {
      AEGIS_TRY(const auto stored, reader.get(accounts_, account(i)));
      if (!stored) return account(i) + " is gone";
      const Account now = decode_as<Account>(*stored);
      total += now.balance;
      if (now.balance != replayed[i].balance) return account(i) + " holds " + std::to_string(now.balance) + ", its ledger rows say " + std::to_string(replayed[i].balance);
      auto& versions = replayed[i].versions;
      std::sort(versions.begin(), versions.end());
      if (versions.size() != now.version) return account(i) + " is at version " + std::to_string(now.version) + " after " + std::to_string(versions.size()) + " rows";
      for (std::size_t v = 0; v < versions.size(); ++v)
        if (versions[v] != v + 1) return account(i) + " has no version " + std::to_string(v + 1);
    }
    return total == initial * static_cast<std::int64_t>(accounts) ? "" : "the total is " + std::to_string(total);
  }

  template <class Begin>
  void audit(Begin&& begin) {
    for (std::uint64_t round = 0; !stop_; ++round) {
      auto txn = begin();
      constexpr bool is_snapshot = !requires { txn.abort(); };
      constexpr bool repeats = is_snapshot || !scans_may_differ;
      std::uint64_t first = 0, second = 0;
      if (!scan_accounts(txn, first)) continue;
      ++audits_;
      if (!scan_accounts(txn, second)) continue;
      if (first != second) {
        ++scans_that_differ_;
        if (repeats) complain("two scans of one transaction differ");
      }
      if constexpr (is_snapshot) {
        if (tolerant_ || round % 16 != 0) continue;
        std::vector<std::uint64_t> rows(clients);
        const auto explained = explain(txn, rows);
        if (!explained) (void)goes_on(explained.error());
        else if (!explained->empty()) complain(*explained);
      }
    }
  }

  /// False when the scan met an error, which has been dealt with. `digest` tells one content from another.
  template <class Txn>
  bool scan_accounts(Txn& txn, std::uint64_t& digest) {
    std::int64_t total = 0;
    std::uint64_t rows = 0;
    std::string last;
    auto cursor = txn.scan(accounts_);
    for (; cursor.valid(); cursor.next(), ++rows) {
      if (rows != 0 && cursor.key() <= last) complain("scan out of order at " + std::string(cursor.key()));
      last = cursor.key();
      if (cursor.value().size() != account_bytes) complain("account of " + std::to_string(cursor.value().size()) + " bytes");
      const Account found = decode_as<Account>(cursor.value());
      total += found.balance;
      digest = digest * 1'000'003 + static_cast<std::uint64_t>(found.balance) * 31 + found.version;
    }
    if (!cursor.status()) return goes_on(cursor.status().error());
    if (rows != accounts) complain("an audit saw " + std::to_string(rows) + " accounts");
    if (total != initial * static_cast<std::int64_t>(accounts)) {
      ++broken_audits_;
      if (!tolerant_) complain("an audit found " + std::to_string(total));
    }
    return true;
  }
  /// Always false; an error that an audit may not meet is told.
  bool goes_on(const aegis::storage::Error& error) {
    if (is_expected(error)) stop_ = true;
    else if (!aegis::storage::is_retryable(error.code())) complain("audit: " + error.message());
    return false;
  }

  bool is_expected(const aegis::storage::Error& error) const {
    return survives_failure_ && (error.code() == aegis::storage::Errc::engine_failed || error.code() == aegis::storage::Errc::commit_undecided);
  }
  void complain(std::string what) {
    const std::lock_guard lock(mutex_);
    if (complaint_.empty()) complaint_ = std::move(what);
  }
  bool broken() {
    const std::lock_guard lock(mutex_);
    return !complaint_.empty();
  }

  /// Each scan of a read-write transaction is a state of its own, at read committed alone.
  static constexpr bool scans_may_differ = Isolation::snapshot_per_operation && !Isolation::reads_take_locks;

  bool lock_reads_;
  bool tolerant_ = false;
  bool survives_failure_ = false;
  std::uint64_t seed_;
  std::uint64_t acknowledged_[clients] = {};  // each client's own until it has ended
  Table accounts_, ledger_, counters_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> transfers_{0}, given_up_{0}, refused_{0}, audits_{0}, broken_audits_{0}, scans_that_differ_{0};
  std::mutex mutex_;
  std::string complaint_;  // the first one, under mutex_
};

}  // namespace aegis_test
