// SPDX-License-Identifier: Apache-2.0
// Old row states, in memory, for as long as a snapshot can see them. Pages hold the newest committed state; a commit saves
// what it replaces before its pages change. Any thread may look up and reclaim; save belongs to the commit section, in
// order of timestamps. One shard's mutex at a time, for the time of a copy; user code never runs under it.
#pragma once

#include <aegis/storage/core/hash.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/version/snapshot.hpp>
#include <aegis/storage/version/version.hpp>

#include <array>
#include <atomic>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

struct VersionStats {
  std::uint64_t versions = 0, keys = 0;
  std::uint64_t bytes = 0;        ///< Held by versions; 0 when there are none.
  std::uint64_t table_bytes = 0;  ///< Held by the hash tables.
  std::uint64_t saved = 0, reclaimed = 0;
  std::uint64_t revoked = 0;      ///< Snapshots revoked for memory.
};

/// The report of reclaimers that nobody listens to.
struct NoGhostReport {
  constexpr void operator()(TableId, std::string_view) const {}
};

class VersionStore {
 public:
  static Result<Owned<VersionStore>> open(std::uint64_t cap_bytes) {
    Owned<VersionStore> store{new (std::nothrow) VersionStore(cap_bytes)};
    if (!store) return Error{Errc::out_of_memory, "version store"};
    for (Shard& shard : store->shards_)
      if (!shard.grow(first_buckets)) return Error{Errc::out_of_memory, "version table"};
    return store;
  }
  ~VersionStore() {
    for (Shard& shard : shards_)
      while (Version* version = shard.first) {
        shard.first = version->later_;
        Version::destroy(version);
      }
  }
  VersionStore(const VersionStore&) = delete;
  VersionStore& operator=(const VersionStore&) = delete;

  /// Before the section: room for one version of the key with a cell of at most `cell_bytes`.
  Result<PreparedVersion> prepare(TableId table, std::string_view key, std::size_t cell_bytes) {
    const std::uint64_t hash = hash_of(table, key);
    Shard& shard = shard_of(hash);
    if (shard.crowded()) {
      const Guard lock{shard.mutex};
      if (shard.crowded()) (void)shard.grow(2 * shard.bucket_count);  // failing that, chains get longer
    }
    Version* version = Version::make(table, key, hash, cell_bytes);
    if (version == nullptr) return Error{Errc::out_of_memory, "version of a row", cell_bytes};
    return PreparedVersion{version};
  }

  /// In the section, before the page changes: the row of `prepared` was `cell` until the commit `until`, which is not below
  /// any saved before. Also drops versions of this key that no snapshot needs. Cannot fail: cell.size() <= capacity().
  void save(PreparedVersion prepared, Timestamp until, Replaced replaced, Bytes cell, Timestamp acknowledged, const SnapshotRegistry& registry) {
    Version* version = prepared.version_.release();
    AEGIS_ASSERT(version != nullptr && cell.size() <= version->capacity_);
    version->until_ = until;
    version->replaced_ = replaced;
    version->cell_bytes_ = static_cast<std::uint32_t>(cell.size());
    copy_bytes({reinterpret_cast<std::byte*>(version + 1) + version->key_bytes_, cell.size()}, cell);
    Shard& shard = shard_of(version->hash_);
    Version* dropped = nullptr;
    {
      const Guard lock{shard.mutex};
      AEGIS_ASSERT(shard.last == nullptr || shard.last->until_ <= until);
      insert(shard, version);
      for (Version* oldest = version->newer_; oldest != version && oldest->until_ <= acknowledged;) {
        Version* const newer = oldest->newer_;
        if (!registry.any_in(oldest->from_, oldest->until_)) drop(shard, oldest, dropped);
        oldest = newer;
      }
    }
    saved_.fetch_add(1, std::memory_order_relaxed);
    finish(dropped, NoGhostReport{});  // the key keeps its newest version, so no ghost is free
  }

  /// Calls fn(const Version*) under the shard's lock with the row state that the snapshot sees, or nullptr: the page's row
  /// is the right one. The page was read before this call. fn copies what it needs and calls nothing that waits. What it
  /// was told counts only if the snapshot's slot is found not revoked afterwards.
  template <class Fn>
  auto lookup(TableId table, std::string_view key, Timestamp snapshot, Fn&& fn) const {
    const std::uint64_t hash = hash_of(table, key);
    const Shard& shard = shard_of(hash);
    const Version* visible = nullptr;
    // A version is counted before its page changes, so who saw the changed page sees the count.
    if (shard.versions.load(std::memory_order_acquire) == 0) return fn(visible);
    const Guard lock{shard.mutex};
    for (const Version* version = shard.find(hash, table, key); version != nullptr && version->until_ > snapshot; version = version->older_)
      visible = version;
    return fn(visible);
  }

  /// The last commit that changed the key, as far as it is kept, else 0: for every snapshot in use it tells rightly whether
  /// the key changed after it.
  Timestamp newest_change(TableId table, std::string_view key) const {
    return with_newest<Timestamp>(table, key, [](const Version* newest) { return newest == nullptr ? never_committed : newest->until_; });
  }
  /// False: no snapshot needs a state of this key other than the page's, and a ghost of it may go.
  bool holds(TableId table, std::string_view key) const {
    return with_newest<bool>(table, key, [](const Version* newest) { return newest != nullptr; });
  }

  /// Drops, oldest first, at most `quantum` versions that ended at or below `acknowledged` and every snapshot in use;
  /// `acknowledged` was loaded (seq_cst) before this call. report(table, key) hears, under no lock, of each key whose last
  /// version went and whose last change was a deletion. Returns how many versions went.
  template <class Report = NoGhostReport>
  std::uint64_t reclaim(Timestamp acknowledged, const SnapshotRegistry& registry, Report&& report = {}, std::uint64_t quantum = ~std::uint64_t{0}) {
    if (occupied_.load(std::memory_order_acquire) == 0) return 0;
    const Timestamp bound = registry.oldest(acknowledged);
    const std::uint64_t start = next_shard_.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < shard_count && count < quantum; ++i) {
      const std::size_t at = static_cast<std::size_t>((start + i) % shard_count);
      if (first_until_[at].load(std::memory_order_relaxed) > number(bound)) continue;
      Shard& shard = shards_[at];
      Version* dropped = nullptr;
      {
        const Guard lock{shard.mutex};
        for (; shard.first != nullptr && shard.first->until_ <= bound && count < quantum; ++count) drop(shard, shard.first, dropped);
      }
      finish(dropped, report);
    }
    return count;
  }

  /// The full pass: also drops versions in the middle, which ended at or below `acknowledged` and whose interval holds no
  /// snapshot. Its cost is that of all versions.
  template <class Report = NoGhostReport>
  std::uint64_t reclaim_all(Timestamp acknowledged, const SnapshotRegistry& registry, Report&& report = {}) {
    std::uint64_t count = 0;
    for (Shard& shard : shards_) {
      Version* dropped = nullptr;
      {
        const Guard lock{shard.mutex};
        for (Version* version = shard.first; version != nullptr && version->until_ <= acknowledged;) {
          Version* const later = version->later_;
          if (!registry.any_in(version->from_, version->until_)) drop(shard, version, dropped), ++count;
          version = later;
        }
      }
      finish(dropped, report);
    }
    return count;
  }

  bool over_cap(std::uint64_t extra_bytes = 0) const { return bytes_.load(std::memory_order_relaxed) + extra_bytes > cap_bytes_; }

  /// Gets below the cap, with room for `extra_bytes`: frees what nobody needs, then revokes the oldest snapshots below
  /// `acknowledged`, one after the other, and frees what only they needed. False: still above it, by commits that are not
  /// acknowledged yet; more will be free once they are.
  template <class Report = NoGhostReport>
  bool relieve(std::uint64_t extra_bytes, Timestamp acknowledged, SnapshotRegistry& registry, Report&& report = {}) {
    while (over_cap(extra_bytes)) {
      (void)reclaim_all(acknowledged, registry, report);
      if (!over_cap(extra_bytes)) break;
      const std::size_t revoked = registry.revoke_oldest(acknowledged);
      if (revoked == 0) return false;
      revoked_.fetch_add(revoked, std::memory_order_relaxed);
    }
    return true;
  }

  VersionStats stats() const {
    VersionStats stats{.bytes = bytes_.load(), .saved = saved_.load(), .reclaimed = reclaimed_.load(), .revoked = revoked_.load()};
    for (const Shard& shard : shards_) {
      const Guard lock{shard.mutex};
      stats.versions += shard.versions.load(std::memory_order_relaxed);
      stats.keys += shard.keys.load(std::memory_order_relaxed);
      stats.table_bytes += shard.bucket_count.load(std::memory_order_relaxed) * sizeof(Version*);
    }
    return stats;
  }

 private:
  static constexpr std::size_t shard_count = 64;
  static constexpr std::size_t first_buckets = 16;

  struct alignas(64) Shard {
    bool crowded() const { return keys.load(std::memory_order_relaxed) > bucket_count.load(std::memory_order_relaxed); }
    Version** place(std::uint64_t hash) const { return &buckets[(hash >> 6) & (bucket_count.load(std::memory_order_relaxed) - 1)]; }
    Version* find(std::uint64_t hash, TableId table, std::string_view key) const {
      for (Version* at = *place(hash); at != nullptr; at = at->next_key_)
        if (at->hash_ == hash && at->table_ == table && at->key() == key) return at;
      return nullptr;
    }
    bool grow(std::size_t count) {
      Owned<Version*[]> wider{new (std::nothrow) Version* [count] {}};
      if (!wider) return false;
      const std::size_t old_count = bucket_count.load(std::memory_order_relaxed);
      buckets.swap(wider);
      bucket_count.store(count, std::memory_order_relaxed);
      for (std::size_t i = 0; i < old_count; ++i)
        for (Version* version = wider[i]; version != nullptr;) {
          Version* const next = version->next_key_;
          Version** const to = place(version->hash_);
          version->next_key_ = *to;
          *to = version;
          version = next;
        }
      return true;
    }

    mutable Mutex mutex;                   // guards everything below; the atomics are also read without it
    Owned<Version*[]> buckets;        // the newest version of each key
    std::atomic<std::size_t> bucket_count{0};   // a power of two
    std::atomic<std::uint64_t> versions{0}, keys{0};
    Version* first = nullptr;                   // all versions of the shard, by rising until
    Version* last = nullptr;
  };

  explicit VersionStore(std::uint64_t cap_bytes) : cap_bytes_(cap_bytes) {
    for (auto& until : first_until_) until.store(~std::uint64_t{0}, std::memory_order_relaxed);
  }

  static std::uint64_t hash_of(TableId table, std::string_view key) { return hash_of_key(number(table), key); }
  Shard& shard_of(std::uint64_t hash) { return shards_[hash % shard_count]; }
  const Shard& shard_of(std::uint64_t hash) const { return shards_[hash % shard_count]; }

  template <class Answer, class Fn>
  Answer with_newest(TableId table, std::string_view key, Fn&& fn) const {
    const std::uint64_t hash = hash_of(table, key);
    const Shard& shard = shard_of(hash);
    if (shard.versions.load(std::memory_order_acquire) == 0) return fn(static_cast<const Version*>(nullptr));
    const Guard lock{shard.mutex};
    return fn(static_cast<const Version*>(shard.find(hash, table, key)));
  }

  // Puts the version on top of its key's chain and at the end of the shard's order.
  void insert(Shard& shard, Version* version) {
    Version** place = shard.place(version->hash_);
    while (*place != nullptr && !same_key(**place, *version)) place = &(*place)->next_key_;
    if (Version* const below = *place; below != nullptr) {
      version->from_ = below->until_;
      version->next_key_ = below->next_key_;
      version->older_ = below;
      version->newer_ = below->newer_;  // the oldest
      below->newer_ = version;
      below->next_key_ = nullptr;
    } else {
      version->newer_ = version;
      shard.keys.store(shard.keys.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    *place = version;
    version->earlier_ = shard.last;
    (shard.last == nullptr ? shard.first : shard.last->later_) = version;
    shard.last = version;
    bytes_.fetch_add(version->memory(), std::memory_order_relaxed);
    const std::uint64_t before = shard.versions.load(std::memory_order_relaxed);
    shard.versions.store(before + 1, std::memory_order_release);
    if (before == 0) {
      first_until_[index_of(shard)].store(number(version->until_), std::memory_order_relaxed);
      occupied_.fetch_add(1, std::memory_order_release);
    }
  }

  // Unlinks the version and puts it on the list `dropped`, linked by next_key_.
  void drop(Shard& shard, Version* version, Version*& dropped) {
    Version** place = shard.place(version->hash_);
    bool key_is_gone = false;
    if (version->newer_->older_ != version) {  // nothing is newer: the bucket names this one
      while (*place != version) place = &(*place)->next_key_;
      if (Version* const below = version->older_; below != nullptr) {
        below->newer_ = version->newer_;
        below->next_key_ = version->next_key_;
        below->replaced_.deleted = version->replaced_.deleted;  // a ghost outlives the version that tells of it
        *place = below;
      } else {
        *place = version->next_key_;
        shard.keys.store(shard.keys.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        key_is_gone = true;
      }
    } else {
      version->newer_->older_ = version->older_;
      if (version->older_ != nullptr)
        version->older_->newer_ = version->newer_;
      else
        newest_of(shard, *version)->newer_ = version->newer_;
    }
    (version->earlier_ == nullptr ? shard.first : version->earlier_->later_) = version->later_;
    (version->later_ == nullptr ? shard.last : version->later_->earlier_) = version->earlier_;
    bytes_.fetch_sub(version->memory(), std::memory_order_relaxed);
    first_until_[index_of(shard)].store(shard.first == nullptr ? ~std::uint64_t{0} : number(shard.first->until_), std::memory_order_relaxed);
    const std::uint64_t left = shard.versions.load(std::memory_order_relaxed) - 1;
    shard.versions.store(left, std::memory_order_release);
    if (left == 0) occupied_.fetch_sub(1, std::memory_order_release);
    version->replaced_.deleted = version->replaced_.deleted && key_is_gone;  // from here on: report it
    version->next_key_ = dropped;
    dropped = version;
  }

  static bool same_key(const Version& a, const Version& b) { return a.hash_ == b.hash_ && a.table_ == b.table_ && a.key() == b.key(); }
  static Version* newest_of(Shard& shard, const Version& version) { return shard.find(version.hash_, version.table_, version.key()); }
  std::size_t index_of(const Shard& shard) const { return static_cast<std::size_t>(&shard - shards_.data()); }

  // Reports and frees what was dropped; under no lock.
  template <class Report>
  void finish(Version* dropped, Report&& report) {
    std::uint64_t count = 0;
    for (; dropped != nullptr; ++count) {
      Version* const next = dropped->next_key_;
      if (dropped->replaced_.deleted) report(dropped->table_, dropped->key());
      Version::destroy(dropped);
      dropped = next;
    }
    if (count != 0) reclaimed_.fetch_add(count, std::memory_order_relaxed);
  }

  const std::uint64_t cap_bytes_;
  std::array<Shard, shard_count> shards_;
  std::array<std::atomic<std::uint64_t>, shard_count> first_until_;  // of each shard's oldest version; all ones: it has none
  std::atomic<std::uint64_t> occupied_{0};                           // shards that hold versions
  std::atomic<std::uint64_t> next_shard_{0};                         // where the next reclaimer begins
  std::atomic<std::uint64_t> bytes_{0}, saved_{0}, reclaimed_{0}, revoked_{0};
};

}  // namespace aegis::storage
