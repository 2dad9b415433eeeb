// SPDX-License-Identifier: Apache-2.0
// Numbers of an engine that may differ from one opening to the next. None of them changes the layout.
#pragma once

#include <aegis/storage/core/clock.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace aegis::storage {

struct EngineOptions {
  /// Where the store lives; made when absent, its parent must exist. Unused by a backend that is handed to open().
  std::string directory{};
  /// Page frames, allocated at open. At least eight pages.
  std::size_t pool_bytes = std::size_t{64} << 20;
  /// Bound of the log. Checkpoints keep it below; a reopen replays at most so much.
  std::uint64_t log_bytes = std::uint64_t{128} << 20;
  /// Bound of one transaction's private writes, at most a quarter of log_bytes; beyond it a write is too_large.
  std::size_t max_transaction_bytes = std::size_t{16} << 20;
  /// Bound of the replaced versions kept for open snapshots; beyond it the oldest snapshot gets snapshot_too_old.
  std::size_t version_bytes = std::size_t{64} << 20;
  /// Transactions, snapshots and (under ReadCommitted) cursors open at once; one more is busy.
  std::size_t max_transactions = 1024;
  /// How long one lock may be waited for before lock_timeout.
  Milliseconds lock_timeout{10'000};
  /// Under AsyncDurability: at most about so much of the newest commits can be lost to a power cut (never to a killed
  /// process) while the maintenance thread runs.
  Milliseconds sync_interval{100};
  /// One thread: at an opening it applies a long log while that is read; then it does checkpoints (the first one after a
  /// recovery), write-back, ghosts and background syncs. Without it committers do that work, and a recovery ends with its checkpoint.
  bool maintenance_thread = true;
};

}  // namespace aegis::storage
