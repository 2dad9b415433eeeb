// SPDX-License-Identifier: Apache-2.0
// Memory runs out at the n-th allocation of a scenario, once or from then on, for n = 1, 2, ... until it is not met any
// more. Whatever that call was: a typed error without effect, or a poisoned engine; nothing leaks, no lock stays, and a
// reopened store is sound and at the last acknowledged commit, or at the one under way. SQLite's out-of-memory loops.
// AEGIS_FULL=1: every allocation; AEGIS_SCENARIO=words: only scenarios with these words in their name.
// Counts malloc and its kin and mmap (with glibc); under a sanitizer, which has an allocator of its own, operator new.
#include <aegis/storage.hpp>

#include "support/other_allocator.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

/// One thread's: tests here have no other.
struct Scarcity {
  bool armed = false, sticky = false;
  std::uint64_t nth = 0;    // 0: none fails, they are counted
  std::uint64_t seen = 0, fired = 0;
  long live = 0;            // allocations that were not given back, armed or not

  bool refuses() {
    if (!armed) return false;
    ++seen;
    const bool fails = nth != 0 && (sticky ? seen >= nth : seen == nth);
    fired += fails ? 1 : 0;
    if (fails) errno = ENOMEM;
    return fails;
  }
};
Scarcity scarcity;

}  // namespace

#ifdef AEGIS_TEST_OTHER_ALLOCATOR
namespace {
void* made(std::size_t bytes, std::size_t alignment = 0) {
  if (scarcity.refuses()) return nullptr;
  void* const at = alignment == 0 ? std::malloc(bytes == 0 ? 1 : bytes) : std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  scarcity.live += at != nullptr ? 1 : 0;
  return at;
}
void* made_or_thrown(std::size_t bytes, std::size_t alignment = 0) {
  void* const at = made(bytes, alignment);
  if (at == nullptr) throw std::bad_alloc{};
  return at;
}
void given_back(void* at) {
  scarcity.live -= at != nullptr ? 1 : 0;
  std::free(at);
}
}  // namespace
void* operator new(std::size_t bytes) { return made_or_thrown(bytes); }
void* operator new[](std::size_t bytes) { return made_or_thrown(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return made(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return made(bytes); }
void* operator new(std::size_t bytes, std::align_val_t to) { return made_or_thrown(bytes, static_cast<std::size_t>(to)); }
void* operator new[](std::size_t bytes, std::align_val_t to) { return made_or_thrown(bytes, static_cast<std::size_t>(to)); }
void* operator new(std::size_t bytes, std::align_val_t to, const std::nothrow_t&) noexcept { return made(bytes, static_cast<std::size_t>(to)); }
void* operator new[](std::size_t bytes, std::align_val_t to, const std::nothrow_t&) noexcept { return made(bytes, static_cast<std::size_t>(to)); }
void operator delete(void* at) noexcept { given_back(at); }
void operator delete[](void* at) noexcept { given_back(at); }
void operator delete(void* at, std::size_t) noexcept { given_back(at); }
void operator delete[](void* at, std::size_t) noexcept { given_back(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { given_back(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { given_back(at); }
void operator delete(void* at, std::align_val_t) noexcept { given_back(at); }
void operator delete[](void* at, std::align_val_t) noexcept { given_back(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { given_back(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { given_back(at); }
#else
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t bytes) noexcept {
  if (scarcity.refuses()) return nullptr;
  ++scarcity.live;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) noexcept {
  if (scarcity.refuses()) return nullptr;
  ++scarcity.live;
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) noexcept {
  if (scarcity.refuses()) return nullptr;
  scarcity.live += old == nullptr ? 1 : 0;
  return __libc_realloc(old, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  if (scarcity.refuses()) return nullptr;
  ++scarcity.live;
  return __libc_memalign(alignment, bytes);
}
void free(void* at) noexcept {
  scarcity.live -= at != nullptr ? 1 : 0;
  __libc_free(at);
}
void* mmap(void* at, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) noexcept {
  if ((flags & MAP_ANONYMOUS) != 0 && scarcity.refuses()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, protection, flags, descriptor, offset));
}
}
#endif

namespace {

using namespace aegis::storage;
namespace fs = std::filesystem;

using Db = Engine<Serializable>;
using Rows = std::map<std::string, std::string>;
using State = std::map<std::string, Rows>;

struct Armed {
  Armed() { scarcity.armed = true; }
  ~Armed() { scarcity.armed = false; }
};

/// What every run of a scenario begins with, and what must hold at its end.
struct World {
  std::string place, directory, copy;
  std::optional<Db> engine;
  State sure;
  std::optional<State> in_flight;
  unsigned errors = 0, thrown = 0;
  std::vector<std::string> odd;  // errors that are none of memory

  EngineOptions options() const {
    return {.directory = directory, .pool_bytes = 24 * 8192, .log_bytes = 1 << 20, .max_transaction_bytes = 256 << 10, .version_bytes = 1 << 20, .max_transactions = 8,
            .lock_timeout = Milliseconds{300}, .maintenance_thread = false};
  }

  /// Runs a call of the library with scarce memory; true when it succeeded. `undo`: what is no more under way when it had no effect.
  template <class Fn>
  auto call(Fn&& fn) -> decltype(fn()) {
    using Returned = decltype(fn());
    Returned result = Error{Errc::out_of_memory, "thrown"};
    try {
      const Armed armed;
      result = fn();
    } catch (const std::bad_alloc&) {
      ++thrown;
    }
    if (result) return result;
    ++errors;
    const Errc code = result.error().code();
    if (code != Errc::out_of_memory && code != Errc::engine_failed && code != Errc::commit_undecided) odd.push_back(result.error().message());
    return result;
  }
  bool commit(Db::Transaction& txn, const State& next) {
    in_flight = next;
    const auto done = call([&] { return txn.commit(); });
    if (done) sure = next;
    if (done || done.error().code() == Errc::out_of_memory) in_flight.reset();
    return done.has_value();
  }
  Db::Table table(const char* name) { return engine->table(name).value(); }
};

Result<State> state_of(Db& engine) {
  State state;
  AEGIS_TRY(const auto names, engine.tables());
  auto reader = engine.snapshot();
  for (const std::string& name : names) {
    AEGIS_TRY(const auto table, engine.table(name));
    Rows& rows = state[name];
    auto cursor = reader.scan(table);
    for (; cursor.valid(); cursor.next()) rows.emplace(cursor.key(), cursor.value());
    AEGIS_TRY(cursor.status());
  }
  return state;
}

std::string key_of(unsigned i) { return "key" + std::to_string(10'000 + i * 7919 % 9'000); }

struct Scenario {
  std::string name;
  enum class Begin { nowhere, closed, killed } begin;  // no store; one with nothing to replay; one with a log to replay
  bool opens;                                          // the scenario itself opens the store
  std::function<void(World&)> run;
};

void put_rows(World& world, unsigned count, std::size_t bytes, unsigned per_transaction) {
  const auto table = world.table("t");
  std::vector<std::string> keys;
  for (unsigned i = 0; i < count; ++i) keys.push_back(key_of(500 + i));
  const std::string value(bytes, 'n');
  for (unsigned done = 0; done < count;) {
    State next = world.sure;
    auto txn = world.engine->begin();
    for (unsigned i = 0; i < per_transaction && done < count; ++i, ++done) {
      if (!world.call([&] { return txn.put(table, keys[done], value); })) return;
      next["t"][keys[done]] = value;
    }
    if (!world.commit(txn, next)) return;
  }
}

bool open(World& world) {
  auto engine = world.call([&] { return Db::open(world.options()); });
  if (engine) world.engine.emplace(std::move(*engine));
  return engine.has_value();
}

std::vector<Scenario> scenarios() {
  using Begin = Scenario::Begin;
  return {
      {"open a fresh store, make a table, close", Begin::nowhere, true,
       [](World& world) {
         if (!open(world)) return;
         world.in_flight = State{{"t", {}}};
         const auto made = world.call([&] { return world.engine->table("t"); });
         if (made) world.sure = *world.in_flight;
         if (made || made.error().code() == Errc::out_of_memory) world.in_flight.reset();
         if (made) (void)world.call([&] { return world.engine->close(); });
       }},
      {"open with a log to replay", Begin::killed, true, [](World& world) { (void)open(world); }},
      {"commit of small rows", Begin::closed, false, [](World& world) { put_rows(world, 6, 40, 3); }},
      {"commit of a value in overflow pages", Begin::closed, false, [](World& world) { put_rows(world, 2, 30'000, 1); }},
      {"a load that splits", Begin::closed, false, [](World& world) { put_rows(world, 120, 700, 20); }},
      {"scans both ways, reads, a snapshot that needs old versions", Begin::closed, false,
       [](World& world) {
         const auto table = world.table("t");
         auto reader = world.engine->snapshot();
         Result<bool> first = world.call([&] { return reader.read(table, "none", [](std::string_view) {}); });
         const State before = world.sure;
         if (first) put_rows(world, 3, 50, 1);
         for (const Direction direction : {Direction::forward, Direction::reverse}) {
           std::size_t rows = 0;
           const auto walked = world.call([&]() -> Result<std::size_t> {
             auto cursor = reader.scan(table, {}, direction);
             for (; cursor.valid(); cursor.next()) ++rows;
             AEGIS_TRY(cursor.status());
             return rows;
           });
           if (walked && first) CHECK(*walked == before.at("t").size());
         }
       }},
      {"bulk load", Begin::closed, false,
       [](World& world) {
         std::vector<std::string> keys;
         for (unsigned i = 0; i < 150; ++i) keys.push_back("bulk" + std::to_string(1000 + i));
         const std::string value(200, 'b');
         world.in_flight = world.sure;
         for (const auto& key : keys) (*world.in_flight)["loaded"][key] = value;
         const auto loaded = world.call([&]() -> Result<void> {
           AEGIS_TRY(auto loader, world.engine->load_table("loaded"));
           for (const auto& key : keys) AEGIS_TRY(loader.append(key, value));
           AEGIS_TRY(loader.finish());
           return {};
         });
         if (loaded) world.sure = *world.in_flight, world.in_flight.reset();
       }},
      {"checkpoint", Begin::killed, false,
       [](World& world) {
         put_rows(world, 5, 300, 5);
         (void)world.call([&] { return world.engine->checkpoint(); });
         (void)world.call([&] { return world.engine->close(); });
       }},
      {"backup", Begin::closed, false,
       [](World& world) {
         const auto done = world.call([&] { return world.engine->backup(world.copy); });
         if (!done) return;
         EngineOptions options = world.options();
         options.directory = world.copy;
         auto copied = Db::open(options);
         REQUIRE(copied.has_value());
         CHECK(state_of(*copied).value() == world.sure);
       }},
      {"a transaction with many locks, savepoints and rollbacks", Begin::closed, false,
       [](World& world) {
         const auto table = world.table("t");
         std::vector<std::string> keys;
         for (unsigned i = 0; i < 60; ++i) keys.push_back(key_of(i * 3));
         State next = world.sure;
         auto txn = world.engine->begin();
         for (unsigned i = 0; i < keys.size(); ++i) {
           if (!world.call([&] { return txn.read(table, keys[i], [](std::string_view) {}); })) return;
           const auto point = world.call([&] { return txn.savepoint(); });
           if (!point || !world.call([&] { return txn.put(table, keys[i], "locked"); })) return;
           if (i % 3 == 0) {
             if (!world.call([&] { return txn.rollback_to(*point); })) return;
           } else {
             next["t"][keys[i]] = "locked";
           }
         }
         world.commit(txn, next);
       }},
      {"delete all, drop the table, make another", Begin::closed, false,
       [](World& world) {
         const auto table = world.table("t");
         State next = world.sure;
         {
           auto txn = world.engine->begin();
           for (const auto& [key, value] : world.sure.at("t"))
             if (!world.call([&] { return txn.erase(table, key); })) return;
           next["t"].clear();
           if (!world.commit(txn, next)) return;
         }
         next.erase("t");
         world.in_flight = next;
         const auto dropped = world.call([&] { return world.engine->drop_table("t"); });
         if (dropped) world.sure = next, world.in_flight.reset();
         if (!dropped) return;
         next["u"];
         world.in_flight = next;
         if (world.call([&] { return world.engine->table("u"); })) world.sure = next, world.in_flight.reset();
       }},
      {"verification, close, open", Begin::closed, false,
       [](World& world) {
         const auto report = world.call([&] { return world.engine->verify(); });
         bool told = false;  // that memory was missing: what could not be looked at may then be called damaged too
         for (const Error& problem : report ? report->problems : std::vector<Error>{}) told = told || problem.code() == Errc::out_of_memory;
         if (report) CHECK_MESSAGE((report->ok() || told), report->message());
         if (!world.call([&] { return world.engine->close(); })) return;
         world.engine.reset();
         (void)open(world);
       }},
  };
}

/// Directories in memory where there are such.
struct Places {
  Places() {
    const fs::path memory = "/dev/shm";
    std::error_code none;
    root = (fs::is_directory(memory, none) && ::access("/dev/shm", W_OK) == 0 ? memory : fs::temp_directory_path()) / ("aegis-allocations-" + std::to_string(::getpid()));
    fs::create_directories(root);
  }
  ~Places() {
    std::error_code none;
    fs::remove_all(root, none);
  }
  fs::path root;
};

/// A store with two hundred rows, some long, some deleted; `killed`: a dozen commits stand in its log alone.
State make_base(const fs::path& directory, bool killed) {
  World world;
  world.directory = directory.string();
  auto engine = Db::open(world.options()).value();
  const auto table = engine.table("t").value();
  State state;
  Rows& rows = state["t"];
  const auto put = [&](unsigned i, const std::string& value) {
    REQUIRE(engine.transact([&](auto& txn) { return txn.put(table, key_of(i), value); }));
    rows[key_of(i)] = value;
  };
  for (unsigned i = 0; i < 60; ++i) put(i, std::string(i % 20 == 7 ? 12'000 : 150, 'b'));
  REQUIRE(engine.transact([&](auto& txn) -> Result<void> {
    AEGIS_TRY(txn.erase(table, key_of(5)));
    return {};
  }));
  rows.erase(key_of(5));
  REQUIRE(engine.checkpoint());
  for (unsigned i = 60; killed && i < 72; ++i) put(i, std::string(i == 66 ? 20'000 : 90, 'k'));
  if (!killed) REQUIRE(engine.close());
  return state;
}

struct Totals {
  std::uint64_t runs = 0, errors = 0, poisoned = 0, thrown = 0, undecided_kept = 0;
};

void check_afterwards(World& world, Totals& totals) {
  for (const std::string& message : world.odd) FAIL_CHECK("not an error of memory: " << message);
  // With memory again the engine goes on, or says that it failed.
  if (world.engine) {
    auto probe = world.engine->transact([&](auto& txn) -> Result<void> {
      AEGIS_TRY(const auto table, world.engine->table("probe"));
      return txn.put(table, "probe", "p");
    });
    if (probe) {
      world.sure["probe"]["probe"] = "p";
      if (world.in_flight) (*world.in_flight)["probe"]["probe"] = "p";
      const auto state = state_of(*world.engine);
      REQUIRE_MESSAGE(state.has_value(), state.error().message());
      CHECK((*state == world.sure || (world.in_flight && *state == *world.in_flight)));
    } else {
      ++totals.poisoned;
      const Errc code = probe.error().code();
      CHECK_MESSAGE((code == Errc::engine_failed || code == Errc::commit_undecided), probe.error().message());
      for (State* state : {&world.sure, world.in_flight ? &*world.in_flight : nullptr})
        if (state != nullptr && state->contains("probe")) state->erase("probe");
    }
    world.engine.reset();
  }
  auto engine = Db::open(world.options());
  REQUIRE_MESSAGE(engine.has_value(), engine.error().message());
  auto state = state_of(*engine);
  REQUIRE(state.has_value());
  if (const auto probe = state->find("probe"); probe != state->end() && probe->second.empty()) state->erase(probe);  // made before the engine failed
  const bool advanced = world.in_flight && *state == *world.in_flight;
  CHECK((*state == world.sure || advanced));
  totals.undecided_kept += advanced ? 1 : 0;
  const auto report = engine->verify();
  REQUIRE(report.has_value());
  CHECK_MESSAGE(report->ok(), report->message());
}

/// False when the scenario needs fewer than n allocations.
bool run_once(const Scenario& scenario, const Places& places, const std::array<State, 3>& bases, std::uint64_t nth, bool sticky, Totals& totals) {
  const fs::path place = places.root / "run";
  fs::remove_all(place);
  if (scenario.begin == Scenario::Begin::nowhere) fs::create_directories(place);
  else fs::copy(places.root / (scenario.begin == Scenario::Begin::closed ? "closed" : "killed"), place, fs::copy_options::recursive);
  INFO(scenario.name << ": allocation " << nth << std::string{sticky ? " and all later ones fail" : " fails"});
  bool fired = false;
  {
    World world;
    world.place = place.string();
    world.directory = (place / "store").string();
    world.copy = (place / "copy").string();
    world.sure = bases[static_cast<std::size_t>(scenario.begin)];
    if (!scenario.opens) {
      auto engine = Db::open(world.options());
      REQUIRE(engine.has_value());
      world.engine.emplace(std::move(*engine));
    }
    scarcity.seen = scarcity.fired = 0;
    scarcity.nth = nth;
    scarcity.sticky = sticky;
    scenario.run(world);
    fired = scarcity.fired != 0;
    scarcity.nth = 0;
    ++totals.runs;
    totals.errors += world.errors;
    totals.thrown += world.thrown;
    check_afterwards(world, totals);
  }
  return fired;
}

}  // namespace

TEST_CASE("wherever memory runs out the error is typed or the engine poisoned, nothing leaks, and the store is what it was") {
  const Places places;
  std::array<State, 3> bases;
  fs::create_directories(places.root / "closed");
  fs::create_directories(places.root / "killed");
  bases[1] = make_base(places.root / "closed" / "store", false);
  bases[2] = make_base(places.root / "killed" / "store", true);
  const bool all = std::getenv("AEGIS_FULL") != nullptr || std::getenv("AEGIS_ROUNDS") != nullptr;
  Totals totals;
  aegis_test::Random random{aegis_test::seed(1)};
  for (const Scenario& scenario : scenarios()) {
    if (const char* only = std::getenv("AEGIS_SCENARIO"); only != nullptr && scenario.name.find(only) == std::string::npos) continue;
    INFO(scenario.name);
    (void)run_once(scenario, places, bases, 0, false, totals);  // how many there are, and that it passes
    const std::uint64_t count = scarcity.seen;
    Totals before = totals;
    std::uint64_t tried = 0;
    for (const bool sticky : {false, true}) {
      for (std::uint64_t nth = 1; nth <= count; nth += all ? 1 : nth < 10 ? 1 : 1 + random.below(count / 8 + 1)) {
        const long live = scarcity.live;
        const bool fired = run_once(scenario, places, bases, nth, sticky, totals);
        CHECK_MESSAGE(scarcity.live == live, scenario.name << ": allocation " << nth << ": " << scarcity.live - live << " allocations leaked");
        CHECK(fired);
        ++tried;
      }
    }
    MESSAGE(scenario.name << ": " << count << " allocations, " << tried << " failures tried, " << totals.errors - before.errors << " errors (" << totals.thrown - before.thrown << " thrown), "
                          << totals.poisoned - before.poisoned << " engines poisoned, " << totals.undecided_kept - before.undecided_kept << " undecided commits kept");
  }
  MESSAGE(totals.runs << " runs, " << totals.errors << " errors, " << totals.thrown << " of them thrown, " << totals.poisoned << " poisoned");
  CHECK(totals.errors > 0);
}
