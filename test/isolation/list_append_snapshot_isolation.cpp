// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/list_append/suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::list_append;

namespace {

// Writes over what was committed since the snapshot.
struct LastWriterWins : SnapshotIsolation {
  static constexpr bool conflict_on_newer_version = false;
};

}  // namespace

TEST_CASE("list-append at snapshot isolation: no round has an anomaly that the level forbids") {
  run_list_append<SnapshotIsolation>("test/isolation/list_append_snapshot_isolation");
}

TEST_CASE("list-append at snapshot isolation: power fails in the middle") {
  run_list_append_and_crash<SnapshotIsolation>("test/isolation/list_append_snapshot_isolation");
}

TEST_CASE("snapshot isolation shows write skew, so its rounds are no serializable ones") {
  CHECK(seen_within<SnapshotIsolation>(20, AppendBy::either, [](const Round& round) {
    const Report report = check(round.history, round.final_read, Level::serializable);
    INFO(report.message());
    CHECK((report.clean() || report.names() == "G2"));  // nothing worse
    return report.has(Anomaly::g2) && check_white_box(round.history, round.final_read, Level::serializable).has(Anomaly::not_serial);
  }));
}

TEST_CASE("a level that forgets to look for newer versions is caught losing updates, by the checker and by the white box") {
  CHECK(seen_within<LastWriterWins>(20, AppendBy::plain_read, [](const Round& round) {
    const Report report = check(round.history, round.final_read, Level::snapshot_isolation);
    return report.has(Anomaly::lost_update) && report.has(Anomaly::lost_commit) && !check_white_box(round.history, round.final_read, Level::snapshot_isolation).clean();
  }));
}

TEST_CASE("read committed in the place of snapshot isolation is caught") {
  CHECK(seen_within<ReadCommitted>(20, AppendBy::read_for_update, [](const Round& round) {
    const Report report = check(round.history, round.final_read, Level::snapshot_isolation);
    return report.has(Anomaly::non_repeatable) && report.has(Anomaly::g_single) && check_white_box(round.history, round.final_read, Level::snapshot_isolation).has(Anomaly::wrong_snapshot);
  }));
}
