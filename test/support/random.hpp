// SPDX-License-Identifier: Apache-2.0
// Seeds of random tests: the default, or AEGIS_SEED from the environment, so that a failure is replayed in one line.
#pragma once

#include <aegis/storage/testing/dice.hpp>

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

class Random : public aegis::storage::testing::Dice {
 public:
  using Dice::Dice;
  std::string bytes(std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(next());
    return text;
  }
};

}  // namespace aegis_test
