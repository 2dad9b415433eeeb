// SPDX-License-Identifier: Apache-2.0
// An engine on a simulated disk, a workload that knows every state it passed through, and the question that is asked of
// every image of that disk: is it one of the states that an honest store may be in? (C1 to C6, C9 and C10 of the crash oracle.)
#pragma once

#include "support/random.hpp"

#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/testing/simulated_files.hpp>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aegis_test {

namespace testing = aegis::storage::testing;
using testing::CutModel, testing::PowerCut, testing::SimulatedDisk, testing::SimulatedMedium;
using aegis::storage::Result;

using SimulatedBackend = aegis::storage::ExtentBackend<testing::SimulatedFiles>;
using TableRows = std::map<std::string, std::string>;
using StoreState = std::map<std::string, TableRows>;  // by table name

inline aegis::storage::EngineOptions simulated_options() {
  return {.pool_bytes = 16 * 8192, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .version_bytes = 1 << 20, .max_transactions = 16, .maintenance_thread = false};
}

template <class Engine>
Result<Engine> open_simulated(SimulatedDisk& disk, const std::string& directory = "store", const aegis::storage::EngineOptions& options = simulated_options()) {
  AEGIS_TRY(auto backend, SimulatedBackend::open(testing::SimulatedFiles{disk}, {.directory = directory}));
  return Engine::open(std::move(backend), options);
}

/// All that a snapshot taken now shows.
template <class Engine>
Result<StoreState> state_of(Engine& engine) {
  StoreState state;
  AEGIS_TRY(const auto names, engine.tables());
  auto reader = engine.snapshot();
  for (const std::string& name : names) {
    AEGIS_TRY(const auto table, engine.table(name));
    TableRows& rows = state[name];
    auto cursor = reader.scan(table);
    for (; cursor.valid(); cursor.next()) rows.emplace(cursor.key(), cursor.value());
    AEGIS_TRY(cursor.status());
  }
  return state;
}

/// What a client does most of the time.
enum class Mix : std::uint8_t {
  bank,         ///< Money moves between accounts, a ledger row tells each transfer (some are long), old rows are erased.
  hot,          ///< One small row is written again and again: many frames in a unit's room, versions of one key.
  large,        ///< Values over many pages are replaced, grow and shrink.
  queue,        ///< Rows come at one end and go at the other, now and then all at once: ghosts, merges, freed pages.
  tables,       ///< Tables are made, filled, dropped and made again under the same name.
  loads,        ///< Tables are filled by bulk load, which no log frame tells.
  checkpoints,  ///< The bank with a checkpoint every other step, so that segments and extents are used again soon.
};

/// One client: each step changes the state by one transaction, or by none. Whatever its mix, a third table comes and goes and
/// checkpoints happen.
template <class Engine>
class SimulatedClient {
 public:
  struct Step {
    std::uint64_t begun = 0;  ///< Calls of the disk when it began,
    std::uint64_t sure = 0;   ///< and when it could not be lost any more.
    StoreState after;
  };

  explicit SimulatedClient(std::uint64_t seed, Mix mix = Mix::bank) : random_(seed), mix_(mix) { steps_.emplace_back(); }

  const std::vector<Step>& steps() const { return steps_; }
  const StoreState& state() const { return steps_.back().after; }
  /// The newest step that cannot be lost.
  std::size_t first_sure() const {
    std::size_t sure = 0;
    for (std::size_t i = 1; i < steps_.size(); ++i)
      if (steps_[i].sure != 0) sure = i;
    return sure;
  }
  /// After a recovery that found `state`: whatever was begun beyond it is over.
  void stand_at(const StoreState& state, std::uint64_t calls) { steps_ = {{calls, calls, state}}; }

  /// The error of the engine's call. What was begun then is the last step, and may or may not have happened.
  Result<void> step(Engine& engine, const SimulatedDisk& disk) {
    if (random_.one_in(mix_ == Mix::checkpoints ? 2 : 9)) {
      AEGIS_TRY(engine.checkpoint());
      acknowledge(disk.calls());
      return {};
    }
    StoreState next = state();
    Result<void> done;
    if (next.size() < 2)
      done = begin(disk, next, next.empty() ? "accounts" : "ledger", engine);
    else if (mix_ != Mix::loads && random_.one_in(mix_ == Mix::tables ? 2 : 10))
      done = third_table(engine, disk, next);
    else if (mix_ == Mix::loads && random_.one_in(3))
      done = load(engine, disk, next);
    else if (mix_ == Mix::bank || mix_ == Mix::checkpoints || mix_ == Mix::loads)
      done = transfer(engine, disk, next);
    else
      done = rows(engine, disk, next);
    if (done && Durable::wait) acknowledge(disk.calls());
    return done;
  }
  /// Whatever was done so far can be lost no more: the store was closed, or checkpointed.
  void all_is_sure(const SimulatedDisk& disk) { acknowledge(disk.calls()); }

  /// Without effect on the state of the store when it failed before its commit.
  void forget_last() { steps_.pop_back(); }

 private:
  using Durable = typename Engine::Store::Parts::Durability;
  static constexpr std::uint64_t accounts = 12;

  void acknowledge(std::uint64_t calls) {
    for (Step& step : steps_)
      if (step.sure == 0) step.sure = calls;
  }
  void begun(const SimulatedDisk& disk, StoreState next) { steps_.push_back({.begun = disk.calls(), .sure = 0, .after = std::move(next)}); }

  Result<void> begin(const SimulatedDisk& disk, StoreState& next, const std::string& name, Engine& engine) {
    next[name];
    begun(disk, next);
    AEGIS_TRY(engine.table(name));
    return {};
  }
  Result<void> third_table(Engine& engine, const SimulatedDisk& disk, StoreState& next) {
    if (next.erase("third") != 0) {
      begun(disk, next);
      return engine.drop_table("third");
    }
    return begin(disk, next, "third", engine);
  }

  /// One row, or a few, of the mixes that are no bank.
  Result<void> rows(Engine& engine, const SimulatedDisk& disk, StoreState& next) {
    const std::string name = mix_ == Mix::tables && next.contains("third") ? "third" : "ledger";
    TableRows &rows = next[name], put;
    std::vector<std::string> erased;
    const std::uint64_t number = ++transfers_;
    if (mix_ == Mix::hot) {
      put["hot"] = std::to_string(number) + std::string(random_.below(60), 'h');
    } else if (mix_ == Mix::large) {
      put["large" + std::to_string(random_.below(5))] = std::string(random_.one_in(4) ? random_.below(100) : 6'000 + random_.below(50'000), static_cast<char>('a' + number % 26));
    } else {
      for (std::uint64_t i = 0; i < 1 + random_.below(6); ++i) put["row" + std::to_string(100'000 + 10 * number + i)] = std::string(300 + random_.below(2'000), static_cast<char>('a' + number % 26));
      const std::size_t leave = random_.one_in(6) ? 0 : 12 + random_.below(40);
      for (auto row = rows.begin(); row != rows.end() && rows.size() - erased.size() > leave; ++row) erased.push_back(row->first);
    }
    for (const std::string& key : erased) rows.erase(key);
    for (const auto& [key, value] : put) rows[key] = value;
    begun(disk, next);
    AEGIS_TRY(const auto table, engine.table(name));
    auto transaction = engine.begin();
    for (const std::string& key : erased) AEGIS_TRY(transaction.erase(table, key));
    for (const auto& [key, value] : put) AEGIS_TRY(transaction.put(table, key, value));
    AEGIS_TRY(transaction.commit());
    return {};
  }

  /// Durable when it returned, whatever the durability. The table of that name is dropped before, in a step of its own.
  Result<void> load(Engine& engine, const SimulatedDisk& disk, StoreState& next) {
    if (next.contains("third")) return third_table(engine, disk, next);
    TableRows& rows = next["third"];
    for (std::uint64_t i = 0, count = 1 + random_.below(60); i < count; ++i) rows["loaded" + std::to_string(1000 + i)] = std::string(random_.below(i % 20 == 0 ? 12'000 : 500), static_cast<char>('a' + i % 26));
    begun(disk, next);
    AEGIS_TRY(auto loader, engine.load_table("third"));
    for (const auto& [key, value] : rows) AEGIS_TRY(loader.append(key, value));
    AEGIS_TRY(loader.finish());
    acknowledge(disk.calls());
    return {};
  }

  Result<void> transfer(Engine& engine, const SimulatedDisk& disk, StoreState& next) {
    TableRows &balances = next["accounts"], &ledger = next["ledger"];
    TableRows put_accounts, put_ledger;
    const std::uint64_t number = ++transfers_;
    for (std::uint64_t i = 0; balances.empty() && i < accounts; ++i) put_accounts[account(i)] = "1000 ";
    if (!balances.empty()) {
      const auto from = account(random_.below(accounts)), to = account(random_.below(accounts));
      const auto amount = static_cast<long>(random_.below(50));
      if (from != to) {
        put_accounts[from] = std::to_string(std::strtol(balances[from].c_str(), nullptr, 10) - amount) + " " + std::string(random_.below(400), 'f');
        put_accounts[to] = std::to_string(std::strtol(balances[to].c_str(), nullptr, 10) + amount) + " " + std::string(random_.below(40), 't');
      }
    }
    const std::size_t length = random_.one_in(6) ? 9'000 + random_.below(12'000) : random_.below(300);
    put_ledger["row" + std::to_string(100'000 + number)] = "transfer " + std::to_string(number) + std::string(length, static_cast<char>('a' + number % 26));
    std::string erased;
    if (ledger.size() > 6 && random_.one_in(2)) erased = std::next(ledger.begin(), static_cast<std::ptrdiff_t>(random_.below(ledger.size())))->first;

    for (const auto& [key, value] : put_accounts) balances[key] = value;
    for (const auto& [key, value] : put_ledger) ledger[key] = value;
    ledger.erase(erased);
    begun(disk, next);
    AEGIS_TRY(const auto accounts_table, engine.table("accounts"));
    AEGIS_TRY(const auto ledger_table, engine.table("ledger"));
    auto transaction = engine.begin();
    for (const auto& [key, value] : put_accounts) AEGIS_TRY(transaction.put(accounts_table, key, value));
    for (const auto& [key, value] : put_ledger) AEGIS_TRY(transaction.put(ledger_table, key, value));
    if (!erased.empty()) AEGIS_TRY(transaction.erase(ledger_table, erased));
    AEGIS_TRY(transaction.commit());
    return {};
  }
  static std::string account(std::uint64_t i) { return "account" + std::to_string(10 + i); }

  Random random_;
  Mix mix_;
  std::uint64_t transfers_ = 0;
  std::vector<Step> steps_;  // the first is where it all began; sure == 0: not acknowledged, or not durable yet
};

/// What a client does, on which disk and at which durability.
struct Workload {
  std::string name;
  Mix mix;
  bool async;
  testing::DiskTraits traits;
  int steps;              ///< Of a recording.
  bool reopens = false;  ///< A recording closes and opens again on its way, which trims files.
};
inline const Workload workloads[] = {
    {"bank", Mix::bank, false, {}, 90},
    {"bank_buffered", Mix::bank, false, {.direct = false}, 60},
    {"bank_mapped", Mix::bank, true, {}, 60},
    {"bank_unmapped", Mix::bank, true, {.mapping = false}, 60},
    {"hot", Mix::hot, false, {}, 120},
    {"hot_mapped", Mix::hot, true, {}, 120},
    {"large", Mix::large, false, {}, 40},
    {"queue", Mix::queue, false, {}, 80},
    {"tables", Mix::tables, false, {.direct = false}, 60},
    {"loads", Mix::loads, false, {}, 40},
    {"checkpoints", Mix::checkpoints, false, {}, 70},
    {"reopening", Mix::queue, false, {}, 60, true},
};
static_assert(std::size(workloads) == 12);

/// What is wrong with an engine's state, or nothing. `found` becomes the step it stands at, from first to last.
template <class Engine, class Steps>
std::string wrong_with(Engine& engine, const Steps& steps, std::size_t first, std::size_t last, std::size_t& found) {
  const auto state = state_of(engine);
  if (!state) return "unreadable: " + state.error().message();
  const auto report = engine.verify();
  if (!report) return "verify: " + report.error().message();
  if (!report->ok()) return "verify: " + report->message();
  for (found = last + 1; found-- > first;)
    if (steps[found].after == *state) return {};
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i].after == *state) return "stands at step " + std::to_string(i) + " of " + std::to_string(first) + " to " + std::to_string(last);
  long total = 0;
  if (const auto accounts = state->find("accounts"); accounts != state->end())
    for (const auto& [key, value] : accounts->second) total += std::strtol(value.c_str(), nullptr, 10);
  return "a state that never was, tables " + std::to_string(state->size()) + ", total " + std::to_string(total) + ", allowed steps " + std::to_string(first) + " to " + std::to_string(last);
}

/// The engine must take a write, and keep it.
template <class Engine>
std::string cannot_go_on(Engine& engine, SimulatedDisk& disk, StoreState& state) {
  AEGIS_ASSERT(disk.has_power());
  const auto done = [&]() -> Result<void> {
    AEGIS_TRY(const auto table, engine.table("afterwards"));
    auto transaction = engine.begin();
    AEGIS_TRY(transaction.put(table, "key", "value"));
    AEGIS_TRY(transaction.commit());
    return {};
  }();
  if (!done) return "cannot go on: " + done.error().message();
  state["afterwards"]["key"] = "value";
  return {};
}

}  // namespace aegis_test
