// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage.hpp>

#include "support/allocations.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using aegis_test::allocations_of_thread;

TEST_CASE_TEMPLATE("a read that finds its page in the pool allocates nothing", Isolation, ReadCommitted, SnapshotIsolation, Serializable, TwoPhaseLocking) {
  if (!aegis_test::allocations_are_counted) {
    MESSAGE("skipped: the sanitizer's allocator cannot be counted");
    return;
  }
  auto engine = Engine<MemoryBackend, Isolation>::open({.maintenance_thread = false}).value();
  const auto table = engine.table("t").value();
  const auto key_of = [](int i) { return "key " + std::to_string(i); };
  REQUIRE(engine.transact([&](auto& txn) -> Result<void> {
    for (int i = 0; i < 500; ++i) AEGIS_TRY(txn.put(table, key_of(i), std::string(100, 'v')));
    return {};
  }));
  std::size_t bytes = 0;
  const auto count = [&](std::string_view value) { bytes += value.size(); };
  const auto reads = [&](auto& txn, int step) {
    for (int i = 0; i < 600; i += step) {  // a sixth of them are absent
      char key[16];
      const int length = std::snprintf(key, sizeof key, "key %d", i);
      REQUIRE(txn.read(table, {key, static_cast<std::size_t>(length)}, count).value() == (i < 500));
    }
  };
  const auto whole_snapshot = [&] {
    auto txn = engine.snapshot();
    reads(txn, 1);
  };
  const auto whole_transaction = [&] {
    auto txn = engine.begin();
    reads(txn, Isolation::tracks_reads || Isolation::reads_take_locks ? 15 : 1);  // these remember what they read
    REQUIRE(txn.commit());
  };
  whole_snapshot();  // contexts, buffers and locks are made the first time
  whole_transaction();
  CHECK(bytes >= 500 * 100);

  SUBCASE("in a snapshot, its beginning and end included") {
    const std::size_t before = allocations_of_thread;
    whole_snapshot();
    CHECK(allocations_of_thread == before);
  }
  SUBCASE("in a read-write transaction that has read as much before, its commit included") {
    const std::size_t before = allocations_of_thread;
    whole_transaction();
    CHECK(allocations_of_thread == before);
  }
  SUBCASE("what counts, counts") {
    const std::size_t before = allocations_of_thread;
    auto txn = engine.snapshot();
    CHECK(txn.get(table, "key 1").value() == std::string(100, 'v'));
    CHECK(allocations_of_thread > before);
  }
}
