// SPDX-License-Identifier: Apache-2.0
// Every call to the operating system fails, each with each error that it may have, once and from then on, while a store is
// made, filled, checkpointed, read, closed and opened again, by twelve workloads: every answer is a typed error or true, what was acknowledged is
// there when the fault is over, what was refused is not, and a failed sync ends the engine. AEGIS_SECONDS tries every index,
// AEGIS_WORKLOAD=<name> takes one workload.
#include "engine/simulated_store.hpp"
#include "support/damage.hpp"
#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <set>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using testing::DiskCall, testing::DiskCalls, testing::Fault;
using SyncEngine = storage::Engine<SimulatedBackend>;
using AsyncEngine = storage::Engine<SimulatedBackend, storage::AsyncDurability>;

namespace {

struct Kind {
  const char* name;
  int error;
  DiskCalls calls;
};
const Kind kinds[] = {
    {"EIO", EIO, DiskCalls::all()},           {"ENOSPC", ENOSPC, testing::room_takers}, {"EDQUOT", EDQUOT, testing::room_takers},
    {"EMFILE", EMFILE, testing::openers},     {"EINTR", EINTR, DiskCalls::all()},       {"EROFS", EROFS, testing::guarded},
    {"EACCES", EACCES, testing::guarded},     {"short", Fault::short_transfer, {DiskCall::read, DiskCall::write}},
    {"EIO at syncs", EIO, testing::syncs},    {"EIO at changes", EIO, testing::changes},
};

/// What may be said to somebody whose disk misbehaves.
bool is_honest(Errc code) {
  switch (code) {
    case Errc::io:
    case Errc::no_space:
    case Errc::read_only:
    case Errc::busy:
    case Errc::commit_undecided:
    case Errc::engine_failed: return true;
    default: return false;
  }
}

/// One life of a store under one fault.
template <class Engine>
class Run {
 public:
  Run(const Workload& workload, std::uint64_t seed) : closes_(!workload.reopens), disk_(workload.traits), client_(seed, workload.mix) {}

  SimulatedDisk& disk() { return disk_; }
  const std::string& complaint() const { return complaint_; }

  /// The scenario: some thirty steps in two openings. Errors are noted, looked at, and lived with.
  void live(int openings = 2) {
    for (int opening = 0; opening < openings; ++opening) {
      auto engine = open_simulated<Engine>(disk_);
      if (!engine) {
        look("open", engine.error());
        continue;
      }
      if (!stand_where_it_stands(*engine)) continue;
      live_in(*engine);
      if (!closes_) continue;  // killed: the next opening has a log to read, under the fault
      if (const auto closed = engine->close(); !closed) look("close", closed.error());
    }
  }

  /// The fault is over: what was acknowledged is there, what was refused is not, and the store works; after a power cut too.
  void heal_and_look() {
    disk_.heal();
    for (const bool cut : {false, true}) {
      if (cut) disk_.power_up(CutModel::nothing, 1);
      auto engine = open_simulated<Engine>(disk_);
      if (!engine) return complain("does not open when healed: " + engine.error().message());
      std::size_t found = 0;
      if (const auto wrong = wrong_with(*engine, client_.steps(), first_possible(cut), client_.steps().size() - 1, found); !wrong.empty())
        return complain(std::string{cut ? "after a power cut: " : "healed: "} + wrong);
      client_.stand_at(StoreState{client_.steps()[found].after}, disk_.calls());
      undecided_ = 0;
      for (int i = 0; i < 3; ++i)
        if (const auto done = client_.step(*engine, disk_); !done) return complain("healed, but: " + done.error().message());
      if (!cut && disk_.calls() % 2 == 0) continue;  // left without a close: a killed process
      if (const auto closed = engine->close(); !closed) return complain("healed, but close: " + closed.error().message());
      client_.stand_at(StoreState{client_.state()}, disk_.calls());
    }
  }

  /// The call that met the fault first, for the message.
  std::string met() const {
    for (const auto& call : disk_.history())
      if (call.error != 0 && call.error != ENOENT) return std::string{name_of(call.change.call)} + " " + call.change.name + " file " + std::to_string(call.change.file);
    return "no call";
  }

 private:
  /// A failed sync is, for what only the cache held, what a power cut is: AsyncDurability promises no more.
  std::size_t first_possible(bool cut) const {
    if (cut || !Engine::Store::Parts::Durability::wait) return client_.first_sure();
    return client_.steps().size() - 1 - undecided_;
  }
  /// After a reopening: what was undecided is decided. False when it cannot be read, or is wrong.
  bool stand_where_it_stands(Engine& engine) {
    const auto state = state_of(engine);
    if (!state) {
      look("read", state.error());
      return false;
    }
    for (std::size_t i = client_.steps().size(); i-- > first_possible(false);)
      if (client_.steps()[i].after == *state) {
        client_.stand_at(*state, disk_.calls());
        undecided_ = 0;
        return true;
      }
    complain("a reopening found another state than what was acknowledged");
    return false;
  }

  void live_in(Engine& engine) {
    bool failed = false;
    for (int i = 0; i < 14; ++i) {
      const std::size_t steps = client_.steps().size();
      const std::uint64_t fired = disk_.faults_fired();
      const auto done = client_.step(engine, disk_);
      if (failed && done && client_.steps().size() > steps) complain("a write of an engine that had failed was taken");
      if (done) continue;
      look("step", done.error());
      if (done.error().code() == Errc::commit_undecided) {
        undecided_ = 1;
        failed = true;
      } else if (client_.steps().size() > steps) {
        client_.forget_last();
      }
      failed = failed || done.error().code() == Errc::engine_failed;
      if (fired == disk_.faults_fired() && !failed && undecided_ == 0) complain("an error without a fault: " + done.error().message());
      if (failed) check_poisoned(engine);
      if (undecided_ != 0) break;  // nothing further can be said of this life
    }
    if (const auto state = state_of(engine); !state)
      look("read", state.error());
    else if (undecided_ == 0 && *state != client_.state())
      complain("reads show what was not committed, or not what was");
  }
  void check_poisoned(Engine& engine) {
    const auto checkpoint = engine.checkpoint();
    if (checkpoint) complain("a checkpoint of an engine that had failed");
    auto transaction = engine.begin();
    const auto table = engine.table("accounts");
    if (!table) return;
    const auto put = transaction.put(*table, "account10", "lost");
    const auto done = put ? transaction.commit() : Result<storage::CommitInfo>{put.error()};
    if (done) complain("a commit of an engine that had failed");
  }
  void look(const char* where, const storage::Error& error) {
    if (!is_honest(error.code())) complain(std::string{where} + " says " + error.message());
  }
  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
  }

  bool closes_;
  SimulatedDisk disk_;
  SimulatedClient<Engine> client_;
  std::size_t undecided_ = 0;  // the last step is
  std::string complaint_;
};

/// Every stride-th index of one kind of error, from `first` on, until the fault does not fire any more.
template <class Engine>
std::uint64_t try_all(const Kind& kind, const Workload& workload, bool sticky, bool takes_effect, std::uint64_t first, std::uint64_t stride, std::uint64_t seed) {
  std::uint64_t runs = 0;
  for (std::uint64_t n = first;; n += stride, ++runs) {
    Run<Engine> run{workload, seed};
    run.disk().record();
    run.disk().inject({.calls = kind.calls, .nth = n, .error = kind.error, .sticky = sticky, .takes_effect = takes_effect});
    run.live();
    const bool fired = run.disk().faults_fired() != 0;
    run.heal_and_look();
    if (!run.complaint().empty()) {
      const std::string replay = kind.name + std::string{sticky ? " from call " : " at call "} + std::to_string(n) + (takes_effect ? " with effect (" : " (") + run.met() + ", " +
                                 workload.name + "), AEGIS_SECONDS=1 AEGIS_WORKLOAD=" + workload.name + " AEGIS_SEED=" + std::to_string(seed) + " test/engine/failing_calls: ";
      FAIL_CHECK(replay << run.complaint());
    }
    if (!fired) return runs;
  }
}

template <class Engine>
std::uint64_t try_kinds(const Workload& workload, std::uint64_t seed, std::uint64_t stride) {
  std::uint64_t runs = 0;
  for (const Kind& kind : kinds)
    for (const bool sticky : {false, true})
      for (const bool takes_effect : {false, true}) {
        if (takes_effect && (sticky || kind.error == EINTR || kind.error == Fault::short_transfer)) continue;
        const bool is_sync = !kind.calls.contains(DiskCall::write);  // the few that decide most
        const std::uint64_t every = is_sync && kind.error == EIO ? stride / 6 + 1 : stride;
        runs += try_all<Engine>(kind, workload, sticky, takes_effect, 1 + (seed + runs) % every, every, seed);
      }
  return runs;
}

}  // namespace

TEST_CASE("an error at any call is a typed error, loses nothing that was acknowledged and keeps nothing that was refused") {
  const std::uint64_t stride = std::getenv("AEGIS_SECONDS") != nullptr ? 1 : 53;
  const char* const only = std::getenv("AEGIS_WORKLOAD");
  std::uint64_t seed = 0, all = 0;
  for (const Workload& workload : workloads) {
    ++seed;
    if (only != nullptr && workload.name != only) continue;
    const std::uint64_t chosen = aegis_test::seed(seed), runs = workload.async ? try_kinds<AsyncEngine>(workload, chosen, stride) : try_kinds<SyncEngine>(workload, chosen, stride);
    MESSAGE(workload.name << ": " << runs << " runs with a fault");
    CHECK(runs > 0);
    all += runs;
  }
  MESSAGE(all << " runs with a fault");
  CHECK(all > 0);
}

TEST_CASE("a file whose sync failed is neither written nor synced again by the engine that saw it") {
  std::uint64_t failed_syncs = 0;
  for (const bool direct : {true, false})
    for (std::uint64_t n = 1;; ++n) {
      CAPTURE(direct);
      CAPTURE(n);
      Run<SyncEngine> run{workloads[direct ? 0 : 1], 11};
      run.disk().record();
      run.disk().inject({.calls = {DiskCall::sync_data, DiskCall::sync_all}, .nth = n});
      run.live(1);
      if (run.disk().faults_fired() == 0) break;
      std::set<testing::FileNumber> failed;
      for (const auto& call : run.disk().history()) {
        const bool writes = call.change.call == DiskCall::write || call.change.call == DiskCall::sync_data || call.change.call == DiskCall::sync_all;
        if (writes) CHECK_FALSE(failed.contains(call.change.file));
        if (writes && call.error == EIO) failed.insert(call.change.file);
      }
      CHECK(failed.size() == 1);
      ++failed_syncs;
      CHECK(run.complaint().empty());
    }
  MESSAGE(failed_syncs << " failed syncs");
  CHECK(failed_syncs > 50);
}

TEST_CASE("a superblock that cannot be read is made up for by its twin, and io where that is damaged") {
  SimulatedDisk disk{{.direct = true, .seed = 21}};
  SimulatedClient<SyncEngine> client{21};
  {
    auto engine = open_simulated<SyncEngine>(disk);
    REQUIRE(engine);
    for (int i = 0; i < 40; ++i) REQUIRE(client.step(*engine, disk));
    REQUIRE(engine->close());
  }
  const SimulatedMedium medium = settled(disk.medium());
  for (unsigned slot = 0; slot < Superblock::slots; ++slot)  // they are the first that an opening reads
    for (const bool twin_is_damaged : {false, true}) {
      CAPTURE(slot);
      CAPTURE(twin_is_damaged);
      SimulatedMedium copy = medium;
      if (twin_is_damaged) DamagedFile{copy, "data"}.flip(Superblock::slot_offset(slot ^ 1u) + 100, 3);
      SimulatedDisk failing{{.direct = true, .seed = 22}, std::move(copy)};
      failing.inject({.calls = {DiskCall::read}, .nth = slot + 1u, .error = EIO});
      auto engine = open_simulated<SyncEngine>(failing);
      REQUIRE(failing.faults_fired() == 1);
      REQUIRE(engine.has_value() == !twin_is_damaged);
      if (twin_is_damaged) {
        CHECK(engine.error().code() == Errc::io);
        CHECK(engine.error().file() == storage::StoreFile::data);
        CHECK(engine.error().offset() == Superblock::slot_offset(slot));
        continue;
      }
      const auto state = state_of(*engine);
      REQUIRE(state);
      CHECK(*state == client.state());
    }
}

TEST_CASE("on a disk that fills up commits end cleanly with no_space, the store opens and reads, and goes on when there is room") {
  std::uint64_t refused = 0;
  for (std::uint64_t left = 0; left < 24; ++left) {
    CAPTURE(left);
    SimulatedDisk disk;
    StoreState state{{"t", {}}};
    {
      auto engine = open_simulated<SyncEngine>(disk);
      REQUIRE(engine);
      const auto table = engine->table("t");
      REQUIRE(table);
      disk.set_capacity(disk.used_bytes() + left * (128 << 10));
      const auto put = [&](int i) {
        const std::string key = "k" + std::to_string(100'000 + i), value(20'000, static_cast<char>('a' + i % 26));
        const auto done = engine->transact([&](SyncEngine::Transaction& transaction) { return transaction.put(*table, key, value); });
        if (done) state["t"][key] = value;
        if (!done) CHECK_MESSAGE(done.error().code() == Errc::no_space, done.error().message());
        return static_cast<bool>(done);
      };
      int i = 0;
      while (i < 2000 && put(i)) ++i;
      REQUIRE(i < 2000);
      ++refused;
      for (int more = 0; more < 5; ++more) (void)put(i + more);
      CHECK(state_of(*engine).value() == state);
      if (!state["t"].empty()) {
        const std::string first = state["t"].begin()->first;
        const auto erased = engine->transact([&](SyncEngine::Transaction& transaction) -> Result<void> {
          AEGIS_TRY(transaction.erase(*table, first));
          return {};
        });
        CHECK_MESSAGE(erased, erased.error().message());
        if (erased) state["t"].erase(first);
      }
      if (left % 2 == 0) {
        const auto closed = engine->close();
        CHECK_MESSAGE(closed, closed.error().message());
      }
    }
    {
      auto engine = open_simulated<SyncEngine>(disk);
      REQUIRE_MESSAGE(engine, engine.error().message());
      CHECK(state_of(*engine).value() == state);
      const auto report = engine->verify();
      REQUIRE(report);
      CHECK(report->ok());
      disk.set_capacity(std::uint64_t{1} << 40);
      const auto table = engine->table("t");
      REQUIRE(table);
      for (int i = 0; i < 20; ++i) {
        const auto done = engine->transact([&](SyncEngine::Transaction& transaction) { return transaction.put(*table, "again" + std::to_string(i), std::string(20'000, 'g')); });
        CHECK_MESSAGE(done, done.error().message());
        state["t"]["again" + std::to_string(i)] = std::string(20'000, 'g');
      }
    }
    disk.power_up(CutModel::nothing, 1);
    auto engine = open_simulated<SyncEngine>(disk);
    REQUIRE(engine);
    CHECK(state_of(*engine).value() == state);
  }
  CHECK(refused == 24);
}
