// SPDX-License-Identifier: Apache-2.0
// Keeps file space promised for every page that commits may dirty, so that a full disk refuses a commit before it is in
// the log and never stops a checkpoint. Commits draw on an allowance; only when it is used up the backend is asked. Where the
// disk is full, what lies free in the file is rationed: putting rows leaves a reserve, of which freeing lives.
#pragma once

#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/engine/checkpoint.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

/// What space is for. What only frees (rows that are erased, a table that is dropped) may use the reserve.
enum class SpaceFor : std::uint8_t { rows, freeing };

/// The promise on a full disk, on files, without a codec or cipher, with pages of at most 8 KiB and a log of at least 1 MiB:
/// a transaction that only erases rows, of a dozen leaves at most, commits, and the dropping of a table succeeds, again and
/// again, whatever others do to the disk, also after a close and reopening; rows can be put in what was freed but for the
/// reserve. Larger erases get no_space when their pages do not fit in what is free; nothing was changed then, and smaller ones
/// go on. It rests on this:
///  1. What lies free in the file, in runs that a page fits in, is at least what dirty pages take, twice (a recovery may merge
///     what this life had not yet merged), and what commits under way may dirty, and the map blocks above all of these.
///  2. A checkpoint returns as many runs as it took: each page that it writes leaves a place of the same size.
///  3. trim() leaves such a reserve in the file when the store is closed, and putting rows never draws on it.
template <class Chosen>
class SpaceKeeper {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;

  SpaceKeeper(Parts& parts, Checkpointer<Chosen>& checkpointer) : parts_(parts), checkpointer_(checkpointer) {
    if constexpr (rations) parts_.backend.ration();
  }

  /// Before the commit section; `drawn` pages are to be given to done() when the commit has ended, one way or another. May run
  /// a checkpoint, which gives room back. no_space: nothing was changed, and the transaction may be run again later.
  Result<void> reserve(std::size_t writes, std::size_t bytes, std::int64_t& drawn, SpaceFor purpose = SpaceFor::rows) {
    if constexpr (ReservableBackend<typename Parts::Backend>) {
      const auto pages = static_cast<std::int64_t>(most_pages(writes, bytes));
      for (int attempt = 0;; ++attempt) {
        const std::uint64_t seen = checkpointer_.completed();
        const Result<void> got = draw(pages, purpose);
        if (got) drawn = pages;
        if (got || got.error().code() != Errc::no_space || attempt == most_attempts) return got;
        const bool alone = under_way_.load(std::memory_order_relaxed) == 0;
        if (checkpoint_helps()) AEGIS_TRY(checkpointer_.run_unless_newer(seen));
        else if (alone) return got;
        else AEGIS_TRY(parts_.wal->sync_to(parts_.wal->end()));  // what others have drawn comes back when they have committed
      }
    }
    return {};
  }
  void done(std::int64_t drawn) {
    if (drawn != 0) under_way_.fetch_sub(drawn, std::memory_order_relaxed);
  }

  /// Whether the disk was full when it was last asked, or was not asked yet in this life.
  bool is_scarce() const { return rations && scarce_.load(std::memory_order_relaxed); }
  /// How many of `ghosts` can be purged in the room there is, none perhaps.
  std::size_t draw_for_purge(std::size_t ghosts, std::int64_t& drawn) {
    if constexpr (rations) {
      for (; ghosts != 0; ghosts /= 4) {
        const auto pages = static_cast<std::int64_t>(most_pages(ghosts, 0));
        if (!draw(pages, SpaceFor::freeing)) continue;
        drawn = pages;
        break;
      }
    }
    return ghosts;
  }

 private:
  static constexpr bool rations = RationedBackend<typename Parts::Backend>;
  static constexpr std::int64_t batch_pages = (std::int64_t{1} << 20) / static_cast<std::int64_t>(Parts::page_bytes);
  static constexpr std::uint64_t page_cost = Parts::page_bytes + 512;
  static constexpr std::uint64_t reserve_pages = 96;  // for freeing
  static constexpr int most_attempts = 16;
  static constexpr std::uint64_t erase_quantum = 32;  // pages that are freed beside those that are drawn

  /// A leaf and its split for every write, a split of each level above, the free-space map, and the long values.
  static std::size_t most_pages(std::size_t writes, std::size_t bytes) {
    return 2 * writes + 12 + bytes / (Parts::page_bytes / 2);
  }

  Result<void> draw(std::int64_t pages, SpaceFor purpose) {
    under_way_.fetch_add(pages, std::memory_order_relaxed);
    if (allowance_.fetch_sub(pages, std::memory_order_relaxed) >= pages) return {};
    under_way_.fetch_sub(pages, std::memory_order_relaxed);
    const Guard lock(mutex_);
    AEGIS_TRY(renew(pages, purpose));
    under_way_.fetch_add(pages, std::memory_order_relaxed);
    return {};
  }

  /// Promises room for what is dirty, for what commits under way may dirty, and for a batch more; what was written
  /// meanwhile needs no promise any more. On a full disk without the batch, and then from what is free in the file.
  Result<void> renew(std::int64_t pages, SpaceFor purpose) {
    if (allowance_.load(std::memory_order_relaxed) >= pages) {  // another commit renewed it meanwhile
      allowance_.fetch_sub(pages, std::memory_order_relaxed);
      return {};
    }
    Result<void> promised = promise(pages + batch_pages);
    if (promised) allowance_.store(batch_pages, std::memory_order_relaxed);
    scarce_.store(!promised, std::memory_order_relaxed);
    if (promised || promised.error().code() != Errc::no_space) return promised;
    allowance_.store(0, std::memory_order_relaxed);
    promised = promise(pages);
    if constexpr (rations)
      if (!promised && promised.error().code() == Errc::no_space && has_room(pages, purpose)) return {};
    return promised;
  }
  Result<void> promise(std::int64_t more_pages) {
    const std::int64_t expected = under_way_.load(std::memory_order_relaxed) + more_pages;
    const std::uint64_t wanted = (parts_.pool->dirty_pages() + static_cast<std::uint64_t>(expected)) * page_cost;
    if (wanted < promised_) {
      parts_.backend.release(promised_ - wanted);
      promised_ = wanted;
    }
    AEGIS_TRY(parts_.backend.reserve(wanted - promised_));  // also with 0: room that was written to is promised anew
    promised_ = wanted;
    return {};
  }

  bool has_room(std::int64_t more_pages, SpaceFor purpose) {
    const std::uint64_t pages = 2 * parts_.pool->dirty_pages() + static_cast<std::uint64_t>(under_way_.load(std::memory_order_relaxed) + more_pages);
    return parts_.backend.has_room({.writes = pages + (purpose == SpaceFor::rows ? reserve_pages : 0),
                                    .erases = erases() + erase_quantum,
                                    .block_bytes = Parts::page_bytes,
                                    .last = block_of(PageId{parts_.pool->page_count()})});
  }
  /// That the next checkpoint will make.
  std::uint64_t erases() const {
    const std::uint64_t before = checkpointer_.pages_at_cut(), now = parts_.allocator->used_pages();
    return before > now ? before - now : 0;
  }
  /// Something is dirty, or was written and keeps its old place until then, or is to be erased.
  bool checkpoint_helps() {
    Token token = parts_.pool->section().enter();
    parts_.allocator->release(token, parts_.manager.snapshots().oldest(parts_.acknowledged()));
    const bool replaces = parts_.pool->dirty_pages() != 0 || parts_.pool->write_backs() != checkpointer_.write_backs_at_seal();
    return replaces || erases() > parts_.allocator->withheld();
  }

  Parts& parts_;
  Checkpointer<Chosen>& checkpointer_;
  std::atomic<std::int64_t> allowance_{0};  // pages that may be dirtied before the backend is asked again
  std::atomic<std::int64_t> under_way_{0};  // pages drawn by commits that have not ended
  std::atomic<bool> scarce_{true};
  Mutex mutex_;
  std::uint64_t promised_ = 0;              // by the backend, under mutex_
};

}  // namespace aegis::storage
