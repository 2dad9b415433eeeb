// SPDX-License-Identifier: Apache-2.0
// Every byte of every file may lie: a store is opened after each bit of it was flipped, each sector zeroed, swapped with and
// written over by others, each file cut short to each size. What is told then is what was committed, or a typed error. So many
// processes at a time as there are processors, or AEGIS_JOBS. The long form, every bit, pair and size: AEGIS_ROUNDS=1 test/engine/bit_flips,
// and under the sanitizers, as part of sh test/run.sh --durability long: python3 test/programme.py build long durability damage
#include "engine/simulated_store.hpp"
#include "support/damage.hpp"
#include "support/processes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <set>
#include <string_view>
#include <thread>

#include <sys/prctl.h>

// Processes that end without their exit handlers look for leaks themselves; null without a sanitizer that can.
extern "C" int __lsan_do_recoverable_leak_check() __attribute__((weak));
// An engine lives for a millisecond here: what it freed is remembered for a few of them, not for hundreds.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=8:malloc_context_size=8"; }

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

  void add(const Tally& other) {
    opens += other.opens, right += other.right, shorter += other.shorter;
    refused += other.refused, told_reading += other.told_reading, told_by_verify += other.told_by_verify;
  }
};

bool says_damage(const storage::Error& error) {
  return error.code() == Errc::corrupt_block || error.code() == Errc::corrupt_page || error.code() == Errc::corrupt_log || error.code() == Errc::incompatible_format;
}

/// Whether a snapshot taken now shows that and nothing else; most are read to their end, without a copy.
Result<bool> shows(Engine& engine, const StoreState& expected) {
  AEGIS_TRY(const auto names, engine.tables());
  if (names.size() != expected.size()) return false;
  auto reader = engine.snapshot();
  for (const auto& [name, rows] : expected) {
    if (std::find(names.begin(), names.end(), name) == names.end()) return false;
    AEGIS_TRY(const auto table, engine.table(name));
    auto cursor = reader.scan(table);
    auto row = rows.begin();
    for (; cursor.valid(); cursor.next(), ++row)
      if (row == rows.end() || cursor.key() != row->first || cursor.value() != row->second) return false;
    AEGIS_TRY(cursor.status());
    if (row != rows.end()) return false;
  }
  return true;
}

/// Of the last commits, how many are missing in what the engine shows; states.size() when it shows none of the states.
Result<std::size_t> missing_commits(Engine& engine, const std::vector<StoreState>& states) {
  AEGIS_TRY(const bool all, shows(engine, states.back()));
  if (all) return std::size_t{0};
  AEGIS_TRY(const StoreState state, state_of(engine));
  std::size_t lost = 0;
  while (lost < states.size() && states[states.size() - 1 - lost] != state) ++lost;
  return lost;
}

/// Opens, reads and verifies what is on `medium`. `may_lose`: so many of the last commits may be missing, as a torn tail.
/// `must_be_told`: somebody has to notice. Empty when all is well, otherwise what is wrong.
std::string judge(SimulatedMedium medium, const SmallStore& store, std::size_t may_lose, bool must_be_told, Tally& tally) {
  SimulatedDisk disk{{.direct = true, .mapping = true, .seed = 8}, std::move(medium)};
  ++tally.opens;
  auto engine = open_simulated<Engine>(disk, "store", options);
  if (!engine) {
    ++tally.refused;
    return says_damage(engine.error()) ? "" : "open: " + engine.error().message();
  }
  const auto lost = missing_commits(*engine, store.states);
  if (!lost && !says_damage(lost.error())) return "scan: " + lost.error().message();
  if (lost && *lost > may_lose) return *lost == store.states.size() ? "rows that were never committed together" : "the last " + std::to_string(*lost) + " commits are missing";
  const auto report = engine->verify();
  if (!report && !says_damage(report.error())) return "verify: " + report.error().message();
  const bool clean = report && report->ok();
  if (!lost && clean) return "verify finds nothing wrong where a scan fails: " + lost.error().message();
  if (must_be_told && clean) return "nobody noticed";
  ++(!lost ? tally.told_reading : !clean ? tally.told_by_verify : *lost != 0 ? tally.shorter : tally.right);
  return {};
}

/// What a process that tries damages tells the one that started it. It stands, and is read, when the process has died.
struct Progress {
  Tally tally;
  std::uint64_t at = 0, wrong = 0;  // which damage it tries; how many went wrong
  char words[4096] = {};            // of the first of them

  void complain(const std::string& what) {
    const std::size_t used = std::strlen(words);
    if (used + what.size() + 2 < sizeof words) std::memcpy(words + used, (what + "\n").c_str(), what.size() + 2);
    ++wrong;
  }
};

unsigned processes_at_a_time() {
  if (const char* given = std::getenv("AEGIS_JOBS")) return std::max(1u, static_cast<unsigned>(std::strtoul(given, nullptr, 10)));
  return std::max(1u, std::thread::hardware_concurrency());
}

/// One damage, by its number, tried again: whatever else a case expects is not asked then.
const char* replayed() { return std::getenv("AEGIS_DAMAGE"); }

/// attempt(i, Tally&) -> what is wrong, for every i below `count`, or for AEGIS_DAMAGE alone, in several processes. One that dies,
/// of a sanitizer's finding say, fails the test as a wrong answer does.
template <class Attempt>
Tally try_each(std::uint64_t count, Attempt&& attempt) {
  constexpr std::uint64_t all = ~std::uint64_t{0};
  const std::uint64_t chosen = replayed() != nullptr ? std::strtoull(replayed(), nullptr, 10) : all;
  const auto replay = [](std::uint64_t i) {
    return std::string{", replay: "} + (std::getenv("AEGIS_ROUNDS") != nullptr ? "AEGIS_ROUNDS=1 " : "") + "AEGIS_DAMAGE=" + std::to_string(i) + " test/engine/bit_flips, this case";
  };
  Shared<std::atomic<std::uint64_t>> next;
  Shared<std::array<Progress, 64>> progress;
  const auto work = [&](Progress& mine) {
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // a pool of 48 KiB would cost 2 MiB of zeros
    while ((mine.at = chosen != all ? chosen : (*next)++) < count) {
      if (const std::string wrong = attempt(mine.at, mine.tally); !wrong.empty()) mine.complain(wrong + replay(mine.at));
      if (chosen != all) break;
    }
    mine.at = all;
  };
  std::vector<pid_t> children;
  for (unsigned i = 0, jobs = chosen != all ? 1 : std::min(processes_at_a_time(), 64u); i < jobs; ++i) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      work((*progress)[i]);
      ::_exit(__lsan_do_recoverable_leak_check != nullptr && __lsan_do_recoverable_leak_check() != 0 ? 3 : 0);
    }
    children.push_back(child);
  }
  Tally tally;
  for (std::size_t i = 0; i < children.size(); ++i) {
    const Progress& its = (*progress)[i];
    int status = 0;
    REQUIRE(::waitpid(children[i], &status, 0) == children[i]);
    if (its.wrong != 0) FAIL_CHECK(its.wrong << " wrong answers:\n" << its.words);
    if (status != 0) FAIL_CHECK("a process ended with status " << status << (its.at == all ? "" : replay(its.at)));
    tally.add(its.tally);
  }
  return tally;
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

  bool long_form() const { return long_form_; }
  const std::vector<Place>& places() const { return places_; }
  const std::vector<Place>& written() const { return written_; }
  /// All names in the store's directory.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& [name, file] : store_.medium.directories.at("store").names) names.push_back(name);
    return names;
  }

  /// attempt(i) -> what damaged() told, `count` times; all together is told under the name `what`.
  template <class Attempt>
  Tally each(const char* what, std::uint64_t count, Attempt&& attempt) {
    const Tally all = try_each(count, attempt);
    std::printf("%s: %s store of %zu bytes, %zu bytes written: %llu opens: %llu right, %llu without the last commit, %llu refused, %llu told by reading, %llu by verify\n", what,
                closed_ ? "a closed" : "a killed", places_.size() * sector, written_.size() * sector, shown(all.opens), shown(all.right), shown(all.shorter), shown(all.refused),
                shown(all.told_reading), shown(all.told_by_verify));
    return all;
  }

  static constexpr std::size_t all_of_them = ~std::size_t{0};

  /// `changed`: the byte that lies, or the first of a sector that does. What is wrong, or nothing. `log_sectors`: so many of a log
  /// are damaged. One that holds the newest frame takes it; only that frame tells that the one before it was durable, and so on.
  template <class Damage>
  std::string damaged(const Place& changed, std::size_t length, Tally& tally, Damage&& damage, std::size_t log_sectors = 1) const {
    SimulatedMedium medium = store_.medium;
    const std::string how = damage(medium);
    const bool in_log = changed.file != "data";
    const std::size_t may_lose = !in_log ? 0 : log_sectors == all_of_them ? store_.states.size() : closed_ ? 0 : log_sectors;
    const std::string wrong = judge(std::move(medium), store_, may_lose, !in_log && length == 1 && is_live(changed.offset), tally);
    return wrong.empty() ? wrong : how + " of " + changed.file + " at offset " + std::to_string(changed.offset) + ": " + wrong;
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
};

void flip_bits(bool closed) {
  Campaign campaign{closed};
  const auto flip = [&](const Place& place, unsigned bit, Tally& tally) {
    return campaign.damaged(place, 1, tally, [&](SimulatedMedium& medium) { return DamagedFile{medium, place.file}.flip(place.offset, bit), "bit " + std::to_string(bit) + " flipped"; });
  };
  const std::uint64_t step = campaign.long_form() ? 1 : 89;  // a prime: every bit of a byte has its turn
  const std::uint64_t bits = campaign.written().size() * sector * 8;
  const Tally all = campaign.each("bits flipped", (bits + step - 1) / step, [&](std::uint64_t i, Tally& tally) {
    const std::uint64_t bit = i * step;
    Place place = campaign.written()[bit / (sector * 8)];
    place.offset += bit / 8 % sector;
    return flip(place, static_cast<unsigned>(bit % 8), tally);
  });
  CHECK((all.refused > 0 || replayed()));
  CHECK((all.right > 0 || replayed()));
  CHECK((all.told_reading + all.told_by_verify > 0 || replayed()));

  std::vector<Place> zeros;  // sectors that nothing was ever written to, or zeros: a few bits of each
  for (const Place& place : campaign.places())
    if (!place.written && (campaign.long_form() || place.offset / sector % 16 == 0)) zeros.push_back(place);
  const std::uint64_t of_each = campaign.long_form() ? 16 : 1;
  const Tally in_zeros = campaign.each("bits flipped in zeros", zeros.size() * of_each, [&](std::uint64_t i, Tally& tally) {
    Place place = zeros[i / of_each];
    place.offset += i % of_each * (sector / of_each) + i % of_each;
    return flip(place, static_cast<unsigned>((i + 3) % 8), tally);
  });
  CHECK((in_zeros.opens == zeros.size() * of_each || replayed()));
}

void lose_sectors(bool closed) {
  Campaign campaign{closed};
  const Tally all = campaign.each("sectors zeroed", campaign.written().size(), [&](std::uint64_t i, Tally& tally) {
    const Place& place = campaign.written()[i];
    return campaign.damaged(place, sector, tally, [&](SimulatedMedium& medium) { return DamagedFile{medium, place.file}.zero(place.offset, sector), "sector zeroed"; });
  });
  CHECK((all.refused > 0 || replayed()));
}

/// Every sector that was written, over and in exchange with every other one, zeros too.
void mix_sectors(bool closed) {
  Campaign campaign{closed};
  const auto &sources = campaign.written(), &targets = campaign.places();
  const std::uint64_t step = campaign.long_form() ? 1 : 181;
  const Tally all = campaign.each("sectors swapped, duplicated", (sources.size() * targets.size() * 2 + step - 1) / step, [&](std::uint64_t i, Tally& tally) {
    const std::uint64_t pair = i * step / 2;
    const bool swap = i * step % 2 != 0;
    const Place &from = sources[pair / targets.size()], &to = targets[pair % targets.size()];
    const bool is_second_time = swap && to.written && std::pair{to.file, to.offset} < std::pair{from.file, from.offset};
    if ((from.file == to.file && from.offset == to.offset) || is_second_time) return std::string{};
    // Lost last commits are judged by the log's sectors, whichever of the two they are.
    const Place& judged = swap && from.file != "data" ? from : to;
    const std::size_t log_sectors = swap && from.file != "data" && to.file != "data" ? 2 : 1;
    return campaign.damaged(judged, sector, tally, [&](SimulatedMedium& medium) {
      DamagedFile source{medium, from.file}, target{medium, to.file};
      const auto bytes = source.bytes(from.offset, sector), replaced = target.bytes(to.offset, sector);
      target.put(to.offset, bytes);
      if (swap) source.put(from.offset, replaced);
      return "sector at " + std::to_string(from.offset) + " of " + from.file + (swap ? " swapped with that at " : " written over that at ") + std::to_string(to.offset) + " of " + to.file + ", sector";
    }, log_sectors);
  });
  CHECK((all.refused > 0 || replayed()));
}

void cut_files(bool closed) {
  Campaign campaign{closed};
  std::set<std::string> files;
  for (const Place& place : campaign.places()) files.insert(place.file);
  const std::uint64_t step = campaign.long_form() ? 1 : 1009;
  const Tally cut = campaign.each("files cut short", campaign.places().size() * sector / step, [&](std::uint64_t i, Tally& tally) {
    const Place& place = campaign.places()[i * step / sector];
    const std::uint64_t size = place.offset + i * step % sector;
    return campaign.damaged(place, sector, tally, [&](SimulatedMedium& medium) { return DamagedFile{medium, place.file}.truncate(size), "cut short to " + std::to_string(size); });
  });
  CHECK((cut.refused > 0 || replayed()));
  // A log without its newest file looks like one that never had it: it is the log up to there.
  const std::vector<std::string> names{files.begin(), files.end()};
  const Tally removed = campaign.each("files removed", names.size(), [&](std::uint64_t i, Tally& tally) {
    return campaign.damaged({names[i], 0, true}, sector, tally, [&](SimulatedMedium& medium) { return remove_file(medium, names[i]), "removed"; }, names[i] == names.back() ? Campaign::all_of_them : 1);
  });
  CHECK((removed.refused > 0 || replayed()));
}

/// Every two files of the directory. A name tells what its file has to be, so nothing may be lost by it, no last commit either:
/// all are judged as damage of the data file is.
void exchange_all(bool closed) {
  Campaign campaign{closed};
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& one : campaign.files())
    for (const std::string& other : campaign.files())
      if (one < other) pairs.emplace_back(one, other);
  REQUIRE(pairs.size() >= 3);
  const Tally all = campaign.each("files exchanged", pairs.size(), [&](std::uint64_t i, Tally& tally) {
    const auto& [one, other] = pairs[i];
    const auto exchange = [&](SimulatedMedium& medium) { return exchange_files(medium, one, other), one + " exchanged with " + other + ", as damage"; };
    return campaign.damaged({"data", 0, true}, sector, tally, exchange);
  });
  CHECK((all.refused > 0 || replayed()));
  CHECK((all.right > 0 || replayed()));
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
TEST_CASE("files that were exchanged with each other are told, or nothing of them was needed") {
  for (const bool closed : {true, false}) exchange_all(closed);
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
