// SPDX-License-Identifier: Apache-2.0
// Seeds of random tests: the default, or AEGIS_SEED from the environment, so that a failure is replayed in one line.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace aegis_test {

inline std::uint64_t seed(std::uint64_t otherwise) {
  const char* given = std::getenv("AEGIS_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}

/// For INFO(): how to run this very case again.
inline std::string replay(std::uint64_t seed, const char* program) {
  return "replay: AEGIS_SEED=" + std::to_string(seed) + " " + program;
}

/// splitmix64 (Steele, Lea, Flood 2014): small, fast, good enough for tests, the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::string bytes(std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(next());
    return text;
  }

 private:
  std::uint64_t state_;
};

}  // namespace aegis_test
