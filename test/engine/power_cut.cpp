// SPDX-License-Identifier: Apache-2.0
// The power fails at every call of the engine's own files, and what was not synced is lost, torn, reordered, or rubbish by
// every cut model: what is found is what was acknowledged, perhaps with the one transaction that was under way, never else.
// A run of one of twelve workloads is recorded and its images are made from the record; a tenth of the recoveries are cut
// themselves, one in a hundred of those that follow again. AEGIS_RECOVERIES=150000 is the long form, AEGIS_SECONDS lengthens
// any, AEGIS_WORKLOAD=<name> takes one workload, AEGIS_CUT=<cut> one cut of it.
#include "engine/simulated_store.hpp"
#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <thread>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using SyncEngine = storage::Engine<SimulatedBackend>;
using AsyncEngine = storage::Engine<SimulatedBackend, storage::AsyncDurability>;
using LatchedEngine = storage::Engine<SimulatedBackend, LatchOfThreads>;

namespace {

/// A run of a workload on a new disk, with everything that happened to it.
template <class Engine>
struct Recording {
  Recording(const Workload& workload, std::uint64_t seed, std::uint64_t lie_every = 0) : traits(workload.traits), client(seed, workload.mix) {
    traits.seed = seed;
    SimulatedDisk disk{traits};
    disk.record();
    disk.lie_about_syncs(lie_every);
    {
      auto engine = open_simulated<Engine>(disk);
      REQUIRE(engine);
      for (int i = 1; i <= workload.steps; ++i) {
        REQUIRE(client.step(*engine, disk));
        if (!workload.reopens || i % 9 != 0) continue;
        REQUIRE(engine->close());
        client.all_is_sure(disk);
        engine = Errc::busy;
        engine = open_simulated<Engine>(disk);
        REQUIRE(engine);
      }
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

  /// Openings of an image; of them images that a cut in another recovery left; first images whose recovery was cut; killed
  /// processes on a disk that kept its power.
  struct Counts {
    std::uint64_t images = 0, recoveries = 0, in_recovery = 0, cut_again = 0, kills = 0;
    void add(const Counts& more) {
      images += more.images;
      recoveries += more.recoveries;
      in_recovery += more.in_recovery;
      cut_again += more.cut_again;
      kills += more.kills;
    }
  };
  const Counts& counts() const { return counts_; }

  /// Before each call that changed something, with odds of one in `stride`, an image of each model; what was wrong, by cut.
  std::map<std::string, std::string> inspect(std::uint64_t stride) {
    std::map<std::string, std::string> wrong;
    SimulatedMedium medium;
    for (const auto& call : run_.history) {
      if (!call.has_effect) continue;
      for (const CutModel model : testing::cut_models)
        if (random_.one_in(stride)) look({.call = call.number, .model = model, .seed = random_.below(1000)}, medium, wrong);
      if (random_.one_in(stride)) kill({.call = call.number, .seed = random_.below(1000)}, medium, wrong);
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
    bound(cut.call);
    const int depth = cut.seed % 10 != 0 ? 1 : cut.seed % 100 != 0 ? 2 : 3;
    ++counts_.images;
    counts_.cut_again += depth > 1;
    if (const std::string what = wrong_with_image(testing::after_power_cut(medium, cut.model, cut.seed), depth); !what.empty()) wrong[to_string(cut)] = what;
  }
  /// The process dies, and what it had written waits in the cache for the next one, which works on before the power goes too.
  void kill(const PowerCut& at, const SimulatedMedium& medium, std::map<std::string, std::string>& wrong) {
    bound(at.call);
    ++counts_.kills;
    ++counts_.images;
    ++counts_.cut_again;
    if (const std::string what = wrong_with_image(medium, 2); !what.empty()) wrong["kill before " + std::to_string(at.call)] = what;
  }
  /// Which steps may be found when the disk ends at a call.
  void bound(std::uint64_t call) {
    const auto& steps = run_.client.steps();
    first_ = last_ = 0;
    for (std::size_t i = 1; i < steps.size(); ++i) {
      if (steps[i].sure != 0 && steps[i].sure < call) first_ = i;
      if (steps[i].begun < call) last_ = i;
    }
  }

  /// Opens an image, perhaps cuts the power in that recovery and opens again, goes on, and looks at what that leaves.
  std::string wrong_with_image(SimulatedMedium image, int depth) {
    ++counts_.recoveries;
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
    ++counts_.recoveries;
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
        ++counts_.in_recovery;
        if (const auto wrong = wrong_with_image(testing::after_power_cut(medium, cut.model, cut.seed), depth); !wrong.empty()) return "cut in recovery " + to_string(cut) + ": " + wrong;
      }
      medium.apply(call.change);
    }
    return {};
  }

  const Recording<Engine>& run_;
  Random random_;
  std::size_t first_ = 0, last_ = 0;  // the steps that may be found
  Counts counts_;
};

/// Opens what an earlier life left, which stands at one of the client's steps from `first` to `last`, works on until the power
/// goes, and opens what that leaves. Whether the cut that was planned came.
bool works_on_until_the_power_goes(SimulatedDisk& disk, SimulatedClient<SyncEngine>& client, std::size_t first, std::size_t last, Random& random) {
  const CutModel model = testing::cut_models[random.below(std::size(testing::cut_models))];
  CAPTURE(name_of(model));
  disk.plan({.call = disk.calls() + 20 + random.below(random.one_in(2) ? 100 : 500), .after = random.one_in(2)});
  std::string wrong;
  std::size_t found = 0;
  if (auto engine = open_simulated<SyncEngine>(disk); engine) {
    wrong = wrong_with(*engine, client.steps(), first, last, found);
    if (disk.has_power()) {  // else the cut came while it was looked at
      INFO(wrong);
      REQUIRE(wrong.empty());
      client.stand_at(StoreState{client.steps()[found].after}, disk.calls());
      first = last = 0;
    }
    for (int i = 0; i < 60 && disk.has_power(); ++i) {
      const auto done = client.step(*engine, disk);
      REQUIRE((done || !disk.has_power()));
      first = client.first_sure();
      last = client.steps().size() - 1;
    }
  } else {
    INFO(engine.error().message());
    REQUIRE_FALSE(disk.has_power());
  }
  const bool came = !disk.has_power();
  disk.power_up(model, random.next());
  auto engine = open_simulated<SyncEngine>(disk);
  if (!engine) INFO(engine.error().message());
  REQUIRE(engine);
  wrong = wrong_with(*engine, client.steps(), first, last, found);
  INFO(wrong);
  REQUIRE(wrong.empty());
  return came;
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}

/// `share`: of the recoveries, in hundredths.
template <class Engine>
void run(const Workload& workload, std::uint64_t default_seed, std::uint64_t share) {
  if (const char* const only = std::getenv("AEGIS_WORKLOAD"); only != nullptr && std::string_view{only} != workload.name) return;
  const std::uint64_t wanted = from_environment("AEGIS_RECOVERIES", 3000) * share / 100, first = aegis_test::seed(default_seed);
  typename Inspector<Engine>::Counts counts;
  const auto start = std::chrono::steady_clock::now(), end = start + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds(0)));
  std::uint64_t seed = first;
  do {
    const Recording<Engine> recording{workload, seed};
    Inspector<Engine> inspector{recording, seed};
    std::map<std::string, std::string> wrong;
    if (const char* const cut = std::getenv("AEGIS_CUT")) {
      REQUIRE(testing::parse_power_cut(cut));
      wrong = inspector.replay(*testing::parse_power_cut(cut));
    } else {
      const std::uint64_t changes = static_cast<std::uint64_t>(std::count_if(recording.history.begin(), recording.history.end(), [](const auto& call) { return call.has_effect; }));
      wrong = inspector.inspect(std::max<std::uint64_t>(3, changes * std::size(testing::cut_models) * 5 / 2 / std::max<std::uint64_t>(1, wanted)));
    }
    for (const auto& [cut, said] : wrong)
      FAIL_CHECK("AEGIS_WORKLOAD=" << workload.name << " AEGIS_SEED=" << seed << " AEGIS_CUT=" << cut << " test/engine/power_cut: " << said);
    counts.add(inspector.counts());
    ++seed;
  } while (std::getenv("AEGIS_CUT") == nullptr && (counts.recoveries < wanted || std::chrono::steady_clock::now() < end));
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE(workload.name << ": " << counts.images << " crash states from seed " << first << " to " << seed - 1 << ", " << counts.recoveries << " recoveries, " << counts.cut_again
                        << " of them cut, at " << counts.in_recovery << " calls, " << counts.kills << " after a kill, " << static_cast<double>(counts.recoveries) / took << " a second");
  CHECK(counts.recoveries > 0);
}
void run(std::initializer_list<std::string_view> names, std::uint64_t share) {
  std::uint64_t seed = 0;
  for (const Workload& workload : workloads) {
    ++seed;
    if (std::find(names.begin(), names.end(), workload.name) == names.end()) continue;
    if (workload.async) run<AsyncEngine>(workload, seed, share);
    else run<SyncEngine>(workload, seed, share);
  }
}

}  // namespace

TEST_CASE("a power cut at any call takes nothing that was acknowledged and leaves no half transaction (direct writes)") { run({"bank"}, 23); }

TEST_CASE("the same on a file system without direct writes") { run({"bank_buffered", "tables"}, 9); }

TEST_CASE("under AsyncDurability a power cut takes a suffix at most, through mapped segments and without") { run({"bank_mapped", "bank_unmapped", "hot_mapped"}, 7); }

TEST_CASE("the same whatever is done: one hot row, long values, queues, bulk loads, many checkpoints, clean ends") {
  run({"hot", "large", "queue", "loads", "checkpoints", "reopening"}, 6);
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

TEST_CASE("what a failed sync left in the cache is not believed by the next opening, which the power leaves again") {
  std::uint64_t seed = aegis_test::seed(8), rounds = 0, cut_later = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(0));
  for (; rounds < 400 || std::chrono::steady_clock::now() < end; ++rounds, ++seed) {
    Random random{seed};
    SimulatedDisk disk{{.direct = random.one_in(4), .seed = seed}};
    SimulatedClient<SyncEngine> client{seed, random.one_in(2) ? Mix::queue : Mix::checkpoints};
    INFO("AEGIS_SEED=" << seed << " test/engine/power_cut");
    {
      auto engine = open_simulated<SyncEngine>(disk);
      REQUIRE(engine);
      for (int i = 0; i < 12; ++i) REQUIRE(client.step(*engine, disk));
      const bool in_checkpoint = random.one_in(2);
      disk.inject({.calls = testing::syncs, .nth = 1 + random.below(in_checkpoint ? 4 : 30), .error = EIO});
      if (in_checkpoint) (void)engine->checkpoint();
      while (client.step(*engine, disk)) {}
    }
    disk.heal();
    cut_later += works_on_until_the_power_goes(disk, client, client.first_sure(), client.steps().size() - 1, random);
  }
  MESSAGE(rounds << " failed syncs, " << cut_later << " of the openings after them ended by a planned cut");
  CHECK(cut_later > rounds / 2);
}

TEST_CASE("what a killed process left in the cache is made durable before the next one builds on it, which the power leaves again") {
  std::uint64_t seed = aegis_test::seed(10), rounds = 0, cut_later = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(0));
  for (; rounds < 150 || std::chrono::steady_clock::now() < end; ++rounds, ++seed) {
    Random random{seed};
    const testing::DiskTraits traits{.direct = random.one_in(2), .seed = seed};
    SimulatedClient<SyncEngine> client{seed, random.one_in(2) ? Mix::queue : Mix::checkpoints};
    SimulatedMedium medium;
    std::uint64_t last_call = 0;
    INFO("AEGIS_SEED=" << seed << " test/engine/power_cut");
    {
      SimulatedDisk disk{traits};
      auto engine = open_simulated<SyncEngine>(disk);
      REQUIRE(engine);
      for (int i = 0; i < 14; ++i) REQUIRE(client.step(*engine, disk));
      medium = disk.medium();
      disk.record();
      REQUIRE(client.step(*engine, disk));
      REQUIRE(engine->checkpoint());
      const auto history = disk.history();
      last_call = history.front().number + random.below(history.size());
      for (const auto& call : history)
        if (call.has_effect && call.number < last_call) medium.apply(call.change);
    }
    std::size_t first = 0, last = 0;
    for (std::size_t i = 1; i < client.steps().size(); ++i) {
      if (client.steps()[i].sure != 0 && client.steps()[i].sure < last_call) first = i;
      if (client.steps()[i].begun < last_call) last = i;
    }
    SimulatedDisk disk{traits, medium};
    cut_later += works_on_until_the_power_goes(disk, client, first, last, random);
  }
  MESSAGE(rounds << " killed processes, " << cut_later << " of the openings after them ended by a planned cut");
  CHECK(cut_later > rounds / 2);
}

TEST_CASE("a data file that grew has its length after any cut, and every row in it") {
  std::uint64_t seed = aegis_test::seed(9), rounds = 0, longest = 0;
  for (const CutModel model : testing::cut_models) {
    Random random{seed++};
    SimulatedDisk disk{{.direct = random.one_in(2), .seed = seed}};
    INFO("AEGIS_SEED=" << seed - 1 << " model " << name_of(model) << " test/engine/power_cut");
    int acknowledged = 0, tried = 0;
    {
      auto engine = open_simulated<SyncEngine>(disk);
      REQUIRE(engine);
      const auto table = engine->table("t");
      REQUIRE(table);
      const int cut_after = 150 + static_cast<int>(random.below(60));
      for (bool goes_on = true; goes_on;) {
        ++tried;
        if (tried == cut_after) disk.plan({.call = disk.calls() + 1 + random.below(60), .after = random.one_in(2)});
        goes_on = static_cast<bool>(engine->transact([&](SyncEngine::Transaction& transaction) {
          return transaction.put(*table, "k" + std::to_string(10'000 + tried), std::string(40'000, static_cast<char>('a' + tried % 26)));
        }));
        acknowledged += goes_on;
        if (goes_on && tried % 8 == 0) goes_on = static_cast<bool>(engine->checkpoint());
      }
      longest = std::max(longest, engine->stats().backend.file_bytes);
    }
    REQUIRE_FALSE(disk.has_power());
    disk.power_up(model, random.next());
    auto engine = open_simulated<SyncEngine>(disk);
    if (!engine) INFO(engine.error().message());
    REQUIRE(engine);
    auto state = state_of(*engine);
    REQUIRE(state);
    const TableRows& rows = (*state)["t"];
    CHECK(static_cast<int>(rows.size()) >= acknowledged);
    CHECK(static_cast<int>(rows.size()) <= tried);
    for (const auto& [key, value] : rows) CHECK((value.size() == 40'000 && value.front() == static_cast<char>('a' + (std::stoi(key.substr(1)) - 10'000) % 26) && value.front() == value.back()));
    const auto report = engine->verify();
    REQUIRE(report);
    CHECK(report->ok());
    ++rounds;
  }
  MESSAGE(rounds << " cuts, the longest file " << longest << " bytes");
  CHECK(longest > (std::uint64_t{6} << 20));  // it began with four MiB
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
  const Recording<SyncEngine> recording{workloads[0], seed, 10};
  Inspector<SyncEngine> inspector{recording, seed};
  const auto wrong = inspector.inspect(40);
  MESSAGE(wrong.size() << " of " << inspector.counts().images << " crash states show it");
  CHECK(wrong.size() > 0);
}
