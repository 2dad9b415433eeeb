// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/eviction/clock.hpp>
#include <aegis/storage/testing/eviction_suite.hpp>

#include <support/promises.hpp>
#include <support/random.hpp>

using namespace aegis::storage;

TEST_CASE("ClockEviction keeps the promises of an eviction policy") {
  static const std::uint64_t seed = aegis_test::seed(303);
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_eviction<ClockEviction>(report, seed); });
  INFO(aegis_test::replay(seed, "eviction/clock"));
  aegis_test::check_promises(promises);
}

TEST_CASE("an accessed frame is passed over once, and only once") {
  ClockEviction clock;
  REQUIRE(clock.resize(4));
  for (FrameIndex frame = 0; frame < 4; ++frame) clock.admit(frame);
  clock.access(0);
  clock.access(1);
  const auto any = [](FrameIndex) { return true; };
  CHECK(clock.victim(any) == FrameIndex{2});
  CHECK(clock.victim(any) == FrameIndex{3});
  CHECK(clock.victim(any) == FrameIndex{0});
  CHECK(clock.victim(any) == FrameIndex{1});
}

TEST_CASE("frames that others access all the time still give a victim") {
  ClockEviction clock;
  REQUIRE(clock.resize(4));
  for (FrameIndex frame = 0; frame < 4; ++frame) clock.admit(frame);
  for (FrameIndex frame = 0; frame < 4; ++frame) clock.access(frame);
  const auto victim = clock.victim([&](FrameIndex) {
    for (FrameIndex frame = 0; frame < 4; ++frame) clock.access(frame);
    return true;
  });
  CHECK(victim.has_value());
}

TEST_CASE("a scan of pages used once does not push out what is used again") {
  ClockEviction clock;
  constexpr FrameIndex hot = 8, frames = 32;
  REQUIRE(clock.resize(frames));
  for (FrameIndex frame = 0; frame < frames; ++frame) clock.admit(frame);
  for (int scanned = 0; scanned < 1000; ++scanned) {
    for (FrameIndex frame = 0; frame < hot; ++frame) clock.access(frame);
    const auto victim = clock.victim([](FrameIndex) { return true; });
    REQUIRE(victim);
    CHECK(*victim >= hot);
    clock.remove(*victim);
    clock.admit(*victim);
  }
}
