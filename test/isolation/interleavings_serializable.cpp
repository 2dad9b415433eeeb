// SPDX-License-Identifier: Apache-2.0
// Serializable in every interleaving of the suites; how to run all of them, or one: support/interleavings/levels.hpp.
// Aborts that turn out to have been needless are printed; there may be fewer than in the model, not more.
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/interleavings/levels.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

/// Scans are forgotten.
struct PointsAlone : Serializable {
  static constexpr std::string_view name = "points_alone";
  struct Footprint : Serializable::Footprint {
    Result<void> note_range(TableId, const KeyInterval&) { return {}; }
  };
};
/// Single keys are forgotten.
struct RangesAlone : Serializable {
  static constexpr std::string_view name = "ranges_alone";
  struct Footprint : Serializable::Footprint {
    Result<void> note_point(TableId, std::string_view) { return {}; }
  };
};

}  // namespace

TEST_CASE("every interleaving has a strict serial order, and no more are refused for it than in the model") {
  check_level<Serializable>(Level::serializable, [](const SuiteResult& result) {
    CHECK(result.engine.not_strict == 0);
    CHECK(result.engine.overtaken == result.model.overtaken);
    CHECK(result.engine.deadlocked == result.model.deadlocked);
    CHECK(result.engine.failed <= result.model.failed);
    CHECK(result.engine.invalid <= result.model.invalid);
    CHECK(result.engine.needless <= result.model.needless);
  });
}

TEST_CASE("without validation the oracle refuses what has no serial order, and no more") {
  LevelSuites<SnapshotIsolation> weak{Level::serializable};
  const SuiteResult skew = weak.all("write skew");
  CHECK(skew.refused == 68);
  MESSAGE(skew.first_refused);
  CHECK(weak.all("two edges").refused == 16);
  CHECK(weak.all("receipt report").refused == 6);
  CHECK(weak.all("two ids").refused == 4);
  CHECK(weak.all("read-only anomaly").refused == 141);
  CHECK(weak.all("ring of three").refused == 1431);
}

TEST_CASE("a validation that forgets ranges, or single keys, is refused in the suites made of them") {
  LevelSuites<PointsAlone> points{Level::serializable};
  CHECK(points.all("predicate skew").refused == 18);
  CHECK(points.all("classroom").refused == 18);
  CHECK(points.all("write skew").refused == 0);
  LevelSuites<RangesAlone> ranges{Level::serializable};
  CHECK(ranges.all("put if absent ring").refused == 18);  // misses
  CHECK(ranges.all("write skew").refused == 68);
  CHECK(ranges.all("predicate skew").refused == 0);
}
