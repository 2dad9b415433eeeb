// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/transact.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <time.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

thread_local std::vector<long>* sleeps = nullptr;  // where this thread's sleeps are noted, in nanoseconds; they are not slept

}  // namespace

extern "C" int nanosleep(const timespec* span, timespec* left) {
  static auto* const sleep = reinterpret_cast<int (*)(const timespec*, timespec*)>(dlsym(RTLD_NEXT, "nanosleep"));
  if (sleeps == nullptr) return sleep(span, left);
  sleeps->push_back(span->tv_sec * 1'000'000'000 + span->tv_nsec);
  return 0;
}

namespace {

using Stack = Engine<MemoryBackend, LatchOfThreads>;
using Txn = Stack::Transaction;

struct World {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, small_options<Stack>());
  Stack::Table table = table_of(engine, "rows");
};

}  // namespace

TEST_CASE("transact commits what its function wrote, once, and tells the timestamp") {
  World world;
  int runs = 0;
  const auto done = world.engine.transact([&](Txn& txn) {
    ++runs;
    return txn.put(world.table, "k", "v");
  });
  REQUIRE(done.has_value());
  CHECK(runs == 1);
  CHECK(done->retries == 0);
  CHECK(done->timestamp != Timestamp{});
  CHECK(contents(world.engine, world.table) == Rows{{"k", "v"}});
}

TEST_CASE("transact gives its function's error back, whatever it is, and nothing was written") {
  World world;
  for (const Errc code : {Errc::invalid_argument, Errc::key_exists, Errc::no_space, Errc::lock_timeout}) {
    int runs = 0;
    const auto done = world.engine.transact([&](Txn& txn) -> Result<void> {
      ++runs;
      AEGIS_TRY(txn.put(world.table, "k", "v"));
      return Error{code, "the user's", 42};
    });
    CHECK(failed_with(done, code));
    CHECK(done.error().id() == 42);
    CHECK(runs == 1);
  }
  CHECK(contents(world.engine, world.table).empty());
  check_at_rest(world.engine);
}

TEST_CASE("transact runs again after a conflict, and says how often") {
  World world;
  put(world.engine, world.table, "k", "0");
  int runs = 0;
  const auto done = world.engine.transact([&](Txn& txn) -> Result<void> {
    AEGIS_TRY(const auto value, txn.get(world.table, "k"));
    if (runs++ == 0) put(world.engine, world.table, "k", "10");  // somebody else is faster
    return txn.put(world.table, "k", std::to_string(std::stoi(*value) + 1));
  });
  REQUIRE(done.has_value());
  CHECK(runs == 2);
  CHECK(done->retries == 1);
  CHECK(contents(world.engine, world.table) == Rows{{"k", "11"}});
  CHECK(world.engine.stats().transactions.conflicts == 1);
}

TEST_CASE("a retry holds the key that the last attempt lost on before its function runs") {
  World world;
  put(world.engine, world.table, "k", "0");
  int runs = 0;
  const auto done = world.engine.transact([&](Txn& txn) -> Result<void> {
    if (runs++ == 0) {
      AEGIS_TRY(txn.get(world.table, "k"));
      put(world.engine, world.table, "k", "1");
    } else {
      CHECK(txn.snapshot() == no_timestamp);
      CHECK(txn.hold()->locks.lock_count() == 1);
    }
    return txn.put(world.table, "k", "2");
  });
  CHECK(done.has_value());
  CHECK(runs == 2);
  check_at_rest(world.engine);
}

TEST_CASE("transact gives up after as many retries as it was told, with the last error") {
  World world;
  for (const unsigned retries : {0U, 3U}) {
    int runs = 0;
    const auto done = world.engine.transact(
        [&](Txn&) -> Result<void> {
          ++runs;
          return Errc::conflict;
        },
        retries);
    CHECK(failed_with(done, Errc::conflict));
    CHECK(runs == static_cast<int>(retries) + 1);
  }
  for (const Errc code : {Errc::deadlock, Errc::snapshot_too_old}) {
    int runs = 0;
    CHECK(failed_with(world.engine.transact([&](Txn&) -> Result<void> { return ++runs, code; }, 2), code));
    CHECK(runs == 3);
  }
}

TEST_CASE("transact backs off before a retry that no lost key explains: longer and longer, at most a millisecond") {
  World world;
  std::vector<long> slept;
  sleeps = &slept;
  const auto done = world.engine.transact([&](Txn&) -> Result<void> { return Errc::conflict; }, 60);
  sleeps = nullptr;
  CHECK(failed_with(done, Errc::conflict));
  CHECK(slept.size() >= 40);  // of 60 retries; the first few may draw no time at all
  CHECK(slept.size() <= 60);
  long longest = 0;
  for (const long span : slept) longest = std::max(longest, span);
  CHECK(longest < static_cast<long>(longest_backoff_microseconds) * 1000);
  CHECK(longest > 256'000);
  CHECK(slept.front() < 16'000);
}

TEST_CASE("a retry that queues for its lost key does not sleep") {
  World world;
  put(world.engine, world.table, "k", "0");
  std::vector<long> slept;
  sleeps = &slept;
  int runs = 0;
  const auto done = world.engine.transact([&](Txn& txn) -> Result<void> {
    AEGIS_TRY(txn.get(world.table, "k"));
    if (runs++ == 0) put(world.engine, world.table, "k", "theirs");
    return txn.put(world.table, "k", "mine");
  });
  sleeps = nullptr;
  REQUIRE(done.has_value());
  CHECK(done->retries == 1);
  CHECK(slept.empty());
}

TEST_CASE("a function that swallows a conflict does not get it committed") {
  World world;
  put(world.engine, world.table, "k", "0");
  int runs = 0;
  const auto done = world.engine.transact([&](Txn& txn) -> Result<void> {
    AEGIS_TRY(txn.get(world.table, "k"));
    if (runs++ == 0) put(world.engine, world.table, "k", "theirs");
    (void)txn.put(world.table, "k", "mine");
    return {};
  });
  CHECK(done.has_value());
  CHECK(runs == 2);
  CHECK(contents(world.engine, world.table) == Rows{{"k", "mine"}});
}

TEST_CASE("a function that ends its transaction itself is told so") {
  World world;
  const auto committed = world.engine.transact([&](Txn& txn) -> Result<void> {
    AEGIS_TRY(txn.put(world.table, "k", "v"));
    AEGIS_TRY(txn.commit());
    return {};
  });
  CHECK(failed_with(committed, Errc::transaction_closed));
  CHECK(contents(world.engine, world.table) == Rows{{"k", "v"}});
  const auto aborted = world.engine.transact([&](Txn& txn) -> Result<void> { return txn.abort(); });
  CHECK(failed_with(aborted, Errc::transaction_closed));
  check_at_rest(world.engine);
}

TEST_CASE("two that meet in opposite order both commit, one after a deadlock") {
  World world;
  put(world.engine, world.table, "a", "0");
  put(world.engine, world.table, "b", "0");
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        const auto done = world.engine.transact([&](Txn& txn) -> Result<void> {
          for (const char* key : {t == 0 ? "a" : "b", t == 0 ? "b" : "a"}) {
            AEGIS_TRY(const auto value, txn.get_for_update(world.table, key));
            AEGIS_TRY(txn.put(world.table, key, std::to_string(std::stoi(*value) + 1)));
          }
          return {};
        });
        if (!done) FAIL_CHECK(done.error().message());
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(contents(world.engine, world.table) == Rows{{"a", "600"}, {"b", "600"}});
  check_at_rest(world.engine);
}
