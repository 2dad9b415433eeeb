// SPDX-License-Identifier: Apache-2.0
// The power fails at every single call that changes the disk, before it took effect and after: what is found is the
// state before the operation or the one after it, and the one after it if the operation had returned.
#include "support/random.hpp"
#include "support/rows.hpp"

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <set>
#include <string>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::CrashPoint;
using storage::Errc;
using Engine = storage::Engine<storage::MemoryBackend>;

namespace {

constexpr CrashPoint both_points[] = {CrashPoint::before_the_call, CrashPoint::after_the_call};

storage::Result<Engine> open_on(storage::MemoryDisk& disk) {
  AEGIS_TRY(auto backend, storage::MemoryBackend::open(disk));
  return Engine::open(std::move(backend), {.pool_bytes = 8 * 8192, .log_bytes = 1 << 20, .max_transactions = 16, .maintenance_thread = false});
}

/// Rows in the pages and rows in the log only.
void fill(Engine& engine) {
  REQUIRE(put(engine, "old", numbered("old", 60, 300)));
  REQUIRE(put(engine, "gone", numbered("gone", 40, 900)));
  REQUIRE(engine.checkpoint());
  REQUIRE(put(engine, "old", numbered("new", 10, 50)));
}

using Operation = std::function<storage::Result<void>(Engine&)>;

/// Crashes at every call of `operation`, and looks at what each left. Returns how many calls there were.
std::uint64_t crash_everywhere(const Operation& operation) {
  State before, after;
  std::uint64_t calls = 0;
  for (const bool look : {true, false}) {  // looking moves pages, so the calls are counted without
    storage::MemoryDisk disk;
    auto engine = open_on(disk);
    REQUIRE(engine);
    fill(*engine);
    if (look) before = content(*engine);
    calls = disk.mutating_calls();
    REQUIRE(operation(*engine));
    calls = disk.mutating_calls() - calls;
    after = content(*engine);
  }
  REQUIRE(calls > 0);
  bool seen_before = false, seen_after = false;
  for (const CrashPoint point : both_points)
    for (std::uint64_t n = 1; n <= calls; ++n) {
      CAPTURE(n);
      CAPTURE(static_cast<int>(point));
      storage::MemoryDisk disk;
      bool acknowledged = false;
      {
        auto engine = open_on(disk);
        REQUIRE(engine);
        fill(*engine);
        disk.crash_after(n, point);
        acknowledged = static_cast<bool>(operation(*engine));
      }
      auto again = open_on(disk);
      if (!again) INFO(again.error().message());
      REQUIRE(again);
      const State found = content(*again);
      const bool is_before = found == before, is_after = found == after;
      CHECK((is_before || is_after));
      if (acknowledged) CHECK(is_after);
      seen_before = seen_before || is_before;
      seen_after = seen_after || is_after;
      check_structure(*again);
      REQUIRE(put(*again, "old", {{"one more", "row"}}));
      check_structure(*again);
      REQUIRE(again->close());
    }
  CAPTURE(calls);
  CAPTURE(seen_before);
  CAPTURE(seen_after);
  CHECK((before == after || (seen_before && seen_after)));  // else the crash never hit what matters
  return calls;
}

}  // namespace

TEST_CASE("a crash at any call of a transaction of twenty keys leaves all of it or nothing (D8)") {
  Rows rows = numbered("row", 20, 200);
  rows["row100007"] = std::string(40'000, 'L');
  crash_everywhere([&](Engine& engine) -> storage::Result<void> {
    AEGIS_TRY(put(engine, "old", rows));
    return {};
  });
}

TEST_CASE("a crash at any call of a checkpoint changes nothing") {
  const std::uint64_t calls = crash_everywhere([](Engine& engine) { return engine.checkpoint(); });
  CHECK(calls >= 4);  // pages, block 0, the log, the sync
}

TEST_CASE("a crash at any call of close changes nothing") {
  // A closed engine tells nothing any more: the state after it is that of a reopening.
  crash_everywhere([](Engine& engine) -> storage::Result<void> {
    AEGIS_TRY(engine.checkpoint());
    return engine.checkpoint();
  });
  for (const CrashPoint point : both_points)
    for (std::uint64_t n = 1; n < 40; ++n) {
      storage::MemoryDisk disk;
      State before;
      bool closed = false;
      {
        auto engine = open_on(disk);
        REQUIRE(engine);
        fill(*engine);
        before = content(*engine);
        disk.crash_after(n, point);
        closed = static_cast<bool>(engine->close());
      }
      disk.crash_after(0);
      auto again = open_on(disk);
      REQUIRE(again);
      CHECK(content(*again) == before);
      if (closed) CHECK(again->stats().recovery.transactions == 0);
      check_structure(*again);
    }
}

TEST_CASE("a crash at any call of drop_table leaves the table or nothing of it") {
  crash_everywhere([](Engine& engine) { return engine.drop_table("gone"); });
}

TEST_CASE("a crash at any call of a drop and a new table of the same name leaves the one, none, or the other") {
  State before;
  for (const CrashPoint point : both_points)
    for (std::uint64_t n = 1; n < 30; ++n) {
      CAPTURE(n);
      storage::MemoryDisk disk;
      bool dropped = false, filled = false;
      {
        auto engine = open_on(disk);
        REQUIRE(engine);
        fill(*engine);
        before = content(*engine);
        disk.crash_after(n, point);
        dropped = static_cast<bool>(engine->drop_table("gone"));
        filled = dropped && put(*engine, "gone", {{"new", "life"}});
        disk.crash_after(0);
        disk.crash();
      }
      auto again = open_on(disk);
      REQUIRE(again);
      const State found = content(*again);
      const Rows* const rows = found.count("gone") != 0 ? &found.at("gone") : nullptr;
      const bool old = rows != nullptr && *rows == before.at("gone"), fresh = rows != nullptr && (rows->empty() || *rows == Rows{{"new", "life"}});
      CHECK((rows == nullptr || old || fresh));
      if (dropped) CHECK_FALSE(old);
      if (filled) CHECK((rows != nullptr && *rows == Rows{{"new", "life"}}));
      CHECK(found.at("old") == before.at("old"));
      check_structure(*again);
    }
}

TEST_CASE("a crash at any call of a bulk load leaves the whole table or none") {
  const Rows rows = numbered("row", 150, 400);
  crash_everywhere([&](Engine& engine) -> storage::Result<void> {
    AEGIS_TRY(auto loader, engine.load_table("loaded"));
    for (const auto& [key, value] : rows) AEGIS_TRY(loader.append(key, value));
    AEGIS_TRY(loader.finish());
    return {};
  });
}

TEST_CASE("a crash at any call of the making of a store leaves a place where one can be made, or an empty store") {
  for (const CrashPoint point : both_points)
    for (std::uint64_t n = 1;; ++n) {
      CAPTURE(n);
      storage::MemoryDisk disk;
      disk.crash_after(n, point);
      const bool done = static_cast<bool>(open_on(disk));
      disk.crash_after(0);
      {
        auto engine = open_on(disk);
        REQUIRE(engine);
        CHECK(content(*engine).empty());
        REQUIRE(put(*engine, "first", {{"key", "value"}}));
      }
      auto again = open_on(disk);
      REQUIRE(again);
      CHECK(content(*again) == State{{"first", {{"key", "value"}}}});
      check_structure(*again);
      if (done) break;
    }
}

TEST_CASE("a crash at any call of a recovery, and of the recovery after it, loses nothing and costs no more") {
  const auto prepare = [](storage::MemoryDisk& disk) {
    auto engine = open_on(disk);
    REQUIRE(engine);
    fill(*engine);
    for (int i = 0; i < 5; ++i) REQUIRE(put(*engine, "old", numbered("more" + std::to_string(i), 12, 700)));
    REQUIRE(engine->drop_table("gone"));
    const State state = content(*engine);
    disk.crash();
    return state;
  };
  State wanted;
  std::uint64_t calls = 0, transactions = 0;
  {
    storage::MemoryDisk disk;
    wanted = prepare(disk);
    calls = disk.mutating_calls();
    auto engine = open_on(disk);
    REQUIRE(engine);
    calls = disk.mutating_calls() - calls;
    transactions = engine->stats().recovery.transactions;
    CHECK(transactions == 7);  // six of rows, one drop
    CHECK(content(*engine) == wanted);
  }
  for (const CrashPoint point : both_points)
    for (std::uint64_t first = 1; first <= calls; ++first)
      for (std::uint64_t second = 1; second <= calls; second += 1 + calls / 8) {
        CAPTURE(first);
        CAPTURE(second);
        storage::MemoryDisk disk;
        prepare(disk);
        disk.crash_after(first, point);
        CHECK_FALSE(open_on(disk));
        disk.crash_after(second, point);
        {
          const auto maybe = open_on(disk);
          if (maybe) CHECK(maybe->stats().recovery.transactions <= transactions);
        }
        disk.crash_after(0);
        auto engine = open_on(disk);
        REQUIRE(engine);
        CHECK(engine->stats().recovery.transactions <= transactions);
        CHECK(content(*engine) == wanted);
        check_structure(*engine);
      }
}

TEST_CASE("over twenty generations of crashes nothing comes back that was lost, undecided commits are atomic and final, and no timestamp is used twice") {
  const std::uint64_t seed = aegis_test::seed(7);
  INFO(aegis_test::replay(seed, "test/engine/crash"));
  Random random(seed);
  for (int chain = 0; chain < 8; ++chain) {
    storage::MemoryDisk disk;
    Rows sure;
    std::set<std::uint64_t> timestamps;
    std::uint64_t newest = 0;
    for (int generation = 0; generation < 20; ++generation) {
      std::optional<Rows> maybe;
      {
        auto engine = open_on(disk);
        REQUIRE(engine);
        check_structure(*engine);
        disk.crash_after(1 + random.below(25), both_points[random.below(2)]);
        for (int commit = 0; commit < 30; ++commit) {
          Rows rows;
          for (std::uint64_t i = 0; i < 1 + random.below(5); ++i) rows["k" + std::to_string(random.below(40))] = std::to_string(generation) + ":" + std::to_string(commit) + random.bytes(random.below(900));
          Rows next = sure;
          for (const auto& [key, value] : rows) next[key] = value;
          const auto done = put(*engine, "t", rows);
          if (!done) {
            maybe = next;
            // What was asked of a store that failed stays refused.
            CHECK_FALSE(put(*engine, "t", {{"later", "x"}}));
            break;
          }
          CHECK(timestamps.insert(number(done->timestamp)).second);
          CHECK(number(done->timestamp) > newest);
          newest = number(done->timestamp);
          sure = next;
          if (random.one_in(12) && !engine->checkpoint()) break;
        }
      }
      disk.crash_after(0);
      disk.crash();
      for (int look = 0; look < 3; ++look) {  // what was found first stays
        {
          auto engine = open_on(disk);
          REQUIRE(engine);
          State found = content(*engine);
          const bool kept = maybe && found["t"] == *maybe;
          CHECK((kept || found["t"] == sure));
          if (kept) sure = *maybe;
          maybe.reset();
        }
        if (random.one_in(2)) disk.crash();
      }
    }
  }
}

TEST_CASE("writing one key several times in a transaction ends as the last operation says (D8, D14)") {
  storage::MemoryDisk disk;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", {{"erase put", "old"}, {"put erase", "old"}, {"untouched", "old"}}));
    const auto table = engine->table("t");
    REQUIRE(table);
    auto transaction = engine->begin();
    REQUIRE(transaction.put(*table, "put put", "first"));
    REQUIRE(transaction.put(*table, "put put", "second"));
    REQUIRE(transaction.erase(*table, "erase put"));
    REQUIRE(transaction.put(*table, "erase put", "again"));
    REQUIRE(transaction.put(*table, "put erase", "never seen"));
    REQUIRE(transaction.erase(*table, "put erase"));
    REQUIRE(transaction.insert(*table, "insert erase", "never seen"));
    REQUIRE(transaction.erase(*table, "insert erase"));
    REQUIRE(transaction.erase(*table, "untouched"));
    REQUIRE(transaction.insert(*table, "untouched", "old"));
    REQUIRE(transaction.commit());
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  CHECK(content(*engine) == State{{"t", {{"erase put", "again"}, {"put put", "second"}, {"untouched", "old"}}}});
  CHECK(engine->stats().transactions.versions == 0);
}
