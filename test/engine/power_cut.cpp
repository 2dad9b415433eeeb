// SPDX-License-Identifier: Apache-2.0
// The power fails at every call of the engine's own files, and what was not synced is lost, torn, reordered, or rubbish by
// every cut model: what is found is what was acknowledged, perhaps with the one transaction that was under way, never else.
// One run is recorded and its images are made from the record. AEGIS_SECONDS lengthens it, AEGIS_CUT=<cut> replays one cut.
#include "engine/simulated_store.hpp"
#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using SyncEngine = storage::Engine<SimulatedBackend>;
using AsyncEngine = storage::Engine<SimulatedBackend, storage::AsyncDurability>;
using LatchedEngine = storage::Engine<SimulatedBackend, LatchOfThreads>;

namespace {

/// A run of the workload on a new disk, with everything that happened to it.
template <class Engine>
struct Recording {
  Recording(testing::DiskTraits disk_traits, std::uint64_t seed, int count, std::uint64_t lie_every = 0) : traits(disk_traits), client(seed) {
    SimulatedDisk disk{traits};
    disk.record();
    disk.lie_about_syncs(lie_every);
    {
      auto engine = open_simulated<Engine>(disk);
      REQUIRE(engine);
      for (int i = 0; i < count; ++i) REQUIRE(client.step(*engine, disk));
    }
    history = disk.history();
  }

  testing::DiskTraits traits;
  SimulatedClient<Engine> client;
  std::vector<testing::RecordedCall> history;
};

/// Looks at images of one recording.
template <class Engine>
class Inspector {
 public:
  explicit Inspector(const Recording<Engine>& run, std::uint64_t seed) : run_(run), random_(seed) {}

  std::uint64_t recoveries() const { return recoveries_; }
  std::uint64_t in_recovery() const { return in_recovery_; }

  /// Before each call that changed something, with odds of one in `stride`, an image of each model; what was wrong, by cut.
  std::map<std::string, std::string> inspect(std::uint64_t stride) {
    std::map<std::string, std::string> wrong;
    SimulatedMedium medium;
    for (const auto& call : run_.history) {
      if (!call.has_effect) continue;
      for (const CutModel model : testing::cut_models)
        if (random_.one_in(stride)) look({.call = call.number, .model = model, .seed = random_.below(1000)}, medium, wrong);
      medium.apply(call.change);
    }
    return wrong;
  }
  /// One cut alone, with every recovery in it.
  std::map<std::string, std::string> replay(const PowerCut& cut) {
    std::map<std::string, std::string> wrong;
    SimulatedMedium medium;
    for (const auto& call : run_.history) {
      if (!call.has_effect) continue;
      if (call.number >= cut.call) break;
      medium.apply(call.change);
    }
    look(cut, medium, wrong);
    return wrong;
  }

 private:
  void look(const PowerCut& cut, const SimulatedMedium& medium, std::map<std::string, std::string>& wrong) {
    const auto& steps = run_.client.steps();
    first_ = last_ = 0;
    for (std::size_t i = 1; i < steps.size(); ++i) {
      if (steps[i].sure != 0 && steps[i].sure < cut.call) first_ = i;
      if (steps[i].begun < cut.call) last_ = i;
    }
    const bool deeper = cut.seed % 10 == 0;
    if (const std::string what = wrong_with_image(testing::after_power_cut(medium, cut.model, cut.seed), deeper ? 2 : 1); !what.empty()) wrong[to_string(cut)] = what;
  }

  /// Opens an image, perhaps cuts the power in that recovery and opens again, goes on, and looks at what that leaves.
  std::string wrong_with_image(SimulatedMedium image, int depth) {
    ++recoveries_;
    SimulatedDisk disk{run_.traits, image};
    if (depth > 1) disk.record();
    StoreState state;
    const bool goes_on = random_.one_in(3);
    {
      auto engine = open_simulated<Engine>(disk);
      if (!engine) return "does not open: " + engine.error().message();
      if (depth > 1) {
        if (const auto wrong = wrong_in_recovery(image, disk.history(), depth - 1); !wrong.empty()) return wrong;
      }
      std::size_t found = 0;
      if (const auto wrong = wrong_with(*engine, run_.client.steps(), first_, last_, found); !wrong.empty()) return wrong;
      if (!goes_on) return {};
      state = run_.client.steps()[found].after;
      if (const auto wrong = cannot_go_on(*engine, disk, state); !wrong.empty()) return wrong;
      if constexpr (!Engine::Store::Parts::Durability::wait)
        if (const auto done = engine->checkpoint(); !done) return "checkpoint: " + done.error().message();
    }
    disk.power_up(random_.one_in(2) ? CutModel::nothing : CutModel::garbage, random_.next());
    ++recoveries_;
    auto engine = open_simulated<Engine>(disk);
    if (!engine) return "does not open again: " + engine.error().message();
    const auto again = state_of(*engine);
    if (!again) return "unreadable: " + again.error().message();
    if (*again != state) return "what was found once, and written on, is another state after the next cut";
    if (const auto done = engine->close(); !done) return "close: " + done.error().message();
    return {};
  }

  std::string wrong_in_recovery(SimulatedMedium medium, const std::vector<testing::RecordedCall>& history, int depth) {
    const std::uint64_t stride = 1 + history.size() / 12;
    for (const auto& call : history) {
      if (!call.has_effect) continue;
      if (random_.one_in(stride)) {
        constexpr CutModel models[] = {CutModel::nothing, CutModel::everything, CutModel::sectors, CutModel::reordered};
        const PowerCut cut{.call = call.number, .model = models[random_.below(4)], .seed = random_.below(1000)};
        ++in_recovery_;
        if (const auto wrong = wrong_with_image(testing::after_power_cut(medium, cut.model, cut.seed), depth); !wrong.empty()) return "cut in recovery " + to_string(cut) + ": " + wrong;
      }
      medium.apply(call.change);
    }
    return {};
  }

  const Recording<Engine>& run_;
  Random random_;
  std::size_t first_ = 0, last_ = 0;  // the steps that may be found
  std::uint64_t recoveries_ = 0, in_recovery_ = 0;
};

/// `recoveries`: about how many in the short form.
template <class Engine>
void run(const std::string& what, testing::DiskTraits traits, std::uint64_t default_seed, int steps, std::uint64_t recoveries) {
  std::uint64_t seed = aegis_test::seed(default_seed), done = 0, deeper = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(0));
  do {
    traits.seed = seed;
    const Recording<Engine> recording{traits, seed, steps};
    Inspector<Engine> inspector{recording, seed};
    std::map<std::string, std::string> wrong;
    if (const char* const cut = std::getenv("AEGIS_CUT")) {
      REQUIRE(testing::parse_power_cut(cut));
      wrong = inspector.replay(*testing::parse_power_cut(cut));
    } else {
      const std::uint64_t changes = static_cast<std::uint64_t>(std::count_if(recording.history.begin(), recording.history.end(), [](const auto& call) { return call.has_effect; }));
      wrong = inspector.inspect(std::max<std::uint64_t>(1, changes * std::size(testing::cut_models) * 3 / 2 / recoveries));
    }
    for (const auto& [cut, said] : wrong) FAIL_CHECK(what << ", AEGIS_SEED=" << seed << " AEGIS_CUT=" << cut << " test/engine/power_cut: " << said);
    done += inspector.recoveries();
    deeper += inspector.in_recovery();
    ++seed;
  } while (std::chrono::steady_clock::now() < end);
  MESSAGE(what << ": " << done << " recoveries, " << deeper << " of them of a recovery that was cut");
  CHECK(done > 0);
}

}  // namespace

TEST_CASE("a power cut at any call takes nothing that was acknowledged and leaves no half transaction (direct writes)") {
  run<SyncEngine>("direct", {}, 1, 90, 1500);
}

TEST_CASE("the same on a file system without direct writes") {
  run<SyncEngine>("buffered", {.direct = false}, 2, 60, 500);
}

TEST_CASE("under AsyncDurability a power cut takes a suffix at most, through mapped segments and without") {
  run<AsyncEngine>("mapped", {}, 3, 60, 500);
  run<AsyncEngine>("unmapped", {.mapping = false}, 4, 60, 300);
}

TEST_CASE("over twenty generations of power cuts nothing comes back that was lost, and what was found once stays") {
  std::uint64_t seed = aegis_test::seed(6), generations = 0, cuts = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(0));
  for (int chain = 0; chain < 12 || std::chrono::steady_clock::now() < end; ++chain, ++seed) {
    Random random{seed};
    SimulatedDisk disk{{.direct = chain % 2 == 0, .seed = seed}};
    SimulatedClient<SyncEngine> client{seed};
    for (int generation = 0; generation < 20; ++generation, ++generations) {
      const PowerCut cut{.call = disk.calls() + 1 + random.below(random.one_in(4) ? 60 : 600), .after = random.one_in(2),
                         .model = testing::cut_models[random.below(std::size(testing::cut_models))], .seed = random.next()};
      INFO("chain of AEGIS_SEED=" << seed << ", generation " << generation << ", cut " << to_string(cut) << " test/engine/power_cut");
      disk.plan(cut);
      {
        auto engine = open_simulated<SyncEngine>(disk);
        if (!engine) REQUIRE_FALSE(disk.has_power());
        if (engine) {
          std::size_t found = 0;
          const std::string wrong = disk.has_power() ? wrong_with(*engine, client.steps(), client.first_sure(), client.steps().size() - 1, found) : "";
          if (disk.has_power()) {  // else the cut came while it was looked at
            INFO(wrong);
            REQUIRE(wrong.empty());
            client.stand_at(StoreState{client.steps()[found].after}, disk.calls());
          }
          for (int i = 0; i < 40 && disk.has_power(); ++i) {
            const auto done = client.step(*engine, disk);
            REQUIRE((done || !disk.has_power()));
          }
          if (random.one_in(5)) {
            const auto done = engine->close();
            REQUIRE((done || !disk.has_power()));
          }
        }
      }
      cuts += !disk.has_power();
      disk.power_up(cut.model, cut.seed);
    }
  }
  MESSAGE(generations << " generations, " << cuts << " of them ended by a planned cut");
  CHECK(cuts > generations / 4);
}

TEST_CASE("a power cut under four clients and the maintenance thread takes nothing that any of them was told is safe") {
  std::uint64_t seed = aegis_test::seed(7), rounds = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(0));
  auto options = simulated_options();
  options.maintenance_thread = true;
  for (; rounds < 12 || std::chrono::steady_clock::now() < end; ++rounds, ++seed) {
    constexpr std::size_t clients = 4;
    Random random{seed};
    SimulatedDisk disk{{.direct = random.one_in(2), .seed = seed}};
    std::array<int, clients> acknowledged{}, tried{};
    {
      auto engine = open_simulated<LatchedEngine>(disk, "store", options);
      REQUIRE(engine);
      const auto table = engine->table("t");
      REQUIRE(table);
      disk.plan({.call = disk.calls() + 50 + random.below(1500), .after = random.one_in(2)});
      std::vector<std::thread> threads;
      for (std::size_t c = 0; c < clients; ++c)
        threads.emplace_back([&, c] {
          for (int i = 1; i < 2000; ++i) {
            tried[c] = i;
            const auto done = engine->transact([&](LatchedEngine::Transaction& transaction) -> Result<void> {
              AEGIS_TRY(transaction.put(*table, "count" + std::to_string(c), std::to_string(i)));
              AEGIS_TRY(transaction.put(*table, "shared", std::to_string(c)));
              return transaction.put(*table, "row" + std::to_string(c) + "/" + std::to_string(i % 50), std::to_string(i) + std::string(static_cast<std::size_t>(i * 37 % 3000), 'v'));
            });
            if (!done) return;
            acknowledged[c] = i;
          }
        });
      for (auto& thread : threads) thread.join();
    }
    const CutModel model = testing::cut_models[random.below(std::size(testing::cut_models))];
    CAPTURE(seed);
    CAPTURE(static_cast<int>(model));
    disk.power_up(model, random.next());
    auto engine = open_simulated<LatchedEngine>(disk, "store", options);
    REQUIRE(engine);
    auto state = state_of(*engine);
    REQUIRE(state);
    TableRows& rows = (*state)["t"];
    for (std::size_t c = 0; c < clients; ++c) {
      const int found = std::atoi(rows["count" + std::to_string(c)].c_str());
      CHECK(found >= acknowledged[c]);
      CHECK(found <= tried[c]);
      for (int i = found; i > 0 && i > found - 50; --i) CHECK(std::atoi(rows["row" + std::to_string(c) + "/" + std::to_string(i % 50)].c_str()) == i);
    }
    const auto report = engine->verify();
    REQUIRE(report);
    CHECK(report->ok());
    REQUIRE(engine->close());
  }
  MESSAGE(rounds << " rounds");
}

TEST_CASE("a disk that ignores one sync in ten is found out, so that these checks mean something") {
  const std::uint64_t seed = aegis_test::seed(5);
  const Recording<SyncEngine> recording{{}, seed, 90, 10};
  Inspector<SyncEngine> inspector{recording, seed};
  const auto wrong = inspector.inspect(40);
  MESSAGE(wrong.size() << " of " << inspector.recoveries() << " recoveries show it");
  CHECK(wrong.size() > 0);
}
