// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/serializable.hpp>

#include "support/bank_suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("at serializable the bank neither loses nor makes money") { check_bank<Serializable>(false, "test/isolation/bank_serializable"); }

// Snapshot isolation breaks both within the same number of transactions.
TEST_CASE("at serializable nobody overdraws a pair of accounts") { CHECK_FALSE(breaks_at<PairedAccounts, Serializable>(10'000)); }

TEST_CASE("at serializable somebody stays on call") { CHECK_FALSE(breaks_at<OnCall, Serializable>(10'000)); }
