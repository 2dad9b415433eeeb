// SPDX-License-Identifier: Apache-2.0
#include "life.hpp"

#include <aegis/storage/testing/faulty_log.hpp>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

using namespace aegis_test;
using testing::FaultyLog;
using testing::LogFaults;
using FaultyWal = Wal<FaultyLog<TestLog>, Xxh3Checksum, SyncDurability>;

namespace {

Owned<FaultyWal> begin_faulty(TestMedium& medium, LogFaults& faults, WalOptions options = {}) {
  options.identity = identity;
  auto wal = FaultyWal::open(FaultyLog<TestLog>{TestLog{medium}, faults}, options);
  REQUIRE(wal.has_value());
  REQUIRE((*wal)->begin_generation((*wal)->scan().next_timestamp()).has_value());
  return *std::move(wal);
}

/// What the engine's commit section does for a Wal: one thread at a time draws a timestamp and appends.
template <class W>
struct Section {
  explicit Section(W& stream) : wal(stream), timestamp(number(stream.durable_timestamp())) {}

  /// No doctest in here: it also runs on threads.
  Result<void> commit(const FrameBuilder& builder) {
    AEGIS_TRY(wal.reserve(builder.payload().size()));
    Result<Lsn> end = Errc::busy;
    Timestamp mine{};
    {
      const std::lock_guard lock{mutex};
      mine = Timestamp{++timestamp};
      end = wal.append(mine, wal.prepare(builder.payload()));
      if (end) {
        ordered = ordered && *end > newest;
        newest = *end;
      }
    }
    if (!end) return end.error();
    AEGIS_TRY(wal.wait(*end));
    if (wal.durable() < *end || wal.durable_timestamp() < mine) told_late = true;
    return {};
  }

  W& wal;
  std::mutex mutex;
  std::uint64_t timestamp;
  Lsn newest{};
  bool ordered = true;
  std::atomic<bool> told_late{false};
};

}  // namespace

TEST_CASE("D6: eight threads share syncs, LSNs increase along the log, and every acknowledged commit is durable") {
  TestMedium medium(512, 64 << 20);
  constexpr int threads = 8, commits = 300;
  {
    LogFaults faults;
    auto wal = begin_faulty(medium, faults);
    Section section{*wal};
    std::atomic<int> failures{0};
    std::vector<std::thread> committers;
    faults.hold_syncs();
    for (int t = 0; t < threads; ++t)
      committers.emplace_back([&, t] {
        for (int i = 0; i < commits; ++i) {
          FrameBuilder builder;
          const std::string key = std::to_string(t) + "." + std::to_string(i);
          if (!builder.add(LogRecordType::insert, TableId{1}, key, std::string(static_cast<std::size_t>(i), 'v')) || !section.commit(builder)) ++failures;
        }
      });
    while (wal->stats().frames < threads) std::this_thread::yield();
    faults.release_syncs();
    for (std::thread& committer : committers) committer.join();
    CHECK(failures == 0);
    CHECK(section.ordered);
    CHECK_FALSE(section.told_late);
    const std::uint64_t syncs = wal->stats().syncs;
    CHECK(wal->stats().frames == threads * commits);
    CHECK(syncs < threads * commits);
  }
  CHECK_FALSE(medium.touched_durable_unit);
  medium.crash();
  const auto keys = keys_after_reopen(medium);
  CHECK(keys.size() == threads * commits);
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == threads * commits);
}

TEST_CASE("commits that arrive while a sync runs are all carried by the next one") {
  TestMedium medium;
  LogFaults faults;
  auto wal = begin_faulty(medium, faults);
  Section section{*wal};
  const std::uint64_t before = faults.syncs();
  faults.hold_syncs();
  std::atomic<int> failures{0};
  std::vector<std::thread> committers;
  const auto one = [&](int t) {
    FrameBuilder builder;
    if (!builder.add(LogRecordType::insert, TableId{1}, std::to_string(t)) || !section.commit(builder)) ++failures;
  };
  committers.emplace_back(one, 0);
  faults.wait_until_held();
  for (int t = 1; t < 8; ++t) committers.emplace_back(one, t);
  while (wal->stats().frames < 8) std::this_thread::yield();
  CHECK(wal->durable_timestamp() < Timestamp{section.timestamp - 7});
  faults.release_syncs();
  for (std::thread& committer : committers) committer.join();
  CHECK(failures == 0);
  CHECK(faults.syncs() == before + 2);
  CHECK(wal->durable_timestamp() == Timestamp{section.timestamp});
}

TEST_CASE("a sync that fails under many waiters leaves each of them undecided, and wakes them all") {
  TestMedium medium;
  LogFaults faults;
  auto wal = begin_faulty(medium, faults);
  Section section{*wal};
  faults.hold_syncs();
  std::atomic<int> undecided{0}, others{0};
  std::vector<std::thread> committers;
  const auto one = [&](int t) {
    FrameBuilder builder;
    const Result<void> added = builder.add(LogRecordType::insert, TableId{1}, std::to_string(t));
    const Result<void> done = section.commit(builder);
    ++(added && !done && done.error().code() == Errc::commit_undecided ? undecided : others);
  };
  committers.emplace_back(one, 0);
  faults.wait_until_held();
  for (int t = 1; t < 6; ++t) committers.emplace_back(one, t);
  while (wal->stats().frames < 6) std::this_thread::yield();
  faults.fail_sync(1);
  faults.release_syncs();
  for (std::thread& committer : committers) committer.join();
  CHECK(undecided == 6);
  CHECK(others == 0);
}

TEST_CASE("the buffer is bounded: who reserves beyond it waits for the running flush or flushes itself, and memory comes back") {
  TestMedium medium(512, 256 << 20);
  auto wal = begin_life(medium, {.buffer_bytes = 256 << 10});
  Section section{*wal};
  std::atomic<int> failures{0};
  std::vector<std::thread> committers;
  for (int t = 0; t < 4; ++t)
    committers.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        FrameBuilder builder;
        const std::size_t size = i % 20 == 19 ? 1 << 20 : static_cast<std::size_t>(40000 + 1000 * t);
        if (!builder.add(LogRecordType::insert, TableId{1}, "k", std::string(size, 'v')) || !section.commit(builder)) ++failures;
      }
    });
  for (std::thread& committer : committers) committer.join();
  CHECK(failures == 0);
  CHECK(wal->stats().buffer_memory_bytes <= 2 << 20);
  CHECK(keys_after_reopen(medium).size() == 4 * 60);
}

TEST_CASE("checkpoints, drops and positions run beside commits, under both durabilities") {
  const auto run = [](auto& wal, TestMedium& medium) {
    Section section{wal};
    std::atomic<int> failures{0};
    std::atomic<int> running{4};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          FrameBuilder builder;
          if (!builder.add(LogRecordType::insert, TableId{1}, "k", "v") || !section.commit(builder)) ++failures;
        }
        --running;
      });
    WalPosition position;
    std::uint64_t checkpoint = 0;
    while (running > 0) {
      std::unique_lock lock{section.mutex};
      const Result<WalPosition> marked = wal.mark();
      if (!marked) ++failures;
      if (marked) position = *marked;
      lock.unlock();
      if (!wal.sync_to(position.lsn) || wal.durable() < position.lsn || !wal.append_checkpoint(++checkpoint, position.lsn) || !wal.drop_before(position.lsn)) ++failures;
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(failures == 0);
    CHECK(wal.sync_to(wal.end()).has_value());
    CHECK_FALSE(medium.touched_durable_unit);
    auto reopened = open_wal(medium, {.from = position});
    REQUIRE(reopened.has_value());
    CHECK((*reopened)->scan().checkpoint_number == checkpoint);
    CHECK((*reopened)->scan().last == Timestamp{section.timestamp});
  };
  SUBCASE("SyncDurability") {
    TestMedium medium(512, 64 << 20);
    run(*begin_life<SyncWal>(medium), medium);
  }
  SUBCASE("AsyncDurability") {
    TestMedium medium(512, 64 << 20);
    run(*begin_life<AsyncWal>(medium), medium);
  }
}
