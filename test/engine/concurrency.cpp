// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/engine.hpp>

#include "support/bank.hpp"
#include "support/engines.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Stack = Engine<MemoryBackend, LatchOfThreads>;

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

TEST_CASE("a pool of 256 KiB serves six threads with values of 30 KB while checkpoints run") {
  MemoryDisk disk;
  auto options = busy_options(32);
  options.log_bytes = std::uint64_t{4} << 20;
  Stack engine = open_on<Stack>(disk, options);
  const auto table = table_of(engine, "t");
  std::atomic<std::uint64_t> errors{0};
  std::atomic<std::size_t> left{6};
  std::string first_error;
  std::mutex mutex;
  const auto note = [&](const auto& result) {
    if (result) return;
    ++errors;
    const std::lock_guard lock(mutex);
    first_error = result.error().message();
  };
  in_threads(7, [&](std::size_t t) {
    if (t == 6) {
      while (left != 0) note(engine.checkpoint());
      return;
    }
    for (int i = 0; i < 60; ++i) {
      const std::string key = std::to_string(t) + "/" + std::to_string(i % 9), value(30'000, static_cast<char>('a' + i % 26));
      note(engine.transact([&](Stack::Transaction& txn) { return txn.put(table, key, value); }));
      auto reader = engine.snapshot();
      const auto seen = reader.get(table, key);
      note(seen);
      if (!seen || !*seen || **seen != value) ++errors;
    }
    --left;
  });
  INFO(first_error);
  CHECK(errors == 0);
  CHECK(contents(engine, table).size() == 54);
  check_at_rest(engine);
}

TEST_CASE("a reader whose versions were given up hears snapshot_too_old, and never sees anything else than its snapshot") {
  MemoryDisk disk;
  auto options = busy_options(16);
  options.version_bytes = 4096;  // some twenty versions: readers lose theirs all the time
  options.log_bytes = std::uint64_t{4} << 20;
  Stack engine = open_on<Stack>(disk, options);
  const auto table = table_of(engine, "t");
  constexpr std::uint64_t pairs = 10;
  const auto key = [](char side, std::uint64_t pair) { return std::string(1, side) + std::to_string(pair); };
  // Both rows of a pair hold the same value, long ones in pages of their own, which are reused once nobody may read them.
  const auto value = [](std::uint64_t n) { return std::string(n % 3 == 0 ? 200 : 9000 + n % 7000, static_cast<char>('a' + n % 26)); };
  for (std::uint64_t p = 0; p < pairs; ++p) put(engine, table, key('x', p), value(0)), put(engine, table, key('y', p), value(0));

  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> too_old{0}, whole{0}, written{0};
  std::string wrong;
  std::mutex mutex;
  const auto complain = [&](std::string what) {
    const std::lock_guard lock(mutex);
    if (wrong.empty()) wrong = std::move(what);
    stop = true;
  };
  const auto refused = [&](const Error& error) {
    if (error.code() == Errc::snapshot_too_old) ++too_old;
    else complain(error.message());
  };
  in_threads(7, [&](std::size_t t) {
    Random random{aegis_test::seed(9) * 100 + t};
    if (t == 6) {
      const Deadline end{seconds(2)};
      while (!end.passed() && !stop) std::this_thread::yield();
      stop = true;
    } else if (t < 3) {
      while (!stop) {
        const std::uint64_t p = random.below(pairs);
        const std::string v = value(random.next() % 100'000);
        const auto done = engine.transact([&](Stack::Transaction& txn) -> Result<void> {
          AEGIS_TRY(txn.put(table, key('x', p), v));
          return txn.put(table, key('y', p), v);
        });
        if (done) ++written;
        else if (!is_retryable(done.error().code())) complain(done.error().message());
      }
    } else {
      while (!stop) {
        auto reader = engine.snapshot();
        Rows rows;
        auto cursor = reader.scan(table, {}, t % 2 == 0 ? Direction::forward : Direction::reverse);
        for (; cursor.valid(); cursor.next()) rows.emplace(cursor.key(), cursor.value());
        if (auto status = cursor.status(); !status) {
          refused(status.error());
          continue;
        }
        if (rows.size() != 2 * pairs) complain("a scan saw " + std::to_string(rows.size()) + " rows");
        for (std::uint64_t p = 0; p < pairs; ++p)
          if (rows[key('x', p)] != rows[key('y', p)] || rows[key('x', p)].find_first_not_of(rows[key('x', p)][0]) != std::string::npos) complain("a scan saw a torn pair");
        const std::uint64_t p = random.below(pairs);
        const auto x = reader.get(table, key('x', p));
        if (!x) refused(x.error());
        else if (!*x || **x != rows[key('x', p)]) complain("get and scan of one snapshot differ");
        ++whole;
      }
    }
  });
  MESSAGE("whole scans " << whole.load() << ", too old " << too_old.load() << ", written " << written.load());
  INFO(wrong);
  CHECK(wrong.empty());
  CHECK(whole > 0);
  CHECK(too_old > 0);
  CHECK(written > 0);
  check_at_rest(engine);
}
