// SPDX-License-Identifier: Apache-2.0
// What a thousand transactions of one write cost in steps and allocations of the lock table, alone and beside 100,000 locks of another.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/lock/lock_waits.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace aegis_test {

inline constexpr int foreign_locks = 100'000;
inline constexpr int measured_transactions = 1'000;

struct LockCost {
  std::uint64_t allocations = 0;
  std::uint64_t visits = 0;
};
struct CostBesideLocks {
  LockCost alone;
  LockCost beside;
};

/// The lock table is empty before and after; `table_locks`: how many locks on the table itself the holder takes.
template <class Manager>
CostBesideLocks cost_beside_locks(Manager& manager, aegis::storage::TableId table, std::string_view key, std::size_t table_locks) {
  const auto cost = [&] {
    const aegis::storage::LockStats before = manager.locks().stats();
    for (int i = 0; i < measured_transactions; ++i) {
      auto txn = manager.begin();
      REQUIRE(txn.put(table, key, "v").has_value());
      REQUIRE(manager.commit(txn).has_value());
    }
    const aegis::storage::LockStats after = manager.locks().stats();
    return LockCost{after.allocations - before.allocations, after.visits - before.visits};
  };
  CostBesideLocks costs;
  (void)cost();  // what is kept for the next transaction is made
  costs.alone = cost();
  auto holder = manager.begin();
  for (int i = 0; i < foreign_locks; ++i) REQUIRE(holder.put(table, "other " + std::to_string(i), "v").has_value());
  REQUIRE(manager.locks().stats().locks == foreign_locks + table_locks);
  (void)cost();
  costs.beside = cost();
  CHECK(manager.commit(holder).has_value());
  CHECK(manager.locks().stats().locks == 0);
  CHECK(manager.locks().stats().keys == 0);
  return costs;
}

}  // namespace aegis_test
