// SPDX-License-Identifier: Apache-2.0
// The tables of schedules can fail: a level that is too weak, and a level with a planted bug, fall out of their sets.
#include "support/hermitage/row.hpp"
#include "support/hermitage/run_row.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::hermitage;

namespace {

template <class Level>
Outcome outcome_in_memory(const Row& row) {
  InMemory<Level> world;
  auto engine = world.open();
  return outcome_of(engine, row, row.always_snapshots);
}

/// The rows whose outcome at `Actual` lies outside of what `Claimed` allows.
template <class Actual, class Claimed>
std::string outside() {
  std::string ids;
  for_each_row([&](const Row& row) {
    if (!judge(outcome_in_memory<Actual>(row), steps_of(row.schedule), column_of<Claimed>(row)).is_within) ids.append(ids.empty() ? "" : "; ").append(row.id);
  });
  return ids;
}

// Planted bugs: each forgets one kind of read.
struct WithoutPoints : Serializable {
  struct Footprint : IntervalSet {
    Result<void> note_point(TableId, std::string_view) { return {}; }
  };
};
struct WithoutRanges : Serializable {
  struct Footprint : IntervalSet {
    Result<void> note_range(TableId, const KeyInterval&) { return {}; }
  };
};

}  // namespace

TEST_CASE("read committed falls out of the sets of snapshot isolation wherever the two differ") {
  CHECK(outside<ReadCommitted, SnapshotIsolation>() ==
        "H3; H5; H6; H7; H7b; H8; H9; H10; H10b; H11; X2; X3; X4; X8; X9; X9, put; X12r; X13; X18b; X20, one update; X21; X21b; X22; X27; X30");
}

TEST_CASE("snapshot isolation falls out of the sets of serializable wherever the two differ") {
  CHECK(outside<SnapshotIsolation, Serializable>() ==
        "H4; H12; H13; H13b; H14; X1; X5; X6; X7; X14; X15; X17; X21; X21b; X23; X24, X5; X24, X7; X25; X29a; X31");
}

TEST_CASE("serializable without its points, or without its ranges, falls out where these are what matters") {
  CHECK(outside<WithoutPoints, Serializable>() ==
        "H4; X1; X7; X14; X15; X17; X21; X21b; X23; X24, X7; X31");
  CHECK(outside<WithoutRanges, Serializable>() ==
        "H12; H13; H13b; H14; X5; X6; X24, X5; X25; X29a");
}

TEST_CASE("a judge sees a lost error, a lost write, a wrong read, a trace, and a commit after an error") {
  const Row& row = row_of("H8");
  const auto steps = steps_of(row.schedule);
  const auto is_within = [&](const Outcome& outcome) { return judge(outcome, steps, column_of<SnapshotIsolation>(row)).is_within; };
  const Outcome right = outcome_in_memory<SnapshotIsolation>(row);
  REQUIRE(is_within(right));
  Outcome wrong = right;
  SUBCASE("a lost error") { wrong.failed.clear(); }
  SUBCASE("an error too many") { wrong.failed['1'] = "conflict"; }
  SUBCASE("a trace of who failed") { wrong.rows = "1:12,2:20"; }
  SUBCASE("a lost write") { wrong.rows = "1:10,2:20"; }
  SUBCASE("a wrong read of who committed") { wrong.said["r1(1)"] = "11"; }
  SUBCASE("a step that was not run") { wrong.said.erase("c1"); }
  SUBCASE("a refused commit") { wrong.said["c1"] = "no_space"; }
  SUBCASE("a commit after an error") { wrong.committed_after_error = true; }
  CHECK_FALSE(is_within(wrong));
}

TEST_CASE("a row that does not tell all of its outcome is wrong itself") {
  const auto mistake_in = [](std::string_view schedule, std::string_view alternative) { return expected_of(steps_of(schedule), alternative).mistake; };
  CHECK(mistake_in("r1(1)->10 w1(1,11) c1", "Q=1:11").empty());
  CHECK(mistake_in("r1(1) w1(1,11) c1", "r1(1)=10|Q=1:11").empty());
  CHECK_FALSE(mistake_in("r1(1)->10 c1", "fail=1:ERR").empty());
  CHECK_FALSE(mistake_in("r1(1) c1", "Q=1:10").empty());
  CHECK_FALSE(mistake_in("r1(1)->10 c1", "r1(2)=20|Q=1:10").empty());
}

TEST_CASE("the serial model answers as a transaction alone would") {
  SerialModel model{"1:10,2:20,B.1:5"};
  const auto answers = model.run(steps_of("r1(1) f1(3) r1(B.1) s1 s1[2,) n1[,2) m1 u1(3,1) i1(1,1) +1(1,5) U1(15,16) D1(20) d1(7) w1(B.1,6) p1[0,1] c1"));
  CHECK(answers == std::vector<std::string>{"10", "-", "5", "1:10,2:20", "2:20", "1", "2", "key_not_found", "key_exists", "ok", "1", "2", "-", "ok", "1:16", "ok"});
  CHECK(model.rows() == "1:16,B.1:6");
  (void)model.run(steps_of("w2(1,0) *2(7) a2"));
  CHECK(model.rows() == "1:16,B.1:6");
}
