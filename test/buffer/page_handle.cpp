// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/buffer/page_handle.hpp>

#include <buffer/pool_world.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace storage = aegis::storage;
using aegis_test::open_pool;
using aegis_test::read_state;
using aegis_test::stamp;
using aegis_test::write_state;
using storage::MemoryBackend;
using storage::PageId;

using Pool = storage::BufferPool<MemoryBackend, storage::NoCodec, storage::Xxh3Checksum, storage::LruEviction, aegis_test::TestLatch>;

namespace {

void fill(Pool& pool, std::uint64_t pages) {
  auto token = pool.section().enter();
  pool.set_page_count(token, pages + 1);
  for (std::uint64_t page = 1; page <= pages; ++page) {
    auto handle = pool.create(token, PageId{page});
    REQUIRE(handle);
    write_state(*handle, 0, true);
  }
}

}  // namespace

TEST_CASE("pins cannot be unbalanced, however handles are moved (D20)") {
  MemoryBackend backend;
  auto pool = open_pool<Pool>(backend, 8);
  fill(*pool, 8);
  {
    auto a = pool->shared(PageId{1});
    auto b = pool->shared(PageId{2});
    REQUIRE((a && b));
    CHECK(pool->stats().pinned == 2);
    *a = std::move(*b);
    CHECK(a->id() == PageId{2});
    CHECK(pool->stats().pinned == 1);
    auto c = std::move(*a);
    CHECK(c.id() == PageId{2});
    CHECK(c.page().slot_count() == 1);
    CHECK(pool->stats().pinned == 1);
    auto token = pool->section().enter();
    auto x = pool->exclusive(token, PageId{3});
    auto y = pool->exclusive(token, PageId{4});
    REQUIRE((x && y));
    *x = std::move(*y);
    CHECK(x->id() == PageId{4});
    CHECK(pool->stats().pinned == 2);
    auto p = pool->pin(PageId{5});
    auto q = pool->pin(PageId{5});
    REQUIRE((p && q));
    *p = std::move(*q);
    CHECK(pool->stats().pinned == 3);
  }
  CHECK(pool->stats().pinned == 0);
  auto token = pool->section().enter();
  for (std::uint64_t page = 1; page <= 8; ++page) REQUIRE(pool->exclusive(token, PageId{page}));  // nothing is latched either
}

TEST_CASE("a long exclusive hold stops only those who want that page (D20)") {
  MemoryBackend backend;
  auto pool = open_pool<Pool>(backend, 8);
  fill(*pool, 40);
  std::atomic<std::uint64_t> wrong{0};
  std::thread wants_it;
  {
    auto token = pool->section().enter();
    auto held = pool->exclusive(token, PageId{1});
    REQUIRE(held);
    wants_it = std::thread([&] {
      if (read_state(*pool, 1) != stamp(1, 6)) ++wrong;
    });
    std::vector<std::thread> others;
    for (int worker = 0; worker < 4; ++worker) {
      others.emplace_back([&] {
        for (std::uint64_t page = 2; page <= 40; ++page) {
          if (read_state(*pool, page) != stamp(page, 0)) ++wrong;
          if (!pool->shared(PageId{page}) || !pool->pin(PageId{page})) ++wrong;
          if (pool->stats().frames != 8) ++wrong;
        }
      });
    }
    for (auto& thread : others) thread.join();  // would hang if they had to wait for page 1
    write_state(*held, 6, false);
  }
  wants_it.join();
  CHECK(wrong == 0);
}
