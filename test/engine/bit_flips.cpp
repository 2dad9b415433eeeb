// SPDX-License-Identifier: Apache-2.0
// Every byte of every file may lie: a store is opened after each bit of it was flipped, each sector zeroed, swapped with and
// written over by others, each file cut short at each sector. What is told then is what was committed, or a typed error.
// The long form, every bit and every pair: AEGIS_ROUNDS=1 test/engine/bit_flips
#include "engine/simulated_store.hpp"
#include "support/damage.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <set>

using namespace aegis_test;
namespace storage = aegis::storage;
using storage::Errc;

namespace {

using Engine = storage::Engine<SimulatedBackend, storage::PageSize<4096>>;
constexpr std::size_t sector = 512;

const storage::EngineOptions options{
    .pool_bytes = 12 * 4096, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .version_bytes = 256 << 10, .max_transactions = 4, .maintenance_thread = false};

Result<void> put(Engine& engine, const char* name, const TableRows& rows) {
  AEGIS_TRY(const auto table, engine.table(name));
  AEGIS_TRY(engine.transact([&](Engine::Transaction& txn) -> Result<void> {
    for (const auto& [key, value] : rows) AEGIS_TRY(txn.put(table, key, value));
    return {};
  }));
  return {};
}

/// A small store: two tables, one of them of two levels, a long value, rows that came and went. Its states, in order.
struct SmallStore {
  SimulatedMedium medium;
  std::vector<StoreState> states;
};

SmallStore small_store(bool closed) {
  SimulatedDisk disk{{.direct = true, .mapping = true, .seed = 7}};
  SmallStore made;
  auto engine = open_simulated<Engine>(disk, "store", options);
  REQUIRE(engine);
  StoreState state;
  const auto commit = [&](const char* name, const TableRows& rows) {
    REQUIRE(put(*engine, name, rows));
    for (const auto& [key, value] : rows) state[name][key] = value;
    made.states.push_back(state);
  };
  TableRows rows;
  for (int i = 0; i < 200; ++i) rows["account" + std::to_string(100 + i)] = std::to_string(i * 7919) + std::string(static_cast<std::size_t>(40 + i % 60), static_cast<char>('a' + i % 26));
  commit("accounts", rows);
  commit("ledger", {{"one", "1"}, {"long", std::string(10'000, 'l')}, {"two", ""}});
  REQUIRE(engine->checkpoint());
  commit("accounts", {{"account101", "changed"}, {"account300", "new"}});
  REQUIRE(engine->checkpoint());
  for (int i = 0; i < 8; ++i) commit("ledger", {{"row" + std::to_string(i), std::string(600, static_cast<char>('r' + i))}, {"one", std::to_string(i)}});
  if (closed) REQUIRE(engine->close());
  if (!closed) disk.kill_process();
  { const auto gone = std::move(engine); }
  made.medium = settled(disk.medium());
  return made;
}

struct Tally {
  std::uint64_t opens = 0, right = 0, shorter = 0, refused = 0, told_reading = 0, told_by_verify = 0;
};

bool says_damage(const storage::Error& error) {
  return error.code() == Errc::corrupt_block || error.code() == Errc::corrupt_page || error.code() == Errc::corrupt_log || error.code() == Errc::incompatible_format;
}

/// Opens, reads and verifies what is on `medium`. `may_lose`: so many of the last commits may be missing, as a torn tail.
/// `must_be_told`: somebody has to notice. Empty when all is well, otherwise what is wrong.
std::string judge(const SimulatedMedium& medium, const SmallStore& store, std::size_t may_lose, bool must_be_told, Tally& tally) {
  SimulatedDisk disk{{.direct = true, .mapping = true, .seed = 8}, medium};
  ++tally.opens;
  auto engine = open_simulated<Engine>(disk, "store", options);
  if (!engine) {
    ++tally.refused;
    return says_damage(engine.error()) ? "" : "open: " + engine.error().message();
  }
  const auto state = state_of(*engine);
  if (!state && !says_damage(state.error())) return "scan: " + state.error().message();
  std::size_t lost = 0;
  while (state && lost < store.states.size() && store.states[store.states.size() - 1 - lost] != *state) ++lost;
  if (lost > may_lose) return "rows that were never committed, or not all that were";
  const auto report = engine->verify();
  if (!report && !says_damage(report.error())) return "verify: " + report.error().message();
  const bool clean = report && report->ok();
  if (!state && clean) return "verify finds nothing wrong where a scan fails: " + state.error().message();
  if (must_be_told && clean) return "nobody noticed";
  ++(!state ? tally.told_reading : !clean ? tally.told_by_verify : lost != 0 ? tally.shorter : tally.right);
  return {};
}

/// A sector of a file of the store.
struct Place {
  std::string file;
  std::uint64_t offset;
  bool written;  ///< Not zeros.
};

class Campaign {
 public:
  explicit Campaign(bool closed) : store_(small_store(closed)), closed_(closed), long_form_(std::getenv("AEGIS_ROUNDS") != nullptr), extents_(live_extents(store_.medium)) {
    std::uint64_t end = 0;
    for (const LiveExtent& extent : extents_) end = std::max(end, extent.offset + extent.bytes);
    add("data", std::min<std::uint64_t>(DamagedFile{store_.medium, "data"}.size(), end + 4096));
    for (const std::string& name : log_files(store_.medium)) add(name, DamagedFile{store_.medium, name}.size());
    for (const Place& place : places_)
      if (place.written) written_.push_back(place);
  }
  ~Campaign() {
    std::printf("%s: %s store, %zu bytes written: %llu opens: %llu right, %llu without the last commit, %llu refused, %llu told by reading, %llu by verify\n", what_.c_str(),
                closed_ ? "a closed" : "a killed", written_.size() * sector, shown(tally_.opens), shown(tally_.right), shown(tally_.shorter), shown(tally_.refused), shown(tally_.told_reading),
                shown(tally_.told_by_verify));
  }

  bool long_form() const { return long_form_; }
  const std::vector<Place>& places() const { return places_; }
  const std::vector<Place>& written() const { return written_; }
  void about(const char* what) { what_ = what; }
  const Tally& tally() const { return tally_; }

  /// `changed`: the byte that lies, or the first of a sector that does.
  template <class Damage>
  void damaged(const Place& changed, std::size_t length, const std::string& how, Damage&& damage, bool is_cut_off = false) {
    SimulatedMedium medium = store_.medium;
    damage(medium);
    const bool in_log = changed.file != "data";
    const std::size_t may_lose = is_cut_off ? store_.states.size() : in_log && !closed_ ? 1 : 0;
    const std::string wrong = judge(medium, store_, may_lose, !in_log && length == 1 && is_live(changed.offset), tally_);
    if (!wrong.empty()) FAIL_CHECK(how << " of " << changed.file << " at offset " << changed.offset << ": " << wrong);
  }

 private:
  static unsigned long long shown(std::uint64_t number) { return number; }

  void add(const std::string& name, std::uint64_t size) {
    const DamagedFile file{store_.medium, name};
    for (std::uint64_t at = 0; at < size; at += sector) {
      const auto bytes = file.bytes(at, sector);
      places_.push_back({name, at, std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })});
    }
  }
  bool is_live(std::uint64_t offset) const {
    return std::any_of(extents_.begin(), extents_.end(), [&](const LiveExtent& extent) { return offset >= extent.offset && offset < extent.offset + extent.bytes; });
  }

  SmallStore store_;
  bool closed_, long_form_;
  std::vector<LiveExtent> extents_;
  std::vector<Place> places_, written_;
  Tally tally_;
  std::string what_;
};

void flip_bits(bool closed) {
  Campaign campaign{closed};
  campaign.about("bits flipped");
  const std::uint64_t step = campaign.long_form() ? 1 : 89;  // a prime: every bit of a byte has its turn
  for (std::uint64_t bit = 0; bit < campaign.written().size() * sector * 8; bit += step) {
    Place place = campaign.written()[bit / (sector * 8)];
    place.offset += bit / 8 % sector;
    campaign.damaged(place, 1, "bit " + std::to_string(bit % 8) + " flipped", [&](SimulatedMedium& medium) { DamagedFile{medium, place.file}.flip(place.offset, static_cast<unsigned>(bit % 8)); });
  }
  for (const Place& place : campaign.places()) {  // and one of each sector of zeros
    if (place.written || (!campaign.long_form() && place.offset / sector % 16 != 0)) continue;
    campaign.damaged(place, 1, "bit 3 flipped", [&](SimulatedMedium& medium) { DamagedFile{medium, place.file}.flip(place.offset, 3); });
  }
  CHECK(campaign.tally().refused > 0);
  CHECK(campaign.tally().right > 0);
  CHECK(campaign.tally().told_reading + campaign.tally().told_by_verify > 0);
}

void lose_sectors(bool closed) {
  Campaign campaign{closed};
  campaign.about("sectors zeroed");
  for (const Place& place : campaign.written())
    campaign.damaged(place, sector, "sector zeroed", [&](SimulatedMedium& medium) { DamagedFile{medium, place.file}.zero(place.offset, sector); });
  CHECK(campaign.tally().refused > 0);
}

void mix_sectors(bool closed) {
  Campaign campaign{closed};
  campaign.about("sectors swapped, duplicated");
  const auto& all = campaign.written();
  const std::size_t step = campaign.long_form() ? 1 : 43;
  for (std::size_t pair = 0; pair < all.size() * all.size(); pair += step) {
    const Place &from = all[pair / all.size()], &to = all[pair % all.size()];
    if (&from == &to) continue;
    const auto both = [&](SimulatedMedium& medium, bool back) {
      DamagedFile source{medium, from.file}, target{medium, to.file};
      const auto bytes = source.bytes(from.offset, sector), replaced = target.bytes(to.offset, sector);
      target.put(to.offset, bytes);
      if (back) source.put(from.offset, replaced);
    };
    // A lost last commit is judged by the log's sector, whichever of the two it is.
    const Place& judged = from.file != "data" ? from : to;
    campaign.damaged(to, sector, "sector at " + std::to_string(from.offset) + " of " + from.file + " written over that", [&](SimulatedMedium& medium) { both(medium, false); });
    if (&from < &to) campaign.damaged(judged, sector, "sector at " + std::to_string(from.offset) + " of " + from.file + " swapped with that", [&](SimulatedMedium& medium) { both(medium, true); });
  }
  CHECK(campaign.tally().refused > 0);
}

void cut_files(bool closed) {
  Campaign campaign{closed};
  campaign.about("files cut short");
  for (const Place& place : campaign.places()) {
    if (!campaign.long_form() && place.offset / sector % 4 != 0) continue;
    for (const std::uint64_t size : {place.offset, place.offset + 1 + place.offset / sector % (sector - 1)})
      campaign.damaged(place, sector, "cut short to " + std::to_string(size), [&](SimulatedMedium& medium) { DamagedFile{medium, place.file}.truncate(size); });
  }
  std::set<std::string> files;
  for (const Place& place : campaign.places()) files.insert(place.file);
  // A log without its newest file looks like one that never had it: it is the log up to there.
  for (const std::string& file : files)
    campaign.damaged({file, 0, true}, sector, "removed", [&](SimulatedMedium& medium) { remove_file(medium, file); }, file == *files.rbegin());
  CHECK(campaign.tally().refused > 0);
}

}  // namespace

TEST_CASE("a bit that flips in a closed store is told, or changes nothing of what is read") { flip_bits(true); }
TEST_CASE("a bit that flips in a killed store is told, or changes nothing of what is read, but for the last commit") { flip_bits(false); }
TEST_CASE("a sector of zeros, swapped sectors and sectors written over others are told, or change nothing") {
  for (const bool closed : {true, false}) {
    lose_sectors(closed);
    mix_sectors(closed);
  }
}
TEST_CASE("files that were cut short or are gone are told, or nothing of them was needed") {
  for (const bool closed : {true, false}) cut_files(closed);
}
TEST_CASE("the judge of damaged stores sees a wrong row, a lost one and one that came back") {
  SmallStore store = small_store(true);
  Tally tally;
  REQUIRE(judge(store.medium, store, 0, false, tally) == "");
  CHECK(judge(store.medium, store, 0, true, tally) == "nobody noticed");
  store.states.back()["accounts"]["account101"] = "another";
  CHECK(judge(store.medium, store, 1, false, tally) != "");
  store.states.back()["accounts"].erase("account101");
  CHECK(judge(store.medium, store, 1, false, tally) != "");
  store.states.back()["accounts"]["account101"] = "changed";
  REQUIRE(judge(store.medium, store, 0, false, tally) == "");
  store.states.back()["ledger"]["erased"] = "";
  CHECK(judge(store.medium, store, 1, false, tally) != "");
}
