// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/clock.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <type_traits>

using namespace aegis::storage;
using namespace std::chrono_literals;

static_assert(Milliseconds{3s}.count() == 3000 && Milliseconds{2min}.count() == 120'000 && Milliseconds{7ms}.count() == 7 && Milliseconds{-1h}.count() == -3'600'000);
static_assert(!std::is_convertible_v<std::chrono::microseconds, Milliseconds>, "what might lose a part says duration_cast");
static_assert(!std::is_convertible_v<std::chrono::duration<double>, Milliseconds> && !std::is_convertible_v<int, Milliseconds>);
static_assert(Milliseconds{} == Milliseconds{0} && Milliseconds{1} < Milliseconds{1s});
static_assert(Milliseconds{std::chrono::hours::max()} == Milliseconds{std::chrono::milliseconds::max()});
static_assert(Milliseconds{std::chrono::hours::min()} == Milliseconds{std::chrono::milliseconds::min()});

TEST_CASE("the steady clock is that of <chrono>, and never goes back") {
  for (int i = 0; i < 1'000; ++i) {
    const auto before = std::chrono::steady_clock::now();
    const SteadyClock::time_point now = SteadyClock::now();
    const auto after = std::chrono::steady_clock::now();
    REQUIRE(std::chrono::nanoseconds{before.time_since_epoch()}.count() <= now);
    REQUIRE(now <= std::chrono::nanoseconds{after.time_since_epoch()}.count());
  }
}

TEST_CASE("a moment that is a span away is counted from now, and nobody waits longer than a year") {
  const SteadyClock::time_point before = SteadyClock::now(), in_a_second = SteadyClock::after(1s), after = SteadyClock::now();
  CHECK(before + 1'000'000'000 <= in_a_second);
  CHECK(in_a_second <= after + 1'000'000'000);
  const SteadyClock::time_point latest = SteadyClock::after(std::chrono::hours::max());
  CHECK(latest - SteadyClock::now() <= SteadyClock::duration{365} * 24 * 3600 * 1'000'000'000);
  CHECK(latest > in_a_second);
}
