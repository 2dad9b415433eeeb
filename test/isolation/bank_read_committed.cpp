// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/read_committed.hpp>

#include "support/bank_suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test;

TEST_CASE("at read committed the bank neither loses nor makes money when transfers read for update") {
  check_bank<ReadCommitted>(true, "test/isolation/bank_read_committed");
}

// What the level must show: were these not seen, the same checks at the stronger levels would prove nothing.
TEST_CASE("read committed makes or loses money when transfers read without a lock, and two scans of one transaction differ") {
  using Stack = BankEngine<ReadCommitted>;
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(replay(seed, "test/isolation/bank_read_committed"));
  MemoryDisk disk;
  Stack engine = open_on<Stack>(disk, bank_options());
  Bank<Stack> bank{false, seed};
  bank.fill(engine);
  CHECK(bank.shows_within(engine, 10'000, [&] { return bank.broken_audits() != 0 && bank.scans_that_differ() != 0; }));
  MESSAGE("after " << bank.transfers() << " transfers");
  check_at_rest(engine);
}

TEST_CASE("read committed lets two owners overdraw their pair of accounts") { CHECK(breaks_at<PairedAccounts, ReadCommitted>(10'000)); }

TEST_CASE("read committed lets both doctors go home") { CHECK(breaks_at<OnCall, ReadCommitted>(10'000)); }
