// SPDX-License-Identifier: Apache-2.0
// The frames of a pool: memory, translation, pins, eviction order. A pinned frame keeps its page. Finding and pinning
// take no lock; giving a frame another page happens under the mutex. Order: latch, then mutex; under the mutex latches
// are only tried. Frames that nobody pins are latched by nobody, since whoever latches has pinned before.
#pragma once

#include <aegis/storage/buffer/arena.hpp>
#include <aegis/storage/buffer/frame.hpp>
#include <aegis/storage/buffer/translation.hpp>
#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/condition.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/page/page.hpp>

#include <new>
#include <optional>
#include <utility>

namespace aegis::storage {

template <EvictionPolicy Eviction, LatchPolicy Latch, std::size_t PageSize>
class FrameStore {
 public:
  using PageType = Page<PageSize>;
  using FrameType = Frame<Latch>;
  using Lock = Guard<Mutex>;

  Result<void> open(std::size_t frames) {
    AEGIS_TRY(Arena pages, Arena::map(frames * PageSize));
    pages_ = std::move(pages);
    AEGIS_TRY(table_.open());
    AEGIS_TRY(eviction_.resize(frames));
    frames_.reset(new (std::nothrow) FrameType[frames]);
    free_.reset(new (std::nothrow) FrameIndex[frames]);
    if (!frames_ || !free_) return Errc::out_of_memory;
    count_ = free_count_ = frames;
    for (std::size_t i = 0; i < frames; ++i) free_[i] = static_cast<FrameIndex>(frames - 1 - i);
    return {};
  }

  std::size_t count() const { return count_; }
  FrameType& frame(FrameIndex index) { return frames_[index]; }
  const FrameType& frame(FrameIndex index) const { return frames_[index]; }
  PageType& page(FrameIndex index) { return *reinterpret_cast<PageType*>(pages_.data() + std::size_t{index} * PageSize); }
  std::optional<FrameIndex> find(PageId id) const { return table_.find(id); }
  Eviction& eviction() { return eviction_; }
  const TranslationTable& table() const { return table_; }
  bool huge_pages() const { return pages_.huge_pages(); }

  /// Pins the frame that holds the page, once it is loaded. Nothing when the page has no frame; the caller looks again
  /// under the mutex then, which waits for whoever is just moving it.
  std::optional<FrameIndex> pin(PageId id, PinKind kind) {
    for (;;) {
      const auto found = find(id);
      if (!found || !frames_[*found].pin(kind)) return std::nullopt;
      FrameType& frame = frames_[*found];
      if (frame.holds(id) && frame.loading.load(std::memory_order_acquire)) {
        frame.latch.lock_shared();
        frame.latch.unlock_shared();
      }
      if (frame.holds(id)) return found;
      unpin(*found, kind);
    }
  }
  void unpin(FrameIndex index, PinKind kind) {
    frames_[index].pins.fetch_sub(static_cast<std::uint64_t>(kind), std::memory_order_seq_cst);
    wake();
  }

  Lock lock() { return Lock{mutex_}; }

  /// Something changed that a waiter may wait for. Costs one load when nobody waits.
  void wake() {
    if (waiters_.load(std::memory_order_seq_cst) == 0) return;
    { const Lock lock{mutex_}; }
    changed_.notify_all();
  }
  void wake(const Lock&) {
    if (waiters_.load(std::memory_order_relaxed) != 0) changed_.notify_all();
  }
  /// Sleeps until wake(), unless `still` says, after the waiter was announced, that there is nothing to wait for.
  template <class Still>
  void wait(Lock& lock, Still&& still) {
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    if (still()) changed_.wait(lock);
    waiters_.fetch_sub(1, std::memory_order_relaxed);
  }
  /// For what changes under the mutex only.
  void wait(Lock& lock) {
    wait(lock, [] { return true; });
  }

  // Under the mutex. A claimed frame is latched exclusively and has no page; publish() or give_back() must follow
  // before the mutex is released.

  std::optional<FrameIndex> claim_free() {
    for (std::size_t i = free_count_; i-- > 0;) {
      const FrameIndex index = free_[i];
      if (!frames_[index].claim()) continue;  // a late visitor has not left yet
      free_[i] = free_[--free_count_];
      latch_claimed(index);
      return index;
    }
    return std::nullopt;
  }
  template <class Evictable>
  std::optional<FrameIndex> victim(Evictable&& evictable) {
    return eviction_.victim([&](FrameIndex index) {
      return frames_[index].pins.load(std::memory_order_seq_cst) == 0 && evictable(frames_[index]);
    });
  }
  /// Takes its clean page from a frame. False: somebody pinned it meanwhile, or changed the page.
  bool claim(FrameIndex index) {
    FrameType& frame = frames_[index];
    if (!frame.claim()) return false;
    if (frame.dirty.load(std::memory_order_relaxed) != clean) {
      frame.pins.store(0, std::memory_order_seq_cst);
      return false;
    }
    AEGIS_ASSERT(!frame.writing);
    latch_claimed(index);
    detach(index);
    return true;
  }
  /// The frame has a page; a victim may have lost it while the mutex was released.
  bool claimable(FrameIndex index) const { return frames_[index].page.load(std::memory_order_relaxed) != FrameType::no_page; }
  Result<void> ensure(PageId id) { return table_.ensure(id); }
  /// The page has this frame now, still latched exclusively, pinned once.
  void publish(FrameIndex index, PageId id, PinKind kind, bool loading) {
    FrameType& frame = frames_[index];
    frame.loading.store(loading, std::memory_order_relaxed);
    frame.page.store(number(id), std::memory_order_release);
    eviction_.admit(index);
    frame.pins.store(static_cast<std::uint64_t>(kind), std::memory_order_seq_cst);
    table_.set(id, index);
  }
  void give_back(FrameIndex index) {
    free_[free_count_++] = index;
    frames_[index].pins.store(0, std::memory_order_seq_cst);
    frames_[index].latch.unlock();
  }
  /// A page that could not be loaded leaves nothing behind. The caller holds latch and pin; both go.
  void retract(FrameIndex index, PinKind kind) {
    const Lock lock{mutex_};
    detach(index);
    free_[free_count_++] = index;
    frames_[index].loading.store(false, std::memory_order_relaxed);
    frames_[index].latch.unlock();
    frames_[index].pins.fetch_sub(static_cast<std::uint64_t>(kind), std::memory_order_seq_cst);
    wake(lock);
  }
  std::size_t free_count() const { return free_count_; }

 private:
  void latch_claimed(FrameIndex index) {
    const bool latched = frames_[index].latch.try_lock();
    AEGIS_ASSERT(latched);
  }
  void detach(FrameIndex index) {
    FrameType& frame = frames_[index];
    table_.clear(PageId{frame.page.load(std::memory_order_relaxed)});
    frame.page.store(FrameType::no_page, std::memory_order_release);
    eviction_.remove(index);
  }

  Arena pages_;                            // count_ pages; never unmapped while the store lives
  Owned<FrameType[]> frames_;    // header of page i
  Owned<FrameIndex[]> free_;     // the first free_count_ are frames without a page
  std::size_t count_ = 0, free_count_ = 0;
  TranslationTable table_;                 // names a frame only while that frame's `page` names the page
  Eviction eviction_;                      // admitted: exactly the frames with a page
  Mutex mutex_;
  Condition changed_;
  std::atomic<std::uint32_t> waiters_{0};  // raised before the last look at what is waited for
};

}  // namespace aegis::storage
