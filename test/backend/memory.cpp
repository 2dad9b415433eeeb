// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/testing/backend_model.hpp>
#include <aegis/storage/testing/backend_suite.hpp>

#include <doctest/doctest.h>

#include "support/promises.hpp"
#include "support/random.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

struct MemoryPlace {
  MemoryDisk disk;
  std::uint64_t orders = 0;

  void fresh() { disk = MemoryDisk{}; }
  Result<MemoryBackend> open() { return MemoryBackend::open(disk); }
  void power_cut() { disk.crash(); }
  void die_at_change(std::uint64_t n) { disk.crash_after(n, ++orders % 2 == 0 ? CrashPoint::before_the_call : CrashPoint::after_the_call); }
  void limit_room(std::uint64_t bytes) { disk.limit(bytes); }
};

}  // namespace

static_assert(BackendPolicy<MemoryBackend> && SealableBackend<MemoryBackend> && PinnableBackend<MemoryBackend> && ReservableBackend<MemoryBackend>);

TEST_CASE("MemoryBackend keeps the promises of a backend") {
  static const Promises promises = promises_of([](auto report) {
    MemoryPlace place;
    testing::backend_suite(place, report, seed(1));
  });
  check_promises(promises);
}

TEST_CASE("a MemoryBackend owns its disk when none is given") {
  MemoryBackend backend;
  MemoryBackend other;
  REQUIRE(backend.write(BlockId{1}, bytes_of("mine")));
  CHECK(!other.exists(BlockId{1}).value());
  MemoryBackend moved = std::move(backend);
  std::byte room[8];
  CHECK(moved.read(BlockId{1}, room).value() == 4);
}

TEST_CASE("backend and log lose power at one common instant, whatever the call") {
  const std::uint64_t from = seed(1);
  for (std::uint64_t round = from; round < from + 60; ++round) {
    CAPTURE(replay(round, "test_backend_memory"));
    Random random{round};
    MemoryDisk disk;
    auto backend = MemoryBackend::open(disk).value();
    auto log = backend.open_log({.create = true}).value();
    // Each change is logged and synced first, so the log is never behind the blocks.
    disk.crash_after(1 + random.below(120), random.one_in(2) ? CrashPoint::before_the_call : CrashPoint::after_the_call);
    std::uint64_t synced = 0, published = 0;
    for (std::uint64_t n = 1;; ++n) {
      const std::string record(512, static_cast<char>(n));
      if (!log.append(bytes_of(record)) || !log.sync()) break;
      synced = n;
      if (!backend.write(BlockId{1}, bytes_of(std::to_string(n)))) break;
      if (!random.one_in(3)) continue;
      if (!backend.sync()) break;
      published = n;
    }
    CHECK(log.append({}).error().code() == Errc::engine_failed);
    CHECK(backend.exists(BlockId{1}).error().code() == Errc::engine_failed);
    auto reopened = MemoryBackend::open(disk).value();
    auto relog = reopened.open_log({}).value();
    std::byte room[8];
    const auto got = reopened.read(BlockId{1}, room);
    const std::uint64_t state = got ? std::stoull(std::string{text_of(Bytes{room}.first(*got))}) : 0;
    const std::uint64_t records = (relog.end() - relog.begin()) / 512;
    CHECK(state >= published);
    CHECK(state <= records);
    CHECK(records >= synced);
    CHECK(records <= synced + 1);
  }
}

TEST_CASE("what an aborted or dropped backend wrote and never published is undone") {
  MemoryDisk disk;
  {
    auto backend = MemoryBackend::open(disk).value();
    REQUIRE(backend.write(BlockId{1}, bytes_of("published")));
    REQUIRE(backend.sync());
    REQUIRE(backend.write(BlockId{1}, bytes_of("overwritten")));
    REQUIRE(backend.write(BlockId{2}, bytes_of("added")));
  }
  auto backend = MemoryBackend::open(disk).value();
  CHECK(testing::holds(backend, {{BlockId{1}, "published"}}));
}

TEST_CASE("a log outlives the backend that it came from") {
  std::optional<MemoryLog> log;
  {
    MemoryBackend backend;
    log.emplace(backend.open_log({.create = true}).value());
  }
  CHECK(log->append(bytes_of(std::string(512, 'x'))));
  CHECK(log->sync());
}
