// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/latch/optimistic.hpp>

#include <latch/latch_world.hpp>

#include <atomic>
#include <thread>

using aegis::storage::OptimisticLatch;

TEST_CASE("OptimisticLatch keeps the promises of a latch") { aegis_test::check_latch<OptimisticLatch>(); }

TEST_CASE("6. an optimistic read is valid exactly when nobody held the latch exclusively meanwhile") {
  OptimisticLatch latch;
  const auto begun = latch.begin_read();
  REQUIRE(begun);
  CHECK(latch.validate(*begun));
  latch.lock_shared();
  CHECK(latch.validate(*begun));
  CHECK(latch.begin_read() == begun);
  latch.unlock_shared();
  CHECK(latch.validate(*begun));
  latch.lock();
  CHECK_FALSE(latch.begin_read());
  CHECK_FALSE(latch.validate(*begun));
  latch.unlock();
  CHECK_FALSE(latch.validate(*begun));
  const auto again = latch.begin_read();
  REQUIRE(again);
  CHECK(*again != *begun);
}

TEST_CASE("6. what an optimistic reader believes is never half of a change") {
  OptimisticLatch latch;
  std::atomic<std::uint64_t> a{0}, b{0};  // relaxed: only the latch orders them
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::uint64_t i = 1; !stop; ++i) {
      latch.lock();
      a.store(i, std::memory_order_relaxed);
      b.store(i, std::memory_order_relaxed);
      latch.unlock();
      if (i % 64 == 0) std::this_thread::yield();
    }
  });
  std::uint64_t torn = 0, believed = 0;
  while (believed < 20000) {
    const auto begun = latch.begin_read();
    if (!begun) continue;
    const std::uint64_t first = b.load(std::memory_order_relaxed), second = a.load(std::memory_order_relaxed);
    if (!latch.validate(*begun)) continue;
    ++believed;
    if (first != second) ++torn;
  }
  stop = true;
  writer.join();
  CHECK(torn == 0);
}
