// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/lock/lock_mode.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

using namespace aegis::storage;

namespace {
constexpr std::array<LockMode, lock_mode_count> all{LockMode::intent_shared,           LockMode::intent_exclusive, LockMode::shared,
                                                    LockMode::shared_intent_exclusive, LockMode::update,           LockMode::exclusive};
}

TEST_CASE("D24: all 36 pairs follow the matrix of granular locks with update mode") {
  // Gray and Reuter 1993; a row for each requested mode, columns are granted modes: IS IX S SIX U X.
  constexpr std::array<std::string_view, lock_mode_count> matrix{
      "++++--",  // IS
      "++----",  // IX
      "+-+---",  // S
      "+-----",  // SIX
      "+-+---",  // U
      "------",  // X
  };
  for (std::size_t requested = 0; requested < lock_mode_count; ++requested)
    for (std::size_t granted = 0; granted < lock_mode_count; ++granted) {
      INFO(name_of(all[requested]), " requested beside ", name_of(all[granted]));
      CHECK(compatible(all[requested], all[granted]) == (matrix[requested][granted] == '+'));
    }
}

TEST_CASE("only the update mode is asymmetric: it joins readers and keeps new ones out") {
  for (LockMode a : all)
    for (LockMode b : all)
      if (a != LockMode::update && b != LockMode::update) CHECK(compatible(a, b) == compatible(b, a));
  CHECK(compatible(LockMode::update, LockMode::shared));
  CHECK_FALSE(compatible(LockMode::shared, LockMode::update));
}

TEST_CASE("two modes combine to the weakest one that excludes all that either excludes") {
  // Stronger: excludes at least as much, both while it is asked for and while it is held.
  const auto at_least = [](LockMode strong, LockMode weak) {
    for (LockMode other : all)
      if ((compatible(strong, other) && !compatible(weak, other)) || (compatible(other, strong) && !compatible(other, weak))) return false;
    return true;
  };
  for (LockMode a : all)
    for (LockMode b : all) {
      INFO(name_of(a), " with ", name_of(b));
      const LockMode both = combine(a, b);
      CHECK(both == combine(b, a));
      CHECK(at_least(both, a));
      CHECK(at_least(both, b));
      for (LockMode other : all)
        if (at_least(other, a) && at_least(other, b)) CHECK(at_least(other, both));
    }
}

TEST_CASE("combining with itself changes nothing, S with IX is SIX, U becomes X") {
  for (LockMode mode : all) CHECK(combine(mode, mode) == mode);
  CHECK(combine(LockMode::shared, LockMode::intent_exclusive) == LockMode::shared_intent_exclusive);
  CHECK(combine(LockMode::update, LockMode::exclusive) == LockMode::exclusive);
  CHECK(combine(LockMode::shared, LockMode::update) == LockMode::update);
}
