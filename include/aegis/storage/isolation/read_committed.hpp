// SPDX-License-Identifier: Apache-2.0
// ReadCommitted: every operation sees the newest published commits, whole ones, and never fewer than the one before
// (monotonic atomic view). Writes wait for each other's locks and then go on with the newest state; nothing is validated.
#pragma once

#include <aegis/storage/isolation/policy.hpp>

namespace aegis::storage {

struct ReadCommitted {
  static constexpr Axis axis = Axis::isolation;
  static constexpr std::string_view name = "read_committed";
  static constexpr bool snapshot_per_operation = true;
  static constexpr bool conflict_on_newer_version = false;
  static constexpr bool reads_take_locks = false;
  static constexpr bool tracks_reads = false;
  using Footprint = NoFootprint;
  using Validator = NoValidator;
};

static_assert(IsolationPolicy<ReadCommitted>);
static_assert(std::is_empty_v<ReadCommitted::Footprint> && std::is_empty_v<ReadCommitted::Validator>);

}  // namespace aegis::storage
