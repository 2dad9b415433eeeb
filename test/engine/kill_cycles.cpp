// SPDX-License-Identifier: Apache-2.0
// Processes that write to real files with four threads are killed: at a call of their own (the first half of it done), at
// any moment from outside, while they recover, while a checkpoint runs, twenty times in a row on the same files. The next one
// finds every commit that was acknowledged, no half transaction, no hole, nothing that was lost once. AEGIS_ROUNDS=n takes n
// chains of twenty of each kind (60: the long form, 2,400 lives, some 2,000 of them killed).
#include "engine/kill_store.hpp"

#include "file/temporary_directory.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>

using namespace aegis_test;

namespace {

constexpr int generations = 20;

struct Counts {
  std::uint64_t lives = 0, kills = 0, in_recovery = 0, in_checkpoint = 0, closed = 0, recoveries = 0, replayed = 0, commits = 0;
};

std::uint64_t rounds(std::uint64_t otherwise) {
  const char* given = std::getenv("AEGIS_ROUNDS");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}

std::uint64_t acknowledged(const KnownStore& known) {
  std::uint64_t sum = 0;
  for (const auto& client : known.client) sum += client.acknowledged;
  return sum;
}

/// A killed process leaves its page cache behind, so a file system in memory shows all that a disk would, many times as fast;
/// every fourth chain is on the file system of the temporary directory.
std::filesystem::path parent_of(std::uint64_t seed) {
  const char* const memory = "/dev/shm";
  const bool has_memory = ::access(memory, W_OK | X_OK) == 0;
  return has_memory && seed % 4 != 0 ? std::filesystem::path{memory} : std::filesystem::temp_directory_path();
}

/// Twenty lives of one store, each but the last killed somewhere. What was wrong, or nothing.
template <class Engine>
std::string chain(std::uint64_t seed, Counts& counts) {
  const TemporaryDirectory place{parent_of(seed)};
  Random random{seed};
  KnownStore known;
  std::uint64_t opening_calls = 60;
  for (int generation = 1; generation <= generations; ++generation) {
    const bool is_last = generation == generations;
    const std::uint64_t way = is_last ? 99 : random.below(10), child_seed = random.next(), before = acknowledged(known);
    std::uint64_t last_call = ~std::uint64_t{0};
    if (way < 3) last_call = 1 + random.below(opening_calls);
    if (way >= 3 && way < 6) last_call = opening_calls + random.below(300);
    RunningLife life{known, [&](int pipe) { KilledStore<Engine>{place / "store", known, child_seed, pipe}.live(last_call, is_last ? 10 : 50); }};
    if (way >= 6 && way < 8) life.run_until([&, left = random.below(400)](const Event&) mutable { return left-- == 0; });
    if (way == 8) life.run_until([](const Event& event) { return event.what == Event::What::checkpoint; });
    if (way == 9) life.run_until([](const Event& event) { return event.what == Event::What::closing; });
    if (way >= 6 && way <= 9) {
      for (std::uint64_t spins = random.below(300'000); spins != 0; --spins) std::atomic_signal_fence(std::memory_order_seq_cst);  // up to half a millisecond or so
      life.kill();
    }
    const bool killed = life.join();
    ++counts.lives;
    counts.kills += killed;
    counts.in_recovery += killed && !life.was_open();
    counts.in_checkpoint += killed && life.in_checkpoint();
    counts.closed += life.last().what == Event::What::closed;
    counts.recoveries += life.was_open() && generation > 1;
    counts.replayed += life.was_open() ? life.opened().timestamp : 0;
    counts.commits += acknowledged(known) - before;
    if (life.was_open()) opening_calls = life.opened().number;
    const std::string where = "generation " + std::to_string(generation) + ": ";
    if (!life.wrong().empty()) return where + life.wrong();
    if (!killed && life.last().what != Event::What::closed) return where + (life.last().what == Event::What::failed ? life.last().text : "it ended before its work was done");
  }
  return {};
}

template <class Engine>
void run(const std::string& what, std::uint64_t default_seed) {
  const std::uint64_t first = seed(default_seed), chains = rounds(std::getenv("AEGIS_SEED") == nullptr ? 4 : 1);
  Counts counts;
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < chains; ++i)
    if (const std::string wrong = chain<Engine>(first + i, counts); !wrong.empty()) FAIL_CHECK(what << ", AEGIS_SEED=" << first + i << " test/engine/kill_cycles: " << wrong);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE(what << ": " << chains << " chains from seed " << first << ", " << counts.lives << " lives, " << counts.kills << " kills (" << counts.in_recovery << " in recovery, "
               << counts.in_checkpoint << " in a checkpoint), " << counts.closed << " closed, " << counts.recoveries << " recoveries of " << counts.replayed
               << " transactions, " << counts.commits << " commits, " << static_cast<double>(counts.lives) / took << " lives a second");
  CHECK(counts.kills > counts.lives / 2);
  CHECK(counts.in_recovery > 0);
  CHECK(counts.commits > 0);
}

}  // namespace

TEST_CASE("over chains of twenty generations of killed processes every acknowledged commit stays, and no half of any other") {
  run<DoomedSync>("sync", 1);
}

TEST_CASE("the same where commits do not wait for the disk") {
  run<DoomedAsync>("async", 1001);
}

TEST_CASE("a store that forgets a commit, keeps half of one or brings one back is found out, so that these checks mean something") {
  const std::uint64_t first = seed(5);
  for (const char* damage : {"forgets", "halves", "revives"}) {
    const TemporaryDirectory place;
    KnownStore known;
    const auto live = [&](std::uint64_t commits) {
      RunningLife life{known, [&](int pipe) { KilledStore<DoomedSync>{place / "store", known, first, pipe}.live(~std::uint64_t{0}, commits); }};
      REQUIRE_FALSE(life.join());
      return life.wrong();
    };
    REQUIRE(live(5).empty());
    if (std::string_view{damage} == "revives") known.client[1].life_of[3] = 77;  // what is there is another life's
    Countdown countdown;
    auto backend = aegis::storage::ExtentBackend<DoomedFiles>::open(DoomedFiles{&countdown}, {.directory = place / "store", .read_only = false});
    REQUIRE(backend);
    auto engine = DoomedSync::open(*std::move(backend), {.pool_bytes = 24 * 8192, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .max_transactions = 16, .maintenance_thread = false});
    REQUIRE(engine);
    const auto ledger = engine->table("ledger");
    REQUIRE(ledger);
    auto transaction = engine->begin();
    if (std::string_view{damage} == "forgets") {
      REQUIRE(transaction.put(*ledger, "count2", "4"));
      REQUIRE(transaction.erase(*ledger, Transfer::row_key(2, 5)));
    }
    if (std::string_view{damage} == "halves") REQUIRE(transaction.erase(*ledger, Transfer::row_key(0, 5)));
    REQUIRE(transaction.commit());
    REQUIRE(engine->close());
    engine = aegis::storage::Errc::busy;
    CAPTURE(damage);
    CHECK_FALSE(live(1).empty());
  }
}
