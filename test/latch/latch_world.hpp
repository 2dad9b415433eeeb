// SPDX-License-Identifier: Apache-2.0
// The numbered promises of latch/policy.hpp, for both latches.
#pragma once

#include <aegis/storage/latch/policy.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace aegis_test {

template <class Latch>
void check_exclusion() {
  Latch latch;
  std::uint64_t plain = 0;  // guarded by the latch; nothing else orders it
  std::uint64_t other = 0;
  std::atomic<std::uint64_t> wrong{0};
  constexpr int rounds = 5000;
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 6; ++worker) {
    threads.emplace_back([&, worker] {
      for (int i = 0; i < rounds; ++i) {
        if (worker < 3) {
          if (worker == 0) {
            while (!latch.try_lock()) std::this_thread::yield();
          } else {
            latch.lock();
          }
          ++plain;
          ++other;
          latch.unlock();
        } else {
          if (worker == 3) {
            while (!latch.try_lock_shared()) std::this_thread::yield();
          } else {
            latch.lock_shared();
          }
          if (plain != other) ++wrong;
          latch.unlock_shared();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(plain == 3 * rounds);
  CHECK(latch.version() == 3 * rounds);
}

template <class Latch>
void check_trying() {
  Latch latch;
  REQUIRE(latch.try_lock());
  CHECK_FALSE(latch.try_lock());
  CHECK_FALSE(latch.try_lock_shared());
  latch.unlock();
  REQUIRE(latch.try_lock_shared());
  REQUIRE(latch.try_lock_shared());
  CHECK_FALSE(latch.try_lock());
  latch.unlock_shared();
  CHECK_FALSE(latch.try_lock());
  latch.unlock_shared();
  CHECK(latch.try_lock());
  latch.unlock();
}

template <class Latch>
void check_version() {
  Latch latch;
  const std::uint64_t before = latch.version();
  latch.lock_shared();
  latch.unlock_shared();
  CHECK(latch.version() == before);
  latch.lock();
  CHECK(latch.version() == before);
  latch.unlock();
  CHECK(latch.version() > before);
}

/// Shared holders overlap without end; the writer gets through nevertheless, else this never returns.
template <class Latch>
void check_no_starvation() {
  Latch latch;
  std::atomic<bool> written{false};
  std::vector<std::thread> readers;
  for (int worker = 0; worker < 3; ++worker) {
    readers.emplace_back([&] {
      while (!written) {
        latch.lock_shared();
        std::this_thread::yield();
        latch.unlock_shared();
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    latch.lock();
    latch.unlock();
  }
  written = true;
  for (auto& thread : readers) thread.join();
  CHECK(latch.version() == 200);
}

template <class Latch>
void check_latch() {
  SUBCASE("1. and 3. exclusive holders exclude everybody, and the next holder sees what they wrote") { check_exclusion<Latch>(); }
  SUBCASE("2. trying never waits, and succeeds when nobody holds it") { check_trying<Latch>(); }
  SUBCASE("4. the version rises with exclusive unlocks alone") { check_version<Latch>(); }
  SUBCASE("5. shared holders do not keep an exclusive one out for ever") { check_no_starvation<Latch>(); }
}

}  // namespace aegis_test
