// SPDX-License-Identifier: Apache-2.0
// Readers that stay open while others write on: the memory for what they see has a cap, and they are right or told.
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/two_phase_locking.hpp>
#include <aegis/storage/wal/durability.hpp>

#include "support/engines.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

constexpr std::size_t row_count = 1'000;
using Contents = std::vector<std::uint64_t>;  // of each row the number of its update; 0: absent

std::string key_of(std::size_t row) { return "row" + std::to_string(10'000 + row); }
std::string value_of(std::uint64_t update) { return std::to_string(update) + std::string(update % 100, 'v'); }

/// A reader and what it must see for as long as it is not too old.
template <class Reader>
struct Watched {
  Reader reader;
  Contents seen;
  bool is_old = false;
};

template <class Isolation>
struct World {
  using Stack = Engine<MemoryBackend, LatchOfThreads, AsyncDurability, Isolation>;

  explicit World(std::size_t cap_bytes) : cap(cap_bytes), engine(open_on<Stack>(disk, options(cap_bytes))), table(table_of(engine, "t")), now(row_count, 0) {}

  static EngineOptions options(std::size_t cap_bytes) {
    EngineOptions options = small_options<Stack>();
    options.pool_bytes = std::size_t{64} * 8192;
    options.version_bytes = cap_bytes;
    options.log_bytes = std::uint64_t{512} << 10;  // fills several times: committers run checkpoints
    return options;
  }

  /// One commit on a random row: an update, or now and then a deletion.
  void write() {
    const std::size_t row = random.below(row_count);
    const bool erases = random.one_in(10);
    auto transaction = engine.begin();
    if (erases) REQUIRE(transaction.erase(table, key_of(row)).has_value());
    else REQUIRE(transaction.put(table, key_of(row), value_of(updates)).has_value());
    REQUIRE(transaction.commit().has_value());
    now[row] = erases ? 0 : updates;
    ++updates;
    // Every commit made its room before it saved anything, so there is no moment above the cap.
    const VersionStats versions = store().manager().versions().stats();
    if (versions.bytes > cap) FAIL_CHECK("versions take " << versions.bytes << " bytes of " << cap);
    most_bytes = versions.bytes > most_bytes ? versions.bytes : most_bytes;
  }

  /// A row that the reader must see as `update` left it, or be told that it is too old, and then for ever.
  template <class Reader>
  void check_row(Watched<Reader>& watched, std::size_t row, std::uint64_t update) {
    const auto read = watched.reader.get(table, key_of(row));
    if (!read) {
      REQUIRE(failed_with(read, Errc::snapshot_too_old));
      watched.is_old = true;
      return;
    }
    REQUIRE_FALSE(watched.is_old);
    REQUIRE(*read == (update == 0 ? std::optional<std::string>{} : value_of(update)));
  }
  template <class Reader>
  void check_all(Watched<Reader>& watched) {
    for (std::size_t row = 0; row < row_count; ++row) check_row(watched, row, watched.seen[row]);
    if (watched.is_old) return;
    Rows expected;
    for (std::size_t row = 0; row < row_count; ++row)
      if (watched.seen[row] != 0) expected.emplace(key_of(row), value_of(watched.seen[row]));
    auto cursor = watched.reader.scan(table);
    Rows rows;
    for (; cursor.valid(); cursor.next()) rows.emplace(cursor.key(), cursor.value());
    REQUIRE(cursor.status().has_value());
    REQUIRE(rows == expected);
  }

  auto& store() { return engine.begin().hold().store(); }

  std::size_t cap;
  MemoryDisk disk;
  Stack engine;
  typename Stack::Table table;
  Contents now;
  std::uint64_t updates = 1, most_bytes = 0;
  Random random{aegis_test::seed(1)};
};

/// A snapshot(), and if wanted a begin() that reads its snapshot too, stay open for so many commits.
template <class Isolation>
void check_readers(std::size_t cap_bytes, std::uint64_t commits, bool fits) {
  using Stack = typename World<Isolation>::Stack;
  INFO(replay(aegis_test::seed(1), "test/isolation/long_reader"));
  World<Isolation> world{cap_bytes};
  for (std::size_t i = 0; i < 2 * row_count; ++i) world.write();
  {
    Watched<typename Stack::ReadTransaction> snapshot{world.engine.snapshot(), world.now};
    world.check_row(snapshot, 0, snapshot.seen[0]);  // takes the snapshot
    std::optional<Watched<typename Stack::Transaction>> transaction;
    if constexpr (!Isolation::reads_take_locks) {  // where they do, writers rightly wait for it
      for (std::size_t i = 0; i < row_count; ++i) world.write();
      transaction.emplace(Watched<typename Stack::Transaction>{world.engine.begin(), world.now});
      world.check_row(*transaction, 0, transaction->seen[0]);
    }
    for (std::uint64_t i = 1; i <= commits; ++i) {
      world.write();
      const std::size_t row = world.random.below(row_count);
      if (i % 64 == 0) world.check_row(snapshot, row, snapshot.seen[row]);
      if (i % 64 == 0 && transaction) {
        if (Isolation::snapshot_per_operation) transaction->seen = world.now;  // every read sees the newest state
        world.check_row(*transaction, row, transaction->seen[row]);
      }
      if (i % (commits / 5) != 0) continue;
      world.check_all(snapshot);
      if (transaction) {
        if (Isolation::snapshot_per_operation) transaction->seen = world.now;
        world.check_all(*transaction);
      }
    }
    CHECK(snapshot.is_old == !fits);
    CHECK(world.most_bytes > cap_bytes / 64);  // they did need memory
    CHECK(world.engine.stats().checkpoints > 2);
    if (transaction && !Isolation::snapshot_per_operation) CHECK(transaction->is_old == !fits);
  }
  check_at_rest(world.engine);
  Watched<typename Stack::ReadTransaction> newest{world.engine.snapshot(), world.now};
  world.check_all(newest);
}

constexpr std::size_t roomy = std::size_t{8} << 20, tight = std::size_t{32} << 10;

}  // namespace

TEST_CASE_TEMPLATE("a reader that stays open sees its snapshot to the end, in memory below the cap", Isolation, ReadCommitted, SnapshotIsolation, Serializable, TwoPhaseLocking) {
  check_readers<Isolation>(roomy, 40'000, true);
}

TEST_CASE_TEMPLATE("a reader whose versions do not fit below the cap is told so, and never lied to", Isolation, ReadCommitted, SnapshotIsolation, Serializable, TwoPhaseLocking) {
  check_readers<Isolation>(tight, 10'000, false);
}
