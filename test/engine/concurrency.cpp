// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/latch/plain.hpp>

#include "support/bank.hpp"
#include "support/engines.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

#ifdef AEGIS_TEST_PLAIN_LATCH
using Stack = Engine<MemoryBackend, PlainLatch>;
#else
using Stack = Engine<MemoryBackend>;
#endif

EngineOptions busy_options(std::size_t frames) {
  EngineOptions options;
  options.pool_bytes = frames * 8192;
  options.log_bytes = std::uint64_t{1} << 20;  // fills several times, so that committers run checkpoints too
  return options;
}

class Deadline {
 public:
  explicit Deadline(double seconds) : end_(std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds))) {}
  bool passed() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

template <class Fn>
void in_threads(std::size_t count, Fn&& fn) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < count; ++t) threads.emplace_back([&fn, t] { fn(t); });
  for (auto& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("the bank neither loses nor makes money, whatever its clients do at the same time") {
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(replay(seed, "test/engine/concurrency"));
  for (const std::size_t frames : {std::size_t{8}, std::size_t{16}}) {
    CAPTURE(frames);
    MemoryDisk disk;
    Bank<Stack> bank{false, seed};
    {
      Stack engine = open_on<Stack>(disk, busy_options(frames));
      bank.fill(engine);
      bank.run(engine, seconds(2));
      bank.check(engine);
      check_at_rest(engine);
      CHECK(engine.close().has_value());
    }
    Stack engine = open_on<Stack>(disk, busy_options(frames));
    CHECK(engine.stats().recovery.transactions == 0);
    bank.check(engine);
    check_at_rest(engine);
  }
}

TEST_CASE("the bank is whole, with every acknowledged transfer, after power failed in the middle of its work") {
  const std::uint64_t seed = aegis_test::seed(2);
  INFO(replay(seed, "test/engine/concurrency"));
  MemoryDisk disk;
  Bank<Stack> bank{false, seed};
  {
    Stack engine = open_on<Stack>(disk, busy_options(8));
    bank.fill(engine);
    bank.run(engine, seconds(1), true, [&] { disk.crash(); });
  }
  Stack engine = open_on<Stack>(disk, busy_options(8));
  bank.check(engine);
  check_at_rest(engine);
}

TEST_CASE("D15: a snapshot never falls between the two halves of a commit") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, busy_options(16));
  const auto table = table_of(engine, "pairs");
  constexpr std::uint64_t pairs = 4;
  const std::string filler(3000, 'f');  // x and y of a pair are in different leaves
  for (std::uint64_t p = 0; p < pairs; ++p) {
    put(engine, table, "x" + std::to_string(p), "0");
    put(engine, table, "y" + std::to_string(p), "0");
    for (int i = 0; i < 4; ++i) put(engine, table, "x~" + std::to_string(p * 10 + static_cast<std::uint64_t>(i)), filler);
  }
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0}, reads{0}, writes{0}, errors{0};
  const auto compare = [&](auto& reader, std::uint64_t p) {
    const auto x = reader.get(table, "x" + std::to_string(p));
    const auto y = reader.get(table, "y" + std::to_string(p));
    const auto again = reader.get(table, "x" + std::to_string(p));
    if (!x || !y || !again) return void(++errors);
    ++reads;
    if (!*x || *x != *y || *x != *again) ++torn;
  };
  in_threads(13, [&](std::size_t t) {
    if (t == 12) {
      const Deadline end{seconds(2)};
      while (!end.passed()) std::this_thread::yield();
      stop = true;
    } else if (t < 4) {
      for (std::uint64_t n = 1; !stop; ++n) {
        const std::string value = std::to_string(n);
        const auto done = engine.transact([&](Stack::Transaction& txn) -> Result<void> {
          AEGIS_TRY(txn.put(table, "x" + std::to_string(t), value));
          return txn.put(table, "y" + std::to_string(t), value);
        });
        ++(done ? writes : errors);
      }
    } else {
      for (std::uint64_t n = t; !stop; ++n) {
        if (t % 2 == 0) {
          auto reader = engine.snapshot();
          compare(reader, n % pairs);
        } else {
          auto txn = engine.begin();
          compare(txn, n % pairs);
        }
      }
    }
  });
  MESSAGE("reads " << reads.load() << ", writes " << writes.load());
  CHECK(torn == 0);
  CHECK(errors == 0);
  CHECK(reads > 0);
  CHECK(writes > 0);
  check_at_rest(engine);
}

TEST_CASE("a counter that everybody raises at once loses no increment, and nobody gives up") {
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, busy_options(8));
  const auto table = table_of(engine, "counters");
  std::atomic<std::uint64_t> raised{0}, failed{0}, retries{0};
  in_threads(8, [&](std::size_t) {
    for (int i = 0; i < 400; ++i) {
      const auto done = engine.transact([&](Stack::Transaction& txn) -> Result<void> {
        AEGIS_TRY(const auto value, txn.get(table, "hot"));
        return txn.put(table, "hot", std::to_string(value ? std::stoull(*value) + 1 : 1));
      });
      if (done) ++raised, retries += done->retries;
      else ++failed;
    }
  });
  MESSAGE("retries " << retries.load());
  CHECK(failed == 0);
  CHECK(raised == 3200);
  CHECK(contents(engine, table).at("hot") == "3200");
  CHECK(retries <= 2 * raised);  // losers queue for the key instead of storming it
  check_at_rest(engine);
}

TEST_CASE("a queue that is filled at one end and emptied at the other stays as small as what is in it") {
  MemoryDisk disk;
  auto options = busy_options(16);
  bool has_thread = false;
  SUBCASE("with the maintenance thread") { has_thread = true; }
  SUBCASE("without it") {}
  options.maintenance_thread = has_thread;
  Stack engine = open_on<Stack>(disk, options);
  const auto table = table_of(engine, "queue");
  const std::string payload(500, 'q');
  const auto name = [](std::uint64_t n) {
    std::string digits = std::to_string(n);
    return std::string(12 - digits.size(), '0') + digits;
  };
  constexpr std::uint64_t waiting = 100, rounds = 20'000;
  for (std::uint64_t n = 0; n < waiting; ++n) put(engine, table, name(n), payload);
  std::uint64_t most = 0;
  for (std::uint64_t n = waiting; n < rounds; ++n) {
    auto txn = engine.begin();
    REQUIRE(txn.insert(table, name(n), payload).has_value());
    std::string front;
    {
      auto cursor = txn.scan(table);
      REQUIRE(cursor.valid());
      front = cursor.key();
    }
    REQUIRE(front == name(n - waiting));
    const auto erased = txn.erase(table, front);
    REQUIRE(erased.has_value());
    REQUIRE(*erased);
    REQUIRE(txn.commit().has_value());
    if (n % 100 == 0) most = std::max(most, engine.stats().used_pages);
  }
  MESSAGE("most pages " << most << ", waiting ghosts " << engine.stats().waiting_ghosts);
  // A hundred rows fill eight leaves; ghosts that wait and half-empty leaves may take several times as much.
  CHECK(most < 200);
  CHECK(contents(engine, table).size() == waiting);
  check_at_rest(engine);
}
