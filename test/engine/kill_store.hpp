// SPDX-License-Identifier: Apache-2.0
// A store on real files that is written by a process which does not live long: killed at a call of its own, killed from
// outside, or cut off from its file system. What it tried and what it was told goes through a pipe, which outlives it; the
// next process opens the store, compares it with all that, and goes on. (C1 to C7, C9 and C10 of the crash oracle.)
#pragma once

#include "support/latch_of_threads.hpp"
#include "support/random.hpp"

#include <aegis/storage/backend/extent.hpp>
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/file/posix.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace aegis_test {

/// Counts a process's calls on files and ends the process at one of them, a large write half done.
struct Countdown {
  std::atomic<std::uint64_t> calls{0};
  std::uint64_t last = ~std::uint64_t{0};

  bool is_last() { return calls.fetch_add(1) + 1 == last; }
  void meet() {
    if (is_last()) die();
  }
  [[noreturn]] static void die() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
};

class DoomedFile {
 public:
  DoomedFile(aegis::storage::PosixFile file, Countdown& countdown) : file_(std::move(file)), countdown_(&countdown) {}

  aegis::storage::Result<std::size_t> read_at(std::uint64_t offset, aegis::storage::MutableBytes into) { return meet().read_at(offset, into); }
  aegis::storage::Result<void> write_at(std::uint64_t offset, aegis::storage::Bytes from) {
    if (countdown_->is_last()) {
      (void)file_.write_at(offset, from.first(from.size() / 2 / 4096 * 4096));
      Countdown::die();
    }
    return file_.write_at(offset, from);
  }
  aegis::storage::Result<void> write_durable_at(std::uint64_t offset, aegis::storage::Bytes from) { return meet().write_durable_at(offset, from); }
  aegis::storage::Result<void> sync_data() { return meet().sync_data(); }
  aegis::storage::Result<void> sync_all() { return meet().sync_all(); }
  aegis::storage::Result<std::uint64_t> size() { return file_.size(); }
  aegis::storage::Result<void> truncate(std::uint64_t bytes) { return meet().truncate(bytes); }
  aegis::storage::Result<void> allocate(std::uint64_t offset, std::uint64_t length) { return meet().allocate(offset, length); }
  aegis::storage::Result<void> punch(std::uint64_t offset, std::uint64_t length) { return meet().punch(offset, length); }
  aegis::storage::Result<void> drop_cache() { return meet().drop_cache(); }
  std::uint32_t unit_bytes() const { return file_.unit_bytes(); }
  std::uint32_t alignment() const { return file_.alignment(); }
  bool direct() const { return file_.direct(); }
  aegis::storage::Result<aegis::storage::PosixMapping> map(std::uint64_t offset, std::size_t length) { return file_.map(offset, length); }

 private:
  aegis::storage::PosixFile& meet() {
    countdown_->meet();
    return file_;
  }

  aegis::storage::PosixFile file_;
  Countdown* countdown_;
};

class DoomedDirectory {
 public:
  DoomedDirectory(aegis::storage::PosixDirectory directory, Countdown& countdown) : directory_(std::move(directory)), countdown_(&countdown) {}

  aegis::storage::Result<DoomedFile> open(std::string_view name, aegis::storage::OpenFlags flags) {
    AEGIS_TRY(auto file, meet().open(name, flags));
    return DoomedFile{std::move(file), *countdown_};
  }
  aegis::storage::Result<bool> exists(std::string_view name) { return directory_.exists(name); }
  aegis::storage::Result<std::vector<std::string>> list() { return directory_.list(); }
  aegis::storage::Result<void> rename(std::string_view from, std::string_view to) { return meet().rename(from, to); }
  aegis::storage::Result<void> unlink(std::string_view name) { return meet().unlink(name); }
  aegis::storage::Result<void> sync() { return meet().sync(); }
  aegis::storage::Result<aegis::storage::Space> space() { return directory_.space(); }
  aegis::storage::Result<aegis::storage::PosixLock> lock(std::string_view name) { return meet().lock(name); }

 private:
  aegis::storage::PosixDirectory& meet() {
    countdown_->meet();
    return directory_;
  }

  aegis::storage::PosixDirectory directory_;
  Countdown* countdown_;
};

struct DoomedFiles {
  using File = DoomedFile;
  using Directory = DoomedDirectory;
  using Lock = aegis::storage::PosixLock;
  using Mapping = aegis::storage::PosixMapping;

  aegis::storage::Result<DoomedDirectory> open_directory(std::string_view path, bool create) const {
    AEGIS_TRY(auto directory, aegis::storage::PosixFiles{}.open_directory(path, create));
    return DoomedDirectory{std::move(directory), *countdown};
  }
  std::uint64_t entropy() const { return aegis::storage::PosixFiles{}.entropy(); }

  Countdown* countdown;
};

using DoomedSync = aegis::storage::Engine<aegis::storage::ExtentBackend<DoomedFiles>, LatchOfThreads>;
using DoomedAsync = aegis::storage::Engine<aegis::storage::ExtentBackend<DoomedFiles>, LatchOfThreads, aegis::storage::AsyncDurability>;

/// What goes through the pipe; smaller than PIPE_BUF, so it arrives whole or not at all.
struct Event {
  enum class What : std::uint32_t { opening, stood, opened, tried, acknowledged, seen, checkpoint, checkpointed, closing, closed, failed, wrong };
  What what{};
  std::uint32_t client = 0;
  std::uint64_t number = 0;     ///< A client's sequence number; opened: calls so far.
  std::uint64_t timestamp = 0;  ///< acknowledged: of the commit; opened: transactions that recovery applied.
  char text[200]{};             ///< wrong, failed.
};

/// All that is known of a store, between its lives and by the process that looks at it.
struct KnownStore {
  static constexpr std::uint32_t clients = 4;
  struct Client {
    std::uint64_t acknowledged = 0, tried = 0;
    std::vector<std::uint32_t> life_of;  ///< By sequence number - 1: the life that tried it.
  };
  std::array<Client, clients> client;
  std::uint32_t life = 0;
  std::uint64_t newest = 0, newest_before = 0;  ///< Timestamps that were told: of this life, of all lives before.

  void begin_life() {
    ++life;
    newest_before = newest;
  }
  /// What is wrong with it, or nothing.
  std::string note(const Event& event) {
    if (event.what == Event::What::wrong) return event.text;
    if (event.client >= clients) return "an event of no client";
    Client& of = client[event.client];
    switch (event.what) {
      case Event::What::stood:
        if (event.number < of.acknowledged || event.number > of.tried) return "a recovery that stands nowhere";
        of.acknowledged = of.tried = event.number;  // what is lost now is lost for ever
        of.life_of.resize(event.number);
        return {};
      case Event::What::tried:
        of.tried = event.number;
        of.life_of.resize(event.number);
        of.life_of.back() = life;
        return {};
      case Event::What::acknowledged:
        if (event.timestamp <= newest_before) return "a timestamp of an earlier life";
        newest = std::max(newest, event.timestamp);
        of.acknowledged = std::max(of.acknowledged, event.number);
        return {};
      case Event::What::seen: of.acknowledged = std::max(of.acknowledged, event.number); return {};
      default: return {};
    }
  }
};

/// A transfer, as its client, number and life determine it.
struct Transfer {
  static constexpr std::uint64_t accounts = 24;
  static constexpr long initial = 1000;

  Transfer(std::uint32_t client, std::uint64_t sequence, std::uint32_t life) {
    Random random{(std::uint64_t{life} << 40) + (std::uint64_t{client} << 32) + sequence};
    from = random.below(accounts);
    to = (from + 1 + random.below(accounts - 1)) % accounts;
    amount = static_cast<long>(random.below(100));
    rest = "life " + std::to_string(life) + std::string(random.one_in(12) ? 9'000 + random.below(9'000) : random.below(200), static_cast<char>('a' + sequence % 26));
    is_regretted = random.one_in(9);
  }
  static std::string account(std::uint64_t i) { return "account" + std::to_string(100 + i); }
  static std::string row_key(std::uint32_t client, std::uint64_t sequence) { return "row" + std::to_string(client) + "/" + std::to_string(10'000'000 + sequence); }

  std::uint64_t from, to;
  long amount;
  std::string rest;
  bool is_regretted;  ///< It is tried once and aborted before it is made.
};

/// A life of the store, in a process of its own.
template <class Engine>
class KilledStore {
 public:
  using Transaction = typename Engine::Transaction;
  using Table = typename Engine::Table;
  template <class T = void>
  using Result = aegis::storage::Result<T>;

  KilledStore(std::string directory, const KnownStore& known, std::uint64_t seed, int pipe) : directory_(std::move(directory)), known_(known), random_(seed), pipe_(pipe) {}

  /// Opens, looks, works until `commits` of each client, closes. Errors end it: they are for who cut it off to judge.
  void live(std::uint64_t last_call, std::uint64_t commits) {
    countdown_.last = last_call;
    tell({.what = Event::What::opening});
    const aegis::storage::EngineOptions options{.pool_bytes = 24 * 8192, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .max_transactions = 16,
                                                .sync_interval = aegis::storage::Milliseconds{1}, .maintenance_thread = random_.one_in(2)};
    auto backend = aegis::storage::ExtentBackend<DoomedFiles>::open(DoomedFiles{&countdown_}, {.directory = directory_, .read_only = false});
    if (!backend) return failed("open", backend.error());
    auto engine = Engine::open(*std::move(backend), options);
    if (!engine) return failed("open", engine.error());
    const auto tables = prepare(*engine);
    if (!tables) return failed("tables", tables.error());
    if (const Result<std::string> wrong = look(*engine); !wrong) return failed("look", wrong.error());
    else if (!wrong->empty()) return complain(*wrong);
    for (std::uint32_t c = 0; c < KnownStore::clients; ++c) tell({.what = Event::What::stood, .client = c, .number = found_[c]});
    tell({.what = Event::What::opened, .number = countdown_.calls, .timestamp = engine->stats().recovery.transactions});
    work(*engine, commits);
    if (failed_) return;
    tell({.what = Event::What::closing});
    if (const auto closed = engine->close(); !closed) return failed("close", closed.error());
    tell({.what = Event::What::closed});
  }

 private:
  void tell(const Event& event) const {
    while (::write(pipe_, &event, sizeof event) < 0 && errno == EINTR) {}
  }
  void say(Event::What what, const std::string& text) {
    Event event{.what = what};
    std::memcpy(event.text, text.data(), std::min(text.size(), sizeof event.text - 1));
    tell(event);
  }
  void failed(const char* where, const aegis::storage::Error& error) {
    failed_ = true;
    say(Event::What::failed, std::string{where} + ": " + error.message());
  }
  void complain(const std::string& text) {
    failed_ = true;
    say(Event::What::wrong, text);
  }

  Result<> prepare(Engine& engine) {
    AEGIS_TRY(const Table accounts, engine.table("accounts"));
    AEGIS_TRY(const Table ledger, engine.table("ledger"));
    accounts_ = accounts;
    ledger_ = ledger;
    AEGIS_TRY(const auto done, engine.transact([&](Transaction& transaction) -> Result<> {
      AEGIS_TRY(const auto first, transaction.get(accounts_, Transfer::account(0)));
      for (std::uint64_t i = 0; !first && i < Transfer::accounts; ++i) AEGIS_TRY(transaction.put(accounts_, Transfer::account(i), std::to_string(Transfer::initial) + " 0"));
      return {};
    }));
    (void)done;
    return {};
  }

  struct Account {
    long balance = 0;
    std::uint64_t version = 0;
  };
  static Account parse(const std::string& text) {
    char* rest = nullptr;
    const long balance = std::strtol(text.c_str(), &rest, 10);
    return {balance, std::strtoull(rest, nullptr, 10)};
  }

  // What a snapshot shows, against what is known.

  Result<std::string> look(Engine& engine) {
    auto reader = engine.snapshot();
    std::map<std::string, Account> expected;
    std::map<std::string, std::set<std::uint64_t>> versions;
    for (std::uint64_t i = 0; i < Transfer::accounts; ++i) expected[Transfer::account(i)] = {Transfer::initial, 0};
    for (std::uint32_t c = 0; c < KnownStore::clients; ++c) {
      const KnownStore::Client& known = known_.client[c];
      AEGIS_TRY(const auto counter, reader.get(ledger_, "count" + std::to_string(c)));
      const std::uint64_t count = found_[c] = counter ? std::strtoull(counter->c_str(), nullptr, 10) : 0;
      const std::string who = "client " + std::to_string(c) + ": ";
      if (count < known.acknowledged) return who + std::to_string(count) + " transfers, " + std::to_string(known.acknowledged) + " were acknowledged";
      if (count > known.tried) return who + std::to_string(count) + " transfers, " + std::to_string(known.tried) + " were tried";
      std::uint64_t sequence = 0;
      auto cursor = reader.scan(ledger_, aegis::storage::KeyRange::prefix("row" + std::to_string(c) + "/"));
      for (; cursor.valid(); cursor.next()) {
        if (++sequence > count || cursor.key() != Transfer::row_key(c, sequence)) return who + "row " + std::string{cursor.key()} + " instead of number " + std::to_string(sequence);
        const Transfer wanted{c, sequence, known.life_of[sequence - 1]};
        char* rest = nullptr;
        const std::string row{cursor.value()};
        const std::uint64_t from_version = std::strtoull(row.c_str(), &rest, 10), to_version = std::strtoull(rest, &rest, 10);
        if (*rest++ != ' ' || wanted.rest != rest) return who + "row " + std::to_string(sequence) + " is none of those that were tried";
        Account &from = expected[Transfer::account(wanted.from)], &to = expected[Transfer::account(wanted.to)];
        from.balance -= wanted.amount;
        to.balance += wanted.amount;
        ++from.version;
        ++to.version;
        if (!versions[Transfer::account(wanted.from)].insert(from_version).second || !versions[Transfer::account(wanted.to)].insert(to_version).second)
          return who + "row " + std::to_string(sequence) + " changed an account in a version that another row made";
      }
      AEGIS_TRY(cursor.status());
      if (sequence != count) return who + std::to_string(sequence) + " rows of " + std::to_string(count);
    }
    std::uint64_t seen = 0;
    auto cursor = reader.scan(accounts_);
    for (; cursor.valid(); cursor.next(), ++seen) {
      const auto wanted = expected.find(std::string{cursor.key()});
      if (wanted == expected.end()) return "an account that was never made: " + std::string{cursor.key()};
      const Account found = parse(std::string{cursor.value()});
      if (found.balance != wanted->second.balance || found.version != wanted->second.version) return "balance or version of " + wanted->first + " is not what the rows make it";
      const auto& of = versions[wanted->first];
      if (!of.empty() && (*of.begin() != 1 || *of.rbegin() != of.size())) return "a hole in the versions of " + wanted->first;
    }
    AEGIS_TRY(cursor.status());
    if (seen != Transfer::accounts) return std::to_string(seen) + " accounts";
    auto regretted = reader.scan(ledger_, aegis::storage::KeyRange::prefix("regretted"));
    if (regretted.valid()) return "a transaction that was aborted: " + std::string{regretted.key()};
    AEGIS_TRY(const auto report, engine.verify());
    return report.ok() ? std::string{} : "verify: " + report.message();
  }

  // Work, with all threads at once.

  void work(Engine& engine, std::uint64_t commits) {
    std::vector<std::thread> threads;
    std::atomic<std::uint64_t> steps{0};  // what the auditor waits for: every eighth step of a client, and their ends
    std::atomic<std::uint32_t> working{KnownStore::clients};
    const auto step = [&steps] {
      ++steps;
      steps.notify_one();
    };
    const bool makes_checkpoints = random_.one_in(2);
    for (std::uint32_t c = 0; c < KnownStore::clients; ++c)
      threads.emplace_back([&, c] {
        for (std::uint64_t i = 1; i <= commits && transfer(engine, c, found_[c] + i); ++i)
          if (i % 8 == 0) step();
        --working;
        step();
      });
    threads.emplace_back([&] {
      for (std::uint64_t round = 0, seen = 0; working != 0 && audit(engine); ++round) {
        if (makes_checkpoints && round % 4 == 0) {
          tell({.what = Event::What::checkpoint});
          if (!engine.checkpoint()) break;
          tell({.what = Event::What::checkpointed});
        }
        steps.wait(seen);
        seen = steps;
      }
    });
    for (auto& thread : threads) thread.join();
  }

  bool transfer(Engine& engine, std::uint32_t client, std::uint64_t sequence) {
    const Transfer wanted{client, sequence, known_.life};
    if (wanted.is_regretted) {
      auto transaction = engine.begin();
      (void)transaction.put(ledger_, "regretted" + std::to_string(client), wanted.rest);
      (void)transaction.abort();
    }
    tell({.what = Event::What::tried, .client = client, .number = sequence});
    const auto done = engine.transact(
        [&](Transaction& transaction) -> Result<> {
          Account changed[2];
          for (const bool to : {false, true}) {
            const std::string key = Transfer::account(to ? wanted.to : wanted.from);
            AEGIS_TRY(const auto text, transaction.get_for_update(accounts_, key));
            Account& account = changed[to] = parse(text.value_or(""));
            account.balance += to ? wanted.amount : -wanted.amount;
            ++account.version;
            AEGIS_TRY(transaction.put(accounts_, key, std::to_string(account.balance) + " " + std::to_string(account.version)));
          }
          AEGIS_TRY(transaction.put(ledger_, "count" + std::to_string(client), std::to_string(sequence)));
          return transaction.insert(ledger_, Transfer::row_key(client, sequence), std::to_string(changed[0].version) + " " + std::to_string(changed[1].version) + " " + wanted.rest);
        },
        10'000);
    if (!done) {
      failed("commit", done.error());
      return false;
    }
    tell({.what = Event::What::acknowledged, .client = client, .number = sequence, .timestamp = number(done->timestamp)});
    return true;
  }

  /// What a snapshot shows can never be taken back.
  bool audit(Engine& engine) {
    auto reader = engine.snapshot();
    for (std::uint32_t c = 0; c < KnownStore::clients; ++c) {
      const auto counter = reader.get(ledger_, "count" + std::to_string(c));
      if (!counter) return false;
      if (*counter) tell({.what = Event::What::seen, .client = c, .number = std::strtoull((*counter)->c_str(), nullptr, 10)});
    }
    return true;
  }

  std::string directory_;
  const KnownStore& known_;
  Random random_;
  int pipe_;
  Countdown countdown_;
  Table accounts_{}, ledger_{};
  std::array<std::uint64_t, KnownStore::clients> found_{};
  std::atomic<bool> failed_{false};
};

/// A life that runs, seen from outside: its events, and its end.
class RunningLife {
 public:
  /// fn(pipe) in a process of its own.
  template <class Fn>
  RunningLife(KnownStore& known, Fn&& fn) : known_(known) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    known.begin_life();
    child_ = ::fork();
    if (child_ < 0) std::abort();
    if (child_ == 0) {
      ::close(ends[0]);
      fn(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    pipe_ = ends[0];
  }
  RunningLife(const RunningLife&) = delete;
  ~RunningLife() {
    kill();
    ::close(pipe_);
  }

  /// Takes events until `until(event)` holds; false when the life has ended before, or something was wrong.
  template <class Until>
  bool run_until(Until&& until) {
    for (Event event; wrong_.empty() && next(event);) {
      wrong_ = known_.note(event);
      ++events_;
      last_ = event;
      if (event.what == Event::What::opened) opened_ = event;
      if (event.what == Event::What::checkpoint) in_checkpoint_ = true;
      if (event.what == Event::What::checkpointed) in_checkpoint_ = false;
      if (wrong_.empty() && until(event)) return true;
    }
    return false;
  }
  void kill() {
    if (child_ > 0) ::kill(child_, SIGKILL);
  }
  /// Its end, however it comes; what it said before is taken in. True when it was killed.
  bool join() {
    run_until([](const Event&) { return false; });
    int status = 0;
    if (::waitpid(child_, &status, 0) != child_) std::abort();
    child_ = -1;
    if (WIFSIGNALED(status)) signal_ = WTERMSIG(status);
    if (signal_ != 0 && signal_ != SIGKILL && wrong_.empty()) wrong_ = "the process died of signal " + std::to_string(signal_);
    return signal_ == SIGKILL;
  }

  const std::string& wrong() const { return wrong_; }
  const Event& last() const { return last_; }
  bool was_open() const { return opened_.what == Event::What::opened; }
  const Event& opened() const { return opened_; }
  bool in_checkpoint() const { return in_checkpoint_; }
  std::uint64_t events() const { return events_; }

 private:
  bool next(Event& event) {
    for (std::size_t done = 0; done < sizeof event;) {
      const ::ssize_t got = ::read(pipe_, reinterpret_cast<char*>(&event) + done, sizeof event - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      done += static_cast<std::size_t>(got);
    }
    return true;
  }

  KnownStore& known_;
  ::pid_t child_ = -1;
  int pipe_ = -1;
  std::string wrong_;
  Event last_{}, opened_{};
  bool in_checkpoint_ = false;
  int signal_ = 0;
  std::uint64_t events_ = 0;
};

}  // namespace aegis_test
