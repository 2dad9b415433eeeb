// SPDX-License-Identifier: Apache-2.0
// The list-append programme of one isolation level: seeded rounds on a pool of eight of the smallest pages, with
// checkpoints and reclamation running, each judged by the checker and by the white box, before and after a reopen.
//   AEGIS_SEED=n          that seed alone                        AEGIS_ROUNDS=n  so many seeds (20)
//   AEGIS_TRANSACTIONS=n  so many transactions a round (5000)    AEGIS_SECONDS=n at least so long
// The long form: AEGIS_ROUNDS=1 AEGIS_TRANSACTIONS=1000000
#pragma once

#include "support/list_append/checker.hpp"
#include "support/list_append/white_box.hpp"
#include "support/list_append/workload.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace aegis_test::list_append {

template <class Isolation>
using ListEngine = aegis::storage::Engine<aegis::storage::MemoryBackend, aegis::storage::PageSize<4096>, LatchOfThreads, Isolation>;

template <class Isolation>
constexpr Level level_of() {
  return Isolation::reads_take_locks         ? Level::two_phase_locking
         : Isolation::snapshot_per_operation ? Level::read_committed
         : Isolation::tracks_reads           ? Level::serializable
                                             : Level::snapshot_isolation;
}
/// At read committed a plain read before a put may lose what others appended in between.
constexpr AppendBy append_of(Level level) { return level == Level::read_committed ? AppendBy::read_for_update : AppendBy::either; }

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}
inline std::size_t transactions(std::size_t otherwise) { return from_environment("AEGIS_TRANSACTIONS", otherwise); }

inline aegis::storage::EngineOptions list_options() {
  aegis::storage::EngineOptions options;
  options.pool_bytes = std::size_t{8} * 4096;
  options.log_bytes = std::uint64_t{1} << 20;
  return options;
}

struct Round {
  History history;
  FinalRead final_read;
};

/// One run, with what is stored at its end, the same before and after a reopen.
template <class Isolation>
Round run_round(const WorkloadOptions& options) {
  using Engine = ListEngine<Isolation>;
  aegis::storage::MemoryDisk disk;
  Workload<Engine> workload{options};
  FinalRead before;
  {
    Engine engine = open_on<Engine>(disk, list_options());
    workload.run(engine, [&] {
      if (options.survives_failure) disk.crash_after(1 + options.seed % 8);  // in the middle of somebody's commit
    });
    INFO(workload.complaint());
    REQUIRE(workload.complaint().empty());
    if (!options.survives_failure) {
      before = workload.final_read(engine);
      check_at_rest(engine);
      CHECK((engine.stats().checkpoints > 0 || options.transactions < 1000));
      CHECK(engine.close().has_value());
    }
  }
  Engine engine = open_on<Engine>(disk, list_options());
  FinalRead after = workload.final_read(engine);
  if (!options.survives_failure) CHECK(before == after);
  return {workload.history(), std::move(after)};
}

/// A history that fails is kept, and said where.
inline std::string kept(const Round& round, const std::string& heading, std::string_view level, std::uint64_t seed) {
  const std::string path = (std::filesystem::temp_directory_path() / ("aegis-list-append-" + std::string(level) + "-" + std::to_string(seed) + ".txt")).string();
  return write_history(path, heading, round.history, round.final_read) ? "history: " + path : "history: could not be written to " + path;
}

inline void require_clean(const Round& round, Level level, std::string_view name, std::uint64_t seed, const std::string& replayed) {
  const bool undecided = std::any_of(round.history.transactions.begin(), round.history.transactions.end(), [](const Transaction& t) { return t.status == Status::info; });
  const Report report = check(round.history, round.final_read, level);
  const Report white_box = undecided ? Report{} : check_white_box(round.history, round.final_read, level);
  if (report.clean() && white_box.clean()) return;
  const std::string said = report.message() + white_box.message();
  FAIL(name << ": " << replayed << "\n" << said << kept(round, replayed + "\n" + said, name, seed));
}

inline std::size_t count(const History& history, Status status) {
  return static_cast<std::size_t>(std::count_if(history.transactions.begin(), history.transactions.end(), [&](const Transaction& t) { return t.status == status; }));
}

/// Round after round, none with an anomaly that the level forbids.
template <class Isolation>
void run_list_append(const char* program) {
  constexpr Level level = level_of<Isolation>();
  const std::uint64_t first = aegis_test::seed(1), rounds = from_environment("AEGIS_ROUNDS", std::getenv("AEGIS_SEED") == nullptr ? 20 : 1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(0));
  std::size_t ok = 0, failed = 0;
  for (std::uint64_t seed = first; seed < first + rounds || std::chrono::steady_clock::now() < end; ++seed) {
    const std::size_t size = transactions(5000);
    const std::string replayed = "replay: AEGIS_SEED=" + std::to_string(seed) + " AEGIS_TRANSACTIONS=" + std::to_string(size) + " " + program;
    INFO(replayed);
    const Round round = run_round<Isolation>({.seed = seed, .transactions = size, .append_by = append_of(level)});
    ok += count(round.history, Status::ok);
    failed += count(round.history, Status::fail);
    CHECK(count(round.history, Status::info) == 0);
    require_clean(round, level, Isolation::name, seed, replayed);
  }
  MESSAGE("transactions that committed " << ok << ", that failed or were given up " << failed);
  CHECK(ok > failed / 4);  // an engine that refuses everything is clean, too
}

/// The same when power fails in the middle: what was undecided is there as a whole or not at all.
template <class Isolation>
void run_list_append_and_crash(const char* program) {
  constexpr Level level = level_of<Isolation>();
  const std::uint64_t first = aegis_test::seed(1), rounds = from_environment("AEGIS_ROUNDS", std::getenv("AEGIS_SEED") == nullptr ? 5 : 1);
  std::size_t undecided = 0;
  for (std::uint64_t seed = first; seed < first + rounds; ++seed) {
    const std::string replayed = replay(seed, program);
    INFO(replayed);
    const Round round = run_round<Isolation>({.seed = seed, .transactions = transactions(2000), .append_by = append_of(level), .survives_failure = true});
    undecided += count(round.history, Status::info);
    CHECK(count(round.history, Status::ok) > 0);
    require_clean(round, level, Isolation::name, seed, replayed);
  }
  MESSAGE("undecided transactions " << undecided);
  CHECK(undecided > 0);
}

/// Runs rounds until check says it saw what it must; false when it never did.
template <class Isolation, class Seen>
bool seen_within(std::uint64_t rounds, AppendBy append_by, Seen&& seen) {
  const std::uint64_t first = aegis_test::seed(1);
  for (std::uint64_t seed = first; seed < first + rounds; ++seed)
    if (seen(run_round<Isolation>({.seed = seed, .transactions = 2000, .append_by = append_by}))) return true;
  return false;
}

}  // namespace aegis_test::list_append
