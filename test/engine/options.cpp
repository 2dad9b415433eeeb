// SPDX-License-Identifier: Apache-2.0
// What is no part of the layout may differ from one opening to the next; what is, may not.
#include <aegis/storage/engine/options.hpp>

#include <aegis/storage/backend/storage_backend.hpp>
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/wal/durability.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Plain = Engine<MemoryBackend>;
using Other = Engine<StorageBackend, ReadCommitted, AsyncDurability, PageSize<16384>>;

Other open_other(MemoryDisk& disk, const EngineOptions& options) {
  auto memory = MemoryBackend::open(disk);
  REQUIRE(memory.has_value());
  auto backend = StorageBackend::of(*std::move(memory));
  REQUIRE(backend.has_value());
  auto engine = Other::open(*std::move(backend), options);
  if (!engine) MESSAGE(engine.error().message());
  REQUIRE(engine.has_value());
  return *std::move(engine);
}

}  // namespace

TEST_CASE("a backend chosen at run time holds an engine, with any page size, isolation and durability") {
  MemoryDisk disk;
  Rows expected;
  for (const bool has_thread : {false, true}) {
    EngineOptions options = small_options<Other>(16384);
    options.maintenance_thread = has_thread;
    Other engine = open_other(disk, options);
    const auto table = table_of(engine, "rows");
    CHECK(contents(engine, table) == expected);
    for (int i = 0; i < 100; ++i) {
      const std::string key = std::to_string(i) + (has_thread ? "b" : "a"), value(i % 10 == 0 ? 50'000 : 300, 'v');
      put(engine, table, key, value);
      expected.emplace(key, value);
    }
    CHECK(contents(engine, table) == expected);
    check_at_rest(engine);
    if (has_thread) CHECK(engine.close().has_value());
  }
}

TEST_CASE("numbers may differ at every opening: pool, log bound, transactions, thread") {
  MemoryDisk disk;
  Rows expected;
  for (int life = 0; life < 4; ++life) {
    EngineOptions options;
    options.pool_bytes = (life % 2 == 0 ? 8U : 100U) * 8192;
    options.log_bytes = std::uint64_t{1} << (18 + 2 * life);
    options.max_transactions = life == 0 ? 2 : 1000;
    options.maintenance_thread = life % 2 == 1;
    Plain engine = open_on<Plain>(disk, options);
    const auto table = table_of(engine, "rows");
    CHECK(contents(engine, table) == expected);
    for (int i = 0; i < 50; ++i) {
      const std::string key = std::to_string(life * 100 + i);
      put(engine, table, key, std::string(500, 'v'));
      expected.emplace(key, std::string(500, 'v'));
    }
    if (life == 2) CHECK(engine.close().has_value());
  }
}

TEST_CASE("another page size is incompatible_format, told with both values, and the store is as before") {
  MemoryDisk disk;
  {
    Plain engine = open_on<Plain>(disk, small_options<Plain>());
    put(engine, table_of(engine, "t"), "k", "v");
  }
  {
    auto memory = MemoryBackend::open(disk);
    REQUIRE(memory.has_value());
    auto backend = StorageBackend::of(*std::move(memory));
    REQUIRE(backend.has_value());
    const auto other = Other::open(*std::move(backend), small_options<Other>(16384));
    REQUIRE(failed_with(other, Errc::incompatible_format));
    const std::string message = other.error().message();
    INFO(message);
    CHECK(message.find("8192") != std::string::npos);
    CHECK(message.find("16384") != std::string::npos);
  }
  Plain engine = open_on<Plain>(disk, small_options<Plain>());
  CHECK(contents(engine, table_of(engine, "t")) == Rows{{"k", "v"}});
}

TEST_CASE("a pool that is asked too small still serves, with eight pages") {
  MemoryDisk disk;
  EngineOptions options = small_options<Plain>();
  options.pool_bytes = 1;
  auto backend = MemoryBackend::open(disk);
  REQUIRE(backend.has_value());
  auto engine = Plain::open(*std::move(backend), options);
  REQUIRE(engine.has_value());
  CHECK(engine->stats().pool.frames >= 8);
  put(*engine, table_of(*engine, "t"), "k", std::string(100'000, 'v'));
  CHECK(contents(*engine, table_of(*engine, "t")).at("k").size() == 100'000);
}
