// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/version/snapshot.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

using namespace aegis::storage;

namespace {
auto at(std::uint64_t timestamp) {
  return [timestamp] { return Timestamp{timestamp}; };
}
}  // namespace

TEST_CASE("a snapshot sees its own timestamp and what is below it") {
  const Snapshot snapshot{Timestamp{7}};
  CHECK(snapshot.sees(Timestamp{6}));
  CHECK(snapshot.sees(Timestamp{7}));
  CHECK_FALSE(snapshot.sees(Timestamp{8}));
}

TEST_CASE("the registry gives every slot once and refuses when all are taken") {
  auto registry = SnapshotRegistry::open(100);
  REQUIRE(registry);
  CHECK(registry->capacity() >= 100);
  std::set<SnapshotRegistry::Slot*> slots;
  while (SnapshotRegistry::Slot* slot = registry->claim()) REQUIRE(slots.insert(slot).second);
  CHECK(slots.size() == registry->capacity());
  CHECK(registry->claimed() == registry->capacity());
  registry->release(**slots.begin());
  CHECK(registry->claim() == *slots.begin());
  for (auto* slot : slots) registry->release(*slot);
  CHECK(registry->claimed() == 0);
}

TEST_CASE("the oldest snapshot and the ones in an interval are those taken and not cleared") {
  auto registry = SnapshotRegistry::open(8);
  REQUIRE(registry);
  auto* a = registry->claim();
  auto* b = registry->claim();
  CHECK(registry->oldest(Timestamp{50}) == Timestamp{50});
  CHECK(registry->take(*a, at(10)) == Timestamp{10});
  CHECK(registry->take(*b, at(20)) == Timestamp{20});
  CHECK(registry->oldest(Timestamp{50}) == Timestamp{10});
  CHECK(registry->oldest(Timestamp{5}) == Timestamp{5});
  CHECK(registry->any_in(Timestamp{10}, Timestamp{11}));
  CHECK_FALSE(registry->any_in(Timestamp{11}, Timestamp{20}));
  CHECK_FALSE(registry->any_in(Timestamp{21}, Timestamp{~0ULL}));
  registry->clear(*a);
  CHECK(registry->oldest(Timestamp{50}) == Timestamp{20});
  registry->release(*b);
  CHECK(registry->oldest(Timestamp{50}) == Timestamp{50});
  registry->release(*a);
}

TEST_CASE("one snapshot is found in whichever slot it is, the last of all included") {
  auto registry = SnapshotRegistry::open(130);
  REQUIRE(registry);
  std::set<SnapshotRegistry::Slot*> slots;
  while (SnapshotRegistry::Slot* slot = registry->claim()) slots.insert(slot);
  for (SnapshotRegistry::Slot* slot : slots) {
    REQUIRE(registry->take(*slot, at(10)) == Timestamp{10});
    REQUIRE(registry->oldest(Timestamp{50}) == Timestamp{10});
    REQUIRE(registry->any_in(Timestamp{10}, Timestamp{11}));
    registry->clear(*slot);
    REQUIRE(registry->oldest(Timestamp{50}) == Timestamp{50});
  }
  for (SnapshotRegistry::Slot* slot : slots) registry->release(*slot);
}

TEST_CASE("taking a snapshot reads the watermark again until it stands still") {
  auto registry = SnapshotRegistry::open(1);
  REQUIRE(registry);
  auto* slot = registry->claim();
  std::uint64_t calls = 0;
  const Timestamp taken = registry->take(*slot, [&] { return Timestamp{++calls < 5 ? calls : 5}; });
  CHECK(taken == Timestamp{5});
  CHECK(registry->oldest(Timestamp{9}) == Timestamp{5});
  registry->release(*slot);
}

TEST_CASE("revoking takes the oldest snapshots, all of the same age, and nothing at or above the limit") {
  auto registry = SnapshotRegistry::open(8);
  REQUIRE(registry);
  auto *a = registry->claim(), *b = registry->claim(), *c = registry->claim();
  registry->take(*a, at(3));
  registry->take(*b, at(3));
  registry->take(*c, at(4));
  CHECK(registry->revoke_oldest(Timestamp{3}) == 0);
  CHECK(registry->revoke_oldest(Timestamp{9}) == 2);
  CHECK(registry->is_revoked(*a));
  CHECK(registry->is_revoked(*b));
  CHECK_FALSE(registry->is_revoked(*c));
  CHECK(registry->oldest(Timestamp{9}) == Timestamp{4});
  CHECK_FALSE(registry->any_in(Timestamp{0}, Timestamp{4}));
  SUBCASE("a new snapshot in a revoked slot is a right again") {
    registry->take(*a, at(8));
    CHECK_FALSE(registry->is_revoked(*a));
  }
  for (auto* slot : {a, b, c}) registry->release(*slot);
}

TEST_CASE("a reclaimer never passes a snapshot in use") {
  // Readers take the watermark; reclaimers load it, then the slots, and raise what counts as dropped.
  auto registry = SnapshotRegistry::open(64);
  REQUIRE(registry);
  std::atomic<std::uint64_t> watermark{1}, dropped{0};
  std::atomic<bool> stop{false}, wrong{false};
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      auto* slot = registry->claim();
      ++ready;
      do {
        const auto taken = registry->take(*slot, [&] { return Timestamp{watermark.load()}; });
        for (int look = 0; look < 3; ++look)
          if (dropped.load() > number(taken)) wrong = true;
        registry->clear(*slot);
      } while (!stop);
      registry->release(*slot);
    });
  while (ready < 3) std::this_thread::yield();
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t seen = ++watermark;
    const std::uint64_t bound = number(registry->oldest(Timestamp{seen}));
    if (bound > dropped) dropped = bound;
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(wrong);
  CHECK(dropped > 0);
}
