// SPDX-License-Identifier: Apache-2.0
// Two-phase locking in every interleaving of the suites; how to run all of them, or one: support/interleavings/levels.hpp.
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/two_phase_locking.hpp>

#include "support/interleavings/levels.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

/// The driver reads its scans beside the transaction, as an engine would that locks keys but no ranges.
struct KeysAlone : TwoPhaseLocking {
  static constexpr std::string_view name = "keys_alone";
  static constexpr bool scans_without_locks = true;
};

}  // namespace

TEST_CASE("every interleaving has a strict serial order, nothing but deadlocks is refused, and the figures are the model's") {
  check_level<TwoPhaseLocking>(Level::two_phase_locking, [](const SuiteResult& result) {
    CHECK(result.engine.not_strict == 0);
    CHECK(result.engine.failed == result.engine.deadlocked);
    CHECK(result.engine.deadlocked == result.model.deadlocked);
    CHECK(result.engine.waits == result.model.waits);
    CHECK(result.different == 0);
  });
}

TEST_CASE("reads without locks are refused where read committed has no serial order") {
  LevelSuites<ReadCommitted> weak{Level::two_phase_locking};
  const SuiteResult skew = weak.all("write skew");
  CHECK(skew.refused == 64);
  MESSAGE(skew.first_refused);
  CHECK(weak.all("lost update").refused == 18);
  CHECK(weak.all("read skew").refused == 3);
  CHECK(weak.all("predicate skew").refused == 18);
  CHECK(weak.all("two ids").refused == 4);
}

TEST_CASE("scans without locks are refused in the suites made of ranges") {
  LevelSuites<KeysAlone> weak{Level::two_phase_locking};
  CHECK(weak.all("predicate skew").refused == 18);
  CHECK(weak.all("classroom").refused == 18);
  CHECK(weak.all("put if absent ring").refused == 0);
}
