// SPDX-License-Identifier: Apache-2.0
// The work that keeps an engine within its bounds: log space, version memory, file space, ghosts, freed pages. Committers
// ask for room here and, with the maintenance thread off, do the work in small quanta; with it on, they mostly wake it.
#pragma once

#include <aegis/storage/engine/checkpoint.hpp>
#include <aegis/storage/engine/ghost_queue.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/space_keeper.hpp>

#include <atomic>

namespace aegis::storage {

template <class Chosen>
class Upkeep {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;

  Upkeep(Parts& parts, Checkpointer<Chosen>& checkpointer) : parts_(parts), checkpointer_(checkpointer), space_(parts, checkpointer) {}

  /// Before a commit reserves anything: what is overdue and nobody else does.
  Result<void> before_commit() {
    if (!has_thread_.load(std::memory_order_relaxed)) AEGIS_TRY(work_if_due());
    if (ghosts_.size() >= many_ghosts) AEGIS_TRY(purge(ghost_quantum));
    return {};
  }

  /// Room in the log, after a checkpoint if there is none. too_large for what the log can never take, no_space for what it
  /// cannot take on a disk as full as this.
  Result<void> reserve_log(std::uint64_t payload_bytes) {
    for (int attempt = 0; attempt < log_attempts; ++attempt) {
      const std::uint64_t seen = checkpointer_.completed();
      const Result<void> reserved = parts_.wal->reserve(payload_bytes);
      if (reserved || (reserved.error().code() != Errc::busy && reserved.error().code() != Errc::no_space)) return reserved;
      if (reserved.error().code() == Errc::no_space && attempt != 0) return reserved;  // the segments that there are cannot take it
      AEGIS_TRY(checkpointer_.run_unless_newer(seen));
    }
    return Error{Errc::too_large, "transaction for this log, bytes", payload_bytes};
  }
  /// Room for replaced versions: the oldest snapshots give way, and if only commits that are not durable yet hold the
  /// memory, they are made durable first.
  Result<void> reserve_versions(std::size_t bytes) {
    VersionStore& versions = parts_.manager.versions();
    for (int attempt = 0; versions.over_cap(bytes) && attempt < 2; ++attempt) {
      if (versions.relieve(bytes, parts_.acknowledged(), parts_.manager.snapshots(), ghost_report())) break;
      AEGIS_TRY(parts_.wal->sync_to(parts_.wal->end()));
    }
    return {};
  }
  SpaceKeeper<Chosen>& space() { return space_; }

  /// In the section: pages that no snapshot can read any more may be used again.
  void release_pages(Token& token) {
    if (parts_.allocator->withheld() != 0) parts_.allocator->release(token, parts_.manager.snapshots().oldest(parts_.acknowledged()));
  }

  void after_commit() {
    (void)parts_.manager.versions().reclaim(parts_.acknowledged(), parts_.manager.snapshots(), ghost_report(), version_quantum);
  }

  /// True when the maintenance thread should look.
  bool is_due(Lsn log_end) const { return log_end - checkpointer_.lsn() > parts_.options.log_bytes / 2 || ghosts_.size() >= ghost_quantum; }

  /// What the maintenance thread does when woken, and committers without one.
  Result<void> work_if_due() {
    AEGIS_TRY(parts_.healthy());
    if (parts_.wal->end() - checkpointer_.lsn() > parts_.options.log_bytes / 2) AEGIS_TRY(checkpointer_.run_unless_newer(checkpointer_.completed()));
    return purge(ghost_quantum);
  }
  Result<void> background_round() {
    if (checkpoint_owed_.exchange(false, std::memory_order_relaxed)) AEGIS_TRY(checkpointer_.run());
    if (parts_.wal->spare_due()) (void)parts_.wal->prepare_spare();
    (void)parts_.manager.versions().reclaim(parts_.acknowledged(), parts_.manager.snapshots(), ghost_report());
    AEGIS_TRY(work_if_due());
    if constexpr (!Parts::Durability::wait) AEGIS_TRY(parts_.wal->sync_to(parts_.wal->end()));
    AEGIS_TRY(parts_.pool->write_back(write_back_quantum));
    if (parts_.allocator->withheld() == 0) return {};
    Token token = parts_.pool->section().enter();
    release_pages(token);
    return {};
  }

  /// Waits until `snapshot` is acknowledged, so that what was read cannot be taken back.
  Result<void> await_acknowledged(Timestamp snapshot) {
    if (parts_.acknowledged() >= snapshot) return {};
    AEGIS_TRY(parts_.healthy());
    return parts_.wal->sync_to(parts_.wal->end());
  }

  /// Removes up to `count` ghosts, with whatever else may go from their leaves; fewer on a full disk.
  Result<void> purge(std::size_t count) {
    if (ghosts_.size() == 0) return {};
    std::int64_t drawn = 0;
    if (space_.is_scarce()) count = space_.draw_for_purge(count, drawn);
    const Result<void> done = count != 0 ? purge_some(count) : Result<void>{};
    space_.done(drawn);
    return done;
  }

  /// Queues a ghost unless very many wait already: scans will meet it again.
  void purge_later(TableId table, std::string_view key) {
    if (ghosts_.size() < many_ghosts / 2) ghosts_.add(table, key);
  }

  /// After a recovery, so that the next one does not begin with the same log: at once, or in the thread's next round, for which
  /// it is to be woken, while the store is in use already. Should that fail, another follows when the log is long enough.
  Result<void> checkpoint_recovery() {
    if (!has_thread_.load(std::memory_order_relaxed)) return checkpointer_.run();
    checkpoint_owed_.store(true, std::memory_order_relaxed);
    return {};
  }

  void set_has_thread(bool has) { has_thread_.store(has, std::memory_order_relaxed); }
  std::size_t ghosts() const { return ghosts_.size(); }
  auto ghost_report() {
    return [this](TableId table, std::string_view key) { ghosts_.add(table, key); };
  }

 private:
  static constexpr int log_attempts = 64;
  static constexpr std::size_t ghost_quantum = 64, many_ghosts = 4096;
  static constexpr std::size_t write_back_quantum = 64;
  static constexpr std::uint64_t version_quantum = 64;

  Result<void> purge_some(std::size_t count) {
    Token token = parts_.pool->section().enter();
    AEGIS_TRY(parts_.healthy());
    const Timestamp now = parts_.manager.next_timestamp(token);
    for (std::size_t i = 0; i < count; ++i) {
      const auto ghost = ghosts_.take();
      if (!ghost) break;
      const TableInfo* const info = parts_.tables.find(ghost->table);
      if (info == nullptr || !info->state_is(TableState::open)) continue;
      const auto unneeded = [&](std::string_view key) { return !parts_.manager.versions().holds(ghost->table, key); };
      AEGIS_TRY(parts_.tree->purge_leaf(token, info->root, ghost->key(), now, unneeded));
    }
    release_pages(token);
    return {};
  }

  Parts& parts_;
  Checkpointer<Chosen>& checkpointer_;
  SpaceKeeper<Chosen> space_;
  GhostQueue ghosts_;
  std::atomic<bool> has_thread_{false}, checkpoint_owed_{false};
};

}  // namespace aegis::storage
