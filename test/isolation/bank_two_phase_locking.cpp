// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/two_phase_locking.hpp>

#include "support/bank_suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("at two-phase locking the bank neither loses nor makes money") { check_bank<TwoPhaseLocking>(false, "test/isolation/bank_two_phase_locking"); }

// Snapshot isolation breaks both within the same number of transactions.
TEST_CASE("at two-phase locking nobody overdraws a pair of accounts") { CHECK_FALSE(breaks_at<PairedAccounts, TwoPhaseLocking>(10'000)); }

TEST_CASE("at two-phase locking somebody stays on call") { CHECK_FALSE(breaks_at<OnCall, TwoPhaseLocking>(10'000)); }
