// SPDX-License-Identifier: Apache-2.0
// The engine: tables, transactions, durability, composed from policies. Name those that matter, in any order; what is not
// named keeps its default, and what is not used costs nothing. Any thread; the engine itself moves, does not copy, and
// outlives its tables, transactions and cursors. Destroyed without close() it is a crash that the next open recovers.
#pragma once

#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/cipher/none.hpp>
#include <aegis/storage/codec/none.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/engine/backup.hpp>
#include <aegis/storage/engine/compose.hpp>
#include <aegis/storage/engine/stats.hpp>
#include <aegis/storage/engine/store.hpp>
#include <aegis/storage/engine/table_loader.hpp>
#include <aegis/storage/engine/transact.hpp>
#include <aegis/storage/engine/verify.hpp>
#include <aegis/storage/eviction/clock.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/latch/optimistic.hpp>
#include <aegis/storage/wal/durability.hpp>

#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis::storage {

template <class Chosen>
class BasicEngine {
  static_assert(check_composition<Chosen>());

 public:
  using Backend = typename Chosen::Backend;
  using Store = storage::Store<Chosen>;
  using Table = typename Store::Table;                  ///< A handle; copies freely.
  using Transaction = storage::Transaction<Store>;
  using ReadTransaction = storage::ReadTransaction<Store>;
  using Cursor = storage::Cursor<Store>;
  using Loader = TableLoader<Store>;

  /// Opens the store in options.directory, or makes one there, and recovers what a crash left behind.
  /// already_open, incompatible_format, corrupt_block, corrupt_log, io ...: nothing that is stored was changed.
  static Result<BasicEngine> open(const EngineOptions& options)
    requires OpensFromOptions<Backend>
  {
    AEGIS_TRY(check(options));
    AEGIS_TRY(Backend backend, Backend::open({.directory = options.directory, .read_only = false}));
    return open(std::move(backend), options);
  }
  /// The same for a backend with no place, one of its own each time: MemoryBackend.
  static Result<BasicEngine> open(const EngineOptions& options)
    requires(!OpensFromOptions<Backend> && DefaultConstructible<Backend>)
  {
    return open(Backend{}, options);
  }
  /// On a backend that is open already. A template, so that open({}) means options.
  template <std::same_as<Backend> Opened>
  static Result<BasicEngine> open(Opened backend, const EngineOptions& options = {}) {
    AEGIS_TRY(check(options));
    AEGIS_TRY(auto store, Store::open(std::move(backend), options));
    return BasicEngine{std::move(store)};
  }

  /// busy while transactions or cursors are open. Afterwards a reopen has nothing to recover; every later call fails. After any other
  /// error the store is open still and may be closed later, unless the engine has failed.
  Result<void> close() { return store_->close(); }

  /// Opened, or durably created: any bytes may be a name, up to the key limit.
  Result<Table> table(std::string_view name) {
    AEGIS_TRY(store_->open_for_use());
    AEGIS_TRY(TableInfo* const info, store_->catalog().open(name));
    return Table{*store_, *info};
  }
  /// table_not_found. Transactions that hold writes to it fail at commit with table_not_found; older snapshots still see it.
  Result<void> drop_table(std::string_view name) {
    AEGIS_TRY(store_->open_for_use());
    return store_->catalog().drop(name);
  }
  /// Names of all tables, in order.
  Result<std::vector<std::string>> tables() const {
    AEGIS_TRY(store_->open_for_use());
    std::vector<std::string> names;
    const Timestamp acknowledged = store_->parts().acknowledged();
    store_->parts().tables.for_each([&](const TableInfo& info) {
      if (info.state_is(TableState::open) && info.loaded_at.load(std::memory_order_relaxed) <= acknowledged) names.emplace_back(info.name);
    });
    sort(names.data(), names.size(), [](const std::string& a, const std::string& b) { return a < b; });
    return names;
  }
  /// Fills a new table with sorted rows, without logging them.
  Result<Loader> load_table(std::string_view name) { return Loader::begin(*store_, name); }

  Transaction begin() { return Transaction{*store_, store_->begin(false)}; }
  /// A read-only transaction on the newest acknowledged state: it never waits, never aborts, and never shows what a crash
  /// could take back. It has no put.
  ReadTransaction snapshot() { return ReadTransaction{*store_, store_->begin(true)}; }
  /// Runs fn(Transaction&) -> Result<void> and commits; runs it again, up to `retries` times, after conflict, deadlock and
  /// snapshot_too_old, having queued for the key it lost on. Any other error of fn aborts and is returned.
  template <class Fn>
  Result<CommitInfo> transact(Fn&& fn, unsigned retries = default_retries) {
    return storage::transact<Transaction>(*store_, fn, retries);
  }

  /// Everything committed before is in the pages on disk, and the log before is given up.
  Result<void> checkpoint() {
    AEGIS_TRY(store_->open_for_use());
    store_->catalog().continue_drops();
    return store_->checkpointer().run();
  }
  /// A copy that opens by itself; see engine/backup.hpp.
  Result<void> backup(const std::string& directory) {
    AEGIS_TRY(store_->open_for_use());
    return Backup<Chosen>{store_->parts(), store_->checkpointer()}.run(directory);
  }
  /// Looks at everything that is stored; see engine/verify.hpp.
  Result<VerifyReport> verify() {
    return verify([](const VerifyProgress&) {});
  }
  /// The same; tell(const VerifyProgress&) is called now and then. It must not call the engine.
  template <class Tell>
  Result<VerifyReport> verify(Tell&& tell) {
    AEGIS_TRY(store_->open_for_use());
    return Verifier<Chosen>{store_->parts(), store_->checkpointer()}.run(tell);
  }
  EngineStats stats() const;

 private:
  explicit BasicEngine(typename Store::Handle store) : store_(std::move(store)) {}

  static Result<void> check(const EngineOptions& options) {
    if (options.log_bytes < min_log_bytes) return Error::mismatch(Errc::invalid_argument, "log_bytes, at least", min_log_bytes, options.log_bytes);
    if (options.max_transactions == 0) return Error{Errc::invalid_argument, "max_transactions", 0};
    return {};
  }

  static constexpr std::uint64_t min_log_bytes = std::uint64_t{256} << 10;

  typename Store::Handle store_;  // never null but in an engine that was moved from
};

template <class Chosen>
EngineStats BasicEngine<Chosen>::stats() const {
  auto& parts = store_->parts();
  EngineStats stats;
  stats.transactions = parts.manager.stats();
  stats.pool = parts.pool->stats();
  stats.log = parts.wal->stats();
  stats.backend = parts.backend.stats();
  stats.recovery = store_->recovery();
  stats.log_bytes = parts.wal->end() - store_->checkpointer().lsn();
  stats.checkpoints = store_->checkpointer().completed();
  stats.pages = parts.pool->page_count();
  stats.used_pages = parts.allocator->used_pages();
  stats.free_pages = parts.allocator->free_pages();
  stats.withheld_pages = parts.allocator->withheld();
  stats.waiting_ghosts = store_->upkeep().ghosts();
  stats.acknowledged = parts.acknowledged();
  return stats;
}

struct DefaultPolicies {
  using Backend = LocalBackend;
  using Codec = NoCodec;
  using Checksum = Xxh3Checksum;
  using Cipher = NoCipher;
  using Eviction = ClockEviction;
  using Latch = OptimisticLatch;
  using Isolation = SnapshotIsolation;
  using Durability = SyncDurability;
  using Page = PageSize<8192>;
};

/// The policies of an engine by position; the same set gives the same type, in whatever order it was named.
template <class B, class L, class C, class S, class X, class E, class A, class I, class D, class P>
struct ChosenPolicies {
  using Backend = B;
  using LogChoice = L;
  using Codec = C;
  using Checksum = S;
  using Cipher = X;
  using Eviction = E;
  using Latch = A;
  using Isolation = I;
  using Durability = D;
  using Page = P;
};

template <class Composed>
using ChosenFrom = ChosenPolicies<typename Composed::Backend, typename Composed::LogChoice, typename Composed::Codec, typename Composed::Checksum, typename Composed::Cipher,
                                  typename Composed::Eviction, typename Composed::Latch, typename Composed::Isolation, typename Composed::Durability, typename Composed::Page>;

template <class... Policies>
using Engine = BasicEngine<ChosenFrom<Composition<DefaultPolicies, Policies...>>>;

}  // namespace aegis::storage
