// SPDX-License-Identifier: Apache-2.0
// What an engine tells of itself. Every figure is a counter that is kept anyway; asking costs no walk over data.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/buffer/pool_stats.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/engine/redo.hpp>
#include <aegis/storage/txn/transaction_manager.hpp>
#include <aegis/storage/wal/wal.hpp>

#include <cstdint>

namespace aegis::storage {

struct EngineStats {
  TransactionStats transactions;
  PoolStats pool;
  WalStats log;
  BackendStats backend;
  RecoveryReport recovery;             ///< Of this opening.
  std::uint64_t log_bytes = 0;         ///< Live bytes of log: what a reopen would have to read.
  std::uint64_t checkpoints = 0;       ///< Ever published by this store.
  std::uint64_t pages = 0, used_pages = 0, free_pages = 0, withheld_pages = 0;
  std::uint64_t waiting_ghosts = 0;    ///< Deleted rows that wait to be taken out of their leaves.
  Timestamp acknowledged{};            ///< The newest commit that nothing can take back.
};

}  // namespace aegis::storage
