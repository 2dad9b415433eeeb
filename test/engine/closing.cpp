// SPDX-License-Identifier: Apache-2.0
// close() on a disk that is full or fails: either the store is closed, or the engine goes on and can be closed later, or it
// has failed for good. Whichever it was, nothing that was acknowledged is lost.
#include "engine/simulated_store.hpp"
#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using testing::DiskCall, testing::DiskCalls;
using SyncEngine = storage::Engine<SimulatedBackend>;
using AsyncEngine = storage::Engine<SimulatedBackend, storage::AsyncDurability>;

namespace {

template <class Engine>
Result<void> try_put(Engine& engine, StoreState& state, const std::string& key, std::size_t bytes) {
  AEGIS_TRY(const auto table, engine.table("t"));
  state["t"];
  AEGIS_TRY(engine.transact([&](typename Engine::Transaction& transaction) { return transaction.put(table, key, std::string(bytes, 'v')); }));
  state["t"][key] = std::string(bytes, 'v');
  return {};
}

/// Leaves more dirty pages than are written at once, so that a checkpoint meets a full disk before it publishes.
template <class Engine>
void put_some(Engine& engine, StoreState& state) {
  for (int i = 0; i < 40; ++i) REQUIRE(try_put(engine, state, "k" + std::to_string(i % 25), i % 9 == 0 ? 12'000 : 700));
}

/// How closes ended that met a fault.
struct Ends {
  int closed = 0, went_on = 0, failed = 0;
};

/// A store whose close meets the fault, is healed, and must then be closed, alive or failed. False when close does not make so
/// many of the fault's calls.
template <class Engine>
bool survives(const testing::Fault& fault, const testing::DiskTraits& traits, Ends& ends) {
  SimulatedDisk disk{traits};
  StoreState state;
  bool fired = false;
  {
    auto engine = open_simulated<Engine>(disk);
    REQUIRE(engine);
    put_some(*engine, state);
    auto& store = engine->begin().hold().store();
    disk.inject(fault);
    const Result<void> closed = engine->close();
    fired = disk.faults_fired() != 0;
    disk.heal();
    if (closed) {
      ++ends.closed;
    } else if (store.parts().healthy() && closed.error().code() != Errc::engine_failed) {
      ++ends.went_on;
      CHECK(state_of(*engine).value() == state);
      const auto put = try_put(*engine, state, "afterwards", 9'000);
      CHECK_MESSAGE(put, put.error().message());
      const auto again = engine->close();
      CHECK_MESSAGE(again, again.error().message());
    } else {
      ++ends.failed;
      CHECK(failed_with(engine->checkpoint(), Errc::engine_failed));
    }
    CHECK(failed_with(engine->close(), Errc::engine_failed));
    CHECK(failed_with(try_put(*engine, state, "too late", 1), Errc::engine_failed));
  }
  for (const bool cut : {false, true}) {
    if (cut) disk.power_up(testing::CutModel::nothing, 1);
    auto engine = open_simulated<Engine>(disk);
    REQUIRE_MESSAGE(engine, engine.error().message());
    CHECK(state_of(*engine).value() == state);
    CHECK(engine->verify().value().ok());
  }
  return fired;
}

template <class Engine>
Ends try_all(DiskCalls calls, int error, const testing::DiskTraits& traits) {
  Ends ends;
  for (const bool sticky : {false, true})
    for (std::uint64_t n = 1; survives<Engine>({.calls = calls, .nth = n, .error = error, .sticky = sticky}, traits, ends); ++n) {
      CAPTURE(sticky);
      CAPTURE(n);
    }
  return ends;
}

}  // namespace

TEST_CASE("a close that meets an error has closed the store, or leaves it open for use and for another close, or the engine has failed") {
  for (const bool direct : {true, false})
    for (const int error : {ENOSPC, EIO}) {
      CAPTURE(direct);
      CAPTURE(error);
      const testing::DiskTraits traits{.direct = direct};
      for (const Ends& ends : {try_all<SyncEngine>({DiskCall::write}, error, traits), try_all<AsyncEngine>({DiskCall::write}, error, traits)}) {
        MESSAGE(ends.closed << " closed, " << ends.went_on << " went on, " << ends.failed << " failed");
        CHECK(ends.went_on > 1);
        CHECK(ends.failed > 1);  // the log's write, or one of the backend's sync
        CHECK(ends.closed > 0);
      }
    }
}

TEST_CASE("a close that cannot rename, make or lengthen a file has closed the store or leaves it open") {
  const Ends ends = try_all<SyncEngine>({DiskCall::create, DiskCall::rename, DiskCall::allocate, DiskCall::punch, DiskCall::unlink}, ENOSPC, {});
  CHECK(ends.closed + ends.went_on > 4);
  CHECK(ends.failed == 0);
}

TEST_CASE("a close whose sync fails ends the engine") {
  const Ends ends = try_all<SyncEngine>(testing::syncs, EIO, {});
  CHECK(ends.failed > 4);
  CHECK(ends.went_on == 0);
}

namespace {

struct Rounds {
  void maintain() { ++count; }
  /// Whether there is another one within 20 seconds.
  bool go_on() {
    const int before = count;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (count == before && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return count != before;
  }

  std::atomic<int> count{0};
};

}  // namespace

TEST_CASE("a maintenance thread that was stopped can be started again, and works then") {
  Rounds rounds;
  storage::MaintenanceThread<Rounds> thread{rounds, storage::Milliseconds{1}};
  for (int life = 0; life < 3; ++life) {
    REQUIRE(thread.start());
    CHECK(thread.running());
    CHECK(rounds.go_on());
    thread.stop();
    CHECK_FALSE(thread.running());
    const int count = rounds.count;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});  // time enough for rounds that should not come
    CHECK(rounds.count == count);
  }
}
