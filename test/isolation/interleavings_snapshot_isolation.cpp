// SPDX-License-Identifier: Apache-2.0
// Snapshot isolation in every interleaving of the suites; how to run all of them, or one: support/interleavings/levels.hpp.
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/interleavings/levels.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

/// Writes do not ask whether somebody else was faster.
struct LosesUpdates : SnapshotIsolation {
  static constexpr std::string_view name = "loses_updates";
  static constexpr bool conflict_on_newer_version = false;
};

}  // namespace

TEST_CASE("in every interleaving there is one snapshot, no lost update, and the figures are the model's") {
  check_level<SnapshotIsolation>(Level::snapshot_isolation, [](const SuiteResult& result) {
    CHECK(result.different == 0);
    CHECK(result.engine == result.model);
  });
}

TEST_CASE("a policy that does not refuse overtaken writes is refused wherever the model has a conflict") {
  LevelSuites<LosesUpdates> weak{Level::snapshot_isolation};
  const SuiteResult lost = weak.all("lost update");
  CHECK(lost.model.overtaken == 18);
  CHECK(lost.refused == lost.model.overtaken);
  MESSAGE(lost.first_refused);
  const SuiteResult scope = weak.all(SmallScope{2, 2});
  CHECK(scope.model.overtaken > 0);
  CHECK(scope.refused >= scope.model.overtaken);
}

TEST_CASE("read committed is refused where the model has read skew or a lost update") {
  LevelSuites<ReadCommitted> weak{Level::snapshot_isolation};
  CHECK(weak.all("read skew").refused == 3);
  CHECK(weak.all("predicate read").refused == 2);
  CHECK(weak.all("lost update").refused == 18);
}
