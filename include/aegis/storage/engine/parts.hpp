// SPDX-License-Identifier: Apache-2.0
// The composed stack: one of each part, as the policies chose them, and what several mechanisms need to know of it.
// Who changes what is said at the members; the mechanisms (commit, checkpoint, catalog, recovery) stand beside this file.
#pragma once

#include <aegis/storage/buffer/buffer_pool.hpp>
#include <aegis/storage/buffer/page_allocator.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/meta.hpp>
#include <aegis/storage/engine/options.hpp>
#include <aegis/storage/engine/table_directory.hpp>
#include <aegis/storage/tree/btree.hpp>
#include <aegis/storage/txn/transaction_manager.hpp>
#include <aegis/storage/wal/wal.hpp>

#include <atomic>
#include <type_traits>
#include <utility>

namespace aegis::storage {

template <class Chosen>
struct Parts {
  using Backend = typename Chosen::Backend;
  using Log = typename Backend::Log;
  using Codec = typename Chosen::Codec;
  using Checksum = typename Chosen::Checksum;
  using Cipher = typename Chosen::Cipher;
  using Isolation = typename Chosen::Isolation;
  using Durability = typename Chosen::Durability;
  static constexpr std::size_t page_bytes = Chosen::Page::bytes;

  using Pool = BufferPool<Backend, Codec, Checksum, typename Chosen::Eviction, typename Chosen::Latch, page_bytes, Cipher>;
  using Token = CommitSection::Token;
  using Allocator = PageAllocator<Pool>;
  using Tree = BTree<Pool, Allocator>;
  /// The log needs a checksum even where blocks have none: it is how it finds its end.
  using LogChecksum = std::conditional_t<Checksum::kind == ChecksumKind::none, Xxh3Checksum, Checksum>;
  using WriteAheadLog = Wal<Log, LogChecksum, Durability>;
  using Manager = TransactionManager<Isolation>;
  using Context = typename Manager::Context;

  Parts(Backend opened, const EngineOptions& given)
      : backend(std::move(opened)),
        options(given),
        manager({.max_transactions = given.max_transactions,
                 .max_transaction_bytes = std::min<std::size_t>(given.max_transaction_bytes, static_cast<std::size_t>(given.log_bytes / 4)),
                 .version_bytes = given.version_bytes,
                 .lock_timeout = given.lock_timeout}) {}

  static Fingerprint fingerprint() {
    return {page_bytes, short_name(Codec::name), short_name(Checksum::name), short_name(Cipher::name), max_key_bytes(page_bytes)};
  }
  LogOptions log_options(bool create) const {
    return {.identity = meta.identity, .max_bytes = options.log_bytes, .segment_bytes = 0, .process_durable = !Durability::wait, .create = create, .start = meta.checkpoint.lsn};
  }

  /// The newest commit that nothing can take back: what read-only transactions read, and reclaimers go by.
  Timestamp acknowledged() const {
    const Timestamp published = manager.published();
    if constexpr (!Durability::wait) return published;
    else return std::min(published, wal->durable_timestamp());
  }

  /// engine_failed once a log write or sync failed, or a commit broke off after its place in the log.
  Result<void> healthy() const {
    if (failed.load(std::memory_order_acquire) || (wal && wal->failed())) return Error{Errc::engine_failed, "store"};
    return {};
  }
  void fail() { failed.store(true, std::memory_order_release); }
  /// Poisons, and says what a commit has to say that may or may not be in the log.
  Error undecided(Error cause) {
    fail();
    return Error::os(Errc::commit_undecided, cause.os_error(), "commit");
  }

  Backend backend;
  const EngineOptions options;
  Meta meta;                               // of the last checkpoint; changed by checkpoints, one at a time
  Owned<Pool> pool;
  Owned<Allocator> allocator;
  Owned<Tree> tree;
  Owned<WriteAheadLog> wal;
  mutable Manager manager;
  TableDirectory tables;                   // entries are added under the catalog's mutex
  TableRoot catalog{};                     // fixed once open
  std::atomic<std::uint32_t> next_table{1};  // raised in the section
  std::atomic<bool> failed{false};         // once set, for ever
};

}  // namespace aegis::storage
