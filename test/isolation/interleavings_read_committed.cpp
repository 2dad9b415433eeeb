// SPDX-License-Identifier: Apache-2.0
// Read committed in every interleaving of the suites; how to run all of them, or one: support/interleavings/levels.hpp.
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/interleavings/levels.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("in every interleaving each operation sees one committed state, never an older one, and the figures are the model's") {
  check_level<ReadCommitted>(Level::read_committed, [](const SuiteResult& result) {
    CHECK(result.different == 0);
    CHECK(result.engine == result.model);
  });
}

TEST_CASE("an engine whose operations see the transaction's first snapshot is refused") {
  LevelSuites<SnapshotIsolation> frozen{Level::read_committed};
  const SuiteResult reads = frozen.all("read skew");
  CHECK(reads.refused == 3);  // the commit between both reads: the second is too old
  MESSAGE(reads.first_refused);
  CHECK(frozen.all("predicate read").refused == 2);
}
