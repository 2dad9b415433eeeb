// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a pool: what a crash leaves is exactly what was there at the instant of a begin_epoch().
#include <aegis/storage/buffer/write_back.hpp>

#include <buffer/pool_world.hpp>
#include <doctest/doctest.h>
#include <support/random.hpp>

#include <atomic>
#include <mutex>
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
using storage::MemoryDisk;
using storage::PageId;

namespace {

template <class Backend>
using PoolOf = storage::BufferPool<Backend, storage::NoCodec, storage::Xxh3Checksum, storage::ClockEviction, aegis_test::TestLatch>;

template <class P>
void fill(P& pool, std::uint64_t pages) {
  auto token = pool.section().enter();
  pool.set_page_count(token, pages + 1);
  for (std::uint64_t page = 1; page <= pages; ++page) {
    auto handle = pool.create(token, PageId{page});
    REQUIRE(handle);
    write_state(*handle, 0, true);
  }
}

template <class P>
void change(P& pool, std::uint64_t page, std::uint64_t state) {
  auto token = pool.section().enter();
  auto handle = pool.exclusive(token, PageId{page});
  REQUIRE(handle);
  write_state(*handle, state, false);
}

template <class P>
storage::Epoch begin(P& pool) {
  auto token = pool.section().enter();
  return pool.begin_epoch(token);
}

/// The states that a new pool on the backend finds.
std::vector<std::string> found_on(MemoryBackend& backend, std::uint64_t pages) {
  auto pool = open_pool<PoolOf<MemoryBackend>>(backend, 16);
  auto token = pool->section().enter();
  pool->set_page_count(token, pages + 1);
  std::vector<std::string> states{""};
  for (std::uint64_t page = 1; page <= pages; ++page) states.push_back(read_state(*pool, page));
  return states;
}

std::vector<std::string> stamps(const std::vector<std::uint64_t>& model) {
  std::vector<std::string> states{""};
  for (std::uint64_t page = 1; page < model.size(); ++page) states.push_back(stamp(page, model[page]));
  return states;
}

}  // namespace

TEST_CASE("a checkpoint publishes the pages as they were when it began, however they changed since") {
  MemoryDisk disk;
  auto backend = MemoryBackend::open(disk);
  REQUIRE(backend);
  auto pool = open_pool<PoolOf<MemoryBackend>>(*backend, 32, 2);
  fill(*pool, 10);
  begin(*pool);
  for (std::uint64_t page = 1; page <= 6; ++page) change(*pool, page, 1);  // two copied, the others written by the writer
  CHECK(pool->stats().copies == 2);
  CHECK(pool->stats().write_backs == 4);
  for (std::uint64_t page = 1; page <= 6; ++page) change(*pool, page, 2);
  CHECK(pool->stats().copies == 2);
  REQUIRE(pool->write_epoch());
  change(*pool, 7, 3);
  backend->seal();
  pool->seal_epoch();
  CHECK(pool->dirty_pages() == 7);
  REQUIRE(pool->flush());
  REQUIRE(backend->sync());
  disk.crash();
  auto after = MemoryBackend::open(disk);
  REQUIRE(after);
  CHECK(found_on(*after, 10) == stamps(std::vector<std::uint64_t>(11, 0)));
}

TEST_CASE("pages of the new epoch are not written before the seal, and whoever needs a frame waits for it") {
  MemoryDisk disk;
  auto backend = MemoryBackend::open(disk);
  REQUIRE(backend);
  auto pool = open_pool<PoolOf<MemoryBackend>>(*backend, 8);
  fill(*pool, 20);
  REQUIRE(pool->flush());
  REQUIRE(backend->sync());
  for (std::uint64_t page = 1; page <= 20; ++page) change(*pool, page, 1);
  begin(*pool);
  CHECK(pool->flush().error().code() == Errc::busy);
  for (std::uint64_t page = 1; page <= 8; ++page) change(*pool, page, 2);
  CHECK(*pool->write_back(100) == 0);
  CHECK(pool->dirty_pages() == 8);
  std::atomic<bool> sealed{false};
  std::thread checkpoint([&] {
    const bool written = pool->write_epoch().has_value();
    backend->seal();
    sealed = written;
    pool->seal_epoch();
  });
  change(*pool, 9, 2);  // the ninth frame of eight
  CHECK(sealed);
  checkpoint.join();
  REQUIRE(backend->sync());
  disk.crash();
  auto after = MemoryBackend::open(disk);
  REQUIRE(after);
  std::vector<std::uint64_t> expected(21, 1);
  CHECK(found_on(*after, 20) == stamps(expected));
}

TEST_CASE("an abandoned checkpoint loses nothing: the next one writes all of it") {
  Faults faults;
  MemoryDisk disk;
  auto below = MemoryBackend::open(disk);
  REQUIRE(below);
  FaultyBackend backend{faults, *std::move(below)};
  auto pool = open_pool<PoolOf<FaultyBackend>>(backend, 32, 2);
  fill(*pool, 10);
  REQUIRE(pool->flush());
  REQUIRE(backend.sync());
  for (std::uint64_t page = 1; page <= 10; ++page) change(*pool, page, 1);
  begin(*pool);
  change(*pool, 1, 2);
  change(*pool, 2, 2);
  faults.fail_writes = true;
  change(*pool, 3, 2);  // no copy buffer left and no write possible: the checkpoint fails, the change does not
  CHECK(read_state(*pool, 3) == stamp(3, 2));
  CHECK(pool->write_epoch().error().code() == Errc::io);
  faults.fail_writes = false;
  CHECK(pool->write_epoch().error().code() == Errc::io);  // it stays failed
  pool->abandon_epoch();
  CHECK(pool->dirty_pages() == 10);
  change(*pool, 4, 3);
  begin(*pool);
  change(*pool, 5, 9);
  REQUIRE(pool->write_epoch());
  REQUIRE(backend.sync());
  pool->seal_epoch();
  disk.crash();
  auto after = MemoryBackend::open(disk);
  REQUIRE(after);
  std::vector<std::uint64_t> expected(11, 1);
  expected[1] = expected[2] = expected[3] = 2;
  expected[4] = 3;
  CHECK(found_on(*after, 10) == stamps(expected));
}

TEST_CASE("a page freed while a checkpoint runs is still in that checkpoint, and its id may be used again at once") {
  MemoryDisk disk;
  auto backend = MemoryBackend::open(disk);
  REQUIRE(backend);
  auto pool = open_pool<PoolOf<MemoryBackend>>(*backend, 16, 1);
  fill(*pool, 4);
  begin(*pool);
  {
    auto token = pool->section().enter();
    pool->discard(token, PageId{1});
    pool->discard(token, PageId{2});
    auto handle = pool->create(token, PageId{1});
    REQUIRE(handle);
    write_state(*handle, 8, true);
    auto over = pool->create(token, PageId{3});  // without a discard before
    REQUIRE(over);
    write_state(*over, 8, true);
  }
  REQUIRE(pool->write_epoch());
  backend->seal();
  pool->seal_epoch();
  REQUIRE(backend->sync());
  CHECK(read_state(*pool, 1) == stamp(1, 8));
  CHECK(read_state(*pool, 3) == stamp(3, 8));
  disk.crash();
  auto after = MemoryBackend::open(disk);
  REQUIRE(after);
  CHECK(found_on(*after, 4) == stamps(std::vector<std::uint64_t>(5, 0)));
}

TEST_CASE("whatever happens in whatever order, a crash leaves the last published checkpoint and nothing else") {
  const std::uint64_t seed = aegis_test::seed(509);
  INFO(aegis_test::replay(seed, "write_back"));
  Random random{seed};
  constexpr std::uint64_t pages = 24;
  MemoryDisk disk;
  std::vector<std::uint64_t> published(pages + 1, 0);
  for (int life = 0; life < 40; ++life) {
    auto backend = MemoryBackend::open(disk);
    REQUIRE(backend);
    Faults faults;
    FaultyBackend faulty{faults, *std::move(backend)};
    auto pool = open_pool<PoolOf<FaultyBackend>>(faulty, 32 + random.below(8), 1 + random.below(4));
    std::vector<std::uint64_t> model = published, cut = published;
    if (life == 0) {
      fill(*pool, pages);
    } else {
      auto token = pool->section().enter();
      pool->set_page_count(token, pages + 1);
    }
    bool running = false, first = life == 0, may_fail = false;
    for (std::uint64_t step = 1, steps = 50 + random.below(300); step <= steps || first; ++step) {
      const std::uint64_t page = 1 + random.below(pages);
      switch (random.below(12)) {
        case 0:
          if (running) {
            const auto written = pool->write_epoch();
            if (!may_fail) CHECK(written);
            if (written && !random.one_in(6)) {
              REQUIRE(faulty.sync());
              pool->seal_epoch();
              published = cut;
              first = false;
            } else {
              pool->abandon_epoch();
            }
          } else {
            cut = model;
            may_fail = faults.fail_writes;
            begin(*pool);
          }
          running = !running;
          break;
        case 1:
          faults.fail_writes = random.one_in(3);
          may_fail = may_fail || faults.fail_writes;
          break;
        case 2: static_cast<void>(pool->write_back(1 + random.below(8))); break;
        case 3:
          if (random.one_in(4)) {
            auto token = pool->section().enter();
            pool->discard(token, PageId{page});
            auto handle = pool->create(token, PageId{page});
            REQUIRE(handle);
            write_state(*handle, model[page] = step + 1000 * static_cast<std::uint64_t>(life), true);
          }
          break;
        case 4: case 5: REQUIRE(read_state(*pool, page) == stamp(page, model[page])); break;
        default: change(*pool, page, model[page] = step + 1000 * static_cast<std::uint64_t>(life));
      }
    }
    disk.crash();
    auto after = MemoryBackend::open(disk);
    REQUIRE(after);
    REQUIRE(found_on(*after, pages) == stamps(published));
  }
}

TEST_CASE("threads that change, read and evict while checkpoints run: each checkpoint is one instant of the section") {
  constexpr std::uint64_t groups = 12, pages = groups * 4;
  const std::uint64_t seed = aegis_test::seed(510);
  INFO(aegis_test::replay(seed, "write_back"));
  MemoryDisk disk;
  auto backend = MemoryBackend::open(disk);
  REQUIRE(backend);
  auto pool = open_pool<PoolOf<MemoryBackend>>(*backend, 32, 2);
  fill(*pool, pages);
  std::vector<std::uint64_t> model(pages + 1, 0), published;
  std::atomic<int> writers{4};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&, worker] {
      Random random{seed + worker};
      for (std::uint64_t step = 1; step <= 1500; ++step) {
        auto token = pool->section().enter();
        const std::uint64_t group = random.below(groups);
        for (std::uint64_t page = group * 4 + 1; page <= group * 4 + 4; ++page) {
          auto handle = pool->exclusive(token, PageId{page});
          if (!handle) ++wrong;
          else write_state(*handle, model[page] = step * 10 + worker, false);
        }
      }
      --writers;
    });
  }
  for (std::uint64_t worker = 0; worker < 2; ++worker) {
    threads.emplace_back([&, worker] {
      Random random{seed + 100 + worker};
      while (writers != 0) {
        const std::uint64_t page = 1 + random.below(pages);
        if (read_state(*pool, page).find("page " + std::to_string(page) + " state ") != 0) ++wrong;
        if (worker == 1 && random.one_in(50)) static_cast<void>(pool->write_back(2));
      }
    });
  }
  std::uint64_t checkpoints = 0;
  do {
    std::vector<std::uint64_t> cut;
    {
      auto token = pool->section().enter();
      pool->begin_epoch(token);
      cut = model;
    }
    if (!pool->write_epoch()) ++wrong;
    backend->seal();
    pool->seal_epoch();
    if (!backend->sync()) ++wrong;
    published = std::move(cut);
    ++checkpoints;
  } while (writers != 0);
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(checkpoints > 1);
  disk.crash();
  auto after = MemoryBackend::open(disk);
  REQUIRE(after);
  CHECK(found_on(*after, pages) == stamps(published));
}
