// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/backoff.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <set>

using aegis::storage::backoff_microseconds;

TEST_CASE("the first attempt does not wait, later ones up to twice as long, none beyond the limit") {
  for (std::uint64_t salt = 0; salt < 1000; ++salt) {
    CHECK(backoff_microseconds(0, salt) == 0);
    for (const unsigned attempt : {1U, 2U, 5U, 9U, 10U, 11U, 64U, 1000U, ~0U}) {
      const std::uint64_t bound = attempt < 10 ? std::uint64_t{1} << attempt : 1024;
      REQUIRE(backoff_microseconds(attempt, salt) < bound);
    }
  }
}

TEST_CASE("those who lost to each other wait differently, and the whole span is used") {
  std::set<std::uint64_t> seen;
  for (std::uint64_t salt = 0; salt < 1000; ++salt) seen.insert(backoff_microseconds(10, salt));
  CHECK(seen.size() > 500);
  CHECK(*seen.begin() < 16);
  CHECK(*seen.rbegin() >= 1008);
}
