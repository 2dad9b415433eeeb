// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/condition.hpp>

#include <doctest/doctest.h>

#include <mutex>
#include <thread>
#include <vector>

using namespace aegis::storage;

TEST_CASE("whoever waits gives the mutex back, and goes on when what it waits for was made so") {
  std::mutex mutex;
  Condition changed;
  int turn = 0;
  std::thread other{[&] {
    std::unique_lock lock{mutex};
    for (int i = 0; i < 1000; ++i) {
      changed.wait(lock, [&] { return turn == 1; });
      turn = 0;
      changed.notify_one();
    }
  }};
  std::unique_lock lock{mutex};
  for (int i = 0; i < 1000; ++i) {
    turn = 1;
    changed.notify_one();
    changed.wait(lock, [&] { return turn == 0; });
  }
  CHECK(turn == 0);
  lock.unlock();
  other.join();
}

TEST_CASE("notify_all wakes everybody") {
  std::mutex mutex;
  Condition changed;
  int waiting = 0, gone = 0;
  bool open = false;
  std::vector<std::thread> crowd;
  for (int i = 0; i < 4; ++i)
    crowd.emplace_back([&] {
      std::unique_lock lock{mutex};
      ++waiting;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
      ++gone;
    });
  {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return waiting == 4; });
    open = true;
    changed.notify_all();
  }
  for (std::thread& each : crowd) each.join();
  CHECK(gone == 4);
}

TEST_CASE("a wait ends at its deadline on the steady clock, not before, also one that has passed") {
  std::mutex mutex;
  Condition changed;
  std::unique_lock lock{mutex};
  const auto deadline = SteadyClock::now() + Milliseconds{20};
  CHECK_FALSE(changed.wait_until(lock, deadline, [] { return false; }));
  CHECK(SteadyClock::now() >= deadline);
  CHECK_FALSE(changed.wait_until(lock, deadline - Milliseconds{5'000}, [] { return false; }));
  CHECK(lock.owns_lock());
}

TEST_CASE("what holds at the deadline counts, and what holds already waits for nothing") {
  std::mutex mutex;
  Condition changed;
  std::unique_lock lock{mutex};
  CHECK(changed.wait_until(lock, SteadyClock::time_point{}, [] { return true; }));
  int asked = 0;
  CHECK(changed.wait_until(lock, SteadyClock::now(), [&] { return ++asked == 2; }));
}
