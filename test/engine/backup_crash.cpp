// SPDX-License-Identifier: Apache-2.0
// The power fails, or a call does, at every call of a backup: the source is unharmed, and the copy is whole or is refused.
#include "engine/simulated_store.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using testing::Fault;
using Engine = storage::Engine<SimulatedBackend>;

namespace {

/// A store with rows in the pages and rows in the log only.
struct Source {
  explicit Source(SimulatedDisk& on, std::uint64_t seed) : disk(on) {
    SimulatedClient<Engine> client{seed};
    auto opened = open_simulated<Engine>(disk);
    REQUIRE(opened);
    for (int i = 0; i < 40; ++i) REQUIRE(client.step(*opened, disk));
    state = client.state();
    engine.emplace(*std::move(opened));
  }
  SimulatedDisk& disk;
  StoreState state;
  std::optional<Engine> engine;
};

std::string wrong_with_store(SimulatedDisk& disk, const std::string& directory, const StoreState& wanted) {
  auto engine = open_simulated<Engine>(disk, directory);
  if (!engine) return directory + " does not open: " + engine.error().message();
  const auto state = state_of(*engine);
  if (!state) return directory + " is unreadable: " + state.error().message();
  if (*state != wanted) return directory + " holds another state, tables " + std::to_string(state->size());
  const auto report = engine->verify();
  if (!report || !report->ok()) return directory + ": " + (report ? report->message() : report.error().message());
  return {};
}

enum class Copy { absent, refused, whole };

/// What an engine makes of the copy; anything but what the names of Copy say is `wrong`.
Copy look_at_copy(SimulatedDisk& disk, const StoreState& wanted, std::string& wrong) {
  {
    auto backend = SimulatedBackend::open(testing::SimulatedFiles{disk}, {.directory = "copy"});
    if (!backend) {
      wrong = "copy: " + backend.error().message();
      return Copy::refused;
    }
    const auto has_log = backend->has_log();
    if (backend->is_new() && has_log && !*has_log) return Copy::absent;  // an empty place, as before
  }
  auto engine = open_simulated<Engine>(disk, "copy");
  if (!engine) {
    if (engine.error().code() != Errc::corrupt_block) wrong = "copy is refused with " + engine.error().message();
    if (engine.error().message().find("unfinished backup") == std::string::npos) wrong = "copy is refused with " + engine.error().message();
    return Copy::refused;
  }
  engine = Errc::busy;
  wrong = wrong_with_store(disk, "copy", wanted);
  return Copy::whole;
}

/// The source opens as it was; the copy is one of the three; made again it is whole.
Copy check_both(SimulatedDisk& disk, const StoreState& wanted, std::string& wrong, bool again) {
  wrong = wrong_with_store(disk, "store", wanted);
  if (!wrong.empty()) return Copy::refused;
  const Copy copy = look_at_copy(disk, wanted, wrong);
  if (!wrong.empty() || !again) return copy;
  auto engine = open_simulated<Engine>(disk);
  if (!engine) {
    wrong = engine.error().message();
    return copy;
  }
  const auto made = engine->backup("copy");
  if (copy == Copy::whole ? made || made.error().code() != Errc::invalid_argument : !made) wrong = "made again: " + (made ? std::string{"taken"} : made.error().message());
  if (wrong.empty()) wrong = wrong_with_store(disk, "copy", wanted);
  return copy;
}

}  // namespace

TEST_CASE("a power cut at any call of a backup leaves the source as it was, and a copy that is whole or refused") {
  const std::uint64_t seed = aegis_test::seed(1);
  Random random{seed};
  std::uint64_t recoveries = 0, copies[3] = {};
  for (const bool direct : {true, false}) {
    const testing::DiskTraits traits{.direct = direct, .seed = seed};
    SimulatedDisk disk{traits};
    Source source{disk, seed};
    SimulatedMedium medium = disk.medium();
    disk.record();
    REQUIRE(source.engine->backup("copy"));
    const std::uint64_t done = disk.calls();
    for (auto& call : disk.history()) {
      if (!call.has_effect) continue;
      medium.apply(call.change);
      for (const CutModel model : testing::cut_models) {
        const PowerCut cut{.call = call.number, .after = true, .model = model, .seed = random.below(1000)};
        SimulatedDisk image{traits, testing::after_power_cut(medium, model, cut.seed)};
        std::string wrong;
        const Copy copy = check_both(image, source.state, wrong, random.one_in(6));
        INFO("AEGIS_SEED=" << seed << " cut " << to_string(cut) << " test/engine/backup_crash: " << wrong);
        CHECK(wrong.empty());
        if (call.number == done) CHECK(copy == Copy::whole);
        ++copies[static_cast<int>(copy)];
        ++recoveries;
      }
    }
  }
  MESSAGE(recoveries << " cuts: " << copies[0] << " copies absent, " << copies[1] << " refused, " << copies[2] << " whole");
  CHECK(copies[static_cast<int>(Copy::absent)] > 0);
  CHECK(copies[static_cast<int>(Copy::refused)] > 0);
  CHECK(copies[static_cast<int>(Copy::whole)] > 0);
}

TEST_CASE("an error at any call of a backup is a typed error, the source keeps all it had, and the copy is whole or refused") {
  const std::uint64_t seed = aegis_test::seed(2);
  std::uint64_t runs = 0;
  for (const int error : {EIO, ENOSPC, EMFILE})
    for (const bool sticky : {false, true})
      for (std::uint64_t n = 1 + (seed + runs) % 3;; n += 3, ++runs) {
        SimulatedDisk disk{{.seed = seed}};
        Source source{disk, seed};
        disk.inject({.calls = error == EIO ? testing::DiskCalls::all() : error == ENOSPC ? testing::room_takers : testing::openers, .nth = n, .error = error, .sticky = sticky});
        const auto done = source.engine->backup("copy");
        const bool fired = disk.faults_fired() != 0;
        disk.heal();
        INFO("AEGIS_SEED=" << seed << " error " << error << " at call " << n << (sticky ? " and on" : "") << " test/engine/backup_crash");
        if (!done) {
          const Errc code = done.error().code();
          CHECK_MESSAGE((code == Errc::io || code == Errc::no_space || code == Errc::engine_failed), done.error().message());
          CHECK(fired);
        }
        const auto state = state_of(*source.engine);
        REQUIRE(state);
        CHECK(*state == source.state);
        source.engine.reset();
        std::string wrong;
        const Copy copy = check_both(disk, source.state, wrong, true);
        CHECK_MESSAGE(wrong.empty(), wrong);
        if (done) CHECK(copy == Copy::whole);
        if (!fired) break;
      }
  MESSAGE(runs << " backups with a fault");
  CHECK(runs > 30);
}
