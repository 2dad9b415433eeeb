// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/checksum/none.hpp>
#include <aegis/storage/testing/checksum_suite.hpp>

#include <support/promises.hpp>

using namespace aegis::storage;

TEST_CASE("NoChecksum keeps the promises of a checksum") {
  static const auto promises = aegis_test::promises_of([](auto report) { testing::check_checksum<NoChecksum>(report); });
  aegis_test::check_promises(promises);
}

TEST_CASE("NoChecksum is 0 for everything") { CHECK(NoChecksum{}(bytes_of("anything")) == 0); }
