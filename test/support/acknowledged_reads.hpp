// SPDX-License-Identifier: Apache-2.0
// X28 and X28f: what may be seen, and what waits, between a commit's place in the log and its durability.
#pragma once

#include "file/temporary_directory.hpp"
#include "support/engines.hpp"
#include "support/faulty_backend.hpp"

#include <aegis/storage/backend/local.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>

namespace aegis_test {

/// Where an engine's files outlive it, and what can become of them without it.
struct MediumInMemory {
  static constexpr bool loses_what_was_not_synced = true;

  auto open() { return aegis::storage::MemoryBackend::open(disk); }
  void crash() { disk.crash(); }

  aegis::storage::MemoryDisk disk;
};
struct MediumInDirectory {
  static constexpr bool loses_what_was_not_synced = false;  // the process ends, the machine does not

  auto open() { return aegis::storage::LocalBackend::open({.directory = *directory / "store", .read_only = false}); }
  void crash() {}

  std::shared_ptr<TemporaryDirectory> directory = std::make_shared<TemporaryDirectory>();
};

/// A commit of "1" = "11" over "10" whose sync is held up, in a thread of its own.
template <class Engine>
class HeldCommit {
 public:
  using Commit = aegis::storage::Result<aegis::storage::CommitInfo>;
  using Medium = std::conditional_t<std::is_same_v<typename Engine::Backend, FaultyLogBackend>, MediumInMemory, MediumInDirectory>;

  HeldCommit() {
    put(engine, table, "1", "10");
    faults.hold_syncs();
    committing = std::async(std::launch::async, [this]() -> Commit {
      auto txn = engine.begin();
      if (auto done = txn.put(table, "1", "11"); !done) return done.error();
      return txn.commit();
    });
    faults.wait_until_held();
  }
  ~HeldCommit() { faults.release_syncs(); }

  static Engine open(Medium& medium, aegis::storage::testing::LogFaults& faults) {
    auto backend = medium.open();
    REQUIRE(backend.has_value());
    auto engine = Engine::open(typename Engine::Backend{*std::move(backend), faults}, small_options<Engine>());
    REQUIRE(engine.has_value());
    return *std::move(engine);
  }
  static bool has_ended(std::future<Commit>& commit) { return commit.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

  Medium medium;
  aegis::storage::testing::LogFaults faults;
  Engine engine = open(medium, faults);
  typename Engine::Table table = table_of(engine, "rows");
  std::future<Commit> committing;
};

template <class Engine>
void check_acknowledged_reads() {
  namespace storage = aegis::storage;
  using World = HeldCommit<Engine>;

  SUBCASE("X28: a snapshot neither waits for a commit that is not durable nor shows it") {
    World world;
    auto s3 = world.engine.snapshot();
    CHECK(**s3.get(world.table, "1") == "10");
    CHECK(rows_of(s3.scan(world.table)) == Rows{{"1", "10"}});
    auto t2 = world.engine.begin();
    CHECK(**t2.get(world.table, "1") == "11");  // a read-write transaction sees what is published
    CHECK_FALSE(World::has_ended(world.committing));
    auto c2 = std::async(std::launch::async, [&] { return t2.commit(); });
    world.faults.release_syncs();
    CHECK(c2.get().has_value());
    CHECK(world.engine.stats().acknowledged >= t2.snapshot());
    CHECK(world.committing.get().has_value());
    CHECK(**s3.get(world.table, "1") == "10");
    CHECK(**world.engine.snapshot().get(world.table, "1") == "11");
  }

  // Each way to learn of the commit that is not durable yet; none may be believed before it is.
  using Txn = typename Engine::Transaction;
  const auto returns_early = [](auto&& read) {
    World world;
    world.faults.fail_sync(1);
    auto c2 = std::async(std::launch::async, [&]() -> bool {
      auto txn = world.engine.begin();
      read(world, txn);
      return txn.commit().has_value();
    });
    world.faults.release_syncs();
    const bool committed = c2.get();
    CHECK(failed_with(world.committing.get(), storage::Errc::commit_undecided));
    return committed;
  };
  SUBCASE("X28f: a commit without writes that read with get does not succeed when what it read was not made durable") {
    CHECK_FALSE(returns_early([](World& world, Txn& txn) { CHECK(**txn.get(world.table, "1") == "11"); }));
  }
  SUBCASE("X28f: nor one that read with a scan") {
    CHECK_FALSE(returns_early([](World& world, Txn& txn) { CHECK(rows_of(txn.scan(world.table)) == Rows{{"1", "11"}}); }));
  }
  SUBCASE("X28f: nor one that was refused an insert") {
    CHECK_FALSE(returns_early([](World& world, Txn& txn) { CHECK(failed_with(txn.insert(world.table, "1", "x"), storage::Errc::key_exists)); }));
  }
  SUBCASE("X28f: transact does not give its function's answer before what led to it is durable") {
    World world;
    world.faults.fail_sync(1);
    auto answer = std::async(std::launch::async, [&] {
      return world.engine.transact([&](Txn& txn) -> storage::Result<void> {
        auto cursor = txn.scan(world.table);
        if (cursor.valid() && cursor.value() == "11") return storage::Errc::invalid_argument;
        return {};
      });
    });
    world.faults.release_syncs();
    const auto answered = answer.get();
    REQUIRE_FALSE(answered.has_value());
    CHECK(answered.error().code() != storage::Errc::invalid_argument);
    CHECK(failed_with(world.committing.get(), storage::Errc::commit_undecided));
  }
  SUBCASE("X28f: when the sync fails the engine is poisoned, snapshots go on, and a reopen decides once and for all") {
    bool reached = false;
    SUBCASE("and the bytes are gone") {}
    SUBCASE("and the bytes are there all the same") { reached = true; }
    typename World::Medium medium;
    std::string decided;
    {
      World world;
      medium = world.medium;
      auto s3 = world.engine.snapshot();
      CHECK(**s3.get(world.table, "1") == "10");
      world.faults.fail_sync(1, storage::Errc::io, reached ? storage::testing::LogFaults::Reach::medium : storage::testing::LogFaults::Reach::nothing);
      world.faults.release_syncs();
      CHECK(failed_with(world.committing.get(), storage::Errc::commit_undecided));
      CHECK(**s3.get(world.table, "1") == "10");
      CHECK(**world.engine.snapshot().get(world.table, "1") == "10");
      auto txn = world.engine.begin();
      CHECK(txn.put(world.table, "2", "x").has_value());
      CHECK(failed_with(txn.commit(), storage::Errc::engine_failed));
      CHECK(failed_with(world.engine.checkpoint(), storage::Errc::engine_failed));
      medium.crash();
    }
    for (int life = 0; life < 3; ++life) {
      storage::testing::LogFaults none;
      Engine engine = World::open(medium, none);
      const Rows rows = contents(engine, table_of(engine, "rows"));
      REQUIRE(rows.size() == 1);
      const std::string value = rows.at("1");
      if (World::Medium::loses_what_was_not_synced) CHECK(value == (reached ? "11" : "10"));
      CHECK((value == "10" || value == "11"));
      CHECK((decided.empty() || value == decided));
      decided = value;
      check_at_rest(engine);
    }
  }
}

}  // namespace aegis_test
