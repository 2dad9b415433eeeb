// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/random.hpp"
#include "support/schedule_rows.hpp"
#include "support/serial_replay.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

// What a level does not use is not there.
static_assert(std::is_empty_v<SnapshotIsolation::Footprint> && std::is_empty_v<SnapshotIsolation::Validator> && std::is_empty_v<SnapshotIsolation::Validator::Commit>);
static_assert(sizeof(TransactionContext<SnapshotIsolation>) == sizeof(TransactionContext<ReadCommitted>));
static_assert(sizeof(TransactionContext<SnapshotIsolation>) + sizeof(IntervalSet) >= sizeof(TransactionContext<Serializable>));
static_assert(std::is_same_v<Engine<LocalBackend, Serializable>, Engine<Serializable, LocalBackend>>);

namespace {

using Stack = Engine<MemoryBackend, Serializable>;

// Serializable in next to no memory: footprints and the ring are coarse most of the time.
struct Coarse : Serializable {
  struct Footprint : IntervalSet {
    Footprint() : IntervalSet(600) {}
  };
  struct Validator : RecentCommits {
    explicit Validator(RecentCommits&& ring) : RecentCommits(std::move(ring)) {}
    static Result<Validator> open(std::uint64_t) {
      AEGIS_TRY(auto ring, RecentCommits::open(500));
      return Validator{std::move(ring)};
    }
  };
};

// Planted bugs: each forgets one kind of read.
struct WithoutRanges : Serializable {
  struct Footprint : IntervalSet {
    Result<void> note_range(TableId, const KeyInterval&) { return {}; }
  };
};
struct WithoutPoints : Serializable {
  struct Footprint : IntervalSet {
    Result<void> note_point(TableId, std::string_view) { return {}; }
  };
};
struct WithoutRangeEnds : Serializable {  // only as far as rows came
  struct Footprint : IntervalSet {
    Result<void> note_range(TableId table, const KeyInterval& keys) { return keys.closed ? IntervalSet::note_range(table, keys) : Result<void>{}; }
  };
};

struct Row {
  std::string_view id, expected;
};

/// Where this level differs from snapshot isolation.
constexpr Row rows[] = {
    {"H4 ", "r1(2)=20|r2(1)=10|fail=2:conflict|Q=1:11 2:20|R=1:11 2:22"},
    {"H12 ", "waits=0|fail=2:conflict|Q=1:11 2:20|R=1:11 2:21"},
    {"H13 ", "waits=0|fail=2:conflict|Q=1:10 2:20 3:30|R=1:10 2:20 3:30 4:42"},
    {"H13b ", "fail=2:conflict|Q=1:10 2:20 3:30|R=1:10 2:20 3:30 4:60"},
    {"H14 ", "s3=1:10 2:25|c2=ok|c3=ok|fail=1:conflict|Q=1:10 2:25|R=1:0 2:25"},
    {"X1 ", "s3=1:0 2:20|c1=ok|c3=ok|fail=2:conflict|Q=1:0 2:20|R=1:-11 2:20"},
    {"X5 ", "s1[5,7)=|s2[5,7)=|c1=ok|fail=2:conflict|Q=1:10 2:20 5:1|R=1:10 2:20 5:1 6:2"},
    {"X6 ", "d1(1)=erased|d2(2)=erased|c1=ok|fail=2:conflict|Q=2:20|R="},
    {"X7 ", "r1(5)=-|r2(6)=-|c1=ok|fail=2:conflict|Q=6:1|R=5:1 6:1"},
    {"X14 ", "c1=ok|c3=ok|fail=2:conflict|Q=1:11 2:21 3:30|R=1:11 2:21 3:31"},
    {"X15 ", "r3(2)=2|r4(1)=1|c4=ok|fail=1:conflict 3:conflict|Q=1:1 2:104 3:102|R=1:101 2:104 3:103"},
    {"X16 ", "c3=ok|c1=ok|fail=2:conflict|Q=1:10 2:21 3:31|R=1:11 2:21 3:31"},
    {"X17 ", "c1=ok|fail=2:conflict|Q=1:-60 2:50|R=1:-60 2:-60"},
    {"X21 ", "r2(7)=-|c1=ok|fail=2:conflict|Q=7:1|R=42:1 7:1"},
    {"X21b ", "r2(7)=-|c1=ok|fail=2:conflict|Q=7:1|R=42:1 7:1"},
    {"X23 ", "r2(9)=-|c1=ok|fail=2:conflict|Q=1:10 2:20 9:1|R=1:12 2:20 9:1"},
    {"X25 ", "waits=0|s3=1:10 2:20|s3#2=1:10 2:20|s4=1:11 2:20|c3=ok|fail=2:conflict|Q=1:11 2:20|R=1:11 2:21"},
    {"X29a ", "s1[2,)=2:20|c2=ok|fail=1:conflict|Q=1:10 2:20 9:1|R=1:11 2:20 9:1"},
    {"X31 ", "waits=0|r1(B.1)=-|c1=ok|fail=2:conflict|Q=1:11 2:20|R=1:11 2:20"},
    {"X12r ", "fail=2:conflict 4:conflict 6:conflict 8:deadlock|c1=ok|c3=ok|c5=ok|c7=ok"},
};

std::string_view expected_of(const ScheduleRow& row) {
  for (const Row& own : rows)
    if (std::string_view{row.name}.starts_with(own.id)) return own.expected;
  return row.snapshot_isolation != nullptr ? row.snapshot_isolation : row.read_committed;
}

std::uint64_t validation_conflicts(Stack& engine) { return engine.stats().transactions.validation_conflicts; }

}  // namespace

TEST_CASE("serializable gives every schedule its outcome, with readers of either kind, and leaves nothing behind") {
  for (const Row& own : rows) {
    bool known = false;
    for (const ScheduleRow& row : schedule_rows()) known = known || std::string_view{row.name}.starts_with(own.id);
    CHECK_MESSAGE(known, own.id);
  }
  for (const ScheduleRow& row : schedule_rows()) {
    check_row<Stack>(row, expected_of(row), "");
    if (const std::string readers = readers_of(row.schedule); !readers.empty()) check_row<Stack>(row, expected_of(row), readers);
  }
}

TEST_CASE("X1b: without the reader the same conflict is needless, and is told as one of validation") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "1", "0");
  put(engine, table, "2", "0");
  const auto before = engine.stats().transactions;
  Schedule<Stack> schedule{engine, {table}};
  const auto outcome = schedule.run("r2(1) r2(2) r1(2) w1(2,20) c1 w2(1,-11) c2");
  CHECK(outcome.failures() == "2:conflict");
  CHECK(outcome.content() == "1:0 2:20");
  const auto after_validation = engine.stats().transactions;
  CHECK(after_validation.validation_conflicts == before.validation_conflicts + 1);
  CHECK(after_validation.write_conflicts == before.write_conflicts);
  CHECK(schedule.run("r1(1) w2(1,5) c2 w1(1,6) c1").failures() == "1:conflict");
  const auto after_write = engine.stats().transactions;
  CHECK(after_write.write_conflicts == before.write_conflicts + 1);
  CHECK(after_write.validation_conflicts == after_validation.validation_conflicts);
  CHECK(after_write.conflicts == after_write.write_conflicts + after_write.validation_conflicts);
}

TEST_CASE("X24: reads are remembered across splits, merges and eviction") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  auto t1 = engine.begin(), t2 = engine.begin();
  SUBCASE("of a range") {
    CHECK(rows_of(t1.scan(table, {.from = "5", .to = "7"})).empty());
    CHECK(rows_of(t2.scan(table, {.from = "5", .to = "7"})).empty());
  }
  SUBCASE("of absent keys") {
    CHECK_FALSE(t1.get(table, "6")->has_value());
    CHECK_FALSE(t2.get(table, "5")->has_value());
  }
  for (const bool erases : {false, true}) {
    auto t3 = engine.begin();
    for (int i = 0; i < 2000; ++i) {
      const std::string key = "k" + std::to_string(1000 + i);
      if (erases) REQUIRE(*t3.erase(table, key));
      else REQUIRE(t3.insert(table, key, std::string(100, 'v')).has_value());
    }
    REQUIRE(t3.commit().has_value());
  }
  REQUIRE(t1.insert(table, "5", "1").has_value());
  REQUIRE(t2.insert(table, "6", "2").has_value());
  CHECK(t1.commit().has_value());
  CHECK(failed_with(t2.commit(), Errc::conflict));
  CHECK(contents(engine, table) == Rows{{"5", "1"}});
  check_at_rest(engine);
}

TEST_CASE("X29b: what lies beyond a cursor's place was not read") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "1", "10");
  put(engine, table, "2", "20");
  auto t1 = engine.begin();
  auto cursor = t1.scan(table, {.from = "0"});
  cursor.next();
  REQUIRE(cursor.key() == "2");
  put(engine, table, "9", "1");
  CHECK(t1.insert(table, "3", "11").has_value());
  CHECK(t1.commit().has_value());
  CHECK(validation_conflicts(engine) == 0);
}

TEST_CASE("what a cursor passed over, and nothing else, conflicts with a later insertion") {
  constexpr int keys = 40;
  const auto name = [](int i) { return (i < 10 ? "0" : "") + std::to_string(i); };
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(replay(seed, "serializable"));
  Random random{seed};
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t"), other = table_of(engine, "other");
  for (int i = 0; i < keys; i += 3) put(engine, table, name(i), "v");
  std::size_t conflicts = 0, commits = 0;
  for (int round = 0; round < 1500; ++round) {
    CAPTURE(round);
    auto txn = engine.begin();
    std::vector<bool> passed(keys), locked(keys);
    // One more than the last key stands for the end of the table.
    const int from = random.one_in(3) ? 0 : static_cast<int>(random.below(keys)), to = random.one_in(3) ? keys : static_cast<int>(random.below(keys));
    const std::string from_text = name(from), to_text = name(to);
    KeyRange range;
    if (from != 0) range.from = from_text;
    if (to != keys) range.to = to_text;
    const bool forward = random.one_in(2);
    for (std::uint64_t writes = random.below(3); writes > 0; --writes) {
      const auto at = random.below(keys);
      locked[at] = true;
      if (random.one_in(2)) REQUIRE(txn.put(table, name(static_cast<int>(at)), "own").has_value());
      else REQUIRE(txn.erase(table, name(static_cast<int>(at))).has_value());
    }
    auto cursor = txn.scan(table, range, forward ? Direction::forward : Direction::reverse);
    int start = forward ? from : to - 1;
    for (std::uint64_t steps = random.below(8);; --steps) {
      const int place = cursor.valid() ? std::stoi(std::string(cursor.key())) : forward ? to - 1 : from;
      for (int i = forward ? start : place; i <= (forward ? place : start) && i < keys; ++i) passed[static_cast<std::size_t>(i)] = true;
      if (steps == 0) break;
      if (random.one_in(3)) {
        start = static_cast<int>(random.below(keys));
        cursor.seek(name(start));
        start = forward ? std::max(start, from) : std::min(start, to - 1);
      } else {
        cursor.next();
      }
    }
    REQUIRE(cursor.status().has_value());
    auto changed = random.below(keys);
    while (locked[changed]) changed = random.below(keys);
    {
      auto writer = engine.begin();
      const std::string key = name(static_cast<int>(changed));
      if (random.one_in(2)) REQUIRE(writer.put(table, key, "new").has_value());
      else if (auto erased = writer.erase(table, key); erased && !*erased) REQUIRE(writer.put(table, key, "new").has_value());
      REQUIRE(writer.commit().has_value());
    }
    REQUIRE(txn.put(other, "k", "v").has_value());
    const auto committed = txn.commit();
    ++(committed ? commits : conflicts);
    CHECK(committed.has_value() == !passed[changed]);
  }
  CHECK(commits > 200);
  CHECK(conflicts > 100);
}

TEST_CASE("transactions without writes, and snapshots, commit whatever was changed under them") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  for (int i = 0; i < 10; ++i) put(engine, table, std::to_string(i), "v");
  auto txn = engine.begin();
  auto reader = engine.snapshot();
  CHECK(rows_of(txn.scan(table)).size() == 10);
  CHECK(rows_of(reader.scan(table)).size() == 10);
  CHECK(failed_with(txn.update(table, "x", "1"), Errc::key_not_found));
  CHECK(failed_with(txn.insert(table, "0", "1"), Errc::key_exists));
  for (int i = 1; i < 10; ++i) put(engine, table, std::to_string(i), "w");
  put(engine, table, "new", "w");
  CHECK(rows_of(txn.scan(table)).size() == 10);
  CHECK(txn.commit().has_value());
  CHECK(rows_of(reader.scan(table)).size() == 10);
  CHECK(engine.stats().transactions.conflicts == 0);
}

TEST_CASE("an old transaction is still judged rightly after very many commits, and refused once its rivals are forgotten") {
  const auto late = [](auto policy, bool read_changes) {
    using Level = decltype(policy);
    using LevelStack = Engine<MemoryBackend, Level>;
    MemoryDisk disk;
    auto engine = open_on<LevelStack>(disk, small_options<LevelStack>());
    const auto table = table_of(engine, "t");
    auto txn = engine.begin();
    REQUIRE(txn.get(table, "read").has_value());
    if (read_changes) put(engine, table, "read", "1");
    for (int i = 0; i < 3000; ++i) put(engine, table, "k" + std::to_string(i % 7), "v");
    REQUIRE(txn.put(table, "written", "1").has_value());
    return txn.commit().has_value();
  };
  CHECK(late(Serializable{}, false));
  CHECK_FALSE(late(Serializable{}, true));
  CHECK_FALSE(late(Coarse{}, false));
  CHECK_FALSE(late(Coarse{}, true));
}

TEST_CASE("who read a table that was dropped or loaded since cannot commit after that") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t"), other = table_of(engine, "other");
  put(engine, table, "1", "10");
  auto reads = engine.begin(), reads_nothing = engine.begin(), reads_other = engine.begin();
  CHECK(reads.get(table, "absent").has_value());
  CHECK(reads_nothing.put(other, "a", "1").has_value());
  CHECK(reads_other.get(other, "b").has_value());
  CHECK(reads_other.put(other, "c", "1").has_value());
  CHECK(reads.put(other, "d", "1").has_value());
  SUBCASE("dropped") {
    REQUIRE(engine.drop_table("t").has_value());
    CHECK(failed_with(reads.commit(), Errc::conflict));
  }
  SUBCASE("loaded") {
    auto loader = engine.load_table("new");
    REQUIRE(loader.has_value());
    REQUIRE(loader->append("1", "10").has_value());
    const auto loaded = loader->finish();
    REQUIRE(loaded.has_value());
    CHECK(reads.get(*loaded, "2").has_value());
    CHECK(failed_with(reads.commit(), Errc::conflict));
  }
  CHECK(reads_nothing.commit().has_value());
  CHECK(reads_other.commit().has_value());
}

TEST_CASE("a retry queues for the key that its validation was lost on") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "1", "10");
  int runs = 0;
  const auto done = engine.transact([&](Stack::Transaction& txn) -> Result<void> {
    CHECK(locks_of(engine).keys == (runs == 0 ? 0 : 1));  // the second time, the key is locked before anything is read
    AEGIS_TRY(auto value, txn.get(table, "1"));
    CHECK(value == (runs == 0 ? "10" : "11"));
    if (runs++ == 0) put(engine, table, "1", "11");
    return txn.put(table, "2", *value);
  });
  REQUIRE(done.has_value());
  CHECK(done->retries == 1);
  CHECK(contents(engine, table) == Rows{{"1", "11"}, {"2", "11"}});
}

TEST_CASE("the order of commits is a serial order: every read is what a replay in that order reads") {
  const std::uint64_t seed = aegis_test::seed(5);
  INFO(replay(seed, "serializable"));
  std::size_t needed = 0, with_little_memory = 0;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const ReplayCounts fine = interleave<Engine<MemoryBackend, Serializable>>(seed + i, 3000);
    CHECK(fine.wrong_reads == 0);
    CHECK(fine.commits > 200);
    CHECK(fine.conflicts > 100);
    const ReplayCounts coarse = interleave<Engine<MemoryBackend, Coarse>>(seed + i, 3000);
    CHECK(coarse.wrong_reads == 0);
    CHECK(coarse.commits > 100);
    needed += fine.conflicts, with_little_memory += coarse.conflicts;
  }
  CHECK(with_little_memory > needed);
}

TEST_CASE_TEMPLATE("the replay finds a level that is not serializable", Level, SnapshotIsolation, WithoutRanges, WithoutPoints, WithoutRangeEnds) {
  CHECK(interleave<Engine<MemoryBackend, Level>>(aegis_test::seed(5), 3000).wrong_reads > 0);
}

TEST_CASE("threads: the order of commits is a serial order") {
  const std::uint64_t seed = aegis_test::seed(9);
  INFO(replay(seed, "serializable"));
  const ReplayCounts counts = race<Engine<MemoryBackend, Serializable, LatchOfThreads>>(seed, 4, 600);
  MESSAGE(counts.commits << " commits, " << counts.conflicts << " conflicts, " << counts.reads << " reads");
  CHECK(counts.wrong_reads == 0);
  CHECK(counts.commits > 300);
  const ReplayCounts coarse = race<Engine<MemoryBackend, Coarse, LatchOfThreads>>(seed, 4, 300);
  CHECK(coarse.wrong_reads == 0);
}
