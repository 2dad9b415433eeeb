// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>

#include "support/acknowledged_reads.hpp"
#include "support/hermitage/long_snapshot.hpp"
#include "support/hermitage/run_row.hpp"
#include "support/latch_of_threads.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::hermitage;

TEST_CASE("every row at read committed, in memory") { run_rows<ReadCommitted, InMemory<ReadCommitted, LatchOfThreads>>(); }
TEST_CASE("every row at read committed, in a directory") { run_rows<ReadCommitted, InDirectory<ReadCommitted, LatchOfThreads>>(); }
TEST_CASE("X20 at read committed, in memory") { check_long_snapshot<ReadCommitted, InMemory<ReadCommitted, LatchOfThreads>>(); }
TEST_CASE("X20 at read committed, in a directory") { check_long_snapshot<ReadCommitted, InDirectory<ReadCommitted, AsyncDurability, LatchOfThreads>>(); }
TEST_CASE("X28 at read committed, in memory") { check_acknowledged_reads<Engine<FaultyLogBackend, ReadCommitted, LatchOfThreads>>(); }
TEST_CASE("X28 at read committed, in a directory") { check_acknowledged_reads<Engine<FaultyLogOver<LocalBackend>, ReadCommitted, LatchOfThreads>>(); }
