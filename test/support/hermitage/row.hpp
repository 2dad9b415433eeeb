// SPDX-License-Identifier: Apache-2.0
// A row of the tables of isolation tests: a schedule, and what may become of it at each level. The sets are those of the
// literature and of the levels' own rules, never what the engine was seen to do. Alternatives stand where a rule leaves a
// choice: another victim in a circle of waits, the other one of "exactly one", an error that only caution asks for.
#pragma once

#include "support/hermitage/outcome_set.hpp"

#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/isolation/two_phase_locking.hpp>

#include <string>
#include <string_view>
#include <type_traits>

namespace aegis_test::hermitage {

struct Row {
  const char* id = "";
  const char* what = "";
  const char* setup = "1:10,2:20";
  const char* schedule = "";
  const char* read_committed = nullptr;
  const char* snapshot = nullptr;            // snapshot isolation; nullptr: as read committed
  const char* serializable = nullptr;        // nullptr: as snapshot isolation
  const char* locking = nullptr;             // two-phase locking; nullptr: as serializable
  const char* locking_snapshots = nullptr;   // the same with those that only read as snapshot(); nullptr: as locking
  const char* always_snapshots = "";         // transactions that are snapshot() in every run
};

template <class Level>
const char* column_of(const Row& row) {
  using namespace aegis::storage;
  const char* column = row.read_committed;
  if (std::is_base_of_v<ReadCommitted, Level>) return column;
  if (row.snapshot != nullptr) column = row.snapshot;
  if (std::is_base_of_v<SnapshotIsolation, Level>) return column;
  if (row.serializable != nullptr) column = row.serializable;
  if (std::is_base_of_v<Serializable, Level>) return column;
  return row.locking != nullptr ? row.locking : column;
}

/// The set of a row at a level where those named in `snapshots` run as snapshot().
template <class Level>
std::string allowed_by(const Row& row, std::string_view snapshots) {
  using namespace aegis::storage;
  const char* const column = column_of<Level>(row);
  if (snapshots.empty() || *row.always_snapshots != '\0') return column;
  if (std::is_base_of_v<ReadCommitted, Level>) return with_answers_of(snapshots, column, column_of<SnapshotIsolation>(row));
  return std::is_base_of_v<TwoPhaseLocking, Level> && row.locking_snapshots != nullptr ? row.locking_snapshots : column;
}

}  // namespace aegis_test::hermitage
