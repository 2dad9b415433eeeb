// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/latch/plain.hpp>

#include <latch/latch_world.hpp>

TEST_CASE("PlainLatch keeps the promises of a latch") { aegis_test::check_latch<aegis::storage::PlainLatch>(); }
