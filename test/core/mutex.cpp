// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/mutex.hpp>

#include <doctest/doctest.h>

#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

using namespace aegis::storage;

namespace {

template <class AnyMutex>
bool is_free(AnyMutex& mutex) {
  bool free = false;
  std::thread{[&] { free = mutex.try_lock() && (mutex.unlock(), true); }}.join();
  return free;
}

}  // namespace

TEST_CASE("a mutex has one holder, and a guard gives it back") {
  Mutex mutex;
  {
    Guard guard{mutex};
    CHECK_FALSE(is_free(mutex));
    guard.unlock();
    CHECK(is_free(mutex));
    guard.lock();
    CHECK_FALSE(is_free(mutex));
    guard.unlock();
    mutex.lock();
    guard.adopt();
  }
  CHECK(is_free(mutex));
  { const std::scoped_lock of_the_library{mutex}; }
  CHECK(mutex.try_lock());
  CHECK_FALSE(is_free(mutex));
  mutex.unlock();
}

TEST_CASE("nothing that is changed under a mutex is lost") {
  Mutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const Guard guard{mutex};
        ++count;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(count == 80'000);
}

TEST_CASE("a shared mutex has one holder or several that share it") {
  SharedMutex mutex;
  int value = 0, torn = 0;
  {
    SharedGuard first{mutex};
    std::thread{[&] { const SharedGuard second{mutex}; }}.join();  // ends while the first still holds
    first.unlock();
    const Guard alone{mutex};
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        const Guard guard{mutex};
        ++value;
        ++value;
      }
    });
  for (int i = 0; i < 10'000; ++i) {
    const SharedGuard guard{mutex};
    torn += value % 2;
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(value == 40'000);
  CHECK(torn == 0);
}
