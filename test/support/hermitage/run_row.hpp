// SPDX-License-Identifier: Apache-2.0
// Runs rows on a store, and asks what holds after every row whatever it was: a transaction that failed left no trace; the
// content is the same after close and reopen, and in memory after a crash; no lock and no version is left; verify() is
// clean; and each failed transaction, run once more, gives the serial result.
#pragma once

#include "file/temporary_directory.hpp"
#include "support/engines.hpp"
#include "support/hermitage/row.hpp"
#include "support/hermitage/rows_extended.hpp"
#include "support/hermitage/rows_extended_further.hpp"
#include "support/hermitage/rows_hermitage.hpp"
#include "support/hermitage/schedule.hpp"
#include "support/hermitage/serial_model.hpp"

#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/backend/memory.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace aegis_test::hermitage {

/// Eight frames, and no lock that gives up: time decides nothing.
template <class Engine>
aegis::storage::EngineOptions row_options() {
  aegis::storage::EngineOptions options = small_options<Engine>();
  options.lock_timeout = aegis::storage::Milliseconds{600'000};
  return options;
}

/// A store that outlives its engines.
template <class... Policies>
struct InMemory {
  using Engine = aegis::storage::Engine<aegis::storage::MemoryBackend, Policies...>;
  static constexpr std::string_view name = "memory";
  static constexpr bool is_cheap_to_open = true;

  Engine open() { return open_on<Engine>(disk_, row_options<Engine>()); }

 private:
  aegis::storage::MemoryDisk disk_;
};
template <class... Policies>
struct InDirectory {
  using Engine = aegis::storage::Engine<aegis::storage::LocalBackend, Policies...>;
  static constexpr std::string_view name = "local";
  static constexpr bool is_cheap_to_open = false;  // thirty syncs

  Engine open() {
    aegis::storage::EngineOptions options = row_options<Engine>();
    options.directory = directory_ / "store";
    auto engine = Engine::open(options);
    if (!engine) MESSAGE(engine.error().message());
    REQUIRE(engine.has_value());
    return *std::move(engine);
  }

 private:
  TemporaryDirectory directory_;
};

/// Those that the row works on.
template <class Engine>
std::vector<typename Engine::Table> tables_of(Engine& engine, const Row& row) {
  std::vector<typename Engine::Table> tables{table_of(engine, "A")};
  if (std::string_view{row.schedule}.find("B.") != std::string_view::npos) tables.push_back(table_of(engine, "B"));
  return tables;
}

/// As the store's kind of transaction that is given sees it, in the words of a row.
template <class Engine, class Txn>
std::string rows_seen_by(Txn txn, const std::vector<typename Engine::Table>& tables) {
  std::string text;
  for (std::size_t table = 0; table < tables.size(); ++table)
    for (const auto& [key, value] : rows_of(txn.scan(tables[table]))) {
      if (table != 0) text.append(text.empty() ? "" : ",").append(1, static_cast<char>('A' + table)).append(".").append(shown_key(key)).append(":").append(value);
      else append_row(text, key, value);
    }
  return text;
}
template <class Engine>
std::string rows_in(Engine& engine, const std::vector<typename Engine::Table>& tables) {
  const std::string rows = rows_seen_by<Engine>(engine.begin(), tables);
  CHECK(rows_seen_by<Engine>(engine.snapshot(), tables) == rows);
  return rows;
}

template <class Engine>
void fill(Engine& engine, const std::vector<typename Engine::Table>& tables, const SerialModel& rows) {
  auto txn = engine.begin();
  for (std::size_t table = 0; table < tables.size(); ++table)
    for (const auto& [key, value] : rows.table(table)) REQUIRE(txn.insert(tables[table], key, value).has_value());
  REQUIRE(txn.commit().has_value());
}

template <class Engine>
Outcome outcome_of(Engine& engine, const Row& row, std::string_view snapshots) {
  const auto tables = tables_of(engine, row);
  fill(engine, tables, SerialModel{row.setup});
  Schedule<Engine> schedule{engine, tables};
  Outcome outcome = schedule.run(steps_of(row.schedule), snapshots);
  outcome.rows = rows_in(engine, tables);
  return outcome;
}

/// Each failed transaction alone, from its first step.
template <class Engine>
void retry(Engine& engine, const Row& row, const Outcome& outcome, SerialModel& model) {
  const auto tables = tables_of(engine, row);
  for (const auto& [txn, error] : outcome.failed) {
    CAPTURE(txn);
    std::string own;
    for (const Step& step : steps_of(row.schedule))
      if (step.txn == txn) own.append(step.text).append(" ");
    const std::vector<Step> steps = steps_of(own);
    const std::vector<std::string> answers = model.run(steps);
    Schedule<Engine> schedule{engine, tables};
    const Outcome again = schedule.run(steps, {});
    CHECK(again.failed.empty());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto said = again.said.find(steps[i].name);
      CHECK_MESSAGE((said != again.said.end() && said->second == answers[i]), steps[i].name << " should answer " << answers[i]);
    }
    CHECK(rows_in(engine, tables) == model.rows());
  }
}

struct Counts {
  std::size_t rows = 0, runs = 0, failed = 0, needless = 0;
};

template <class Level, class World>
void run_row(const Row& row, std::string_view snapshots, Counts& counts) {
  const std::string where =
      std::string(row.id) + " (" + row.what + ") at " + std::string(Level::name) + ", " + std::string(World::name) + (snapshots.empty() ? "" : ", snapshots: ") + std::string(snapshots);
  INFO(where);
  World world;
  Outcome outcome;
  {
    auto engine = world.open();
    outcome = outcome_of(engine, row, snapshots);
    const Verdict verdict = judge(outcome, steps_of(row.schedule), allowed_by<Level>(row, snapshots));
    CHECK_MESSAGE(verdict.is_within, where << " is outside of its set:" << verdict.why_not);
    ++counts.runs;
    counts.failed += outcome.failed.size();
    counts.needless += verdict.is_needless;
    check_at_rest(engine);
    REQUIRE(engine.close().has_value());
  }
  SerialModel model{outcome.rows};
  {
    auto engine = world.open();
    CHECK(rows_in(engine, tables_of(engine, row)) == outcome.rows);
    retry(engine, row, outcome, model);
    check_at_rest(engine);
  }  // not closed: a crash
  if (!World::is_cheap_to_open) return;
  auto engine = world.open();
  CHECK(rows_in(engine, tables_of(engine, row)) == model.rows());
  check_at_rest(engine);
}

template <class Fn>
void for_each_row(Fn&& fn) {
  for (const Row& row : hermitage_rows) fn(row);
  for (const Row& row : extended_rows) fn(row);
  for (const Row& row : further_rows) fn(row);
}
inline const Row& row_of(std::string_view id) {
  const Row* found = nullptr;
  for_each_row([&](const Row& row) { found = row.id == id ? &row : found; });
  REQUIRE_MESSAGE(found != nullptr, id);
  return *found;
}

/// Every row, once with every transaction as begin() and once with those that only read as snapshot().
template <class Level, class World>
void run_rows() {
  Counts counts;
  for_each_row([&](const Row& row) {
    ++counts.rows;
    run_row<Level, World>(row, row.always_snapshots, counts);
    const std::string readers = readers_of(row.schedule);
    if (!readers.empty() && readers != row.always_snapshots) run_row<Level, World>(row, readers, counts);
  });
  MESSAGE(std::string(Level::name) << ", " << std::string(World::name) << ": " << counts.rows << " rows, " << counts.runs << " runs, " << counts.failed << " transactions failed, " << counts.needless
                                   << " outcomes with needless errors");
}

}  // namespace aegis_test::hermitage
