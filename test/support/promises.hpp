// SPDX-License-Identifier: Apache-2.0
// Runs a conformance suite once and shows each of its promises as a doctest subcase.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis_test {

using Promises = std::vector<std::pair<std::string, bool>>;

/// `suite(report)` runs the suite; keep the answer in a function-local static, as doctest enters a case once a subcase.
template <class Suite>
Promises promises_of(Suite&& suite) {
  Promises promises;
  suite([&](std::string_view promise, bool held) { promises.emplace_back(promise, held); });
  return promises;
}

inline void check_promises(const Promises& promises) {
  REQUIRE(!promises.empty());
  for (const auto& [promise, held] : promises) {
    SUBCASE(promise.c_str()) { CHECK(held); }
  }
}

}  // namespace aegis_test
