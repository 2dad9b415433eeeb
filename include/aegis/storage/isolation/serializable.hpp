// SPDX-License-Identifier: Apache-2.0
// Serializable: reads come from one snapshot as at snapshot isolation, and a transaction that writes commits only if
// nothing that it read, misses and scanned ranges included, was changed since: the order of commits is a serial order, and
// it respects real time. Transactions without writes validate nothing and never abort for it. Memory is bounded; what does
// not fit is remembered more coarsely, which costs needless conflicts and never loses one.
#pragma once

#include <aegis/storage/isolation/interval_set.hpp>
#include <aegis/storage/isolation/policy.hpp>
#include <aegis/storage/isolation/recent_commits.hpp>

namespace aegis::storage {

struct Serializable {
  static constexpr Axis axis = Axis::isolation;
  static constexpr std::string_view name = "serializable";
  static constexpr bool snapshot_per_operation = false;
  static constexpr bool conflict_on_newer_version = true;
  static constexpr bool reads_take_locks = false;
  static constexpr bool tracks_reads = true;
  using Footprint = IntervalSet;
  using Validator = RecentCommits;
};

static_assert(IsolationPolicy<Serializable>);

}  // namespace aegis::storage
