// SPDX-License-Identifier: Apache-2.0
// The tree on the pool and allocator that ship: eight frames, pages written and read back all the time.
#include <aegis/storage/tree/btree.hpp>

#include "tree/fixture.hpp"

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/buffer/buffer_pool.hpp>
#include <aegis/storage/buffer/page_allocator.hpp>
#include <aegis/storage/latch/plain.hpp>

#include <doctest/doctest.h>
#include <support/latch_of_threads.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

using namespace aegis::storage;
using aegis_test::numbered;
using aegis_test::Random;

namespace {

// The thread sanitizer takes an optimistic read for what it is, a race that is found out afterwards.
#ifdef AEGIS_TEST_THREAD_SANITIZER
#define LATCHES PlainLatch
#else
#define LATCHES OptimisticLatch, PlainLatch
#endif

template <class Latch>
struct World {
  using Pool = BufferPool<MemoryBackend, NoCodec, Xxh3Checksum, LruEviction, Latch, 4096>;
  using Allocator = PageAllocator<Pool>;
  using Tree = BTree<Pool, Allocator>;
  using Leaf = typename Tree::Leaf;

  World() : pool(*Pool::open(backend, {.frames = 8})), allocator(*pool), tree(*pool, allocator) {
    auto token = pool->section().enter();
    root = {TableId{7}, *tree.create(token, TableId{7})};
  }
  void put(std::string_view key, std::string_view value, std::uint64_t at) {
    auto token = pool->section().enter();
    REQUIRE(tree.put(token, root, key, value, Timestamp{at}));
  }
  bool erase(std::string_view key, std::uint64_t at) {
    auto token = pool->section().enter();
    return *tree.erase(token, root, key, false, Timestamp{at});
  }

  MemoryBackend backend;
  aegis::storage::Owned<Pool> pool;
  Allocator allocator;
  Tree tree;
  TableRoot root;
};

template <class W>
TreeCounts check_tree(W& world) {
  auto token = world.pool->section().enter();
  aegis_test::TreeReport report;
  const auto counts = world.tree.verify(world.root, report);
  REQUIRE(counts);
  for (const auto& damage : report.damages) FAIL_CHECK(damage);
  CHECK(world.allocator.used_pages() == counts->pages() + 1);  // and the map page
  return *counts;
}

// Readers say what they may still see before they look, as transactions do; what is freed later is withheld for them.
class Watermark {
 public:
  static constexpr std::uint64_t nobody = ~std::uint64_t{0};

  void enter(std::size_t reader) {
    for (std::uint64_t seen = published.load();;) {
      slots[reader].store(seen);
      const std::uint64_t again = published.load();
      if (again == seen) return;
      seen = again;
    }
  }
  void leave(std::size_t reader) { slots[reader].store(nobody); }
  std::uint64_t oldest() const {
    std::uint64_t low = published.load();
    for (const auto& slot : slots) low = std::min(low, slot.load());
    return low;
  }

  std::atomic<std::uint64_t> published{1};
  std::atomic<std::uint64_t> slots[3] = {nobody, nobody, nobody};
};

// A value whose bytes and length follow from one letter: a mixture of two would show.
std::string value_of(std::uint64_t key, std::uint64_t version) {
  const std::uint64_t letter = version % 26;
  return std::string(key % 5 == 0 ? 6000 + 700 * letter : 20 + letter, static_cast<char>('a' + letter));
}
bool is_whole(std::uint64_t key, std::string_view value) {
  return !value.empty() && value == value_of(key, static_cast<std::uint64_t>(value[0] - 'a'));
}

}  // namespace

TEST_CASE_TEMPLATE("a tree far larger than its pool of eight frames behaves like an ordered map", Latch, LATCHES) {
  const std::uint64_t seed = aegis_test::seed(21);
  INFO(aegis_test::replay(seed, "test_tree_btree_on_pool"));
  Random random{seed};
  World<Latch> world;
  aegis_test::TreeModel model;
  ValueBuffer buffer;
  for (std::uint64_t i = 1; i < 6000; ++i) {
    const std::string key = aegis_test::random_key(random, World<Latch>::Tree::key_limit);
    if (random.below(10) < (i < 3500 ? 8u : 2u)) {
      model[key] = aegis_test::random_value(random);
      world.put(key, model[key], i);
    } else {
      const auto hit = model.lower_bound(key);
      if (hit == model.end()) continue;
      CHECK(world.erase(hit->first, i));
      model.erase(hit);
    }
    if (random.one_in(20)) {
      auto token = world.pool->section().enter();
      world.allocator.release(token, Timestamp{i});
    }
    if (!random.one_in(4)) continue;
    const auto known = model.lower_bound(key);
    if (known == model.end()) continue;
    const auto found = world.tree.get(world.root, known->first, buffer);
    REQUIRE(found);
    REQUIRE(found->present());
    REQUIRE(buffer.view() == known->second);
  }
  CHECK(check_tree(world).rows == model.size());
  for (const auto& [key, value] : model) {
    REQUIRE(world.tree.get(world.root, key, buffer));
    REQUIRE(buffer.view() == value);
  }
  for (const auto& [key, value] : model) REQUIRE(world.erase(key, 7000));
  CHECK(check_tree(world).pages() == 1);
  auto token = world.pool->section().enter();
  world.allocator.release(token, Timestamp{7000});
  CHECK(world.pool->stats().pinned == 0);
}

TEST_CASE_TEMPLATE("puts of one run are what single puts are: in order or not, of two trees, with long values and splits", Latch, LATCHES) {
  const std::uint64_t seed = aegis_test::seed(22);
  INFO(aegis_test::replay(seed, "test_tree_btree_on_pool"));
  Random random{seed};
  World<Latch> world;
  using Tree = typename World<Latch>::Tree;
  TableRoot roots[2] = {world.root, {TableId{8}, {}}};
  aegis_test::TreeModel models[2];
  ValueBuffer buffer;
  {
    auto token = world.pool->section().enter();
    roots[1].root = *world.tree.create(token, TableId{8});
  }
  for (std::uint64_t round = 1; round < 60; ++round) {
    aegis_test::TreeModel rows;
    for (std::uint64_t i = random.below(100); i > 0; --i) rows[aegis_test::random_key(random, Tree::key_limit)] = aegis_test::random_value(random);
    std::size_t at = random.below(2);
    auto token = world.pool->section().enter();
    {
      typename Tree::Run run;
      const auto put = [&](const std::string& key, const std::string& value) {
        const auto known = models[at].find(key);
        int saves = 0;
        const auto save = [&](const StoredValue& old) { saves += old.present() == (known != models[at].end()) ? 1 : 100; };
        REQUIRE(world.tree.put(run, token, roots[at], key, value, Timestamp{round}, save));
        CHECK(saves == 1);
        models[at][key] = value;
      };
      if (random.one_in(3)) {
        for (auto row = rows.rbegin(); row != rows.rend(); ++row) put(row->first, row->second);
      } else {
        for (const auto& [key, value] : rows) {
          if (random.one_in(20)) at = 1 - at;
          put(key, value);
        }
      }
      if (random.one_in(2)) {
        run.release();
        put("after a release", std::to_string(round));
      }
    }
    CHECK(world.pool->stats().pinned == 0);
    world.allocator.release(token, Timestamp{round});
  }
  for (const std::size_t at : {0u, 1u}) {
    auto token = world.pool->section().enter();
    aegis_test::TreeReport report;
    const auto counts = world.tree.verify(roots[at], report);
    REQUIRE(counts);
    CHECK(report.damages.empty());
    CHECK(counts->rows == models[at].size());
    for (const auto& [key, value] : models[at]) {
      REQUIRE(world.tree.get(roots[at], key, buffer));
      REQUIRE(buffer.view() == value);
    }
  }
}

TEST_CASE("a put that fails leaves nothing held, and the run goes on") {
  World<PlainLatch> world;
  auto token = world.pool->section().enter();
  {
    typename World<PlainLatch>::Tree::Run run;
    REQUIRE(world.tree.put(run, token, world.root, "a", "1", Timestamp{1}));
    const auto refused = world.tree.put(run, token, world.root, std::string(5000, 'k'), "v", Timestamp{1});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::too_large);
    REQUIRE(world.tree.put(run, token, world.root, "b", std::string(9000, 'v'), Timestamp{1}));
    REQUIRE(world.tree.put(run, token, world.root, "a", "2", Timestamp{2}));
  }
  CHECK(world.pool->stats().pinned == 0);
  ValueBuffer buffer;
  REQUIRE(world.tree.get(world.root, "a", buffer));
  CHECK(buffer.view() == "2");
}

TEST_CASE_TEMPLATE("three readers and a writer share eight frames, and every value is whole", Latch, LATCHES) {
  World<Latch> world;
  constexpr std::uint64_t kept = 60;
  const auto kept_key = [](std::uint64_t i) { return "k" + numbered(i * 1000); };
  for (std::uint64_t i = 0; i < kept; ++i) world.put(kept_key(i), value_of(i, 0), 1);
  Watermark marks;
  std::atomic<bool> stop{false};
  std::atomic<int> lost{0}, mixed{0}, failed{0};
  std::atomic<std::uint64_t> reads{0};
  const auto reader = [&](std::size_t number) {
    Random random{number + 100};
    ValueBuffer buffer;
    typename World<Latch>::Leaf leaf;
    for (; !stop.load(); ++reads) {
      marks.enter(number);
      const std::uint64_t i = random.below(kept);
      const auto found = world.tree.get(world.root, kept_key(i), buffer);
      failed += found ? 0 : 1;
      lost += found && !found->present() ? 1 : 0;
      mixed += found && found->present() && !is_whole(i, buffer.view()) ? 1 : 0;
      if (random.one_in(10)) {
        std::uint64_t seen = 0;
        bool more = static_cast<bool>(world.tree.copy_leaf(world.root, LeafPosition::last(), leaf));
        failed += more ? 0 : 1;
        while (more) {
          for (std::size_t row = leaf.begin_row(); row < leaf.end_row(); ++row) seen += leaf.key(row).size() == 17 ? 1 : 0;
          const auto moved = world.tree.previous_leaf(world.root, leaf);
          failed += moved ? 0 : 1;
          more = moved && *moved;
        }
        lost += seen == kept ? 0 : 1;
      }
      marks.leave(number);
    }
  };
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < 3; ++i) readers.emplace_back(reader, i);
  Random random{aegis_test::seed(22)};
  std::set<std::string> others;
  for (int i = 0; i < 6000 || reads.load() < 100; ++i) {
    const std::uint64_t now = marks.published.load() + 1, row = random.below(kept);
    if (random.one_in(3)) {
      world.put(kept_key(row), value_of(row, now), now);
    } else if (i / 500 % 2 == 0 || others.empty()) {
      const std::string key = "k" + numbered(random.below(kept * 1000)) + "+";
      world.put(key, std::string(random.below(400), 'w'), now);
      others.insert(key);
    } else {
      const auto gone = others.begin();
      CHECK(world.erase(*gone, now));
      others.erase(gone);
    }
    marks.published.store(now);
    auto token = world.pool->section().enter();
    world.allocator.release(token, Timestamp{marks.oldest()});
  }
  stop = true;
  for (auto& thread : readers) thread.join();
  CHECK(failed == 0);
  CHECK(lost == 0);
  CHECK(mixed == 0);
  CHECK(check_tree(world).rows == kept + others.size());
}

TEST_CASE("pages that a pool cannot load fail the read or write, and nothing else") {
  World<OptimisticLatch> world;
  for (std::uint64_t i = 0; i < 2000; ++i) world.put(numbered(i), std::string(100, 'v'), 1);
  REQUIRE(world.pool->flush());
  const PageId leaf = *world.tree.touch(world.root, numbered(250));
  for (std::uint64_t i = 500; i < 2000; i += 20) REQUIRE(world.tree.touch(world.root, numbered(i)));
  REQUIRE(world.backend.erase(block_of(leaf)));
  ValueBuffer buffer;
  const auto read = world.tree.get(world.root, numbered(250), buffer);
  REQUIRE(!read);
  CHECK(read.error().code() == Errc::block_not_found);
  {
    auto token = world.pool->section().enter();
    bool saved = false;
    CHECK(!world.tree.put(token, world.root, numbered(250), "v", Timestamp{2}, [&](const StoredValue&) { saved = true; }));
    CHECK(!saved);
  }
  CHECK(world.tree.get(world.root, numbered(0), buffer)->present());
  world.put(numbered(0), "changed", 2);
  CHECK(world.tree.get(world.root, numbered(0), buffer)->present());
  CHECK(buffer.view() == "changed");
}
