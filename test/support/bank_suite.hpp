// SPDX-License-Identifier: Apache-2.0
// What the bank promises at every isolation level, on the smallest pool, and what the weaker levels must be seen to break.
#pragma once

#include "support/bank.hpp"
#include "support/bank_invariants.hpp"

namespace aegis_test {

template <class Isolation>
using BankEngine = aegis::storage::Engine<aegis::storage::MemoryBackend, LatchOfThreads, Isolation>;

inline aegis::storage::EngineOptions bank_options() {
  aegis::storage::EngineOptions options;
  options.pool_bytes = std::size_t{8} * 8192;
  options.log_bytes = std::uint64_t{1} << 20;
  return options;
}

/// No money is made or lost, every snapshot of the ledger explains the balances, also after a reopen.
template <class Isolation>
void check_bank(bool lock_reads, const char* program) {
  using Engine = BankEngine<Isolation>;
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(replay(seed, program));
  aegis::storage::MemoryDisk disk;
  Bank<Engine> bank{lock_reads, seed};
  {
    Engine engine = open_on<Engine>(disk, bank_options());
    bank.fill(engine);
    bank.run(engine, seconds(2));
    bank.check(engine);
    check_at_rest(engine);
    CHECK(engine.close().has_value());
  }
  Engine engine = open_on<Engine>(disk, bank_options());
  bank.check(engine);
  check_at_rest(engine);
}

/// Whether the invariant breaks within so many transactions.
template <template <class> class Invariant, class Isolation>
bool breaks_at(std::uint64_t transactions) {
  using Engine = BankEngine<Isolation>;
  aegis::storage::MemoryDisk disk;
  Engine engine = open_on<Engine>(disk, bank_options());
  const bool broken = breaks<Invariant<Engine>>(engine, transactions);
  check_at_rest(engine);
  return broken;
}

}  // namespace aegis_test
