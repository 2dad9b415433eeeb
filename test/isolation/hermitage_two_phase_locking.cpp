// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/two_phase_locking.hpp>

#include "support/acknowledged_reads.hpp"
#include "support/hermitage/long_snapshot.hpp"
#include "support/hermitage/run_row.hpp"
#include "support/latch_of_threads.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::hermitage;

TEST_CASE("every row at two-phase locking, in memory") { run_rows<TwoPhaseLocking, InMemory<TwoPhaseLocking, LatchOfThreads>>(); }
TEST_CASE("every row at two-phase locking, in a directory") { run_rows<TwoPhaseLocking, InDirectory<TwoPhaseLocking, LatchOfThreads>>(); }
TEST_CASE("X20 at two-phase locking, in memory") { check_long_snapshot<TwoPhaseLocking, InMemory<TwoPhaseLocking, LatchOfThreads>>(); }
TEST_CASE("X20 at two-phase locking, in a directory") { check_long_snapshot<TwoPhaseLocking, InDirectory<TwoPhaseLocking, AsyncDurability, LatchOfThreads>>(); }
TEST_CASE("X28 at two-phase locking, in memory") { check_acknowledged_reads<Engine<FaultyLogBackend, TwoPhaseLocking, LatchOfThreads>>(); }
TEST_CASE("X28 at two-phase locking, in a directory") { check_acknowledged_reads<Engine<FaultyLogOver<LocalBackend>, TwoPhaseLocking, LatchOfThreads>>(); }
