// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/commit_steps.hpp>

#include "support/acknowledged_reads.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("X28 at snapshot isolation: nobody acts on what a crash could take back") { check_acknowledged_reads<Engine<FaultyLogBackend>>(); }
