// SPDX-License-Identifier: Apache-2.0
// Eight threads on eight frames: hits, misses, evictions and write-backs at once.
#include <aegis/storage/buffer/frame_store.hpp>

#include <buffer/pool_world.hpp>
#include <doctest/doctest.h>
#include <support/random.hpp>

#include <atomic>
#include <thread>
#include <vector>

namespace storage = aegis::storage;
using aegis_test::FaultyBackend;
using aegis_test::Faults;
using aegis_test::open_pool;
using aegis_test::Random;
using aegis_test::read_state;
using aegis_test::stamp;
using aegis_test::write_state;
using storage::Errc;
using storage::MemoryBackend;
using storage::PageId;

namespace {

template <class Backend, class Eviction>
using PoolOf = storage::BufferPool<Backend, storage::NoCodec, storage::Xxh3Checksum, Eviction, aegis_test::TestLatch, 4096>;

/// Pages whose tuple 0 is (page, counter), pages 1 to `pages`.
template <class P>
void count_pages(P& pool, std::uint64_t pages) {
  auto token = pool.section().enter();
  pool.set_page_count(token, pages + 1);
  for (std::uint64_t page = 1; page <= pages; ++page) {
    auto handle = pool.create(token, PageId{page});
    REQUIRE(handle);
    handle->page().format(storage::PageType::data, storage::TableId{1});
    const std::uint64_t numbers[2] = {page, 0};
    REQUIRE(handle->page().insert_at(0, 0, std::as_bytes(std::span{numbers})));
  }
}

struct Numbers {
  std::uint64_t page = 0, counter = 0;
};

template <class Page>
Numbers numbers_of(const Page& page) {
  Numbers numbers;
  if (const auto tuple = page.at(0); tuple && tuple->size() == sizeof numbers) std::memcpy(&numbers, tuple->data(), sizeof numbers);
  return numbers;
}

template <class Eviction>
void no_increment_is_lost() {
  const std::uint64_t seed = aegis_test::seed(19);
  INFO(aegis_test::replay(seed, "frame_store"));
  constexpr std::uint64_t pages = 40, steps = 3000;
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend, Eviction>>(backend, 8);
  count_pages(*pool, pages);
  std::atomic<std::uint64_t> wrong{0}, exhausted{0}, added{0};
  std::vector<std::thread> threads;
  for (std::uint64_t worker = 0; worker < 8; ++worker) {
    threads.emplace_back([&, worker] {
      Random random{seed + worker};
      std::vector<std::uint64_t> seen(pages + 1, 0);
      for (std::uint64_t step = 0; step < steps; ++step) {
        const std::uint64_t page = 1 + random.below(random.one_in(2) ? pages : 6);
        Numbers numbers;
        const std::uint64_t action = random.below(10);
        if (action < 3) {
          auto token = pool->section().enter();
          auto handle = pool->exclusive(token, PageId{page});
          if (!handle) {
            ++(handle.error().code() == Errc::pool_exhausted ? exhausted : wrong);
            continue;
          }
          numbers = numbers_of(handle->page());
          ++numbers.counter;
          std::memcpy(handle->page().mutable_at(0).data(), &numbers, sizeof numbers);
          ++added;
        } else if (action < 4) {
          const auto handle = pool->shared(PageId{page});
          if (!handle) {
            ++(handle.error().code() == Errc::pool_exhausted ? exhausted : wrong);
            continue;
          }
          numbers = numbers_of(handle->page());
        } else if (action < 5) {
          pool->prefetch(PageId{page});
          continue;
        } else {
          const auto read = pool->read(PageId{page}, [](const auto& it) { return numbers_of(it); });
          if (!read) {
            ++(read.error().code() == Errc::pool_exhausted ? exhausted : wrong);
            continue;
          }
          numbers = *read;
        }
        if (numbers.page != page || numbers.counter < seen[page]) ++wrong;
        seen[page] = numbers.counter;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(exhausted == 0);  // one handle each at the most: eight frames suffice
  std::uint64_t sum = 0;
  for (std::uint64_t page = 1; page <= pages; ++page) {
    const auto numbers = pool->read(PageId{page}, [](const auto& it) { return numbers_of(it); });
    REQUIRE(numbers);
    CHECK(numbers->page == page);
    sum += numbers->counter;
  }
  CHECK(sum == added);
  CHECK(pool->stats().pinned == 0);
}

}  // namespace

TEST_CASE("threads that hit, miss and evict at once neither hang nor lose a write, and a page is never in two frames (D19)") {
  SUBCASE("lru") { no_increment_is_lost<storage::LruEviction>(); }
  SUBCASE("clock") { no_increment_is_lost<storage::ClockEviction>(); }
}

TEST_CASE("a page that many want at once is read once") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<PoolOf<FaultyBackend, storage::ClockEviction>>(backend, 16);
  count_pages(*pool, 60);
  for (std::uint64_t round = 0; round < 30; ++round) {
    for (std::uint64_t page = 1; page <= 20; ++page) REQUIRE(pool->read(PageId{page}, [](const auto& it) { return numbers_of(it).page; }));
    REQUIRE(pool->flush());
    const std::uint64_t before = faults.reads, wanted = 21 + round;
    std::atomic<std::uint64_t> wrong{0};
    std::vector<std::thread> threads;
    for (int worker = 0; worker < 8; ++worker) {
      threads.emplace_back([&, worker] {
        if (worker % 2 == 0) {
          const auto read = pool->read(PageId{wanted}, [](const auto& it) { return numbers_of(it).page; });
          if (!read || *read != wanted) ++wrong;
        } else {
          const auto pinned = pool->pin(PageId{wanted});
          if (!pinned || numbers_of(pinned->page()).page != wanted) ++wrong;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(faults.reads == before + 1);
  }
}

TEST_CASE("reads that fail while others wait for the same page leave the pool whole") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<PoolOf<FaultyBackend, storage::LruEviction>>(backend, 8);
  count_pages(*pool, 30);
  REQUIRE(pool->flush());
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t worker = 0; worker < 8; ++worker) {
    threads.emplace_back([&, worker] {
      Random random{worker};
      for (int step = 0; step < 2000; ++step) {
        if (worker == 0) faults.fail_reads = random.one_in(2);
        const std::uint64_t page = 1 + random.below(30);
        const auto read = pool->read(PageId{page}, [](const auto& it) { return numbers_of(it).page; });
        if (read ? *read != page : read.error().code() != Errc::io) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  faults.fail_reads = false;
  CHECK(wrong == 0);
  const auto stats = pool->stats();
  CHECK(stats.pinned == 0);
  CHECK(stats.used + stats.free == 8);
  for (std::uint64_t page = 1; page <= 30; ++page) CHECK(pool->read(PageId{page}, [](const auto& it) { return numbers_of(it).page; }).value_or(0) == page);
}

TEST_CASE("handles hold the frames of others only until they go: who waits gets one") {
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend, storage::LruEviction>>(backend, 8);
  count_pages(*pool, 30);
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<bool> stop{false};
  // The section holds half the frames most of the time; readers have to make do with the rest, and always can.
  std::thread section([&] {
    for (std::uint64_t round = 0; round < 400; ++round) {
      auto token = pool->section().enter();
      std::vector<typename PoolOf<MemoryBackend, storage::LruEviction>::ExclusiveHandle> held;
      for (std::uint64_t i = 0; i < 8; ++i) {
        auto handle = pool->exclusive(token, PageId{1 + (round * 7 + i) % 30});
        if (!handle) ++wrong;
        else held.push_back(*std::move(handle));
      }
    }
    stop = true;
  });
  std::vector<std::thread> readers;
  for (std::uint64_t worker = 0; worker < 4; ++worker) {
    readers.emplace_back([&, worker] {
      Random random{worker};
      while (!stop) {
        const std::uint64_t page = 1 + random.below(30);
        const auto read = pool->read(PageId{page}, [](const auto& it) { return numbers_of(it).page; });
        if (!read || *read != page) ++wrong;
      }
    });
  }
  section.join();
  for (auto& thread : readers) thread.join();
  CHECK(wrong == 0);
}
