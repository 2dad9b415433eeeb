// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/serializable.hpp>

#include "support/acknowledged_reads.hpp"
#include "support/hermitage/long_snapshot.hpp"
#include "support/hermitage/run_row.hpp"
#include "support/latch_of_threads.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;
using namespace aegis_test::hermitage;

TEST_CASE("every row at serializable, in memory") { run_rows<Serializable, InMemory<Serializable, LatchOfThreads>>(); }
TEST_CASE("every row at serializable, in a directory") { run_rows<Serializable, InDirectory<Serializable, LatchOfThreads>>(); }
TEST_CASE("X20 at serializable, in memory") { check_long_snapshot<Serializable, InMemory<Serializable, LatchOfThreads>>(); }
TEST_CASE("X20 at serializable, in a directory") { check_long_snapshot<Serializable, InDirectory<Serializable, AsyncDurability, LatchOfThreads>>(); }
TEST_CASE("X28 at serializable, in memory") { check_acknowledged_reads<Engine<FaultyLogBackend, Serializable, LatchOfThreads>>(); }
TEST_CASE("X28 at serializable, in a directory") { check_acknowledged_reads<Engine<FaultyLogOver<LocalBackend>, Serializable, LatchOfThreads>>(); }
