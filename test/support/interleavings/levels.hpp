// SPDX-License-Identifier: Apache-2.0
// The permutation suites and the exhaustive small scope on a real engine at one isolation level: every interleaving's outcome
// is one that the oracle allows at the level, and each suite's figures are set beside those of the reference model.
//
//   AEGIS_FULL=1             every interleaving; without it the suites of more than 4,200 are sampled (AEGIS_SEED)
//   AEGIS_INTERLEAVING=...   this one alone, in the notation of programs.hpp, as a failure prints it
#pragma once

#include "support/interleavings/driver.hpp"
#include "support/interleavings/enumerate.hpp"
#include "support/interleavings/tally.hpp"
#include "support/latch_of_threads.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace aegis_test {

inline const char* said_of(Level level) {
  switch (level) {
    case Level::read_committed: return "every operation sees one committed state, never an older one than before";
    case Level::snapshot_isolation: return "one snapshot, no older than the beginning, and no lost update";
    default: return "a serial order that respects real time";
  }
}
inline bool allows(Level level, const Suite& suite, const Run& run) {
  if (!run.unexpected.empty()) return false;
  const Oracle oracle{suite, run};
  switch (level) {
    case Level::read_committed: return oracle.is_read_committed();
    case Level::snapshot_isolation: return oracle.is_snapshot_isolation();
    case Level::serializable: return oracle.is_snapshot_isolation() && oracle.is_serial(true);
    default: return oracle.is_read_committed() && oracle.is_serial(true);
  }
}

struct SuiteResult {
  explicit SuiteResult(std::string suite) : name(std::move(suite)) {}

  std::string name;
  Tally engine, model;
  std::uint64_t refused = 0, different = 0;  // by the oracle; from the model
  std::string first_refused, first_different;
};

/// `level`: by whose rules it is judged.
template <class Isolation>
class LevelSuites {
 public:
  using Engine = aegis::storage::Engine<aegis::storage::MemoryBackend, LatchOfThreads, Isolation>;

  explicit LevelSuites(Level level) : level_(level), model_(level) {}

  SuiteResult all(const char* name) {
    for (const Suite& suite : named_suites())
      if (suite.name == name) return all(suite);
    return SuiteResult{name};
  }
  SuiteResult all(const Suite& suite) {
    SuiteResult result{suite.name};
    for_each_interleaving(suite, [&](const Order& each) { add(suite, each, result); });
    return result;
  }
  SuiteResult some(const Suite& suite, std::size_t count, Random& random) {
    SuiteResult result{suite.name};
    for (; count > 0; --count) add(suite, random_interleaving(suite, random), result);
    return result;
  }
  SuiteResult all(SmallScope scope) {
    SuiteResult result{scope.name()};
    scope.for_each([&](const Suite& suite) { for_each_interleaving(suite, [&](const Order& each) { add(suite, each, result); }); });
    return result;
  }
  SuiteResult some(SmallScope scope, std::size_t count, Random& random) {
    SuiteResult result{scope.name()};
    for (; count > 0; --count) {
      const Suite& suite = scope.random(random);
      add(suite, random_interleaving(suite, random), result);
    }
    return result;
  }
  /// One in the notation; prints what became of it.
  SuiteResult one(const char* text) {
    Order order;
    const Suite suite = suite_of("replayed", text, order);
    SuiteResult result{suite.name};
    add(suite, order, result);
    std::printf("%s\nengine: %s\nmodel:  %s\n", text, outcome_of(suite, run_).c_str(), outcome_of(suite, expected_).c_str());
    std::printf("the level says: %s; the oracle %s\n", said_of(level_), result.refused == 0 ? "allows it" : "refuses it");
    return result;
  }

  void check_at_rest() { aegis_test::check_at_rest(system_->engine()); }

 private:
  void add(const Suite& suite, const Order& order, SuiteResult& result) {
    engine_.run(suite, order, run_);
    models_.run(suite, order, expected_);
    (void)result.engine.add(suite, run_);
    (void)result.model.add(suite, expected_);
    if (level_ == Level::serializable) {
      weaker_models_.run(suite, order, weaker_);
      const bool needless = Oracle{suite, weaker_}.is_serial(true);
      result.engine.add_validation(run_, needless);
      result.model.add_validation(expected_, needless);
    }
    if (!allows(level_, suite, run_) && result.refused++ == 0) result.first_refused = failure(suite, order);
    if (is_different(suite) && result.different++ == 0) result.first_different = failure(suite, order);
  }
  bool is_different(const Suite& suite) const {
    for (std::size_t t = 0; t < suite.programs.size(); ++t) {
      const TransactionRun &a = run_.transactions[t], &b = expected_.transactions[t];
      if (a.end != b.end || a.done != b.done) return true;
      if (a.end == TransactionRun::End::failed && (a.error != b.error || a.failed_at_commit != b.failed_at_commit)) return true;
      for (std::size_t i = 0; i < a.done; ++i)
        if (!(a.seen[i] == b.seen[i])) return true;
    }
    return !(run_.last == expected_.last);
  }
  std::string failure(const Suite& suite, const Order& order) const {
    return suite.name + "\n  AEGIS_INTERLEAVING=\"" + text_of(suite, order) + "\"\n  expected: " + said_of(level_) + ", e.g. " + outcome_of(suite, expected_) +
           "\n  found:    " + outcome_of(suite, run_);
  }

  Level level_;
  std::unique_ptr<EngineSystem<Engine, Isolation>> system_ = std::make_unique<EngineSystem<Engine, Isolation>>();
  Model model_, weaker_model_{Level::snapshot_isolation};
  Interleaver<EngineSystem<Engine, Isolation>> engine_{*system_};
  Interleaver<Model> models_{model_}, weaker_models_{weaker_model_};
  Run run_, expected_, weaker_;
};

inline void print_head(Level level) {
  std::printf("%-40s %9s %9s %9s %9s %9s %10s %10s %s\n", "suite (engine/model)", "runs", "waits", "failed", "conflicts", "deadlocks", "not serial", "not strict",
              level == Level::serializable ? "invalid (needless), model" : "");
}
inline void print(const SuiteResult& result, Level level) {
  const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  const Tally& tally = result.engine;
  std::printf("%-40s %9llu %9llu %9llu %9llu %9llu %10llu %10llu", result.name.c_str(), n(tally.interleavings), n(tally.waits), n(tally.failed),
              n(tally.overtaken), n(tally.deadlocked), n(tally.not_serial), n(tally.not_strict));
  if (level == Level::serializable) std::printf(" %llu (%llu), %llu (%llu)", n(tally.invalid), n(tally.needless), n(result.model.invalid), n(result.model.needless));
  if (result.different != 0) std::printf("  %llu other than in the model", n(result.different));
  std::printf("\n");
  std::fflush(stdout);
}

/// Runs the programme and checks each result: no outcome that the oracle refuses, and as(result), what else the level says.
template <class Isolation, class As>
void check_level(Level level, As&& as) {
  LevelSuites<Isolation> suites{level};
  const auto judge = [&](const SuiteResult& result) {
    print(result, level);
    CHECK_MESSAGE(result.refused == 0, result.refused << " refused, the first: " << result.first_refused);
    CAPTURE(result.name);
    CAPTURE(result.first_different);
    as(result);
  };
  if (const char* text = std::getenv("AEGIS_INTERLEAVING"); text != nullptr) {
    const SuiteResult result = suites.one(text);
    CHECK_MESSAGE(result.refused == 0, result.first_refused);
    return;
  }
  const bool is_full = std::getenv("AEGIS_FULL") != nullptr;
  const std::uint64_t first = seed(20'260'301);
  INFO(replay(first, "the same program"));
  Random random{first};
  constexpr std::size_t small = 4200, sample = 3000;
  print_head(level);
  for (const Suite& suite : named_suites()) judge(is_full || interleavings_of(suite) <= small ? suites.all(suite) : suites.some(suite, sample, random));
  judge(suites.all(SmallScope{2, 2}));
  for (const auto& [transactions, operations] : {std::pair<std::size_t, std::size_t>{2, 3}, {3, 2}}) {
    const SmallScope scope{transactions, operations};
    judge(is_full ? suites.all(scope) : suites.some(scope, sample, random));
  }
  suites.check_at_rest();
}

}  // namespace aegis_test
