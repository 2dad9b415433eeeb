// SPDX-License-Identifier: Apache-2.0
// TwoPhaseLocking: every read locks what it reads, present or not, key or interval, before it reads the newest published
// state; every write locks its key; all of it until the end (strict). Transactions are serializable in the order in which
// they end, and may wait for each other and deadlock. A snapshot() takes no lock and waits for nobody.
#pragma once

#include <aegis/storage/isolation/policy.hpp>

namespace aegis::storage {

struct TwoPhaseLocking {
  static constexpr Axis axis = Axis::isolation;
  static constexpr std::string_view name = "two_phase_locking";
  static constexpr bool snapshot_per_operation = true;
  static constexpr bool conflict_on_newer_version = false;
  static constexpr bool reads_take_locks = true;
  static constexpr bool tracks_reads = false;
  using Footprint = NoFootprint;
  using Validator = NoValidator;
};

static_assert(IsolationPolicy<TwoPhaseLocking>);
static_assert(std::is_empty_v<TwoPhaseLocking::Footprint> && std::is_empty_v<TwoPhaseLocking::Validator>);

}  // namespace aegis::storage
