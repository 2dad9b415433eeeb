// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/buffer/page_allocator.hpp>

#include <buffer/pool_world.hpp>
#include <doctest/doctest.h>
#include <support/random.hpp>

#include <map>
#include <set>
#include <vector>

namespace storage = aegis::storage;
using aegis_test::FaultyBackend;
using aegis_test::Faults;
using aegis_test::open_pool;
using aegis_test::Random;
using storage::Errc;
using storage::MemoryBackend;
using storage::PageId;
using storage::Timestamp;

namespace {

template <class Backend>
using PoolOf = storage::BufferPool<Backend, storage::NoCodec, storage::Xxh3Checksum, storage::ClockEviction, aegis_test::TestLatch, 4096>;
using Pool = PoolOf<MemoryBackend>;
using Allocator = storage::PageAllocator<Pool>;

std::vector<std::uint64_t> taken_erases(Allocator& allocator) {
  std::vector<std::uint64_t> taken;
  REQUIRE(allocator.for_each_taken_erase([&](PageId page) -> storage::Result<void> {
    taken.push_back(storage::number(page));
    return {};
  }));
  return taken;
}

std::set<std::uint64_t> free_of(const Allocator& allocator) {
  std::set<std::uint64_t> free;
  allocator.for_each_free([&](PageId page) { free.insert(storage::number(page)); });
  return free;
}

}  // namespace

TEST_CASE("a new store gives out pages in order, after page 0 and its first map page") {
  MemoryBackend backend;
  auto pool = open_pool<Pool>(backend, 16);
  Allocator allocator{*pool};
  REQUIRE(allocator.load());
  auto token = pool->section().enter();
  for (std::uint64_t expected = 2; expected < 10; ++expected) CHECK(*allocator.allocate(token) == PageId{expected});
  CHECK(pool->page_count() == 10);
  CHECK(allocator.used_pages() == 9);
  CHECK(allocator.free_pages() == 0);
  CHECK(allocator.in_use(PageId{0}));
  CHECK(allocator.in_use(PageId{1}));
  CHECK_FALSE(allocator.in_use(PageId{10}));
  CHECK(Allocator::is_map_page(PageId{1}));
  CHECK_FALSE(Allocator::is_map_page(PageId{2}));
}

TEST_CASE("a freed page is withheld until it is released, then the lowest goes first") {
  MemoryBackend backend;
  auto pool = open_pool<Pool>(backend, 16);
  Allocator allocator{*pool};
  REQUIRE(allocator.load());
  auto token = pool->section().enter();
  for (int i = 0; i < 6; ++i) REQUIRE(allocator.allocate(token));  // 2 to 7
  REQUIRE(allocator.free(token, PageId{5}, Timestamp{10}));
  REQUIRE(allocator.free(token, PageId{3}, Timestamp{11}));
  CHECK_FALSE(allocator.in_use(PageId{5}));
  CHECK(free_of(allocator) == std::set<std::uint64_t>{3, 5});
  CHECK(allocator.withheld() == 2);
  CHECK(allocator.free_pages() == 0);
  CHECK(*allocator.allocate(token) == PageId{8});
  allocator.release(token, Timestamp{10});
  CHECK(allocator.withheld() == 1);
  CHECK(allocator.free_pages() == 1);
  CHECK(*allocator.allocate(token) == PageId{5});
  CHECK(*allocator.allocate(token) == PageId{9});
  allocator.release(token, Timestamp{11});
  CHECK(*allocator.allocate(token) == PageId{3});
  for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{500}})
    CHECK(allocator.free(token, PageId{page}, Timestamp{12}).error().code() == Errc::invalid_argument);
  REQUIRE(allocator.free(token, PageId{4}, Timestamp{12}));
  CHECK(allocator.free(token, PageId{4}, Timestamp{12}).error().code() == Errc::invalid_argument);
}

TEST_CASE("blocks are erased in the epoch that releases them, unless the page is used again first") {
  MemoryBackend backend;
  auto pool = open_pool<Pool>(backend, 16);
  Allocator allocator{*pool};
  REQUIRE(allocator.load());
  auto token = pool->section().enter();
  for (int i = 0; i < 8; ++i) REQUIRE(allocator.allocate(token));  // 2 to 9
  for (const std::uint64_t page : {std::uint64_t{3}, std::uint64_t{5}, std::uint64_t{7}}) REQUIRE(allocator.free(token, PageId{page}, Timestamp{page}));
  allocator.take_erases(token);
  CHECK(taken_erases(allocator).empty());
  allocator.release(token, Timestamp{5});
  CHECK(*allocator.allocate(token) == PageId{3});
  allocator.take_erases(token);
  CHECK(taken_erases(allocator) == std::vector<std::uint64_t>{5});
  SUBCASE("an abandoned checkpoint gives them to the next") {
    allocator.release(token, Timestamp{7});
    allocator.give_back_erases(token);
    CHECK(taken_erases(allocator).empty());
    allocator.take_erases(token);
    CHECK(taken_erases(allocator) == std::vector<std::uint64_t>{5, 7});
  }
  SUBCASE("except for those in use again") {
    CHECK(*allocator.allocate(token) == PageId{5});
    allocator.give_back_erases(token);
    allocator.take_erases(token);
    CHECK(taken_erases(allocator).empty());
  }
  SUBCASE("a published one forgets them") {
    allocator.take_erases(token);
    CHECK(taken_erases(allocator).empty());
  }
}

TEST_CASE("a map that is loaded again is the one that was checkpointed, withheld pages free") {
  const std::uint64_t seed = aegis_test::seed(601);
  INFO(aegis_test::replay(seed, "page_allocator"));
  Random random{seed};
  storage::MemoryDisk disk;
  std::set<std::uint64_t> used;
  std::uint64_t count = 0;
  for (int life = 0; life < 12; ++life) {
    auto backend = MemoryBackend::open(disk);
    REQUIRE(backend);
    auto pool = open_pool<Pool>(*backend, 16);
    Allocator allocator{*pool};
    auto token = pool->section().enter();
    pool->set_page_count(token, count);
    REQUIRE(allocator.load());
    std::set<std::uint64_t> now = used, withheld;
    for (std::uint64_t page = 2; page < count; ++page) REQUIRE(allocator.in_use(PageId{page}) == (used.count(page) != 0));
    REQUIRE(allocator.used_pages() == used.size() + (count > 1 ? 1 : 0));
    for (std::uint64_t step = 1; step < 400; ++step) {
      if (random.below(5) < 3 || now.empty()) {
        const auto page = allocator.allocate(token);
        REQUIRE(page);
        REQUIRE(now.insert(storage::number(*page)).second);
        REQUIRE(withheld.count(storage::number(*page)) == 0);
      } else {
        const auto page = std::next(now.begin(), static_cast<std::ptrdiff_t>(random.below(now.size())));
        REQUIRE(allocator.free(token, PageId{*page}, Timestamp{step}));
        withheld.insert(*page);
        now.erase(page);
      }
      if (random.one_in(30)) {
        allocator.release(token, Timestamp{step});
        withheld.clear();
      }
      if (random.one_in(100)) {
        pool->begin_epoch(token);
        REQUIRE(pool->write_epoch());
        REQUIRE(backend->sync());
        pool->seal_epoch();
        used = now;
        count = pool->page_count();
      }
    }
    disk.crash();
  }
  CHECK(used.size() > 100);
}

TEST_CASE("a second map page comes when the first is full, and both are loaded again") {
  MemoryBackend backend;
  constexpr std::uint64_t per_map = Allocator::pages_per_map;
  std::uint64_t count = 0;
  {
    auto pool = open_pool<Pool>(backend, 16);
    Allocator allocator{*pool};
    REQUIRE(allocator.load());
    auto token = pool->section().enter();
    for (std::uint64_t expected = 2; expected <= per_map; ++expected) REQUIRE(*allocator.allocate(token) == PageId{expected});
    CHECK(Allocator::is_map_page(PageId{per_map + 1}));
    CHECK(*allocator.allocate(token) == PageId{per_map + 2});
    CHECK(*allocator.allocate(token) == PageId{per_map + 3});
    CHECK(allocator.free(token, PageId{per_map + 1}, Timestamp{1}).error().code() == Errc::invalid_argument);
    REQUIRE(allocator.free(token, PageId{per_map + 2}, Timestamp{1}));
    REQUIRE(allocator.free(token, PageId{77}, Timestamp{1}));
    count = pool->page_count();
    REQUIRE(pool->flush());
  }
  auto pool = open_pool<Pool>(backend, 16);
  Allocator allocator{*pool};
  auto token = pool->section().enter();
  pool->set_page_count(token, count);
  REQUIRE(allocator.load());
  CHECK(free_of(allocator) == std::set<std::uint64_t>{77, per_map + 2});
  CHECK(allocator.used_pages() == per_map + 1);
  CHECK(*allocator.allocate(token) == PageId{77});
  CHECK(*allocator.allocate(token) == PageId{per_map + 2});
  CHECK(*allocator.allocate(token) == PageId{per_map + 4});
}

TEST_CASE("what fails changes nothing") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<PoolOf<FaultyBackend>>(backend, 8);
  storage::PageAllocator<PoolOf<FaultyBackend>> allocator{*pool};
  REQUIRE(allocator.load());
  auto token = pool->section().enter();
  for (int i = 0; i < 30; ++i) {
    const auto page = allocator.allocate(token);
    REQUIRE(page);
    auto handle = pool->create(token, *page);
    REQUIRE(handle);
    aegis_test::write_state(*handle, 0, true);
  }
  REQUIRE(pool->flush());
  for (std::uint64_t page = 2; page < 20; ++page) REQUIRE(pool->pin(PageId{page}));  // the map page leaves its frame
  faults.fail_reads = true;
  const std::uint64_t count = pool->page_count(), used = allocator.used_pages();
  CHECK(allocator.allocate(token).error().code() == Errc::io);
  CHECK(allocator.free(token, PageId{5}, Timestamp{1}).error().code() == Errc::io);
  CHECK(pool->page_count() == count);
  CHECK(allocator.used_pages() == used);
  CHECK(allocator.in_use(PageId{5}));
  faults.fail_reads = false;
  CHECK(*allocator.allocate(token) == PageId{count});
}

TEST_CASE("a map that claims pages beyond the end, or not its own, is a corrupt page") {
  MemoryBackend backend;
  {
    auto pool = open_pool<Pool>(backend, 16);
    Allocator allocator{*pool};
    REQUIRE(allocator.load());
    auto token = pool->section().enter();
    for (int i = 0; i < 100; ++i) REQUIRE(allocator.allocate(token));
    REQUIRE(pool->flush());
  }
  const auto load = [&](std::uint64_t count, unsigned first_byte) {
    auto pool = open_pool<Pool>(backend, 16);
    auto token = pool->section().enter();
    pool->set_page_count(token, count);
    pool->exclusive(token, PageId{1})->page().mutable_at(0)[0] = static_cast<std::byte>(first_byte);
    return Allocator{*pool}.load();
  };
  CHECK(load(102, 0xff));
  CHECK(load(101, 0xff).error().code() == Errc::corrupt_page);
  CHECK(load(102, 0xfe).error().code() == Errc::corrupt_page);
}
