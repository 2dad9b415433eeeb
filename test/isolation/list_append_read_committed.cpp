// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>

#include "support/list_append/suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::list_append;

TEST_CASE("list-append at read committed: no round has an anomaly that the level forbids") {
  run_list_append<ReadCommitted>("test/isolation/list_append_read_committed");
}

TEST_CASE("list-append at read committed: power fails in the middle") {
  run_list_append_and_crash<ReadCommitted>("test/isolation/list_append_read_committed");
}

TEST_CASE("read committed loses updates when appends read without a lock") {
  CHECK(seen_within<ReadCommitted>(20, AppendBy::plain_read, [](const Round& round) {
    const Report report = check(round.history, round.final_read, Level::snapshot_isolation);
    MESSAGE("lost updates " << report.count(Anomaly::lost_update) << ", elements gone " << report.count(Anomaly::lost_commit));
    return report.has(Anomaly::lost_update) && report.has(Anomaly::lost_commit);
  }));
}
