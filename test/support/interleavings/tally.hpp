// SPDX-License-Identifier: Apache-2.0
// What became of many interleavings, in figures.
#pragma once

#include "support/interleavings/model.hpp"

#include <cstdint>

namespace aegis_test {

struct Tally {
  std::uint64_t interleavings = 0;
  std::uint64_t failed = 0;       // those in which a transaction got an error ...
  std::uint64_t overtaken = 0;    // ... a conflict at an operation
  std::uint64_t deadlocked = 0;   // ... a deadlock
  std::uint64_t invalid = 0;      // ... a conflict at the commit
  std::uint64_t needless = 0;     // those of them that were strictly serializable at snapshot isolation
  std::uint64_t not_serial = 0, not_strict = 0;
  std::uint64_t waits = 0;

  bool operator==(const Tally&) const = default;

  /// Whether it was in a strict serial order.
  bool add(const Suite& suite, const Run& run) {
    using aegis::storage::Errc;
    ++interleavings;
    const Oracle oracle{suite, run};
    const bool strict = oracle.is_serial(true);
    not_strict += strict ? 0 : 1;
    not_serial += strict || oracle.is_serial(false) ? 0 : 1;
    waits += run.waits;
    failed += run.any_failed([](const TransactionRun&) { return true; }) ? 1 : 0;
    overtaken += run.any_failed([](const TransactionRun& t) { return t.error == Errc::conflict && !t.failed_at_commit; }) ? 1 : 0;
    deadlocked += run.any_failed([](const TransactionRun& t) { return t.error == Errc::deadlock; }) ? 1 : 0;
    return strict;
  }
  static bool was_invalid(const Run& run) {
    return run.any_failed([](const TransactionRun& t) { return t.failed_at_commit; });
  }
  void add_validation(const Run& run, bool strict_at_snapshot_isolation) {
    if (!was_invalid(run)) return;
    ++invalid;
    needless += strict_at_snapshot_isolation ? 1 : 0;
  }
};

}  // namespace aegis_test
