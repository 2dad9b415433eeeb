// SPDX-License-Identifier: Apache-2.0
// A process dies between the write of a superblock and its sync. The next one finds that superblock in the page cache, believes
// it, and builds on it: what it names as free is written over. When the power then goes, the older superblock may be all that
// is on the disk, with its extents gone, unless the second process made durable what it found before it wrote anything.
#include "engine/simulated_store.hpp"

#include <doctest/doctest.h>

#include <iterator>

using namespace aegis_test;
namespace storage = aegis::storage;
using testing::DiskCall;
using Engine = storage::Engine<SimulatedBackend>;

namespace {

struct Found {
  SimulatedMedium medium;  ///< The newest superblock was written, and not synced.
  StoreState state;
};

/// A store of many blocks, all of which the last checkpoint wrote anew.
Found died_before_the_sync_of_a_superblock(testing::DiskTraits traits) {
  SimulatedDisk disk{traits};
  Found found;
  auto engine = open_simulated<Engine>(disk);
  REQUIRE(engine);
  const auto table = engine->table("t");
  REQUIRE(table);
  const auto write_all = [&](char letter) {
    for (int i = 0; i < 40; ++i) {
      const std::string key = "key" + std::to_string(100 + i), value(3000, letter);
      REQUIRE(engine->transact([&](Engine::Transaction& transaction) { return transaction.put(*table, key, value); }));
      found.state["t"][key] = value;
    }
  };
  for (const char letter : {'a', 'b', 'c'}) {
    write_all(letter);
    REQUIRE(engine->checkpoint());
  }
  write_all('d');
  found.medium = disk.medium();
  disk.record();
  REQUIRE(engine->checkpoint());
  const auto history = disk.history();
  const auto data = found.medium.directories.at("store").names.at("data");
  std::size_t superblock = history.size();
  for (std::size_t i = 0; i < history.size(); ++i)
    if (history[i].change.call == DiskCall::write && history[i].change.file == data && history[i].change.offset < storage::Superblock::region_bytes) superblock = i;
  REQUIRE(superblock < history.size());
  for (std::size_t i = 0; i <= superblock; ++i)
    if (history[i].has_effect) found.medium.apply(history[i].change);
  return found;
}

}  // namespace

TEST_CASE("a superblock that a dead process left in the cache alone is durable before anything is built on it") {
  std::uint64_t recoveries = 0;
  for (const bool direct : {true, false}) {
    const testing::DiskTraits traits{.direct = direct, .seed = 5};
    const Found found = died_before_the_sync_of_a_superblock(traits);
    for (const CutModel model : {CutModel::nothing, CutModel::sectors, CutModel::blocks, CutModel::calls}) {
      bool cut_came = true;
      for (std::uint64_t call = 1; cut_came; call += testing::depends_on_seed(model) ? 4 : 13) {
        INFO("direct " << direct << ", model " << name_of(model) << ", call " << call);
        SimulatedDisk disk{traits, found.medium};
        disk.plan({.call = call});
        StoreState state = found.state, next = state;
        if (auto engine = open_simulated<Engine>(disk); engine) {
          const auto table = engine->table("t");
          for (auto row = state["t"].begin(); table && disk.has_power() && row != state["t"].end(); ++row) {
            next["t"][row->first] = std::string(3000, 'e');
            const auto done = engine->transact([&](Engine::Transaction& transaction) { return transaction.put(*table, row->first, next["t"][row->first]); });
            REQUIRE((done || !disk.has_power()));
            if (done) row->second = next["t"][row->first];
          }
          if (disk.has_power()) (void)engine->checkpoint();
        }
        cut_came = !disk.has_power();
        disk.power_up(model, call);
        auto engine = open_simulated<Engine>(disk);
        REQUIRE_MESSAGE(engine, engine.error().message());
        const auto shown = state_of(*engine);
        REQUIRE_MESSAGE(shown, shown.error().message());
        CHECK((*shown == state || *shown == next));
        const auto report = engine->verify();
        REQUIRE(report);
        CHECK(report->ok());
        ++recoveries;
      }
    }
  }
  MESSAGE(recoveries << " recoveries after a process that died before a sync");
}
