// SPDX-License-Identifier: Apache-2.0
// Engines over a disk in memory that outlives them, and what tests ask of one when everything has ended.
#pragma once

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/file/memory_disk.hpp>

#include <doctest/doctest.h>
#include <support/latch_of_threads.hpp>

#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <thread>

namespace aegis_test {

/// Eight frames, the smallest pool, and no thread but the test's own, so that every run is the same.
template <class Engine>
aegis::storage::EngineOptions small_options(std::size_t page_bytes = 8192) {
  aegis::storage::EngineOptions options;
  options.pool_bytes = 8 * page_bytes;
  options.maintenance_thread = false;
  return options;
}

template <class Engine>
Engine open_on(aegis::storage::MemoryDisk& disk, const aegis::storage::EngineOptions& options) {
  auto backend = aegis::storage::MemoryBackend::open(disk);
  REQUIRE(backend.has_value());
  auto engine = Engine::open(*std::move(backend), options);
  if (!engine) MESSAGE(engine.error().message());
  REQUIRE(engine.has_value());
  return *std::move(engine);
}

template <class Engine>
typename Engine::Table table_of(Engine& engine, std::string_view name) {
  auto table = engine.table(name);
  REQUIRE(table.has_value());
  return *table;
}

using Rows = std::map<std::string, std::string, std::less<>>;

/// All rows that the cursor passes, or a failed test.
template <class Cursor>
Rows rows_of(Cursor cursor) {
  Rows rows;
  for (; cursor.valid(); cursor.next()) rows.emplace(cursor.key(), cursor.value());
  if (!cursor.status()) MESSAGE(cursor.status().error().message());
  REQUIRE(cursor.status().has_value());
  return rows;
}
template <class Engine>
Rows contents(Engine& engine, const typename Engine::Table& table) {
  auto reader = engine.snapshot();
  return rows_of(reader.scan(table));
}

/// Puts one row in a transaction of its own.
template <class Engine>
void put(Engine& engine, const typename Engine::Table& table, std::string_view key, std::string_view value) {
  auto txn = engine.begin();
  REQUIRE(txn.put(table, key, value).has_value());
  REQUIRE(txn.commit().has_value());
}

template <class Engine>
aegis::storage::LockStats locks_of(Engine& engine) {
  auto txn = engine.begin();
  return txn.hold().store().manager().locks().stats();
}

/// Pages that somebody holds, once the maintenance thread holds none: it works on for a moment, and lets go. A pin that was
/// lost is there in the end.
template <class Engine>
std::uint64_t pins_that_stay(Engine& engine) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (;; std::this_thread::yield()) {
    const std::uint64_t pinned = engine.stats().pool.pinned;
    if (pinned == 0 || std::chrono::steady_clock::now() > end) return pinned;
  }
}

/// With nothing open: no lock is held or waited for, no version is kept, and everything that is stored is sound.
template <class Engine>
void check_at_rest(Engine& engine) {
  CHECK(locks_of(engine).keys == 0);
  // Versions go in quanta, with each commit and with the end of whoever needed them.
  auto& store = engine.begin().hold().store();
  for (std::uint64_t left = engine.stats().transactions.versions, before = left + 1; left != 0 && left < before; left = engine.stats().transactions.versions) {
    before = left;
    store.upkeep().after_commit();
  }
  CHECK(engine.stats().transactions.versions == 0);
  CHECK(engine.stats().transactions.version_bytes == 0);
  CHECK(engine.stats().transactions.active == 0);
  CHECK(pins_that_stay(engine) == 0);
  auto report = engine.verify();
  REQUIRE(report.has_value());
  if (!report->ok()) MESSAGE(report->message());
  CHECK(report->ok());
}

template <class T>
bool failed_with(const aegis::storage::Result<T>& result, aegis::storage::Errc code) {
  if (!result && result.error().code() != code) MESSAGE(result.error().message());
  return !result && result.error().code() == code;
}

/// How long tests with threads run, in seconds; AEGIS_SECONDS lengthens it.
inline double seconds(double otherwise) {
  const char* given = std::getenv("AEGIS_SECONDS");
  return given != nullptr ? std::strtod(given, nullptr) : otherwise;
}

}  // namespace aegis_test
