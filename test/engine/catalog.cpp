// SPDX-License-Identifier: Apache-2.0
#include "support/rows.hpp"

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <set>
#include <string>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<storage::MemoryBackend>;

namespace {

storage::Result<Engine> open_on(storage::MemoryDisk& disk) {
  AEGIS_TRY(auto backend, storage::MemoryBackend::open(disk));
  return Engine::open(std::move(backend), {.pool_bytes = 512 << 10, .log_bytes = 2 << 20, .maintenance_thread = false});
}

}  // namespace

TEST_CASE("dropping a table gives all its pages back, long values too") {
  storage::MemoryDisk disk;
  auto engine = open_on(disk);
  REQUIRE(engine);
  REQUIRE(put(*engine, "stays", {{"a", "b"}}));
  const std::uint64_t before = engine->stats().used_pages;
  for (int i = 0; i < 20; ++i) REQUIRE(put(*engine, "goes", numbered("k" + std::to_string(i), 40, 700)));
  REQUIRE(put(*engine, "goes", {{"long", std::string(200'000, 'v')}}));
  CHECK(engine->stats().used_pages > before + 80);
  REQUIRE(engine->drop_table("goes"));
  CHECK(*engine->tables() == std::vector<std::string>{"stays"});
  REQUIRE(engine->checkpoint());
  CHECK(engine->stats().used_pages == before);
  check_structure(*engine);
  CHECK(engine->drop_table("goes").error().code() == Errc::table_not_found);
}

TEST_CASE("older snapshots keep reading a dropped table; its name is free and its pages go when the last of them ends") {
  storage::MemoryDisk disk;
  auto engine = open_on(disk);
  REQUIRE(engine);
  const Rows rows = numbered("k", 300, 700);
  REQUIRE(put(*engine, "stays", {{"a", "b"}}));
  const std::uint64_t before = engine->stats().used_pages;
  REQUIRE(put(*engine, "t", rows));
  const auto table = engine->table("t");
  REQUIRE(table);
  {
    auto reader = engine->snapshot();
    REQUIRE(reader.get(*table, "k100000"));
    auto cursor = reader.scan(*table);
    REQUIRE(cursor.valid());
    REQUIRE(engine->drop_table("t"));
    CHECK(engine->table("t").error().code() == Errc::busy);
    CHECK(engine->load_table("t").error().code() == Errc::key_exists);
    REQUIRE(engine->checkpoint());
    for (int i = 0; i < 20; ++i) REQUIRE(put(*engine, "stays", numbered("s", 20, 500)));
    Rows seen;
    for (; cursor.valid(); cursor.next()) seen.emplace(cursor.key(), cursor.value());
    CHECK(seen == rows);
    CHECK(**reader.get(*table, "k100007") == rows.at("k100007"));
    CHECK(engine->snapshot().get(*table, "k100007").error().code() == Errc::table_not_found);
  }
  const auto again = engine->table("t");
  REQUIRE(again);
  CHECK(again->id() != table->id());
  CHECK(content(*engine)["t"].empty());
  REQUIRE(engine->drop_table("t"));
  REQUIRE(engine->checkpoint());
  CHECK(engine->stats().used_pages <= before + 2);  // the other table grew
  check_structure(*engine);
}

TEST_CASE("table ids are never used again, and a dropped table never comes back with a crash") {
  storage::MemoryDisk disk;
  std::set<std::uint32_t> ids;
  for (int life = 0; life < 8; ++life) {
    CAPTURE(life);
    auto engine = open_on(disk);
    REQUIRE(engine);
    CHECK(engine->tables()->size() == (life == 0 ? 0u : 1u));
    const auto table = engine->table("t" + std::to_string(life));
    REQUIRE(table);
    CHECK(ids.insert(number(table->id())).second);
    REQUIRE(put(*engine, "t" + std::to_string(life), {{"a", "b"}}));
    if (life % 3 == 1) REQUIRE(engine->checkpoint());
    if (life > 0) REQUIRE(engine->drop_table("t" + std::to_string(life - 1)));
    if (life % 3 == 2) REQUIRE(engine->checkpoint());
    disk.crash();
  }
}

TEST_CASE("a thousand tables come and go") {
  storage::MemoryDisk disk;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    for (int i = 0; i < 1000; ++i) REQUIRE(put(*engine, "table " + std::to_string(i), {{std::to_string(i), "row"}}));
    for (int i = 0; i < 1000; i += 2) REQUIRE(engine->drop_table("table " + std::to_string(i)));
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  const State state = content(*engine);
  CHECK(state.size() == 500);
  for (int i = 1; i < 1000; i += 2) CHECK(state.at("table " + std::to_string(i)) == Rows{{std::to_string(i), "row"}});
  check_structure(*engine);
}

TEST_CASE("a bulk load is invisible until it is finished, and nothing of it stays when it is given up") {
  storage::MemoryDisk disk;
  auto engine = open_on(disk);
  REQUIRE(engine);
  REQUIRE(put(*engine, "other", {{"a", "b"}}));
  const std::uint64_t before = engine->stats().used_pages;
  const Rows rows = numbered("k", 2000, 600);
  {
    auto loader = engine->load_table("t");
    REQUIRE(loader);
    for (const auto& [key, value] : rows) {
      REQUIRE(loader->append(key, value));
      if (loader->rows() != 1000) continue;
      CHECK(*engine->tables() == std::vector<std::string>{"other"});
      CHECK(engine->table("t").error().code() == Errc::busy);
      CHECK(engine->load_table("t").error().code() == Errc::key_exists);
      CHECK(engine->drop_table("t").error().code() == Errc::table_not_found);
      REQUIRE(put(*engine, "other", {{"c", "d"}}));
      REQUIRE(engine->checkpoint());
    }
  }
  REQUIRE(engine->checkpoint());
  CHECK(engine->stats().used_pages == before);
  check_structure(*engine);

  auto loader = engine->load_table("t");
  REQUIRE(loader);
  for (const auto& [key, value] : rows) REQUIRE(loader->append(key, value));
  CHECK(loader->rows() == rows.size());
  const auto table = loader->finish();
  REQUIRE(table);
  CHECK(loader->append("z", "late").error().code() == Errc::invalid_argument);
  CHECK(loader->finish().error().code() == Errc::invalid_argument);
  CHECK(content(*engine)["t"] == rows);
  REQUIRE(put(*engine, "t", {{"k100500x", "between"}}));
  CHECK(content(*engine)["t"].size() == rows.size() + 1);
  check_structure(*engine);
}

TEST_CASE("a bulk load refuses keys out of order, twice the same and too long, and goes on") {
  storage::MemoryDisk disk;
  auto engine = open_on(disk);
  REQUIRE(engine);
  auto loader = engine->load_table("t");
  REQUIRE(loader);
  REQUIRE(loader->append("", "the empty key"));
  REQUIRE(loader->append("b", ""));
  CHECK(loader->append("b", "again").error().code() == Errc::invalid_argument);
  CHECK(loader->append("a", "before").error().code() == Errc::invalid_argument);
  CHECK(loader->append(std::string(storage::max_key_bytes(8192) + 1, 'c'), "").error().code() == Errc::too_large);
  REQUIRE(loader->append("c", std::string(70'000, 'v')));
  REQUIRE(loader->finish());
  disk.crash();
  auto again = open_on(disk);
  REQUIRE(again);
  CHECK(content(*again)["t"] == Rows{{"", "the empty key"}, {"b", ""}, {"c", std::string(70'000, 'v')}});
}

TEST_CASE("an empty bulk load is an empty table") {
  storage::MemoryDisk disk;
  {
    auto engine = open_on(disk);
    REQUIRE(engine);
    auto loader = engine->load_table("t");
    REQUIRE(loader);
    REQUIRE(loader->finish());
    disk.crash();
  }
  auto engine = open_on(disk);
  REQUIRE(engine);
  CHECK(content(*engine) == State{{"t", {}}});
  REQUIRE(put(*engine, "t", {{"a", "b"}}));
}
