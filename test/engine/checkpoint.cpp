// SPDX-License-Identifier: Apache-2.0
#include "support/rows.hpp"

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<storage::MemoryBackend>;

namespace {

storage::Result<Engine> open_on(storage::MemoryDisk& disk) {
  AEGIS_TRY(auto backend, storage::MemoryBackend::open(disk));
  return Engine::open(std::move(backend), {.pool_bytes = 256 << 10, .log_bytes = 2 << 20, .maintenance_thread = false});
}

}  // namespace

TEST_CASE("after a checkpoint nothing has to be replayed, and the log before it is given up") {
  storage::MemoryDisk disk;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    for (int i = 0; i < 40; ++i) REQUIRE(put(*engine, "t", numbered("k" + std::to_string(i), 10, 500)));
    const auto before = engine->stats();
    CHECK(before.log_bytes > 200'000);
    REQUIRE(engine->checkpoint());
    const auto after = engine->stats();
    CHECK(after.checkpoints == before.checkpoints + 1);
    CHECK(after.log_bytes < 4096);
    CHECK(after.log.log_bytes <= (2 << 20) / 8 + 4096);  // whole segments are freed
    CHECK(after.pool.dirty == 0);
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  CHECK(engine->stats().recovery.transactions == 0);
  CHECK(content(*engine)["t"].size() == 400);
}

TEST_CASE("a checkpoint is one instant: what is committed after it began is replayed, not lost and not doubled") {
  storage::MemoryDisk disk;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", {{"before", "x"}}));
    const auto table = engine->table("t");
    auto spanning = engine->begin();
    REQUIRE(spanning.put(*table, "spanning", "x"));
    REQUIRE(engine->checkpoint());
    REQUIRE(spanning.put(*table, "later", "x"));
    REQUIRE(spanning.commit());
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  CHECK(engine->stats().recovery.transactions == 1);
  CHECK(content(*engine)["t"] == Rows{{"before", "x"}, {"later", "x"}, {"spanning", "x"}});
}

TEST_CASE("a disk too full for a commit refuses it before it is in the log, and still checkpoints, reads, erases and opens") {
  storage::MemoryDisk disk;
  Rows sure;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", numbered("first", 50, 500)));
    sure = numbered("first", 50, 500);
    REQUIRE(engine->checkpoint());
    disk.limit(4 << 20);
    std::optional<storage::Error> refused;
    for (int i = 0; i < 2000 && !refused; ++i) {
      const Rows rows = numbered("more" + std::to_string(i) + "-", 10, 1500);
      const auto done = put(*engine, "t", rows);
      if (done) sure.insert(rows.begin(), rows.end());
      if (!done) refused = done.error();
    }
    REQUIRE(refused);
    CHECK(refused->code() == Errc::no_space);
    CHECK(content(*engine)["t"] == sure);
    REQUIRE(engine->checkpoint());
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == sure);
  check_structure(*engine);
  disk.limit(~std::uint64_t{0});
  REQUIRE(put(*engine, "t", {{"room", "again"}}));
}

TEST_CASE("erasing every row gives the pages back") {
  storage::MemoryDisk disk;
  auto engine = open_on(disk);
  REQUIRE(engine);
  const auto table = engine->table("t");
  REQUIRE(table);
  const std::uint64_t empty = engine->stats().used_pages;
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    for (int i = 0; i < 30; ++i) REQUIRE(put(*engine, "t", numbered("k" + std::to_string(i) + "-", 40, 600)));
    REQUIRE(put(*engine, "t", {{"long", std::string(100'000, 'v')}}));
    CHECK(engine->stats().used_pages > empty + 100);
    const Rows rows = content(*engine)["t"];
    CHECK(rows.size() == (round == 0 ? 1201u : 1202u));  // with the tick below
    auto at = rows.begin();
    while (at != rows.end()) {
      auto transaction = engine->begin();
      for (int i = 0; i < 100 && at != rows.end(); ++i, ++at) REQUIRE(*transaction.erase(*table, at->first));
      REQUIRE(transaction.commit());
    }
    // With the maintenance thread off, committers do its work in quanta.
    for (int i = 0; i < 60; ++i) REQUIRE(put(*engine, "t", {{"tick", std::to_string(i)}}));
    REQUIRE(engine->checkpoint());
    CHECK(content(*engine)["t"].size() == 1);
    CHECK(engine->stats().used_pages <= empty + 2);
    CHECK(engine->stats().transactions.versions == 0);
    CHECK(engine->stats().waiting_ghosts == 0);
    check_structure(*engine);
  }
}

TEST_CASE("ghosts that a crash left in the pages go when their leaf is visited again") {
  storage::MemoryDisk disk;
  std::uint64_t empty = 0;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    const auto table = engine->table("t");
    REQUIRE(table);
    empty = engine->stats().used_pages;
    for (int i = 0; i < 30; ++i) REQUIRE(put(*engine, "t", numbered("k" + std::to_string(i) + "-", 40, 600)));
    const Rows rows = content(*engine)["t"];
    auto reader = engine->snapshot();
    REQUIRE(reader.get(*table, "k0-100000"));  // keeps every deleted row
    auto at = rows.begin();
    while (at != rows.end()) {
      auto transaction = engine->begin();
      for (int i = 0; i < 100 && at != rows.end(); ++i, ++at) REQUIRE(*transaction.erase(*table, at->first));
      REQUIRE(transaction.commit());
    }
    REQUIRE(engine->checkpoint());
    CHECK(reader.get(*table, "k0-100000"));
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  CHECK(content(*engine)["t"].empty());  // a scan over the ghosts queues their leaves
  for (int i = 0; i < 60; ++i) {
    REQUIRE(put(*engine, "t", {{"tick", std::to_string(i)}}));
    CHECK(content(*engine)["t"].size() == 1);
  }
  REQUIRE(engine->checkpoint());
  CHECK(engine->stats().used_pages <= empty + 2);
  check_structure(*engine);
}
