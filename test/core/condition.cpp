// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/condition.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace aegis::storage;

TEST_CASE("whoever waits gives the mutex back, and goes on when what it waits for was made so") {
  Mutex mutex;
  Condition changed;
  int turn = 0;
  std::thread other{[&] {
    Guard lock{mutex};
    for (int i = 0; i < 1000; ++i) {
      changed.wait(lock, [&] { return turn == 1; });
      turn = 0;
      changed.notify_one();
    }
  }};
  Guard lock{mutex};
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
  Mutex mutex;
  Condition changed;
  int waiting = 0, gone = 0;
  bool open = false;
  std::vector<std::thread> crowd;
  for (int i = 0; i < 4; ++i)
    crowd.emplace_back([&] {
      Guard lock{mutex};
      ++waiting;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
      ++gone;
    });
  {
    Guard lock{mutex};
    changed.wait(lock, [&] { return waiting == 4; });
    open = true;
    changed.notify_all();
  }
  for (std::thread& each : crowd) each.join();
  CHECK(gone == 4);
}

TEST_CASE("a wait ends at its deadline on the steady clock, not before, also one that has passed") {
  Mutex mutex;
  Condition changed;
  Guard lock{mutex};
  const auto deadline = SteadyClock::after(Milliseconds{20});
  CHECK_FALSE(changed.wait_until(lock, deadline, [] { return false; }));
  CHECK(SteadyClock::now() >= deadline);
  CHECK_FALSE(changed.wait_until(lock, deadline - 5'000'000'000, [] { return false; }));
  lock.unlock();
  CHECK(mutex.try_lock());
  mutex.unlock();
  lock.lock();
}

TEST_CASE("what holds at the deadline counts, and what holds already waits for nothing") {
  Mutex mutex;
  Condition changed;
  Guard lock{mutex};
  CHECK(changed.wait_until(lock, SteadyClock::time_point{}, [] { return true; }));
  int asked = 0;
  CHECK(changed.wait_until(lock, SteadyClock::now(), [&] { return ++asked == 2; }));
}
