// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/wal/wal.hpp>

#include "life.hpp"
#include "support/random.hpp"

#include <aegis/storage/log/memory.hpp>
#include <aegis/storage/testing/faulty_log.hpp>

using namespace aegis_test;
using Keys = std::vector<std::string>;
using testing::FaultyLog;
using testing::LogFaults;

TEST_CASE("D7: after a commit the log's durable LSN is the end of its unit, and a reopened log goes on from there") {
  TestMedium medium;
  Lsn end{};
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    end = commit(*wal, timestamp, "a");
    CHECK(number(wal->durable()) == round_up(number(end), medium.unit_bytes));
    CHECK(number(wal->durable()) == medium.durable);
    CHECK(wal->durable_timestamp() == Timestamp{timestamp});
  }
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    CHECK(commit(*wal, timestamp, "b") > end);
  }
  CHECK(keys_after_reopen(medium) == Keys{"a", "b"});
}

TEST_CASE("D2: lives, checkpoints and dropped segments never lose a commit after the last checkpoint") {
  MemoryDisk disk;
  LogOptions log_options{.identity = identity, .max_bytes = 256 << 10, .segment_bytes = 8 << 10, .create = true};
  WalPosition from{};
  Keys kept;
  using W = Wal<MemoryLog, Xxh3Checksum, SyncDurability>;
  std::uint64_t checkpoints = 0;
  Lsn last_end{};
  for (int life = 0; life < 6; ++life) {
    {
      auto log = MemoryLog::open(disk, log_options);
      REQUIRE_MESSAGE(log.has_value(), log.error().message());
      auto opened = W::open(*std::move(log), {.identity = identity, .from = from});
      REQUIRE_MESSAGE(opened.has_value(), opened.error().message());
      W& wal = **opened;
      CHECK(keys_in(wal, from) == kept);
      CHECK(wal.scan().checkpoint_number == (life == 0 ? 0 : checkpoints));
      REQUIRE(wal.begin_generation(wal.scan().next_timestamp()).has_value());
      CHECK(wal.end() > last_end);
      std::uint64_t timestamp = number(wal.durable_timestamp());
      for (int i = 0; i < 40; ++i) {
        kept.push_back(std::to_string(life) + "." + std::to_string(i));
        commit(wal, timestamp, kept.back(), std::string(900, 'v'));
        if (i % 15 != 14) continue;
        from = *wal.mark();
        kept.clear();
        REQUIRE(wal.sync_to(from.lsn).has_value());
        REQUIRE(wal.append_checkpoint(++checkpoints, from.lsn).has_value());
        REQUIRE(wal.drop_before(from.lsn).has_value());
        CHECK(wal.stats().log_bytes < 80 << 10);
      }
      last_end = wal.end();
    }
    log_options.create = false;
  }
}

TEST_CASE("D3: the log's size is bounded under endless load, and busy says when a checkpoint is due") {
  TestMedium medium(512, 64 << 10);
  auto wal = begin_life(medium);
  std::uint64_t timestamp = number(wal->durable_timestamp()), checkpoints = 0;
  for (int i = 0; i < 2000; ++i) {
    const FrameBuilder builder = insert_of("key", std::string(1000, 'v'));
    Result<void> reserved = wal->reserve(builder.payload().size());
    if (!reserved) {
      REQUIRE(error_of(reserved) == Errc::busy);
      const Result<WalPosition> cut = wal->mark();
      REQUIRE(cut.has_value());
      REQUIRE(wal->sync_to(cut->lsn).has_value());
      REQUIRE(wal->append_checkpoint(++checkpoints, cut->lsn).has_value());
      REQUIRE(wal->drop_before(cut->lsn).has_value());
      REQUIRE(wal->reserve(builder.payload().size()).has_value());
    }
    const auto end = wal->append(Timestamp{++timestamp}, builder.payload());
    REQUIRE(end.has_value());
    REQUIRE(wal->wait(*end).has_value());
    REQUIRE(wal->stats().log_bytes <= 64 << 10);
  }
  CHECK(checkpoints >= 2000 * 1000 / (64 << 10));
}

TEST_CASE("a checkpoint's position is at a unit's end, and reading from it gives what came after and nothing else") {
  TestMedium medium;
  WalPosition position;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "before");
    append(*wal, timestamp, "before too");
    const auto marked = wal->mark();
    REQUIRE(marked.has_value());
    position = *marked;
    CHECK(number(position.lsn) % medium.unit_bytes == 0);
    CHECK(position.last == Timestamp{timestamp});
    CHECK(position.generation == 1);
    CHECK(*wal->mark() == position);
    append(*wal, timestamp, "after");
    REQUIRE(wal->append_checkpoint(17, position.lsn).has_value());
  }
  auto wal = open_wal(medium, {.from = position});
  REQUIRE(wal.has_value());
  CHECK(keys_in(**wal, position) == Keys{"after"});
  CHECK((*wal)->scan().checkpoint_number == 17);
  CHECK(keys_after_reopen(medium) == Keys{"before", "before too", "after"});
}

TEST_CASE("no flush touches a unit that holds bytes already claimed durable, and none leaves a gap, for units of 512 and 4096") {
  for (const std::uint32_t unit : {512u, 4096u}) {
    TestMedium medium(unit);
    Keys keys;
    for (int life = 0; life < 3; ++life) {
      auto wal = begin_life(medium);
      std::uint64_t timestamp = number(wal->durable_timestamp());
      // Every remainder of a unit, those too short for a Pad frame's header included.
      for (std::size_t size = 440; size < 500; ++size) {
        keys.push_back(std::to_string(size));
        commit(*wal, timestamp, keys.back(), std::string(size, 'v'));
        REQUIRE(number(wal->durable()) % unit == 0);
        REQUIRE(wal->end() == wal->durable());
      }
    }
    CHECK_FALSE(medium.touched_durable_unit);
    CHECK(keys_after_reopen(medium) == keys);
  }
}

TEST_CASE("timestamps far apart get an Open frame between them and come back exactly") {
  TestMedium medium;
  std::vector<std::uint64_t> timestamps;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    for (const std::uint64_t step : {std::uint64_t{1}, (std::uint64_t{1} << 40) - 1, std::uint64_t{1} << 40, (std::uint64_t{1} << 40) + 1, std::uint64_t{1} << 50, std::uint64_t{7}}) {
      timestamp += step - 1;
      commit(*wal, timestamp, "k");
      timestamps.push_back(timestamp);
    }
  }
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  CHECK((*wal)->scan().last == Timestamp{timestamps.back()});
  auto reader = (*wal)->reader();
  WalTransaction transaction;
  for (const std::uint64_t timestamp : timestamps) {
    REQUIRE(*reader.next(transaction));
    CHECK(transaction.timestamp == Timestamp{timestamp});
  }
}

TEST_CASE("frames from nothing to many megabytes come back, under both durabilities") {
  for (const bool async : {false, true}) {
    TestMedium medium(4096, std::uint64_t{256} << 20);
    const std::size_t sizes[] = {0, 1, 2000, 2048, LogBuffer::chunk_bytes - 100, LogBuffer::chunk_bytes, 3 << 20, 24 << 20};
    const auto run = [&](auto& wal) {
      std::uint64_t timestamp = number(wal.durable_timestamp());
      for (const std::size_t size : sizes) commit(wal, timestamp, "k", std::string(size, static_cast<char>('a' + size % 26)));
      REQUIRE(wal.sync_to(wal.end()).has_value());
      CHECK(wal.stats().buffer_memory_bytes <= 2 << 20);
    };
    if (async)
      run(*begin_life<AsyncWal>(medium));
    else
      run(*begin_life<SyncWal>(medium));
    auto wal = open_wal(medium);
    REQUIRE(wal.has_value());
    auto reader = (*wal)->reader();
    WalTransaction transaction;
    for (const std::size_t size : sizes) {
      REQUIRE(*reader.next(transaction));
      TransactionRecords records = transaction.records();
      LogRecord record;
      REQUIRE(*records.next(record));
      REQUIRE(*records.next(record));
      CHECK(record.value == std::string(size, static_cast<char>('a' + size % 26)));
    }
    CHECK_FALSE(*reader.next(transaction));
  }
}

TEST_CASE("D5: under AsyncDurability an append that returned is in the log before any sync") {
  TestMedium medium;
  auto wal = begin_life<AsyncWal>(medium);
  std::uint64_t timestamp = number(wal->durable_timestamp());
  const Timestamp before = wal->durable_timestamp();
  const std::uint64_t syncs = medium.syncs;
  Keys keys;
  for (int i = 0; i < 50; ++i) {
    keys.push_back(std::to_string(i));
    commit(*wal, timestamp, keys.back(), std::string(static_cast<std::size_t>(i) * 97, 'v'));
    TestMedium killed;  // what another process finds if this one is killed now
    killed.bytes = medium.bytes;
    REQUIRE(keys_after_reopen(killed) == keys);
  }
  CHECK(medium.syncs == syncs);
  CHECK(wal->durable_timestamp() == before);
  REQUIRE(wal->sync_to(wal->end()).has_value());
  CHECK(medium.syncs == syncs + 1);
  CHECK(wal->durable_timestamp() == Timestamp{timestamp});
  CHECK(number(wal->durable()) % medium.unit_bytes == 0);
  commit(*wal, timestamp, "after");
  CHECK_FALSE(medium.touched_durable_unit);
}

TEST_CASE("what was not synced is gone after a power cut, what was waited for is there") {
  MemoryDisk disk;
  using W = Wal<MemoryLog, Xxh3Checksum, AsyncDurability>;
  LogOptions options{.identity = identity, .process_durable = true, .create = true};
  {
    auto wal = W::open(MemoryLog::open(disk, options).value(), {.identity = identity});
    REQUIRE(wal.has_value());
    REQUIRE((*wal)->begin_generation((*wal)->scan().next_timestamp()).has_value());
    std::uint64_t timestamp = number((*wal)->durable_timestamp());
    commit(**wal, timestamp, "synced");
    REQUIRE((*wal)->sync_to((*wal)->end()).has_value());
    commit(**wal, timestamp, "not synced");
    disk.crash();
  }
  options.create = false;
  auto wal = W::open(MemoryLog::open(disk, options).value(), {.identity = identity});
  REQUIRE(wal.has_value());
  CHECK(keys_in(**wal) == Keys{"synced"});
}

TEST_CASE("D6: a failed write poisons: the commit in flight is undecided, nothing is retried, all later calls fail") {
  using W = Wal<FaultyLog<TestLog>, Xxh3Checksum, SyncDurability>;
  for (const bool write : {true, false})
    for (const LogFaults::Reach reach : {LogFaults::Reach::nothing, LogFaults::Reach::medium}) {
      TestMedium medium;
      LogFaults faults;
      auto opened = W::open(FaultyLog<TestLog>{TestLog{medium}, faults}, {.identity = identity});
      REQUIRE(opened.has_value());
      W& wal = **opened;
      REQUIRE(wal.begin_generation(wal.scan().next_timestamp()).has_value());
      std::uint64_t timestamp = number(wal.durable_timestamp());
      commit(wal, timestamp, "good");
      const Timestamp durable = wal.durable_timestamp();
      const Lsn durable_lsn = wal.durable();
      write ? faults.fail_append(1, Errc::no_space, reach) : faults.fail_sync(1, Errc::io, reach);
      REQUIRE(wal.reserve(1000).has_value());
      const Lsn end = append(wal, timestamp, "undecided");
      CHECK(error_of(wal.wait(end)) == Errc::commit_undecided);
      CHECK(wal.failed());
      const std::uint64_t appends = faults.appends(), syncs = faults.syncs();
      for (int again = 0; again < 2; ++again) {
        CHECK(error_of(wal.wait(end)) == Errc::commit_undecided);
        CHECK(error_of(wal.sync_to(end)) == Errc::engine_failed);
        CHECK(error_of(wal.reserve(1)) == Errc::engine_failed);
        CHECK(error_of(wal.append(Timestamp{timestamp + 1}, Bytes{})) == Errc::engine_failed);
        CHECK(error_of(wal.mark()) == Errc::engine_failed);
        CHECK(error_of(wal.append_checkpoint(1, durable_lsn)) == Errc::engine_failed);
        CHECK(error_of(wal.drop_before(durable_lsn)) == Errc::engine_failed);
        CHECK(error_of(wal.close(Timestamp{timestamp})) == Errc::engine_failed);
      }
      CHECK(faults.appends() == appends);
      CHECK(faults.syncs() == syncs);
      CHECK(wal.durable_timestamp() == durable);
      CHECK(wal.durable() == durable_lsn);
      CHECK(wal.wait(durable_lsn).has_value());  // what was durable before stays so
      opened.value().reset();
      const Keys found = keys_after_reopen(medium);
      const bool there = write ? reach == LogFaults::Reach::medium : true;  // the medium of this test keeps every write
      CHECK(found == (there ? Keys{"good", "undecided"} : Keys{"good"}));
    }
}

TEST_CASE("D6: under AsyncDurability a failed append is undecided and poisons at once") {
  using W = Wal<FaultyLog<TestLog>, Xxh3Checksum, AsyncDurability>;
  TestMedium medium;
  LogFaults faults;
  auto wal = W::open(FaultyLog<TestLog>{TestLog{medium}, faults}, {.identity = identity});
  REQUIRE(wal.has_value());
  REQUIRE((*wal)->begin_generation((*wal)->scan().next_timestamp()).has_value());
  const FrameBuilder builder = insert_of("k");
  REQUIRE((*wal)->reserve(builder.payload().size()).has_value());
  faults.fail_append(1);
  CHECK(error_of((*wal)->append(next((*wal)->durable_timestamp()), builder.payload())) == Errc::commit_undecided);
  CHECK(error_of((*wal)->reserve(1)) == Errc::engine_failed);
}

TEST_CASE("a failure while the first frame of a life is written leaves a log that opens as before") {
  using W = Wal<FaultyLog<TestLog>, Xxh3Checksum, SyncDurability>;
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "a");
  }
  for (const bool write : {true, false}) {
    LogFaults faults;
    auto wal = W::open(FaultyLog<TestLog>{TestLog{medium}, faults}, {.identity = identity});
    REQUIRE(wal.has_value());
    write ? faults.fail_append(1) : faults.fail_sync(1);
    CHECK(error_of((*wal)->begin_generation((*wal)->scan().next_timestamp())) == Errc::io);
    CHECK(error_of((*wal)->reserve(1)) == Errc::engine_failed);
  }
  CHECK(keys_after_reopen(medium) == Keys{"a"});
}

TEST_CASE("what cannot be appended is refused before anything happens") {
  TestMedium medium;
  auto opened = open_wal(medium, {.max_payload_bytes = 1000});
  REQUIRE(opened.has_value());
  SyncWal& wal = **opened;
  CHECK(error_of(wal.reserve(1)) == Errc::engine_failed);
  CHECK(error_of(wal.append(Timestamp{1}, Bytes{})) == Errc::engine_failed);
  const Timestamp first = wal.scan().next_timestamp();
  REQUIRE(wal.begin_generation(first).has_value());
  CHECK(error_of(wal.begin_generation(first)) == Errc::invalid_argument);
  CHECK(error_of(wal.reserve(1001)) == Errc::too_large);
  CHECK(error_of(wal.append(first, Bytes{})) == Errc::invalid_argument);  // not reserved
  REQUIRE(wal.reserve(0).has_value());
  CHECK(error_of(wal.append(Timestamp{number(first) - 1}, Bytes{})) == Errc::invalid_argument);
  REQUIRE(wal.append(first, Bytes{}).has_value());
  REQUIRE(wal.reserve(0).has_value());
  CHECK(error_of(wal.append(first, Bytes{})) == Errc::invalid_argument);  // used
  wal.release(0);
  CHECK(error_of(wal.sync_to(wal.end() + 1)) == Errc::invalid_argument);
  CHECK(error_of(wal.close(Timestamp{number(first) - 1})) == Errc::invalid_argument);
  REQUIRE(wal.close(first).has_value());
  CHECK(wal.close(first).has_value());
  CHECK(error_of(wal.reserve(1)) == Errc::engine_failed);
}

TEST_CASE("reserved room is real: what was reserved is appended though the log became full meanwhile") {
  TestMedium medium(512, 32 << 10);
  auto wal = begin_life(medium);
  std::uint64_t timestamp = number(wal->durable_timestamp());
  const FrameBuilder builder = insert_of("k", std::string(2000, 'v'));
  int reserved = 0;
  while (wal->reserve(builder.payload().size())) ++reserved;
  CHECK(reserved > 5);
  CHECK(error_of(wal->reserve(builder.payload().size())) == Errc::busy);
  for (int i = 0; i < reserved; ++i) {
    const auto end = wal->append(Timestamp{++timestamp}, builder.payload());
    REQUIRE(end.has_value());
    REQUIRE(wal->wait(*end).has_value());
  }
  const auto position = wal->mark();
  REQUIRE(position.has_value());
  REQUIRE(wal->append_checkpoint(1, position->lsn).has_value());
  REQUIRE(wal->close(Timestamp{timestamp}).has_value());
}

TEST_CASE("a log of a foreign store holds no frames of ours") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "theirs");
  }
  const WalOptions options{.identity = {identity.store, identity.lineage + 1}};
  auto wal = SyncWal::open(TestLog{medium}, options);
  REQUIRE(wal.has_value());
  CHECK((*wal)->scan().frames == 0);
}

TEST_CASE("a check from where the log is not, or is not any more, is corrupt_log and names the LSN") {
  TestMedium medium;
  auto wal = begin_life(medium);
  std::uint64_t timestamp = number(wal->durable_timestamp());
  for (int i = 0; i < 40; ++i) commit(*wal, timestamp, "key" + std::to_string(i), std::string(400, 'v'));
  const auto checkpoint = wal->mark();
  REQUIRE(checkpoint);
  REQUIRE(wal->sync_to(checkpoint->lsn));
  REQUIRE(wal->check(*checkpoint));
  REQUIRE(wal->drop_before(checkpoint->lsn));
  REQUIRE(medium.begin >= 4096);
  REQUIRE(wal->check(*checkpoint));
  for (const std::uint64_t lsn : {std::uint64_t{0}, medium.begin - 512, number(wal->end()) + 1, number(wal->end()) + 512, std::uint64_t{1} << 30, ~std::uint64_t{0}}) {
    CAPTURE(lsn);
    const auto checked = wal->check({Lsn{lsn}, checkpoint->last, checkpoint->generation});
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code() == Errc::corrupt_log);
    CHECK(checked.error().id() == lsn);
  }
}
