// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/buffer/buffer_pool.hpp>
#include <aegis/storage/codec/lz4.hpp>

#include <buffer/pool_world.hpp>
#include <doctest/doctest.h>
#include <support/random.hpp>

#include <map>
#include <vector>

namespace storage = aegis::storage;
using aegis_test::FaultyBackend;
using aegis_test::Faults;
using aegis_test::open_pool;
using aegis_test::Random;
using aegis_test::read_state;
using aegis_test::stamp;
using aegis_test::TestLatch;
using aegis_test::write_state;
using storage::Errc;
using storage::MemoryBackend;
using storage::PageId;

namespace {

template <class Backend, class Eviction = storage::LruEviction, class Codec = storage::NoCodec, std::size_t PageSize = 8192>
using PoolOf = storage::BufferPool<Backend, Codec, storage::Xxh3Checksum, Eviction, TestLatch, PageSize>;
using Pool = PoolOf<FaultyBackend>;

/// Pages 1 to `pages` in state 0, all clean.
template <class P>
void fill(P& pool, std::uint64_t pages) {
  auto token = pool.section().enter();
  pool.set_page_count(token, pages + 1);
  for (std::uint64_t page = 1; page <= pages; ++page) {
    auto handle = pool.create(token, PageId{page});
    REQUIRE(handle);
    write_state(*handle, 0, true);
  }
  REQUIRE(pool.flush());
}

template <class P>
void change(P& pool, std::uint64_t page, std::uint64_t state) {
  auto token = pool.section().enter();
  auto handle = pool.exclusive(token, PageId{page});
  REQUIRE(handle);
  write_state(*handle, state, false);
}

template <class P>
void every_tuple_comes_back() {
  const std::uint64_t seed = aegis_test::seed(18);
  INFO(aegis_test::replay(seed, "buffer_pool"));
  Random random{seed};
  MemoryBackend backend;
  auto pool = open_pool<P>(backend, 8);
  REQUIRE(pool);
  constexpr std::uint64_t pages = 10000;
  std::vector<std::uint64_t> model(pages + 1, 0);
  {
    auto token = pool->section().enter();
    pool->set_page_count(token, pages + 1);
    for (std::uint64_t page = 1; page <= pages; ++page) {
      auto handle = pool->create(token, PageId{page});
      REQUIRE(handle);
      write_state(*handle, 0, true);
    }
  }
  for (std::uint64_t step = 1; step <= 5000; ++step) {
    const std::uint64_t page = 1 + random.below(random.one_in(2) ? pages : 12);
    if (random.one_in(2)) change(*pool, page, model[page] = step);
    else REQUIRE(read_state(*pool, page) == stamp(page, model[page]));
  }
  for (std::uint64_t page = 1; page <= pages; ++page) REQUIRE(read_state(*pool, page) == stamp(page, model[page]));
  const auto stats = pool->stats();
  CHECK(stats.frames == 8);
  CHECK(stats.pinned == 0);
  CHECK(stats.evictions >= pages);
  CHECK(stats.write_backs >= pages);
}

}  // namespace

TEST_CASE("a dirty page is written before its frame is reused: eight frames give back ten thousand pages (D18)") {
  SUBCASE("lru") { every_tuple_comes_back<PoolOf<MemoryBackend>>(); }
  SUBCASE("clock") { every_tuple_comes_back<PoolOf<MemoryBackend, storage::ClockEviction>>(); }
  SUBCASE("compressed") { every_tuple_comes_back<PoolOf<MemoryBackend, storage::ClockEviction, storage::Lz4Codec>>(); }
  SUBCASE("4 KiB pages") { every_tuple_comes_back<PoolOf<MemoryBackend, storage::LruEviction, storage::NoCodec, 4096>>(); }
}

TEST_CASE("a failed write-back keeps the page dirty and resident, and tells who wanted the frame (D18)") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<Pool>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 9);
  for (std::uint64_t page = 1; page <= 8; ++page) change(*pool, page, 5);
  CHECK(pool->stats().dirty == 8);
  faults.fail_writes = true;
  CHECK(read_state(*pool, 9) == "io");
  CHECK(pool->flush().error().code() == Errc::io);
  CHECK(pool->write_back(3).error().code() == Errc::io);
  CHECK(pool->stats().dirty == 8);
  CHECK(pool->stats().pinned == 0);
  const std::uint64_t reads = faults.reads;
  for (std::uint64_t page = 1; page <= 8; ++page) CHECK(read_state(*pool, page) == stamp(page, 5));
  CHECK(faults.reads == reads);
  faults.fail_writes = false;
  CHECK(read_state(*pool, 9) == stamp(9, 0));
  for (std::uint64_t page = 1; page <= 8; ++page) CHECK(read_state(*pool, page) == stamp(page, 5));
}

TEST_CASE("a failed read leaves nothing behind") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<Pool>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 20);
  faults.fail_reads = true;
  CHECK(read_state(*pool, 1) == "io");
  CHECK(pool->shared(PageId{1}).error().code() == Errc::io);
  CHECK(pool->pin(PageId{1}).error().code() == Errc::io);
  {
    auto token = pool->section().enter();
    CHECK(pool->exclusive(token, PageId{1}).error().code() == Errc::io);
  }
  pool->prefetch(PageId{1});
  CHECK(pool->check(PageId{1}).error().code() == Errc::io);
  CHECK(pool->stats().pinned == 0);
  CHECK(pool->stats().dirty == 0);
  faults.fail_reads = false;
  CHECK(read_state(*pool, 1) == stamp(1, 0));
  CHECK(pool->check(PageId{1}));
}

TEST_CASE("an id at or above the page count is a corrupt page, an id never written a missing block") {
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend>>(backend, 8);
  REQUIRE(pool);
  CHECK(pool->page_count() == 0);
  fill(*pool, 3);
  for (const std::uint64_t page : {std::uint64_t{4}, std::uint64_t{5}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    CHECK(read_state(*pool, page) == "corrupt_page");
    CHECK(pool->shared(PageId{page}).error().code() == Errc::corrupt_page);
    auto token = pool->section().enter();
    CHECK(pool->exclusive(token, PageId{page}).error().code() == Errc::corrupt_page);
    CHECK(pool->create(token, PageId{page}).error().code() == Errc::corrupt_page);
  }
  {
    auto token = pool->section().enter();
    pool->set_page_count(token, 6);
  }
  CHECK(read_state(*pool, 5) == "block_not_found");
}

TEST_CASE("only handles of the user exhaust a pool, and a pinned page is never evicted") {
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend>>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 40);
  auto held = pool->shared(PageId{1});
  REQUIRE(held);
  auto pinned = pool->pin(PageId{2});
  REQUIRE(pinned);
  const auto* const where = &held->page();
  for (std::uint64_t page = 3; page <= 40; ++page) REQUIRE(read_state(*pool, page) == stamp(page, 0));
  CHECK(&pool->shared(PageId{1})->page() == where);
  CHECK(storage::text_of(*held->page().at(0)) == stamp(1, 0));
  CHECK(pinned->id() == PageId{2});
  CHECK(storage::text_of(*pinned->page().at(0)) == stamp(2, 0));
  std::vector<decltype(pool->shared(PageId{1}))> more;
  for (std::uint64_t page = 3; page <= 8; ++page) more.push_back(pool->shared(PageId{page}));
  for (const auto& handle : more) REQUIRE(handle);
  CHECK(pool->shared(PageId{9}).error().code() == Errc::pool_exhausted);
  CHECK(read_state(*pool, 9) == "pool_exhausted");
  CHECK(read_state(*pool, 8) == stamp(8, 0));
  pool->prefetch(PageId{9});
  {
    auto token = pool->section().enter();
    CHECK(pool->exclusive(token, PageId{9}).error().code() == Errc::pool_exhausted);
    CHECK(pool->create(token, PageId{10}).error().code() == Errc::pool_exhausted);
  }
  more.pop_back();
  CHECK(read_state(*pool, 9) == stamp(9, 0));
  CHECK(pool->stats().pinned == 7);
}

TEST_CASE("the section's own handles exhaust a pool for it, with everything unharmed") {
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend>>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 9);
  {
    auto token = pool->section().enter();
    std::vector<PoolOf<MemoryBackend>::ExclusiveHandle> held;
    for (std::uint64_t page = 1; page <= 8; ++page) {
      auto handle = pool->exclusive(token, PageId{page});
      REQUIRE(handle);
      held.push_back(*std::move(handle));
      write_state(held.back(), 1, false);
    }
    CHECK(pool->exclusive(token, PageId{9}).error().code() == Errc::pool_exhausted);
  }
  for (std::uint64_t page = 1; page <= 8; ++page) CHECK(read_state(*pool, page) == stamp(page, 1));
  CHECK(read_state(*pool, 9) == stamp(9, 0));
}

TEST_CASE("a created page is zeros, whatever its frame held before") {
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend>>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 20);
  auto token = pool->section().enter();
  for (const std::uint64_t page : {std::uint64_t{20}, std::uint64_t{1}}) {  // cached, and not
    auto handle = pool->create(token, PageId{page});
    REQUIRE(handle);
    bool zeros = true;
    for (const std::byte byte : handle->page().bytes()) zeros = zeros && byte == std::byte{};
    CHECK(zeros);
    write_state(*handle, 7, true);
  }
  CHECK(read_state(*pool, 20) == stamp(20, 7));
  CHECK(read_state(*pool, 1) == stamp(1, 7));
}

TEST_CASE("a discarded page is not written, and its frame is free") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<Pool>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 4);
  change(*pool, 2, 9);
  const std::uint64_t writes = faults.writes;
  const std::uint64_t free = pool->stats().free;
  {
    auto token = pool->section().enter();
    pool->discard(token, PageId{2});
    pool->discard(token, PageId{2});
  }
  CHECK(pool->stats().dirty == 0);
  CHECK(pool->stats().free == free + 1);
  REQUIRE(pool->flush());
  CHECK(faults.writes == writes);
  CHECK(read_state(*pool, 2) == stamp(2, 0));
}

TEST_CASE("a discarded page that somebody holds stays in memory, unwritten") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<Pool>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 4);
  change(*pool, 2, 9);
  const std::uint64_t writes = faults.writes;
  {
    const auto pinned = pool->pin(PageId{2});
    REQUIRE(pinned);
    auto token = pool->section().enter();
    pool->discard(token, PageId{2});
    CHECK(storage::text_of(*pinned->page().at(0)) == stamp(2, 9));
  }
  REQUIRE(pool->flush());
  CHECK(faults.writes == writes);
}

TEST_CASE("a version holds until the page changes or leaves its frame") {
  MemoryBackend backend;
  auto pool = open_pool<PoolOf<MemoryBackend>>(backend, 8);
  REQUIRE(pool);
  fill(*pool, 40);
  const auto count = [](const auto& page) { return page.slot_count(); };
  storage::FrameVersion version;
  REQUIRE(*pool->read_versioned(PageId{1}, count, version) == 1);
  CHECK(pool->unchanged(PageId{1}, version));
  CHECK_FALSE(pool->unchanged(PageId{2}, version));
  CHECK_FALSE(pool->unchanged(PageId{1}, {1000, version.version}));
  {
    auto token = pool->section().enter();
    const auto handle = pool->exclusive(token, PageId{1});
    REQUIRE(handle);
    CHECK_FALSE(pool->unchanged(PageId{1}, version));
    version = handle->version_after();
  }
  CHECK(pool->unchanged(PageId{1}, version));
  storage::FrameVersion again;
  REQUIRE(pool->read_versioned(PageId{1}, count, again));
  CHECK(again == version);
  for (std::uint64_t page = 2; page <= 40; ++page) REQUIRE(read_state(*pool, page) == stamp(page, 0));
  CHECK_FALSE(pool->unchanged(PageId{1}, version));
  REQUIRE(pool->read_versioned(PageId{1}, count, again));
  CHECK_FALSE(again == version);
}

TEST_CASE("prefetched pages are there without another read, and cleaning leaves nothing to flush") {
  Faults faults;
  FaultyBackend backend{faults};
  auto pool = open_pool<Pool>(backend, 16);
  REQUIRE(pool);
  fill(*pool, 40);
  pool->prefetch(PageId{1});
  pool->prefetch(PageId{1000});
  const std::uint64_t reads = faults.reads;
  CHECK(read_state(*pool, 1) == stamp(1, 0));
  CHECK(faults.reads == reads);
  const auto before = pool->stats();
  CHECK(before.hits > 0);
  CHECK(before.misses == reads);
  for (std::uint64_t page = 1; page <= 6; ++page) change(*pool, page, 2);
  CHECK(*pool->write_back(4) == 4);
  CHECK(pool->stats().dirty == 2);
  CHECK(*pool->write_back(100) == 2);
  const std::uint64_t writes = faults.writes;
  REQUIRE(pool->flush());
  CHECK(faults.writes == writes);
  CHECK(pool->stats().dirty == 0);
  CHECK(pool->stats().table_bytes >= 64 * 1024);
}

TEST_CASE("options: bytes decide when frames do not, and a pool has eight frames at least") {
  MemoryBackend backend;
  using Plain = PoolOf<MemoryBackend>;
  CHECK((*Plain::open(backend, {.bytes = 256 * 1024}))->stats().frames == 32);
  CHECK((*Plain::open(backend, {.bytes = 1}))->stats().frames == 8);
  CHECK((*Plain::open(backend, {.frames = 100}))->stats().frames == 100);
}
