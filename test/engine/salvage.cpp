// SPDX-License-Identifier: Apache-2.0
#include "engine/simulated_store.hpp"
#include "support/damage.hpp"

#include <aegis/storage/engine/salvage.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <set>

using namespace aegis_test;
namespace storage = aegis::storage;
using storage::Errc, storage::SalvageReport;

namespace {

using Engine = storage::Engine<SimulatedBackend, storage::PageSize<4096>>;

const storage::EngineOptions options{
    .pool_bytes = 12 * 4096, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .version_bytes = 256 << 10, .max_transactions = 4, .maintenance_thread = false};

std::string key(int i) { return "account" + std::to_string(1000 + i); }
std::string text(int i) { return std::to_string(i * 7919) + std::string(static_cast<std::size_t>(40 + i % 60), static_cast<char>('a' + i % 26)); }

struct Damaged {
  SimulatedMedium medium;
  StoreState state;                     ///< All that was committed.
  std::vector<StoreState> states;       ///< After each commit since the last checkpoint.
};

/// Two tables, one of two levels, erased rows, a long value, commits in the log. `checkpoints`: more of them, so that the
/// checkpoint before the last one has nothing that the last one lacks.
Damaged damaged_store(bool closed = false, std::uint64_t seed = 7) {
  SimulatedDisk disk{{.direct = true, .mapping = true, .seed = seed}};
  Damaged made;
  auto engine = open_simulated<Engine>(disk, "store", options);
  REQUIRE(engine);
  const auto commit = [&](const char* name, const TableRows& rows, const std::vector<std::string>& erased) {
    const auto table = engine->table(name);
    REQUIRE(table);
    REQUIRE(engine->transact([&](Engine::Transaction& txn) -> Result<void> {
      for (const auto& [k, v] : rows) AEGIS_TRY(txn.put(*table, k, v));
      for (const auto& k : erased) AEGIS_TRY(txn.erase(*table, k));
      return {};
    }));
    made.state[name];
    for (const auto& [k, v] : rows) made.state[name][k] = v;
    for (const auto& k : erased) made.state[name].erase(k);
    made.states.push_back(made.state);
  };
  TableRows rows;
  for (int i = 0; i < 200; ++i) rows[key(i)] = text(i);
  commit("accounts", rows, {});
  commit("ledger", {{"one", "1"}, {"long", std::string(10'000, 'l')}, {"two", ""}}, {});
  REQUIRE(engine->checkpoint());
  std::vector<std::string> erased;
  for (int i = 100; i < 170; ++i) erased.push_back(key(i));
  commit("accounts", {{key(1), "changed"}}, erased);
  REQUIRE(engine->checkpoint());
  made.states = {made.state};
  for (int i = 0; i < 8; ++i) commit("ledger", {{"row" + std::to_string(i), std::string(600, static_cast<char>('r' + i % 8))}, {"one", std::to_string(i)}}, {});
  if (closed) REQUIRE(engine->close());
  if (!closed) disk.kill_process();
  { const auto gone = std::move(engine); }
  made.medium = settled(disk.medium());
  return made;
}

struct Replaced {
  SimulatedMedium medium;
  StoreState state;
  std::set<TableRows::value_type> long_values;  ///< All that ever were, with their keys.
};

/// Every row replaced, and tables made, since the checkpoint before the newest. The log has the last of it only.
Replaced replaced_store(bool loads) {
  SimulatedDisk disk{{.direct = true, .mapping = true, .seed = 7}};
  Replaced made;
  auto larger = options;
  larger.pool_bytes = 32 * 4096;
  auto engine = open_simulated<Engine>(disk, "store", larger);
  REQUIRE(engine);
  const auto commit = [&](const char* name, int first, int count, const std::string& value) {
    const auto table = engine->table(name);
    REQUIRE(table);
    for (int i = first; i < first + count; ++i) made.state[name][key(i)] = value;
    REQUIRE(engine->transact([&](Engine::Transaction& txn) -> Result<void> {
      for (int i = first; i < first + count; ++i) AEGIS_TRY(txn.put(*table, key(i), value));
      return {};
    }));
  };
  const auto commit_all = [&](const std::string& value) {
    for (int first = 0; first < 2000; first += 250) commit("t", first, 250, value + std::string(40, '-'));
    for (int i = 0; i < 12; ++i) {
      const std::string long_value = value + std::string(10'000, static_cast<char>('a' + i));
      made.long_values.emplace(key(i % 4), long_value);
      commit("long", i % 4, 1, long_value);
    }
  };
  commit_all("OLD");
  REQUIRE(engine->checkpoint());
  commit_all("NEW");
  commit("since", 0, 250, "NEW");
  if (loads) {
    auto loader = engine->load_table("loaded");
    REQUIRE(loader);
    for (int i = 0; i < 500; ++i) REQUIRE(loader->append(key(i), made.state["loaded"][key(i)] = text(i)));
    REQUIRE(loader->finish());  // a checkpoint
  } else {
    REQUIRE(engine->checkpoint());
  }
  disk.kill_process();
  { const auto gone = std::move(engine); }
  made.medium = settled(disk.medium());
  return made;
}

struct Salvaged {
  SalvageReport report;
  StoreState state;
  TableRows& operator[](const std::string& table) { return state[table]; }
};

Salvaged salvaged(const SimulatedMedium& medium) {
  SimulatedDisk source{{.direct = true, .mapping = true, .seed = 8}, medium}, target{{.direct = true, .mapping = true, .seed = 9}};
  auto engine = open_simulated<Engine>(target, "new", options);
  REQUIRE(engine);
  auto report = storage::salvage("store", *engine, storage::testing::SimulatedFiles{source});
  REQUIRE_MESSAGE(report, report.error().message());
  auto state = state_of(*engine);
  REQUIRE(state);
  const auto verified = engine->verify();
  REQUIRE(verified);
  CHECK_MESSAGE(verified->ok(), verified->message());
  return {std::move(*report), std::move(*state)};
}

void zero_block(SimulatedMedium& medium, std::uint64_t id) {
  const LiveExtent extent = extent_of(medium, id);
  DamagedFile{medium, "data"}.flip(extent.offset + extent.bytes / 2, 1);
}
/// Its superblocks, or the root of its map.
void lose_newest_checkpoint(SimulatedMedium& medium, bool superblocks) {
  DamagedFile data{medium, "data"};
  const Superblock newest = superblock_in(data);
  const unsigned slot = Superblock::first_slot(newest.generation);
  for (const unsigned at : {slot, slot + 1})
    if (superblocks) data.zero(Superblock::slot_offset(at), 512);
  if (!superblocks) data.flip(storage::ExtentGeometry{newest.unit_bytes}.offset(newest.root) + 20, 0);
}
/// The pages of a table by type and level, as the published map has them.
std::vector<std::uint64_t> pages_of(SimulatedMedium& medium, std::uint32_t table, storage::PageType type) {
  std::vector<std::uint64_t> found;
  for (const LiveExtent& extent : live_extents(medium)) {
    if (extent.is_map || extent.bytes != 4096) continue;
    const auto bytes = DamagedFile{medium, "data"}.bytes(extent.offset, extent.bytes);
    const bool is_it = bytes[storage::PageLayout::type] == static_cast<std::byte>(type) && storage::load_le<std::uint32_t>(&bytes[storage::PageLayout::owner]) == table;
    if (is_it) found.push_back(extent.id);
  }
  return found;
}
using storage::PageType;
constexpr std::uint32_t catalog = 0, accounts = 1, ledger = 2;

}  // namespace

TEST_CASE("a sound store is salvaged whole, a closed one and a killed one, and stays as it was") {
  for (const bool closed : {true, false}) {
    const Damaged store = damaged_store(closed);
    SimulatedDisk source{{.direct = true, .mapping = true, .seed = 8}, store.medium}, target;
    auto engine = open_simulated<Engine>(target, "new", options);
    REQUIRE(engine);
    source.record();
    const auto report = storage::salvage("store", *engine, storage::testing::SimulatedFiles{source});
    REQUIRE(report);
    CHECK_MESSAGE(report->ok(), report->message());
    CHECK(*state_of(*engine) == store.state);
    CHECK(report->log_transactions == (closed ? 0 : 8));
    for (const auto& call : source.history()) {
      CHECK_MESSAGE(!storage::testing::changes.contains(call.change.call), storage::testing::name_of(call.change.call));
      CHECK_FALSE(storage::testing::syncs.contains(call.change.call));
    }
  }
}

TEST_CASE("rows of a table whose catalog row cannot be read go to lost+found-<id>") {
  Damaged store = damaged_store();
  zero_block(store.medium, pages_of(store.medium, catalog, PageType::data).at(0));
  Salvaged got = salvaged(store.medium);
  CHECK(got.report.lost_catalog);
  CHECK_FALSE(got.report.ok());
  CHECK(got["lost+found-1"] == store.state["accounts"]);
  CHECK(got["lost+found-2"] == store.state["ledger"]);
}

TEST_CASE("leaves below an inner page that cannot be read are found, and erased rows are not") {
  Damaged store = damaged_store();
  const auto inner = pages_of(store.medium, accounts, PageType::index);
  REQUIRE(inner.size() == 1);
  zero_block(store.medium, inner[0]);
  Salvaged got = salvaged(store.medium);
  CHECK_FALSE(got.report.ok());
  CHECK(got.report.unreadable_blocks == 1);
  CHECK(got.state == store.state);
}

TEST_CASE("what a leaf held that cannot be read is told as a range of keys, and nothing else is missing") {
  Damaged store = damaged_store();
  std::size_t lost = 0;
  for (const std::uint64_t leaf : pages_of(store.medium, accounts, PageType::data)) {
    SimulatedMedium medium = store.medium;
    zero_block(medium, leaf);
    Salvaged got = salvaged(medium);
    CHECK(got.report.lost_range_count == 1);
    REQUIRE(got.report.lost_ranges.size() == 1);
    const auto& range = got.report.lost_ranges[0];
    CHECK(range.page == leaf);
    TableRows expected = store.state["accounts"];
    std::erase_if(expected, [&](const auto& row) { return row.first >= range.from && (!range.has_to || row.first < range.to); });
    lost += store.state["accounts"].size() - expected.size();
    CHECK(got["accounts"] == expected);
    CHECK(got["ledger"] == store.state["ledger"]);
  }
  CHECK(lost == store.state["accounts"].size());  // each of them once
}

TEST_CASE("a row with a long value of which a part cannot be read is left out and counted") {
  Damaged store = damaged_store();
  zero_block(store.medium, pages_of(store.medium, ledger, PageType::overflow).at(1));
  Salvaged got = salvaged(store.medium);
  TableRows expected = store.state["ledger"];
  expected.erase("long");
  CHECK(got["ledger"] == expected);
  std::uint64_t lost = 0;
  for (const auto& table : got.report.tables) lost += table.lost_values;
  CHECK(lost == 1);
  CHECK_FALSE(got.report.ok());
}

TEST_CASE("without block 0 the pages and the log behind them are still told apart") {
  for (const bool closed : {true, false}) {
    Damaged store = damaged_store(closed);
    zero_block(store.medium, 0);
    Salvaged got = salvaged(store.medium);
    CHECK(got.report.lost_meta);
    CHECK(got.state == store.state);
  }
}

TEST_CASE("without superblocks, or without the root of the map, blocks are found in the file and kept apart as unproven") {
  for (const bool superblocks : {true, false}) {
    Damaged store = damaged_store();
    DamagedFile data{store.medium, "data"};
    if (superblocks) data.zero(0, Superblock::region_bytes);
    if (!superblocks) {
      for (const LiveExtent& extent : live_extents(store.medium))
        if (extent.is_map) data.flip(extent.offset + 20, 0);
      data.zero(Superblock::slot_offset(Superblock::first_slot(superblock_in(data).generation + 1)), 512);
      data.zero(Superblock::slot_offset(Superblock::first_slot(superblock_in(data).generation + 1) + 1), 512);
    }
    Salvaged got = salvaged(store.medium);
    CHECK(got.report.lost_map);
    CHECK_FALSE(got.report.ok());
    CHECK(got.state.count("accounts") == 0);
    CHECK(got["lost+found-1.unproven"] == store.state["accounts"]);
    CHECK(got["lost+found-2.unproven"] == store.state["ledger"]);
    for (const std::string& name : log_files(store.medium)) remove_file(store.medium, name);
    got = salvaged(store.medium);
    CHECK(got.report.log_lost);
    CHECK(got["lost+found-1.unproven"] == store.states.front()["accounts"]);  // erased rows stand in older versions only
  }
}

TEST_CASE("without the newest checkpoint the one before it is taken, and it is said") {
  for (const bool superblocks : {true, false}) {
    Damaged store = damaged_store();
    lose_newest_checkpoint(store.medium, superblocks);
    Salvaged got = salvaged(store.medium);
    CHECK(got.report.older_checkpoint);
    CHECK_FALSE(got.report.ok());
    CHECK(got.state == store.state);  // the log goes back to it
  }
}

TEST_CASE("where the log does not go back to the older checkpoint nothing stands under a table's own name, and the newest leaves win") {
  for (const bool loads : {true, false}) {
    const Replaced store = replaced_store(loads);
    for (const auto& [superblocks, lost] : {std::pair{true, ""}, {false, ""}, {true, "log"}, {false, "log"}, {true, "block 0"}}) {
      CAPTURE(loads);
      CAPTURE(superblocks);
      CAPTURE(lost);
      const std::string_view also = lost;
      SimulatedMedium medium = store.medium;
      lose_newest_checkpoint(medium, superblocks);
      if (also == "block 0") zero_block(medium, 0);
      for (const std::string& name : log_files(medium))
        if (also == "log") remove_file(medium, name);
      Salvaged got = salvaged(medium);
      CHECK(got.report.older_checkpoint);
      CHECK_FALSE(got.report.ok());
      for (const auto& [name, rows] : store.state) CHECK_MESSAGE(got.state.count(name) == 0, name);
      CHECK(got["lost+found-1.unproven"] == store.state.at("t"));
      for (const auto& row : got["lost+found-2.unproven"]) CHECK_MESSAGE(store.long_values.contains(row), row.first);
      for (const auto& table : got.report.tables)
        if (table.source == "long") CHECK(got["lost+found-2.unproven"].size() + table.lost_values >= store.state.at("long").size());
      CHECK(got["lost+found-3.unproven"] == store.state.at("since"));
      if (loads && also != "log") CHECK(got["lost+found-4.unproven"] == store.state.at("loaded"));  // only the log tells that it is whole
    }
  }
}

TEST_CASE("a hole in the log takes its own transactions only, and is told") {
  Damaged store = damaged_store();
  std::size_t places = 0;
  for (const std::string& name : log_files(store.medium)) {
    DamagedFile log{store.medium, name};
    const auto bytes = log.bytes(0, log.size());
    const std::size_t at = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(std::string(600, 'u'));  // the value of row 3
    if (at == std::string::npos) continue;
    log.flip(at + 300, 2);
    ++places;
  }
  REQUIRE(places == 1);
  Salvaged got = salvaged(store.medium);
  CHECK(got.report.log_holes == 1);
  CHECK(got.report.log_lost_bytes >= 600);
  CHECK(got.report.log_transactions == 7);
  CHECK_FALSE(got.report.ok());
  TableRows expected = store.state["ledger"];
  expected.erase("row3");
  CHECK(got["ledger"] == expected);
}

TEST_CASE("a segment whose header cannot be read is placed by its neighbours, a missing one is a hole") {
  Damaged store = damaged_store();
  const auto files = log_files(store.medium);
  REQUIRE(files.size() >= 2);
  for (const std::string& name : files) {
    SimulatedMedium medium = store.medium;
    DamagedFile{medium, name}.zero(0, 512);
    Salvaged got = salvaged(medium);
    CHECK(got.state == store.state);
    CHECK_FALSE(got.report.ok());
  }
  remove_file(store.medium, files.front());
  Salvaged got = salvaged(store.medium);
  for (const auto& [k, v] : got["ledger"]) CHECK((k == "one" || store.state["ledger"].at(k) == v));
  CHECK(got["accounts"] == store.state["accounts"]);
}

TEST_CASE("without any log the rows of the checkpoint are there and the loss is told") {
  Damaged store = damaged_store();
  for (const std::string& name : log_files(store.medium)) remove_file(store.medium, name);
  Salvaged got = salvaged(store.medium);
  CHECK(got.report.log_lost);
  CHECK_FALSE(got.report.ok());
  CHECK(got.state == store.states.front());
}

TEST_CASE("leaves of free pages that still stand in the file do not bring old rows back") {
  Damaged store = damaged_store();
  const std::uint64_t leaf = pages_of(store.medium, accounts, PageType::data).at(0), inner = pages_of(store.medium, accounts, PageType::index).at(0);
  SimulatedMedium medium = store.medium;
  {  // a leaf with another value in it, under a page id that is free
    SimulatedDisk disk{{}, medium};
    auto backend = SimulatedBackend::open(storage::testing::SimulatedFiles{disk}, {.directory = "store"});
    REQUIRE(backend);
    storage::Page<4096> page;
    REQUIRE(backend->read(storage::BlockId{leaf}, page.bytes()));
    page.mutable_at(1).back() ^= std::byte{1};
    std::uint64_t highest = 0;
    REQUIRE(backend->for_each([&](storage::BlockId id, std::size_t) { highest = storage::number(id); }));
    const storage::BlockId free{highest + 1};
    REQUIRE(backend->write(free, storage::Block<storage::NoCodec, storage::Xxh3Checksum>{}.encode(free, storage::BlockType::data, page.bytes(), {})));
    REQUIRE(backend->sync());
    medium = settled(disk.medium());
  }
  CHECK(salvaged(medium).state == store.state);
  CHECK(salvaged(medium).report.freed_leaves == 1);
  SUBCASE("nor when the tree cannot be walked") {
    zero_block(medium, inner);
    CHECK(salvaged(medium).state == store.state);
    CHECK(salvaged(medium).report.freed_leaves == 1);
  }
  SUBCASE("nor without the free-space map") {
    zero_block(medium, 1);
    CHECK(salvaged(medium).state == store.state);
  }
  SUBCASE("and without both, all leaves of the table are unproven") {
    zero_block(medium, inner);
    zero_block(medium, 1);
    Salvaged got = salvaged(medium);
    CHECK(got["accounts"].empty());
    CHECK(got["ledger"] == store.state["ledger"]);
    CHECK(got["lost+found-1.unproven"].size() == store.state["accounts"].size());
  }
}

TEST_CASE("a store with tables, a store that is open and one of another layout are refused") {
  const Damaged store = damaged_store();
  SimulatedDisk source{{.direct = true, .mapping = true, .seed = 8}, store.medium}, target;
  auto engine = open_simulated<Engine>(target, "new", options);
  REQUIRE(engine);
  const auto refusal = [&](auto& into, const char* from) {
    const auto report = storage::salvage(from, into, storage::testing::SimulatedFiles{source});
    REQUIRE_FALSE(report);
    return report.error().code();
  };
  CHECK(refusal(*engine, "nowhere") == Errc::io);
  {
    const auto open = open_simulated<Engine>(source, "store", options);
    REQUIRE(open);
    CHECK(refusal(*engine, "store") == Errc::already_open);
  }
  using Larger = storage::Engine<SimulatedBackend, storage::PageSize<8192>>;
  auto larger = open_simulated<Larger>(target, "larger", options);
  REQUIRE(larger);
  CHECK(refusal(*larger, "store") == Errc::incompatible_format);
  REQUIRE(engine->table("t"));
  CHECK(refusal(*engine, "store") == Errc::invalid_argument);
}

TEST_CASE("whatever sector is damaged, a table's rows are those that were committed, and what is missing is told") {
  const bool long_form = std::getenv("AEGIS_ROUNDS") != nullptr;
  std::uint64_t salvages = 0, whole = 0, partly = 0, rows = 0, missing = 0;
  for (const bool closed : {false, true}) {
    Damaged store = damaged_store(closed);
    std::vector<std::string> files = log_files(store.medium);
    files.push_back("data");
    std::uint64_t turn = 0;
    for (const std::string& name : files) {
      const DamagedFile file{store.medium, name};
      for (std::uint64_t at = 0; at < std::min<std::uint64_t>(file.size(), 512 << 10); at += 512) {
        const auto bytes = file.bytes(at, 512);
        if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; }) || (!long_form && ++turn % 3 != 0)) continue;
        SimulatedMedium medium = store.medium;
        DamagedFile{medium, name}.zero(at, 512);
        INFO(name << " at " << at);
        Salvaged got = salvaged(medium);
        ++salvages;
        bool is_whole = true;
        for (auto& [table, expected] : store.state) {
          for (const auto& [k, v] : got[table]) {
            const auto found = expected.find(k);
            const bool was_told = got.report.log_holes != 0 || got.report.log_lost || name != "data";
            CHECK((was_told || (found != expected.end() && found->second == v)));
          }
          rows += got[table].size();
          missing += expected.size() - std::min(expected.size(), got[table].size());
          is_whole = is_whole && got[table] == expected;
        }
        // The last commit of a killed store looks like a torn tail when its frame is damaged.
        const bool is_torn_tail = name != "data" && !closed && got.state == store.states[store.states.size() - 2];
        if (!is_whole && !is_torn_tail) CHECK_FALSE(got.report.ok());
        if (name != "data" && !closed) CHECK(got["accounts"] == store.state["accounts"]);
        ++(is_whole ? whole : partly);
      }
    }
  }
  std::printf("%llu salvages: %llu whole, %llu in part; %llu rows copied, %llu of damaged pages missing\n", static_cast<unsigned long long>(salvages), static_cast<unsigned long long>(whole),
              static_cast<unsigned long long>(partly), static_cast<unsigned long long>(rows), static_cast<unsigned long long>(missing));
  CHECK(whole > 0);
  CHECK(partly > 0);
}
