// SPDX-License-Identifier: Apache-2.0
// Which sets of policies are one type, and that each axis can be chosen. What does not compile stands in compile_fail/.
#include <aegis/storage/engine/compose.hpp>

#include <aegis/storage.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <type_traits>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

static_assert(std::is_same_v<Engine<>, Engine<LocalBackend>>);
static_assert(std::is_same_v<Engine<>, Engine<SyncDurability, PageSize<8192>, SnapshotIsolation, ClockEviction, OptimisticLatch, Xxh3Checksum, NoCodec, NoCipher, LocalBackend>>);
static_assert(std::is_same_v<Engine<MemoryBackend, ReadCommitted, LruEviction>, Engine<LruEviction, MemoryBackend, ReadCommitted>>);
static_assert(!std::is_same_v<Engine<MemoryBackend>, Engine<MemoryBackend, ReadCommitted>>);
static_assert(!std::is_same_v<Engine<MemoryBackend>, Engine<MemoryBackend, PageSize<4096>>>);
static_assert(std::is_same_v<Engine<MemoryBackend>::Backend, MemoryBackend>);

/// Rows short and long, changed, erased, scanned, checkpointed, and found again by a second opening.
template <class Stack>
void use(std::size_t page_bytes) {
  MemoryDisk disk;
  const EngineOptions options = small_options<Stack>(page_bytes);
  Rows expected;
  {
    Stack engine = open_on<Stack>(disk, options);
    const auto table = table_of(engine, "rows");
    for (int i = 0; i < 300; ++i) {
      const std::string key = "key" + std::to_string(i * 37 % 300), value(static_cast<std::size_t>(i % 20 == 0 ? 3 * page_bytes : 100), static_cast<char>('a' + i % 26));
      put(engine, table, key, value);
      expected.insert_or_assign(key, value);
    }
    REQUIRE(engine.checkpoint().has_value());
    const auto done = engine.transact([&](typename Stack::Transaction& txn) -> Result<void> {
      for (int i = 0; i < 300; i += 3) AEGIS_TRY(txn.erase(table, "key" + std::to_string(i)));
      return txn.put(table, "last", "");
    });
    REQUIRE(done.has_value());
    for (int i = 0; i < 300; i += 3) expected.erase("key" + std::to_string(i));
    expected.emplace("last", "");
    CHECK(contents(engine, table) == expected);
    check_at_rest(engine);
  }
  Stack engine = open_on<Stack>(disk, options);
  CHECK(contents(engine, table_of(engine, "rows")) == expected);
  check_at_rest(engine);
  CHECK(engine.close().has_value());
}

}  // namespace

TEST_CASE("every axis but page size and backend can be chosen at once") {
  use<Engine<MemoryBackend, LruEviction, PlainLatch, Crc32cChecksum, PageSize<4096>, ReadCommitted, AsyncDurability>>(4096);
}

TEST_CASE("blocks in memory need no checksum; the log has one all the same; pages may be 64 KiB") {
  use<Engine<MemoryBackend, NoChecksum, PageSize<65536>>>(65536);
}
