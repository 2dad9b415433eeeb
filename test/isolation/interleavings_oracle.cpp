// SPDX-License-Identifier: Apache-2.0
// The oracle and the reference model alone, without an engine: in every interleaving of every suite the model does what the
// oracle allows at its level, and the counts are those that are known from elsewhere. Two of them, 6 for receipt report and
// 4 for two ids, are said by PostgreSQL's own specifications.
//
// AEGIS_FULL=1 adds the largest scope, 3 x 2 with 1,370,880 interleavings, the largest suites with snapshot() readers, and
// the figures of the larger suites for snapshots taken after a wait.
#include "support/interleavings/enumerate.hpp"
#include "support/interleavings/model.hpp"
#include "support/interleavings/tally.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>

using namespace aegis_test;

namespace {

/// All levels side by side. Figures of snapshot isolation and serializable are for snapshots taken before the first wait,
/// as the published counts are, and once more for snapshots taken after it.
struct Side {
  Tally reference, read_committed, snapshot_isolation, serializable, two_phase_locking;
  Tally late_snapshot_isolation, late_serializable;
  std::uint64_t refused = 0;  // by the oracle
  std::string first_refused;
};

class Levels {
 public:
  explicit Levels(bool with_late_snapshots) : with_late_snapshots_(with_late_snapshots) {}

  void add(const Suite& suite, const Order& order, Side& side) {
    reference_.run(suite, order, run_);
    side.reference.add(suite, run_);
    read_committed_.run(suite, order, run_);
    side.read_committed.add(suite, run_);
    judge(suite, order, side, Oracle{suite, run_}.is_read_committed());
    const bool early = snapshot(snapshot_isolation_, suite, order, side, side.snapshot_isolation);
    validated(serializable_, suite, order, side, side.serializable, early);
    two_phase_locking_.run(suite, order, run_);
    judge(suite, order, side, side.two_phase_locking.add(suite, run_));
    if (!with_late_snapshots_) return;
    const bool late = snapshot(late_snapshot_isolation_, suite, order, side, side.late_snapshot_isolation);
    validated(late_serializable_, suite, order, side, side.late_serializable, late);
  }

 private:
  bool snapshot(Interleaver<Model>& level, const Suite& suite, const Order& order, Side& side, Tally& tally) {
    level.run(suite, order, run_);
    judge(suite, order, side, Oracle{suite, run_}.is_snapshot_isolation());
    return tally.add(suite, run_);
  }
  void validated(Interleaver<Model>& level, const Suite& suite, const Order& order, Side& side, Tally& tally, bool strict_before) {
    level.run(suite, order, run_);
    judge(suite, order, side, tally.add(suite, run_) && Oracle{suite, run_}.is_snapshot_isolation());
    tally.add_validation(run_, strict_before);
  }
  void judge(const Suite& suite, const Order& order, Side& side, bool allowed) {
    if (allowed && run_.unexpected.empty()) return;
    if (side.refused++ == 0) side.first_refused = text_of(suite, order) + run_.unexpected;
  }

  Model models_[7] = {Model{Level::first_committer_wins},
                      Model{Level::read_committed},
                      Model{Level::snapshot_isolation, Rules::published},
                      Model{Level::serializable, Rules::published},
                      Model{Level::two_phase_locking, Rules::published},
                      Model{Level::snapshot_isolation},
                      Model{Level::serializable}};
  Interleaver<Model> reference_{models_[0]}, read_committed_{models_[1]}, snapshot_isolation_{models_[2]}, serializable_{models_[3]};
  Interleaver<Model> two_phase_locking_{models_[4]}, late_snapshot_isolation_{models_[5]}, late_serializable_{models_[6]};
  Run run_;
  bool with_late_snapshots_;
};

unsigned long long shown(std::uint64_t value) { return value; }

constexpr std::int64_t unsaid = -1;

/// A row of the published table; `strict` where it differs from the figure before it.
struct Published {
  const char* name;
  std::int64_t interleavings, overtaken, must, must_strict, read_committed, read_committed_strict;
  std::int64_t snapshot_isolation, snapshot_isolation_strict, invalid, needless, deadlocks;
};
const Published published[] = {
    {"write skew", 70, 0, 68, 68, 64, 64, 68, 68, 68, 0, 48},
    {"lost update", 20, 18, 0, 0, 18, 18, 0, 0, 0, 0, 12},
    {"locked update", 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {"circular information flow", 20, 0, 18, 18, 12, 12, 18, 18, 18, 0, 12},
    {"read skew", 20, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0},
    {"predicate read", 10, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0},
    {"predicate skew", 20, 0, 18, 18, 18, 18, 18, 18, 18, 0, 12},
    {"temporal range", 20, 0, 18, 18, 18, 18, 18, 18, 18, 0, 12},
    {"project manager", 20, 0, 18, 18, 18, 18, 18, 18, 18, 0, 12},
    {"classroom", 20, 0, 18, 18, 18, 18, 18, 18, 18, 0, 12},
    {"put if absent ring", 20, 0, 18, 18, 18, 18, 18, 18, 18, 0, 12},
    {"total cash", 70, 0, 68, 68, 64, 64, 68, 68, 68, 0, 48},
    {"two edges", 210, 0, 16, 16, 16, 16, 16, 16, 105, 89, 0},
    {"receipt report", 210, 0, 6, 6, 4, 4, 6, 6, 70, 64, 0},
    {"two ids", 90, 0, 0, 4, 0, 4, 0, 4, 30, 26, 0},
    {"read-only anomaly", 4200, 0, 141, 141, 528, 528, 141, 141, 2280, 2139, 702},
    {"read-only anomaly, snapshot", 4200, 0, 141, 141, unsaid, unsaid, 141, 141, 2280, 2139, 0},
    {"observed transaction vanishes", 1680, 1512, 0, 0, 314, 314, 0, 0, 0, 0, 0},
    {"ring of three", 1680, 0, 1431, 1431, 1431, 1431, 1431, 1431, 1539, 108, 756},
    {"long fork", 25200, 0, 0, 0, 100, 492, 0, 0, 0, 0, 0},
    {"multiple row versions", 92400, 73920, 37422, 40293, 48599, 48957, 55287, 56679, 82456, 25777, 0},
    {"2 x 2", 2720, 954, 72, 72, unsaid, unsaid, 72, 72, 180, 108, 132},
    {"2 x 3", 145600, 83980, 9792, 9792, unsaid, unsaid, 9792, 9792, 15504, 5712, 22592},
    {"3 x 2", 1370880, 903780, 70272, 70812, unsaid, unsaid, 71118, 71658, 177552, 105894, 186508},
};

void print(const std::string& name, const Side& side) {
  std::printf("%-40s %8llu %8llu %8llu %8llu %8llu %8llu %8llu (%llu) %6llu", name.c_str(), shown(side.reference.interleavings),
              shown(side.snapshot_isolation.failed), shown(side.reference.not_serial), shown(side.reference.not_strict), shown(side.read_committed.not_serial),
              shown(side.snapshot_isolation.not_serial), shown(side.serializable.invalid), shown(side.serializable.needless), shown(side.two_phase_locking.deadlocked));
  if (side.late_serializable.interleavings != 0)
    std::printf(" | %8llu %8llu %8llu (%llu)", shown(side.late_snapshot_isolation.failed), shown(side.late_snapshot_isolation.not_serial), shown(side.late_serializable.invalid),
                shown(side.late_serializable.needless));
  std::printf("\n");
  std::fflush(stdout);
}

void compare(const char* what, std::int64_t expected, std::uint64_t found) {
  if (expected != unsaid) CHECK_MESSAGE(static_cast<std::uint64_t>(expected) == found, what << " expected " << expected << ", found " << found);
}

void check(const std::string& name, const Side& side) {
  CAPTURE(name);
  CHECK_MESSAGE(side.refused == 0, side.refused << " not allowed, the first: " << side.first_refused);
  const Published* row = std::begin(published);
  while (row != std::end(published) && name != row->name) ++row;
  if (row == std::end(published)) {
    CHECK(name.find(", snapshot") != std::string::npos);
    return print(name, side);
  }
  compare("interleavings", row->interleavings, side.reference.interleavings);
  if (name != "locked update") compare("overtaken, no locks", row->overtaken, side.reference.failed);
  compare("overtaken", row->overtaken, side.snapshot_isolation.failed);
  compare("not serial without locks", row->must, side.reference.not_serial);
  compare("not strict without locks", row->must_strict, side.reference.not_strict);
  compare("not serial at read committed", row->read_committed, side.read_committed.not_serial);
  compare("not strict at read committed", row->read_committed_strict, side.read_committed.not_strict);
  compare("not serial at snapshot isolation", row->snapshot_isolation, side.snapshot_isolation.not_serial);
  compare("not strict at snapshot isolation", row->snapshot_isolation_strict, side.snapshot_isolation.not_strict);
  compare("invalid at serializable", row->invalid, side.serializable.invalid);
  compare("needless at serializable", row->needless, side.serializable.needless);
  compare("deadlocks at two-phase locking", row->deadlocks, side.two_phase_locking.deadlocked);
  print(name, side);
}

void print_head() {
  std::printf("%-40s %8s %8s %8s %8s %8s %8s %8s %6s | with late snapshots: SI failed, not serial, SER invalid (needless)\n", "suite", "runs", "SI fail",
              "must", "strict", "RC", "SI", "SER (needless)", "2PL");
}

bool is_full() { return std::getenv("AEGIS_FULL") != nullptr; }

Side scope(std::size_t transactions, std::size_t operations) {
  Levels levels{transactions + operations < 5 || is_full()};
  Side side;
  SmallScope(transactions, operations).for_each([&](const Suite& suite) {
    for_each_interleaving(suite, [&](const Order& order) { levels.add(suite, order, side); });
  });
  return side;
}

/// The schedule as the model runs it at the level, then altered: what the oracle says of it, a letter for each that allows
/// it: r read committed, s snapshot isolation, o some serial order, t a strict one.
template <class Alter>
std::string allowed(const char* schedule, Level level, Alter&& alter) {
  Order order;
  const Suite suite = suite_of("altered", schedule, order);
  Model model{level};
  Run run;
  Interleaver<Model>{model}.run(suite, order, run);
  alter(run);
  const Oracle oracle{suite, run};
  const std::string said = std::string(oracle.is_read_committed() ? "r" : "") + (oracle.is_snapshot_isolation() ? "s" : "");
  return said + (oracle.is_serial(false) ? "o" : "") + (oracle.is_serial(true) ? "t" : "");
}
void as_it_is(Run&) {}

}  // namespace

TEST_CASE("the notation is read and written without loss") {
  for (const SuiteText& text : suite_texts()) {
    Order order, again;
    const Suite suite = suite_of(text.name, text.text, order);
    CHECK(text_of(suite, order) == text.text);
    Random random{1};
    const Order shuffled = random_interleaving(suite, random);
    CHECK(text_of(suite_of("", text_of(suite, shuffled), again), again) == text_of(suite, shuffled));
    CHECK(again == shuffled);
  }
}

TEST_CASE("the oracle refuses what a level forbids, and nothing else") {
  const auto see = [](std::size_t t, std::size_t operation, Value value) {
    return [=](Run& run) { run.transactions[t].seen[operation].value = value; };
  };
  CHECK(allowed("{1:10 2:20} r1(1) r1(2) w1(1,11) c1 r2(1) r2(2) w2(2,21) c2", Level::snapshot_isolation, as_it_is) == "rsot");
  CHECK(allowed("{1:10 2:20} r1(1) r2(2) w1(2,11) w2(1,21) c1 c2", Level::snapshot_isolation, as_it_is) == "rs");            // write skew
  CHECK(allowed("{1:10} r1(1) r2(1) w1(1,11) c1 w2(1,12) c2", Level::read_committed, as_it_is) == "r");                      // lost update
  CHECK(allowed("{1:10 2:20} r1(1) w2(1,11) w2(2,21) c2 r1(2) c1", Level::read_committed, as_it_is) == "r");                 // read skew
  CHECK(allowed("{1:10} w1(1,11) c1 r2(1) c2", Level::snapshot_isolation, see(1, 0, 10)) == "o");                            // stale
  CHECK(allowed("{1:10} r2(1) w1(1,11) c1 r2(1) c2", Level::read_committed, see(1, 1, 10)) == "sot");                        // stale where each operation is new
  CHECK(allowed("{1:10} w1(1,11) c1 w2(1,12) r3(1) c2 r3(1) c3", Level::read_committed, see(2, 0, 12)) == "ot");             // not committed yet
  CHECK(allowed("{1:10} r3(1) w1(1,11) r3(1) c1 c3", Level::read_committed, see(2, 0, 11)) == "");                           // from the future, then back
  CHECK(allowed("{1:10} w1(1,11) r2(1) a1 c2", Level::read_committed, see(1, 0, 11)) == "");                               // dirty
  CHECK(allowed("{1:10} w1(1,11) r2(1) w1(1,12) c1 c2", Level::read_committed, see(1, 0, 11)) == "");                      // in between
  CHECK(allowed("{1:10} w1(1,11) r1(1) c1", Level::snapshot_isolation, see(0, 1, 10)) == "");                              // not its own write
  CHECK(allowed("{1:10} w1(1,11) a1", Level::snapshot_isolation, [](Run& run) { run.last[1] = 11; }) == "");               // a trace
  CHECK(allowed("{1:10} w1(1,11) c1", Level::snapshot_isolation, [](Run& run) { run.last[1] = 10; }) == "");               // a lost commit
  CHECK(allowed("{1:10} s1 i2(3,30) c2 s1 c1", Level::snapshot_isolation, [](Run& run) { run.transactions[0].seen[1].rows[3] = 30; }) == "r");  // phantom
  CHECK(allowed("{} i1(3,1) c1 i2(3,2) c2", Level::snapshot_isolation, see(1, 0, 1)) == "");                                 // inserted what was there
  CHECK(allowed("{1:10} d1(1) c1 d2(1) c2", Level::snapshot_isolation, see(1, 0, 1)) == "");                                 // erased what was not there
  // Long fork: two readers see two commits in opposite orders.
  CHECK(allowed("{1:10 2:20} w1(1,11) w2(2,21) r3(1) c1 r4(1) r4(2) c2 r3(2) c3 c4", Level::snapshot_isolation, see(2, 1, 21)) == "r");
}

TEST_CASE("every suite has its published counts, and the oracle allows what the model does") {
  print_head();
  for (const Suite& suite : named_suites()) {
    const bool is_small = interleavings_of(suite) <= 4200;
    if (!is_small && suite.snapshots != 0 && !is_full()) continue;
    Levels levels{is_small || is_full()};
    Side side;
    for_each_interleaving(suite, [&](const Order& each) { levels.add(suite, each, side); });
    CHECK(side.reference.interleavings == interleavings_of(suite));
    check(suite.name, side);
  }
}

TEST_CASE("the exhaustive small scope has its published counts") {
  print_head();
  Side side = scope(2, 2);
  check("2 x 2", side);
  CHECK(side.snapshot_isolation.deadlocked == 12);
  CHECK(side.serializable.failed == 1134);
  side = scope(2, 3);
  check("2 x 3", side);
  CHECK(side.snapshot_isolation.deadlocked == 3580);
  CHECK(side.serializable.failed == 99484);
  if (!is_full()) return;
  side = scope(3, 2);
  check("3 x 2", side);
  CHECK(side.snapshot_isolation.deadlocked == 13068);
  CHECK(side.serializable.failed == 976644);
}
