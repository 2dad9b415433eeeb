// SPDX-License-Identifier: Apache-2.0
// Keeps file space promised for every page that commits may dirty, so that a full disk refuses a commit before it is in
// the log and never stops a checkpoint. Commits draw on an allowance; only when it is used up the backend is asked.
#pragma once

#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

template <class Chosen>
class SpaceKeeper {
 public:
  using Parts = storage::Parts<Chosen>;

  explicit SpaceKeeper(Parts& parts) : parts_(parts) {}

  /// Before the commit section; `drawn` pages are to be given to done() when the commit has ended, one way or another.
  /// no_space: nothing was changed, and the transaction may be run again later.
  Result<void> reserve(std::size_t writes, std::size_t bytes, std::int64_t& drawn) {
    if constexpr (ReservableBackend<typename Parts::Backend>) {
      const auto pages = static_cast<std::int64_t>(most_pages(writes, bytes));
      under_way_.fetch_add(pages, std::memory_order_relaxed);
      drawn = pages;
      if (allowance_.fetch_sub(pages, std::memory_order_relaxed) >= pages) return {};
      return renew(pages);
    }
    return {};
  }
  void done(std::int64_t drawn) {
    if (drawn != 0) under_way_.fetch_sub(drawn, std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t batch_pages = (std::int64_t{1} << 20) / static_cast<std::int64_t>(Parts::page_bytes);
  static constexpr std::uint64_t page_cost = Parts::page_bytes + 512;

  /// A leaf and its split for every write, a split of each level above, the free-space map, and the long values.
  static std::size_t most_pages(std::size_t writes, std::size_t bytes) {
    return 2 * writes + 12 + bytes / (Parts::page_bytes / 2);
  }

  /// Promises room for what is dirty, for what commits under way may dirty, and for a batch more; what was written
  /// meanwhile needs no promise any more.
  Result<void> renew(std::int64_t pages) {
    const Guard lock(mutex_);
    if (allowance_.load(std::memory_order_relaxed) >= pages) {  // another commit renewed it meanwhile
      allowance_.fetch_sub(pages, std::memory_order_relaxed);
      return {};
    }
    const std::int64_t expected = under_way_.load(std::memory_order_relaxed) + batch_pages;
    const std::uint64_t wanted = (parts_.pool->dirty_pages() + static_cast<std::uint64_t>(expected)) * page_cost;
    if (wanted < promised_) {
      parts_.backend.release(promised_ - wanted);
      promised_ = wanted;
    }
    AEGIS_TRY(parts_.backend.reserve(wanted - promised_));  // also with 0: room that was written to is promised anew
    promised_ = wanted;
    allowance_.store(batch_pages, std::memory_order_relaxed);
    return {};
  }

  Parts& parts_;
  std::atomic<std::int64_t> allowance_{0};  // pages that may be dirtied before the backend is asked again
  std::atomic<std::int64_t> under_way_{0};  // pages drawn by commits that have not ended
  Mutex mutex_;
  std::uint64_t promised_ = 0;              // by the backend, under mutex_
};

}  // namespace aegis::storage
