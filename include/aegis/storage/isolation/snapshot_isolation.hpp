// SPDX-License-Identifier: Apache-2.0
// SnapshotIsolation: all reads come from one snapshot, and the first updater wins: a write waits for its key's lock and is
// a conflict if a newer version was committed meanwhile. No lost update, no read skew; write skew remains possible.
#pragma once

#include <aegis/storage/isolation/policy.hpp>

namespace aegis::storage {

struct SnapshotIsolation {
  static constexpr Axis axis = Axis::isolation;
  static constexpr std::string_view name = "snapshot_isolation";
  static constexpr bool snapshot_per_operation = false;
  static constexpr bool conflict_on_newer_version = true;
  static constexpr bool reads_take_locks = false;
  static constexpr bool tracks_reads = false;
  using Footprint = NoFootprint;
  using Validator = NoValidator;
};

static_assert(IsolationPolicy<SnapshotIsolation>);
static_assert(std::is_empty_v<SnapshotIsolation::Footprint> && std::is_empty_v<SnapshotIsolation::Validator>);

}  // namespace aegis::storage
