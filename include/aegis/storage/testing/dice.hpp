// SPDX-License-Identifier: Apache-2.0
// Random numbers of tests: splitmix64 (Steele, Lea, Flood 2014), small, fast, good enough for them, the same everywhere.
#pragma once

#include <cstdint>

namespace aegis::storage::testing {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  bool in_four(unsigned wins) { return (next() & 3) < wins; }

 private:
  std::uint64_t state_;
};

}  // namespace aegis::storage::testing
