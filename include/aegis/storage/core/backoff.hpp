// SPDX-License-Identifier: Apache-2.0
// How long to stay away before trying again what others keep winning: a random time whose bound doubles with every attempt
// up to a limit (Metcalfe and Boggs, Ethernet, 1976), so that many who lost to each other do not meet again.
#pragma once

#include <time.h>

#include <cstdint>

namespace aegis::storage {

inline constexpr std::uint64_t longest_backoff_microseconds = 1024;

/// Microseconds below 2^attempt, never more than the longest; `salt` makes them differ between those who wait.
constexpr std::uint64_t backoff_microseconds(unsigned attempt, std::uint64_t salt) {
  const std::uint64_t bound = attempt < 10 ? std::uint64_t{1} << attempt : longest_backoff_microseconds;
  std::uint64_t mixed = (salt + attempt) * 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93;
  return (mixed ^ (mixed >> 32)) % bound;
}

/// Sleeps that long; for attempt 0 not at all.
inline void back_off(unsigned attempt, std::uint64_t salt) {
  const std::uint64_t microseconds = backoff_microseconds(attempt, salt);
  if (microseconds == 0) return;
  timespec span{};
  span.tv_nsec = static_cast<long>(microseconds * 1000);
  nanosleep(&span, nullptr);
}

}  // namespace aegis::storage
