// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include "support/acknowledged_reads.hpp"
#include "support/hermitage/long_snapshot.hpp"
#include "support/hermitage/run_row.hpp"
#include "support/latch_of_threads.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::hermitage;

TEST_CASE("every row at snapshot isolation, in memory") { run_rows<SnapshotIsolation, InMemory<SnapshotIsolation, LatchOfThreads>>(); }
TEST_CASE("every row at snapshot isolation, in a directory") { run_rows<SnapshotIsolation, InDirectory<SnapshotIsolation, LatchOfThreads>>(); }
TEST_CASE("X20 at snapshot isolation, in memory") { check_long_snapshot<SnapshotIsolation, InMemory<SnapshotIsolation, LatchOfThreads>>(); }
TEST_CASE("X20 at snapshot isolation, in a directory") { check_long_snapshot<SnapshotIsolation, InDirectory<SnapshotIsolation, AsyncDurability, LatchOfThreads>>(); }
TEST_CASE("X28 at snapshot isolation, in memory") { check_acknowledged_reads<Engine<FaultyLogBackend, SnapshotIsolation, LatchOfThreads>>(); }
TEST_CASE("X28 at snapshot isolation, in a directory") { check_acknowledged_reads<Engine<FaultyLogOver<LocalBackend>, SnapshotIsolation, LatchOfThreads>>(); }
