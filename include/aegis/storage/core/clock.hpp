// SPDX-License-Identifier: Apache-2.0
// Spans of time as options give them, and the steady clock. Any whole number of milliseconds of <chrono> is a span; the header
// itself, with its calendars and time zones, is the business of those who use it.
#pragma once

#include <time.h>

#include <compare>
#include <cstdint>
#include <limits>

namespace aegis::storage {

/// A duration of <chrono> that is a whole number of milliseconds, whatever its value.
template <class Duration>
concept WholeMilliseconds = requires(const Duration& span) {
  static_cast<std::int64_t>(span.count());
  requires std::numeric_limits<typename Duration::rep>::is_integer;
  requires Duration::period::num * 1000 % Duration::period::den == 0;
};

class Milliseconds {
 public:
  constexpr Milliseconds() = default;
  constexpr explicit Milliseconds(std::int64_t count) : count_(count) {}
  /// What is longer than can be counted is the longest that can.
  template <WholeMilliseconds Duration>
  constexpr Milliseconds(const Duration& span) {
    constexpr std::int64_t each = Duration::period::num * 1000 / Duration::period::den;
    if (__builtin_mul_overflow(static_cast<std::int64_t>(span.count()), each, &count_))
      count_ = span.count() < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  }

  constexpr std::int64_t count() const { return count_; }
  friend constexpr auto operator<=>(Milliseconds, Milliseconds) = default;

 private:
  std::int64_t count_ = 0;
};

/// Never set back. A moment and the time between two are nanoseconds.
struct SteadyClock {
  using duration = std::int64_t;
  using time_point = std::int64_t;

  static time_point now() { return read(CLOCK_MONOTONIC); }
  /// `span` from now; a year from now, if that is sooner.
  static time_point after(Milliseconds span) {
    constexpr Milliseconds a_year{std::int64_t{365} * 24 * 3600 * 1000};
    return now() + (span < a_year ? span : a_year).count() * 1'000'000;
  }
  /// Any clock of the system.
  static time_point read(clockid_t clock) {
    timespec at{};
    clock_gettime(clock, &at);
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
  }
};

}  // namespace aegis::storage
