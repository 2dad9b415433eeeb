// SPDX-License-Identifier: Apache-2.0
// What a store takes on disk: a closed one no more than what is in it needs, whatever was in it before.
#include "file/temporary_directory.hpp"
#include "log/crash_files.hpp"
#include "support/rows.hpp"

#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;

namespace {

using LocalEngine = storage::Engine<>;
using SimulatedBackend = storage::ExtentBackend<CrashFiles>;
using SimulatedEngine = storage::Engine<SimulatedBackend>;

storage::EngineOptions options_in(const std::string& directory, bool maintenance_thread) {
  return {.directory = directory, .pool_bytes = 4 << 20, .log_bytes = 32 << 20, .maintenance_thread = maintenance_thread};
}
std::string key_of(std::size_t row) { return "row " + std::to_string(row); }

/// `count` rows from `first` on, each with a value of 100 bytes; `batch` of them a transaction.
template <class Engine>
Rows put_rows(Engine& engine, std::size_t first, std::size_t count, std::size_t batch, char with = 'v') {
  Rows rows;
  const auto table = engine.table("t");
  REQUIRE(table);
  for (std::size_t row = first; row < first + count;) {
    auto transaction = engine.begin();
    for (const std::size_t until = std::min(row + batch, first + count); row < until; ++row) {
      rows[key_of(row)] = std::string(100, with);
      REQUIRE(transaction.put(*table, key_of(row), rows[key_of(row)]));
    }
    REQUIRE(transaction.commit());
  }
  return rows;
}
template <class Engine>
void erase_rows(Engine& engine, std::size_t first, std::size_t count) {
  const auto table = engine.table("t");
  REQUIRE(table);
  auto transaction = engine.begin();
  for (std::size_t row = first; row < first + count; ++row) REQUIRE(transaction.erase(*table, key_of(row)));
  REQUIRE(transaction.commit());
}

std::uint64_t size_of(const TemporaryDirectory& place) { return std::filesystem::file_size(place / "store/data"); }
std::size_t spares_of(const TemporaryDirectory& place) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{place / "store"}) count += entry.path().filename().string().starts_with("spare-") ? 1 : 0;
  return count;
}

/// What blocks, their map and the superblocks take, and a mebibyte or an eighth of the blocks.
std::uint64_t bound_of(const TemporaryDirectory& place) {
  auto backend = storage::LocalBackend::open({.directory = place / "store", .read_only = true});
  REQUIRE(backend);
  const storage::BackendStats stats = backend->stats();
  const std::uint64_t map = (stats.blocks / storage::map_fanout + 3) * storage::map_block_bytes;
  return stats.stored_bytes + map + storage::Superblock::region_bytes + std::max<std::uint64_t>(1 << 20, stats.stored_bytes / 8);
}

}  // namespace

TEST_CASE("a closed store takes no more room than its rows need, and one spare log segment") {
  bool maintenance_thread = false;
  SUBCASE("with the maintenance thread") { maintenance_thread = true; }
  SUBCASE("without") { maintenance_thread = false; }
  TemporaryDirectory place;
  auto engine = LocalEngine::open(options_in(place / "store", maintenance_thread));
  REQUIRE(engine);
  Rows rows = put_rows(*engine, 0, 400, 400);
  SUBCASE("a few rows, put at once") {}
  SUBCASE("many rows, of which few are left") {
    put_rows(*engine, 400, 20'000, 2000);
    REQUIRE(engine->checkpoint());
    erase_rows(*engine, 400, 20'000);
    rows = put_rows(*engine, 0, 400, 1, 'w');
  }
  SUBCASE("many rows, replaced again and again") {
    for (const char with : {'a', 'b', 'c', 'd'}) {
      rows = put_rows(*engine, 0, 12'000, 3000, with);
      REQUIRE(engine->checkpoint());
    }
  }
  SUBCASE("a table that was dropped") {
    const auto other = engine->table("other");
    REQUIRE(other);
    for (int part = 0; part < 10; ++part) {
      auto transaction = engine->begin();
      for (int row = 0; row < 20; ++row) REQUIRE(transaction.put(*other, std::to_string(part * 20 + row), std::string(50'000, 'x')));
      REQUIRE(transaction.commit());
    }
    REQUIRE(engine->checkpoint());
    REQUIRE(engine->drop_table("other"));
  }
  REQUIRE(engine->close());
  const std::uint64_t size = size_of(place);
  const std::size_t spares = spares_of(place);
  engine = Errc::io;  // lets go of the directory
  CHECK(size <= bound_of(place));
  CHECK(spares <= 1);
  auto again = LocalEngine::open(options_in(place / "store", false));
  REQUIRE(again);
  CHECK(content(*again)["t"] == rows);
  check_structure(*again);
}

TEST_CASE("a checkpoint that the user asks for leaves one spare log segment") {
  TemporaryDirectory place;
  auto engine = LocalEngine::open(options_in(place / "store", false));
  REQUIRE(engine);
  put_rows(*engine, 0, 30'000, 1000);
  REQUIRE(engine->checkpoint());
  CHECK(spares_of(place) <= 1);
  put_rows(*engine, 30'000, 1000, 10);
  REQUIRE(engine->close());
}

TEST_CASE("close is done when the log says so: whatever call fails after that, close returns and nothing is lost") {
  std::uint64_t failed = 0, closed_on_a_dead_disk = 0;
  for (std::uint64_t at = 1;; ++at) {
    CAPTURE(at);
    CrashDisk disk;
    Rows rows;
    bool whole = false;
    {
      auto backend = SimulatedBackend::open(CrashFiles{&disk}, {.directory = "store"});
      REQUIRE(backend);
      auto engine = SimulatedEngine::open(std::move(*backend), options_in("", false));
      REQUIRE(engine);
      rows = put_rows(*engine, 0, 3000, 1000);
      REQUIRE(engine->checkpoint());
      erase_rows(*engine, 100, 2900);
      rows = put_rows(*engine, 0, 100, 100, 'w');
      disk.die_at = disk.calls + at;
      const bool closed = engine->close().has_value();
      whole = !disk.dead;
      failed += closed ? 0 : 1;
      closed_on_a_dead_disk += closed && disk.dead ? 1 : 0;
      if (closed_on_a_dead_disk != 0) CHECK(closed);
    }
    disk.revive();
    Random cut{at};
    disk.power_cut(cut);
    auto backend = SimulatedBackend::open(CrashFiles{&disk}, {.directory = "store"});
    REQUIRE(backend);
    auto engine = SimulatedEngine::open(std::move(*backend), options_in("", false));
    if (!engine) FAIL(engine.error().message());
    CHECK(content(*engine)["t"] == rows);
    if (whole) break;
  }
  CHECK(failed > 5);
  CHECK(closed_on_a_dead_disk > 2);
}
