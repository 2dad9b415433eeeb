// SPDX-License-Identifier: Apache-2.0
// The classic schedules and what becomes of them at read committed and at snapshot isolation. H1 to H14 follow Hermitage
// (M. Kleppmann, CC-BY 4.0); the others are known from the literature (Fekete et al., Adya, Berenson et al.) and from
// defects that other engines had. Every row is also checked for what no row may leave behind.
#pragma once

#include "support/schedule.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace aegis_test {

/// Expectations are "what=value", divided by '|': a step (its n-th occurrence as step#n) and what it said; Q, what is there
/// afterwards; R, what is there once each failed transaction ran again alone; fail, who got which retryable error; waits.
struct ScheduleRow {
  const char* name;
  const char* setup;
  const char* schedule;
  const char* read_committed;
  const char* snapshot_isolation;  // nullptr: the same
};

inline const std::vector<ScheduleRow>& schedule_rows() {
  static const std::vector<ScheduleRow> rows{
      {"H1 write cycle (G0)", "1:10 2:20", "w1(1,11) w2(1,12) w1(2,21) c1 w2(2,22) c2", "waits=1|fail=|Q=1:12 2:22", nullptr},
      {"H2 aborted read (G1a)", "1:10 2:20", "w1(1,101) s2 a1 s2 c2", "waits=0|s2=1:10 2:20|s2#2=1:10 2:20|c2=ok|Q=1:10 2:20", nullptr},
      {"H3 intermediate read (G1b)", "1:10 2:20", "w1(1,101) s2 w1(1,11) c1 s2 c2", "waits=0|s2=1:10 2:20|s2#2=1:11 2:20|Q=1:11 2:20", "waits=0|s2=1:10 2:20|s2#2=1:10 2:20|Q=1:11 2:20"},
      {"H4 circular information flow (G1c)", "1:10 2:20", "w1(1,11) w2(2,22) r1(2) r2(1) c1 c2", "r1(2)=20|r2(1)=10|fail=|Q=1:11 2:22", nullptr},
      {"H5 observed transaction vanishes (OTV)", "1:10 2:20", "w1(1,11) w1(2,19) w2(1,12) c1 r3(1) w2(2,18) r3(2) c2 r3(2) r3(1) c3",
       "r3(1)=11|r3(2)=19|r3(2)#2=18|r3(1)#2=12|fail=|Q=1:12 2:18", "r3(1)=11|r3(2)=19|r3(2)#2=19|r3(1)#2=11|fail=|Q=1:12 2:18"},
      {"H6 predicate read (PMP)", "1:10 2:20", "s1 i2(3,30) c2 s1 c1", "s1=1:10 2:20|s1#2=1:10 2:20 3:30|fail=", "s1=1:10 2:20|s1#2=1:10 2:20|fail=|Q=1:10 2:20 3:30"},
      {"H7 predicate write (PMP)", "1:10 2:20", "*1(10) s2 D2(20) c1 s2 c2", "s2=1:10 2:20|D2(20)=2|s2#2=1:20|fail=|Q=1:20", "s2=1:10 2:20|fail=2:conflict|Q=1:20 2:30|R=2:30"},
      {"H7b predicate write, blind", "1:10 2:20", "*1(10) D2(20) c1 s2 c2", "D2(20)=2|s2=1:20|fail=|Q=1:20", "fail=2:conflict|Q=1:20 2:30|R=2:30"},
      {"H8 lost update (P4)", "1:10 2:20", "r1(1) r2(1) w1(1,11) w2(1,11) c1 c2", "waits=1|fail=|Q=1:11 2:20", "waits=1|fail=2:conflict|Q=1:11 2:20|R=1:11 2:20"},
      {"H9 read skew (G-single)", "1:10 2:20", "r1(1) r2(1) r2(2) w2(1,12) w2(2,18) c2 r1(2) c1", "r1(1)=10|r1(2)=18|fail=", "r1(1)=10|r1(2)=20|fail=|Q=1:12 2:18"},
      {"H10 read skew over a predicate, update", "1:10 2:20", "s1 w2(1,12) c2 s1 c1", "s1#2=1:12 2:20|fail=", "s1#2=1:10 2:20|fail=|Q=1:12 2:20"},
      {"H10b read skew over a predicate, insert", "1:10 2:20", "s1 i2(3,30) c2 s1 c1", "s1#2=1:10 2:20 3:30|fail=", "s1#2=1:10 2:20|fail="},
      {"H11 read skew, then a predicate write", "1:10 2:20", "r1(1) s2 w2(1,12) w2(2,18) c2 D1(20) c1", "D1(20)=|fail=|Q=1:12 2:18", "fail=1:conflict|Q=1:12 2:18|R=1:12 2:18"},
      {"H11b an aborted rival is no conflict", "1:10 2:20", "r1(1) s2 w2(1,12) D1(20) w2(2,18) a1 c2", "D1(20)=2|waits=1|c2=ok|fail=|Q=1:12 2:18", nullptr},
      {"H12 write skew (G2-item) is possible", "1:10 2:20", "s1 s2 w1(1,11) w2(2,21) c1 c2", "waits=0|fail=|Q=1:11 2:21", nullptr},
      {"H13 same predicate (G2) is possible", "1:10 2:20", "s1 s2 i1(3,30) i2(4,42) c1 c2", "waits=0|fail=|Q=1:10 2:20 3:30 4:42", nullptr},
      {"H13b different predicates (G2) are possible", "1:10 2:20", "s1 s2 i1(3,30) i2(4,60) c1 c2", "fail=|Q=1:10 2:20 3:30 4:60", nullptr},
      {"H14 two edges (Fekete) are possible", "1:10 2:20", "s1 w2(2,25) c2 s3 c3 w1(1,0) c1", "s3=1:10 2:25|fail=|Q=1:0 2:25", nullptr},
      {"X1 read-only anomaly is possible", "1:0 2:0", "r2(1) r2(2) r1(2) w1(2,20) c1 s3 c3 w2(1,-11) c2", "s3=1:0 2:20|fail=|Q=1:-11 2:20", nullptr},
      {"X2 long fork", "1:10 2:20", "w1(1,11) w2(2,21) r3(1) c1 r4(1) r4(2) c2 r3(2) c3 c4", "r3(1)=10|r4(1)=11|r4(2)=20|r3(2)=21|fail=", "r3(1)=10|r4(1)=11|r4(2)=20|r3(2)=20|fail=|Q=1:11 2:21"},
      {"X3 lost update by delta", "1:10 2:20", "+1(1,5) +2(1,7) c1 c2", "fail=|Q=1:17 2:20", "fail=2:conflict|Q=1:15 2:20|R=1:22 2:20"},
      {"X3f the same with get_for_update", "1:10 2:20", "f1(1) w1(1,15) f2(1) w2(1,22) c1 c2", "f1(1)=10|f2(1)=15|waits=1|fail=|Q=1:22 2:20", nullptr},
      {"X4 late writer", "1:10 2:20", "r2(1) r1(1) w1(1,11) c1 w2(1,12) c2", "fail=|Q=1:12 2:20", "waits=0|fail=2:conflict|Q=1:11 2:20|R=1:12 2:20"},
      {"X5 both scan a gap and insert into it", "1:10 2:20", "s1[5,7) s2[5,7) i1(5,1) i2(6,2) c1 c2", "s1[5,7)=|s2[5,7)=|fail=|Q=1:10 2:20 5:1 6:2", nullptr},
      {"X6 both erase the other's last row", "1:10 2:20", "s1 s2 d1(1) d2(2) c1 c2", "d1(1)=erased|d2(2)=erased|fail=|Q=", nullptr},
      {"X7 reads of absent keys", "", "r1(5) r2(6) i1(6,1) i2(5,1) c1 c2", "r1(5)=-|r2(6)=-|fail=|Q=5:1 6:1", nullptr},
      {"X8 both insert one key", "1:10 2:20", "r1(5) r2(5) i1(5,1) i2(5,2) c1 c2", "i2(5,2)=key_exists|c2=ok|fail=|Q=1:10 2:20 5:1", "i2(5,2)=conflict|fail=2:conflict|Q=1:10 2:20 5:1|R=1:10 2:20 5:1"},
      {"X9 erase against update", "1:10 2:20", "r1(1) r2(1) d1(1) u2(1,12) c1 c2", "u2(1,12)=key_not_found|c2=ok|fail=|Q=2:20", "fail=2:conflict|Q=2:20|R=2:20"},
      {"X9 erase against put", "1:10 2:20", "r1(1) r2(1) d1(1) w2(1,12) c1 c2", "fail=|Q=1:12 2:20", "fail=2:conflict|Q=2:20|R=1:12 2:20"},
      {"X10 the rival aborts", "1:10 2:20", "w1(1,11) w2(1,12) a1 c2", "waits=1|fail=|Q=1:12 2:20", nullptr},
      {"X11 own writes", "1:10 2:20", "w1(1,11) r1(1) d1(1) r1(1) i1(1,13) r1(1) s1 s2 c1 c2", "r1(1)=11|r1(1)#2=-|r1(1)#3=13|s1=1:13 2:20|s2=1:10 2:20|fail=|Q=1:13 2:20", nullptr},
      {"X12 deadlock of two", "1:10 2:20", "w1(1,11) w2(2,22) w1(2,21) w2(1,12) c1 c2", "fail=2:deadlock|c1=ok|Q=1:11 2:21|R=1:12 2:22", nullptr},
      {"X12r deadlock of eight", "",
       "w1(1,1) w2(2,2) w3(3,3) w4(4,4) w5(5,5) w6(6,6) w7(7,7) w8(8,8) w1(2,1) w2(3,2) w3(4,3) w4(5,4) w5(6,5) w6(7,6) w7(8,7) w8(1,8) c1 c2 c3 c4 c5 c6 c7 c8",
       "fail=8:deadlock|Q=1:1 2:1 3:2 4:3 5:4 6:5 7:6 8:7", nullptr},
      {"X13 fractured read", "1:10 2:20", "w1(1,11) r2(1) w1(2,21) c1 r2(2) c2", "r2(1)=10|r2(2)=21", "r2(1)=10|r2(2)=20|Q=1:11 2:21"},
      {"X14 ring of three edges is possible", "1:10 2:20 3:30", "r1(1) r2(2) r3(3) w1(2,21) w2(3,31) w3(1,11) c1 c2 c3", "fail=|Q=1:11 2:21 3:31", nullptr},
      {"X15 chain of four is possible", "1:1 2:2 3:3", "r1(3) w2(3,102) c2 w3(3,103) r3(2) w4(2,104) r4(1) c4 c3 w1(1,101) c1", "r3(2)=2|r4(1)=1|fail=|Q=1:101 2:104 3:103", nullptr},
      {"X16 dangerous structure without a cycle", "1:10 2:20 3:30", "r1(1) r2(2) w3(2,21) c3 w2(1,11) c2 w1(3,31) c1", "fail=|Q=1:11 2:21 3:31", nullptr},
      {"X17 sum constraint", "1:50 2:50", "r1(1) r1(2) r2(1) r2(2) w1(1,-60) c1 w2(2,-60) c2", "fail=|Q=1:-60 2:-60", nullptr},
      {"X18 locking read first", "1:10 2:20", "f1(1) f2(1) w1(1,11) c1 w2(1,12) c2", "f1(1)=10|f2(1)=11|waits=1|fail=|Q=1:12 2:20", nullptr},
      {"X18b locking read later", "1:10 2:20", "r1(2) r2(2) f1(1) f2(1) w1(1,11) c1 w2(1,12) c2", "f2(1)=11|fail=|Q=1:12 2:20", "f2(1)=conflict|fail=2:conflict|Q=1:11 2:20|R=1:12 2:20"},
      {"X19 an aborted writer is no conflict", "1:10 2:20", "r1(1) r2(2) w1(2,21) w2(1,11) a2 c1", "fail=|Q=1:10 2:21", nullptr},
      {"X21 version chain below an uncommitted update", "", "r1(42) i2(42,1) i1(7,1) c1 u3(7,9) r2(7) c2 a3", "r2(7)=1|fail=|Q=42:1 7:1", "r2(7)=-|fail=|Q=42:1 7:1"},
      {"X21b version chain below an uncommitted erase", "", "r1(42) i2(42,1) i1(7,1) c1 d3(7) r2(7) c2 a3", "r2(7)=1|fail=|Q=42:1 7:1", "r2(7)=-|fail=|Q=42:1 7:1"},
      {"X22 gapless sequence", "1:10 2:20", "m1 m2 i1(3,1) i2(3,2) c1 c2", "m1=2|m2=2|i2(3,2)=key_exists|c2=ok|fail=|Q=1:10 2:20 3:1", "fail=2:conflict|Q=1:10 2:20 3:1|R=1:10 2:20 3:1"},
      {"X22b gapless sequence, nothing read before", "1:10 2:20", "m1 i1(3,1) i2(3,2) c1 c2", "i2(3,2)=key_exists|c2=ok|fail=|Q=1:10 2:20 3:1", nullptr},
      {"X23 what was written is remembered after commit", "1:10 2:20", "r2(9) r1(1) i1(9,1) c1 w2(1,12) c2", "r2(9)=-|fail=|Q=1:12 2:20 9:1", nullptr},
      {"X25 a reader beside a write skew neither waits nor fails", "1:10 2:20", "s1 s2 s3 w1(1,11) w2(2,21) c1 c2 s4 s3 c3", "waits=0|s3=1:10 2:20|s3#2=1:11 2:21|s4=1:11 2:21|fail=",
       "waits=0|s3=1:10 2:20|s3#2=1:10 2:20|s4=1:11 2:21|fail=|Q=1:11 2:21"},
      {"X26 outcomes are reads", "", "u1(5,9) u2(6,9) i1(6,1) i2(5,1) c1 c2", "u1(5,9)=key_not_found|u2(6,9)=key_not_found|fail=2:deadlock|Q=6:1|R=5:1 6:9", nullptr},
      {"X27 stale locking read", "1:10 2:20", "r1(2) w2(1,11) c2 f1(1) w1(1,12) c1", "f1(1)=11|fail=|Q=1:12 2:20", "waits=0|f1(1)=conflict|fail=1:conflict|Q=1:11 2:20|R=1:12 2:20"},
      {"X29a open end of a range", "1:10 2:20", "s1[2,) r2(1) i2(9,1) c2 w1(1,11) c1", "s1[2,)=2:20|fail=|Q=1:11 2:20 9:1", nullptr},
      {"X29b unread end of a range", "1:10 2:20", "s1[0,3) r2(3) i2(9,1) c2 i1(3,11) c1", "r2(3)=-|fail=|Q=1:10 2:20 3:11 9:1", nullptr},
      {"X30 a ghost: erased and inserted again under a snapshot", "1:10 2:20", "r1(2) d2(1) c2 i3(1,99) c3 r1(1) s1 c1", "r1(1)=99|s1=1:99 2:20|fail=", "r1(1)=10|s1=1:10 2:20|fail=|Q=1:99 2:20"},
      {"X31 equal keys in two tables never meet", "1:10 2:20", "r1(A.1) r1(B.1) r2(A.1) r2(B.1) w1(A.1,11) w2(B.1,12) c1 c2", "waits=0|r1(B.1)=-|fail=|Q=1:11 2:20", nullptr},
  };
  return rows;
}

inline Rows rows_from(std::string_view text) {
  Rows rows;
  while (!text.empty()) {
    const std::string_view row = text.substr(0, text.find(' '));
    rows.emplace(row.substr(0, row.find(':')), row.substr(row.find(':') + 1));
    text.remove_prefix(std::min(text.size(), row.size() + 1));
  }
  return rows;
}

/// Names of transactions that only read.
inline std::string readers_of(std::string_view schedule) {
  std::string all, writers;
  for (const Step& step : steps_of(schedule)) {
    if (all.find(step.txn) == std::string::npos) all.push_back(step.txn);
    if (std::string_view{"rsmca"}.find(step.verb) == std::string_view::npos) writers.push_back(step.txn);
  }
  std::string readers;
  for (const char txn : all)
    if (writers.find(txn) == std::string::npos) readers.push_back(txn);
  return readers;
}

template <class Engine>
void check_row(const ScheduleRow& row, std::string_view expected, std::string_view readers) {
  const std::string name = row.name, snapshots{readers};
  CAPTURE(name);
  CAPTURE(snapshots);
  aegis::storage::MemoryDisk disk;
  std::string retried_content;
  {
    Engine engine = open_on<Engine>(disk, small_options<Engine>());
    const auto table = table_of(engine, "A");
    const auto second = table_of(engine, "B");
    for (const auto& [key, value] : rows_from(row.setup)) put(engine, table, key, value);

    Schedule<Engine> schedule{engine, {table, second}};
    const auto outcome = schedule.run(row.schedule, readers);
    const Rows after = outcome.rows;
    std::string failed;
    for (const auto& [txn, error] : outcome.failed) failed.push_back(txn);
    for (const char txn : failed) {  // each alone, from its first step
      std::string again;
      for (const Step& step : steps_of(row.schedule))
        if (step.txn == txn) again.append(step.text).append(" ");
      const auto second_try = schedule.run(again);
      CHECK_MESSAGE(second_try.failures().empty(), "run again: " << second_try.failures());
      retried_content = second_try.content();
    }
    for (std::string_view rest = expected; !rest.empty();) {
      const std::string_view one = rest.substr(0, rest.find('|'));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
      const std::string what{one.substr(0, one.find('='))}, value{one.substr(one.find('=') + 1)};
      CAPTURE(what);
      if (what == "Q") CHECK(outcome.content() == value);
      else if (what == "R") CHECK(retried_content == value);
      else if (what == "fail") CHECK(outcome.failures() == value);
      else if (what == "waits") CHECK(std::to_string(outcome.waits) == value);
      else CHECK(outcome[what] == value);
    }
    if (failed.empty()) {
      CHECK(contents(engine, table) == after);
      retried_content = outcome.content();
    }
    check_at_rest(engine);
  }
  Engine engine = open_on<Engine>(disk, small_options<Engine>());
  std::string content;
  for (const auto& [key, value] : contents(engine, table_of(engine, "A"))) content.append(content.empty() ? "" : " ").append(key).append(":").append(value);
  CHECK(content == retried_content);
  check_at_rest(engine);
}

}  // namespace aegis_test
