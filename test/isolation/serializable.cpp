// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/engines.hpp"
#include "support/latch_of_threads.hpp"
#include "support/random.hpp"
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

}  // namespace

TEST_CASE("conflicts of validation and of writes are told apart") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  const auto table = table_of(engine, "t");
  put(engine, table, "1", "0");
  const auto before = engine.stats().transactions;
  {
    auto txn = engine.begin();
    REQUIRE(txn.get(table, "1").has_value());
    put(engine, table, "1", "20");
    REQUIRE(txn.put(table, "2", "x").has_value());
    CHECK(failed_with(txn.commit(), Errc::conflict));
  }
  const auto after_validation = engine.stats().transactions;
  CHECK(after_validation.validation_conflicts == before.validation_conflicts + 1);
  CHECK(after_validation.write_conflicts == before.write_conflicts);
  {
    auto txn = engine.begin();
    REQUIRE(txn.get(table, "1").has_value());
    put(engine, table, "1", "30");
    CHECK(failed_with(txn.put(table, "1", "x"), Errc::conflict));
  }
  const auto after_write = engine.stats().transactions;
  CHECK(after_write.write_conflicts == before.write_conflicts + 1);
  CHECK(after_write.validation_conflicts == after_validation.validation_conflicts);
  CHECK(after_write.conflicts == after_write.write_conflicts + after_write.validation_conflicts);
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

TEST_CASE("who read a table that was dropped since cannot commit after that; one loaded since cannot be read") {
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
    CHECK(failed_with(reads.get(*loaded, "2"), Errc::table_not_found));  // not there in its snapshot
    CHECK(reads.commit().has_value());
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
