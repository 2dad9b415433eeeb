// SPDX-License-Identifier: Apache-2.0
// Recoveries of logs that are longer than what is applied at once: with a thread beside and without, in pools that hold all
// pages and in pools that do not, with transactions and rows larger than a window, and with a disk that fails meanwhile.
#include "engine/simulated_store.hpp"
#include "support/damage.hpp"
#include "support/random.hpp"
#include "support/rows.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<SimulatedBackend>;

namespace {

constexpr std::size_t mib = 1 << 20;

const storage::EngineOptions writing{.pool_bytes = 32 * mib, .log_bytes = 1024 * mib, .max_transaction_bytes = 64 * mib, .maintenance_thread = false};
/// Windows of a recovery are as small as they get: 8 MiB each of two, or one of 16.
storage::EngineOptions reading(std::size_t pool_bytes, bool thread) {
  return {.pool_bytes = pool_bytes, .log_bytes = 1024 * mib, .max_transaction_bytes = mib, .version_bytes = mib, .maintenance_thread = thread};
}
Result<Engine> open(SimulatedDisk& disk, const storage::EngineOptions& options) { return open_simulated<Engine>(disk, "store", options); }

/// Rows come, change, shrink, grow over many pages and go, in three tables of which one is dropped and made again.
class Writer {
 public:
  explicit Writer(std::uint64_t seed) : random_(seed) {}

  void write(Engine& engine, std::uint64_t log_bytes) {
    while (engine.stats().log_bytes < log_bytes) {
      const std::string name = "table" + std::to_string(random_.below(3));
      if (random_.below(400) == 0 && state_.contains(name)) {
        REQUIRE(engine.drop_table(name));
        state_.erase(name);
        continue;
      }
      transact(engine, name, 1 + random_.below(60));
    }
  }
  void transact(Engine& engine, const std::string& name, std::uint64_t changes) {
    const auto table = engine.table(name);
    REQUIRE(table);
    Rows& rows = state_[name];
    auto transaction = engine.begin();
    for (; changes > 0; --changes) {
      const std::string key = "key" + std::to_string(random_.below(9000));
      if (random_.below(5) == 0) {
        REQUIRE(transaction.erase(*table, key));
        rows.erase(key);
      } else {
        rows[key] = std::string(random_.below(100) == 0 ? 20'000 + random_.below(9000) : random_.below(1500), static_cast<char>('a' + random_.below(26)));
        REQUIRE(transaction.put(*table, key, rows[key]));
      }
    }
    REQUIRE(transaction.commit());
  }
  void put(Engine& engine, const std::string& name, const std::string& key, std::string value) {
    REQUIRE(aegis_test::put(engine, name, {{key, value}}));
    state_[name][key] = std::move(value);
  }
  const State& state() const { return state_; }

 private:
  Random random_;
  State state_;
};

void check(Engine& engine, const State& expected) {
  const State found = content(engine);
  REQUIRE(found.size() == expected.size());
  for (const auto& [name, rows] : expected) {
    INFO(name);
    REQUIRE(found.at(name) == rows);  // not CHECKed whole: the message would be the store
  }
  check_structure(engine);
}

/// Opens copies of a killed store in all ways.
void check_recoveries(SimulatedDisk& disk, const State& expected) {
  disk.kill_process();
  const SimulatedMedium killed = disk.medium();
  std::uint64_t records = 0;
  for (const bool thread : {false, true}) {
    for (const std::size_t pool_bytes : {mib, 64 * mib}) {
      CAPTURE(thread);
      CAPTURE(pool_bytes);
      SimulatedDisk copy{{}, killed};
      for (int life = 0; life < 2; ++life) {
        auto engine = open(copy, reading(pool_bytes, thread));
        REQUIRE_MESSAGE(engine, engine.error().message());
        if (life == 0 && records == 0) records = engine->stats().recovery.records;
        if (life == 0) CHECK(engine->stats().recovery.records == records);
        check(*engine, expected);
        if (life == 1) REQUIRE(engine->close());  // the first is killed, perhaps before the checkpoint after its recovery
        else copy.kill_process();
      }
    }
  }
  REQUIRE(records != 0);
}

}  // namespace

TEST_CASE("a log of many windows is applied whole, by a thread beside or alone, whatever the pool holds") {
  const std::uint64_t at = seed(1);
  INFO(replay(at, "test/engine/redo"));
  SimulatedDisk disk;
  Writer writer{at};
  {
    auto engine = open(disk, writing);
    REQUIRE(engine);
    writer.write(*engine, 2 * mib);
    REQUIRE(engine->checkpoint());
    writer.write(*engine, 36 * mib);
  }
  check_recoveries(disk, writer.state());
}

TEST_CASE("transactions and rows larger than a window are applied whole") {
  SimulatedDisk disk;
  Writer writer{7};
  {
    auto engine = open(disk, writing);
    REQUIRE(engine);
    SUBCASE("a transaction over several windows") { writer.transact(*engine, "table1", 40'000); }
    SUBCASE("rows larger than any window") {
      writer.write(*engine, mib);
      writer.put(*engine, "table1", "key1", std::string(20 * mib, 'x'));
      writer.put(*engine, "table1", "key2", std::string(17 * mib, 'y'));
    }
    SUBCASE("a row larger than what is left of a window, and others put over it") {
      writer.write(*engine, 3 * mib);
      writer.put(*engine, "table1", "key1", std::string(20 * mib, 'x'));
      writer.write(*engine, 24 * mib);
      writer.put(*engine, "table1", "key1", "short");
      writer.put(*engine, "table2", "key1", std::string(15 * mib, 'z'));
    }
    writer.write(*engine, engine->stats().log_bytes + mib);
  }
  check_recoveries(disk, writer.state());
}

TEST_CASE("the checkpoint after a recovery is made before the opening ends, or by the thread while the store is in use") {
  SimulatedDisk disk;
  Rows rows = numbered("row", 500, 200);
  {
    auto engine = open(disk, reading(mib, false));
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", rows));
  }
  disk.kill_process();
  SUBCASE("without a thread") {
    auto engine = open(disk, reading(mib, false));
    REQUIRE(engine);
    CHECK(engine->stats().recovery.transactions != 0);
    CHECK(engine->stats().log_bytes < 64 << 10);
    disk.kill_process();
  }
  SUBCASE("with one") {
    auto options = reading(mib, true);
    options.sync_interval = storage::Milliseconds{3'600'000};  // it does not wait for its interval
    auto engine = open(disk, options);
    REQUIRE(engine);
    CHECK(engine->stats().recovery.transactions != 0);
    REQUIRE(put(*engine, "t", {{"more", "while it is made"}}));
    rows["more"] = "while it is made";
    const auto watchdog = std::chrono::steady_clock::now() + std::chrono::minutes{2};
    while (engine->stats().log_bytes >= 64 << 10 && std::chrono::steady_clock::now() < watchdog) std::this_thread::yield();
    CHECK(engine->stats().log_bytes < 64 << 10);
    REQUIRE(engine->close());
  }
  auto engine = open(disk, reading(mib, false));
  REQUIRE(engine);
  CHECK(engine->stats().recovery.transactions == 0);
  check(*engine, {{"t", rows}});
}

TEST_CASE("a hole that is found when much of the log is applied refuses the store, which is what it was when the hole is mended") {
  SimulatedDisk disk;
  Writer writer{3};
  {
    auto engine = open(disk, writing);
    REQUIRE(engine);
    writer.write(*engine, 36 * mib);
  }
  disk.kill_process();
  SimulatedMedium holed = settled(disk.medium());
  const auto logs = log_files(holed);
  REQUIRE(logs.size() > 2);
  const std::string name = logs[logs.size() - 2];  // behind more than a window, before durable commits
  const std::uint64_t hole = DamagedFile{holed, name}.size() / 2;
  const auto data_bytes = static_cast<std::size_t>(DamagedFile{holed, "data"}.size());
  const std::vector<std::byte> before = DamagedFile{holed, "data"}.bytes(0, data_bytes);
  DamagedFile{holed, name}.flip(hole, 3);
  for (const bool thread : {false, true}) {
    CAPTURE(thread);
    SimulatedDisk refusing{{}, holed};
    {
      const auto engine = open(refusing, reading(mib, thread));
      REQUIRE_FALSE(engine);
      CHECK(engine.error().code() == Errc::corrupt_log);
    }
    refusing.kill_process();
    SimulatedMedium mended = refusing.medium();
    CHECK(DamagedFile{mended, "data"}.bytes(0, data_bytes) != before);  // pages had been written by then
    DamagedFile{mended, name}.flip(hole, 3);
    SimulatedDisk whole{{}, std::move(mended)};
    auto engine = open(whole, reading(mib, thread));
    REQUIRE_MESSAGE(engine, engine.error().message());
    check(*engine, writer.state());
  }
}

TEST_CASE("a disk that fails while pages are written or read beside the reading of the log is a typed error, and nothing is lost") {
  SimulatedDisk disk;
  State expected;
  {
    auto engine = open(disk, writing);
    REQUIRE(engine);
    for (int round = 0; round < 2; ++round) {
      Rows some = numbered("row" + std::to_string(round), 10'000, 1000);
      REQUIRE(put(*engine, "t", some));
      expected["t"].merge(some);
    }
  }
  disk.kill_process();
  const SimulatedMedium killed = disk.medium();
  const std::pair<int, testing::DiskCalls> kinds[] = {{EIO, {testing::DiskCall::write}}, {ENOSPC, testing::room_takers}, {EIO, {testing::DiskCall::read}}};
  for (const bool thread : {true, false}) {
    for (const std::uint64_t nth : {1u, 9u, 60u}) {
      for (const auto& [error, calls] : kinds) {
        CAPTURE(thread);
        CAPTURE(nth);
        CAPTURE(error);
        SimulatedDisk failing{{}, killed};
        const bool sticky = nth == 1;
        failing.inject({.calls = calls, .nth = nth, .error = error, .sticky = sticky});
        {
          auto engine = open(failing, reading(256 << 10, thread));
          failing.heal();
          const Errc code = engine ? Errc{} : engine.error().code();
          if (sticky) REQUIRE_FALSE(engine);  // a recovery reads, writes and needs room
          if (engine) check(*engine, expected);
          else CHECK_MESSAGE((code == Errc::io || code == Errc::no_space || code == Errc::engine_failed), engine.error().message());
        }
        failing.kill_process();
        auto engine = open(failing, reading(256 << 10, thread));
        REQUIRE_MESSAGE(engine, engine.error().message());
        check(*engine, expected);
      }
    }
  }
}
