// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/eviction/lru.hpp>
#include <aegis/storage/testing/eviction_suite.hpp>

#include <support/promises.hpp>
#include <support/random.hpp>

#include <algorithm>
#include <vector>

using namespace aegis::storage;

TEST_CASE("LruEviction keeps the promises of an eviction policy") {
  static const std::uint64_t seed = aegis_test::seed(301);
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_eviction<LruEviction>(report, seed); });
  INFO(aegis_test::replay(seed, "eviction/lru"));
  aegis_test::check_promises(promises);
}

TEST_CASE("victims come in the exact order of last use") {
  const std::uint64_t seed = aegis_test::seed(302);
  INFO(aegis_test::replay(seed, "eviction/lru"));
  aegis_test::Random random{seed};
  constexpr FrameIndex frames = 50;
  LruEviction lru;
  REQUIRE(lru.resize(frames));
  std::vector<FrameIndex> order;  // least recently used first
  const auto use = [&](FrameIndex frame) {
    std::erase(order, frame);
    order.push_back(frame);
  };
  for (int step = 0; step < 5000; ++step) {
    const auto frame = static_cast<FrameIndex>(random.below(frames));
    const bool admitted = std::count(order.begin(), order.end(), frame) != 0;
    if (!admitted) {
      lru.admit(frame);
      use(frame);
    } else if (random.one_in(10)) {
      lru.remove(frame);
      std::erase(order, frame);
    } else {
      lru.access(frame);
      use(frame);
    }
    if (random.one_in(20) && !order.empty()) REQUIRE(lru.victim([](FrameIndex) { return true; }) == order.front());
  }
  for (const FrameIndex expected : order) {
    REQUIRE(lru.victim([](FrameIndex) { return true; }) == expected);
    lru.remove(expected);
  }
}

TEST_CASE("of more accesses than the ring holds the newest count") {
  LruEviction lru;
  constexpr FrameIndex frames = 2 * LruEviction::ring_size;
  REQUIRE(lru.resize(frames));
  for (FrameIndex frame = 0; frame < frames; ++frame) lru.admit(frame);
  for (FrameIndex frame = 0; frame < frames; ++frame) lru.access(frames - 1 - frame);
  // The last accesses, of frames ring_size - 1 down to 0, are known: the others go first, oldest admission first.
  for (FrameIndex i = 0; i < frames; ++i) {
    const FrameIndex expected = i < frames / 2 ? frames / 2 + i : frames - 1 - i;
    REQUIRE(lru.victim([](FrameIndex) { return true; }) == expected);
    lru.remove(expected);
  }
}
