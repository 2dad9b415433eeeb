// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/bank_suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("at snapshot isolation the bank neither loses nor makes money") { check_bank<SnapshotIsolation>(false, "test/isolation/bank_snapshot_isolation"); }

// What the level must show: were these not seen, the same checks at the stronger levels would prove nothing.
TEST_CASE("snapshot isolation lets two owners overdraw their pair of accounts") { CHECK(breaks_at<PairedAccounts, SnapshotIsolation>(10'000)); }

TEST_CASE("snapshot isolation lets both doctors go home") { CHECK(breaks_at<OnCall, SnapshotIsolation>(10'000)); }
