// SPDX-License-Identifier: Apache-2.0
// The smallest thing a tree can stand on: pages in memory behind the pool's interface, each with a plain latch, and an
// allocator that withholds freed pages until told. Knows what a real pool cannot tell: who holds how many pages at once.
#pragma once

#include <aegis/storage/buffer/commit_section.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/latch/plain.hpp>
#include <aegis/storage/page/page.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <utility>
#include <vector>

namespace aegis_test {

namespace storage = aegis::storage;

template <std::size_t PageSize>
class TinyPool {
 public:
  using PageType = storage::Page<PageSize>;
  class Token {};

 private:
  struct Frame {
    PageType page{};
    storage::PlainLatch latch;
  };

 public:
  class ExclusiveHandle {
   public:
    ExclusiveHandle(TinyPool& pool, Frame& frame) : pool_(&pool), frame_(&frame) {
      frame.latch.lock();
      pool.held_ += 1;
      pool.most_held_ = pool.held_ > pool.most_held_ ? pool.held_ : pool.most_held_;
    }
    ExclusiveHandle(ExclusiveHandle&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), frame_(other.frame_) {}
    ExclusiveHandle& operator=(ExclusiveHandle&&) = delete;
    ~ExclusiveHandle() {
      if (pool_ == nullptr) return;
      pool_->held_ -= 1;
      frame_->latch.unlock();
    }
    PageType& page() const { return frame_->page; }

   private:
    TinyPool* pool_;
    Frame* frame_;
  };
  class Pin {};

  template <class Fn>
  auto read(storage::PageId id, Fn&& fn) -> storage::Result<std::invoke_result_t<Fn&, const PageType&>> {
    Frame* frame = find(id);
    if (frame == nullptr) return storage::Error{storage::Errc::corrupt_page, "page", storage::number(id)};
    const std::shared_lock lock{frame->latch};
    return fn(std::as_const(frame->page));
  }
  storage::Result<ExclusiveHandle> exclusive(Token&, storage::PageId id) {
    Frame* frame = find(id);
    if (frame == nullptr) return storage::Error{storage::Errc::corrupt_page, "page", storage::number(id)};
    if (fail_after_ == 0) return storage::Errc::pool_exhausted;
    if (fail_after_ > 0) --fail_after_;
    return ExclusiveHandle{*this, *frame};
  }
  storage::Result<ExclusiveHandle> create(Token&, storage::PageId id) {
    if (fail_after_ == 0) return storage::Errc::pool_exhausted;
    if (fail_after_ > 0) --fail_after_;
    Frame* frame = nullptr;
    {
      const std::unique_lock lock{mutex_};
      auto& slot = frames_[storage::number(id)];
      if (!slot) slot = std::make_unique<Frame>();
      frame = slot.get();
    }
    ExclusiveHandle handle{*this, *frame};
    handle.page() = PageType{};
    return handle;
  }
  storage::Result<Pin> pin(storage::PageId) { return Pin{}; }
  void discard(Token&, storage::PageId) {}
  std::uint64_t page_count() const { return 1u << 20; }

  storage::CommitSection& section() { return section_; }

  int most_held() const { return most_held_; }
  /// The n-th exclusive or created page from now fails; -1: none does.
  void fail_after(int n) { fail_after_ = n; }

 private:
  Frame* find(storage::PageId id) {
    const std::shared_lock lock{mutex_};
    const auto found = frames_.find(storage::number(id));
    return found == frames_.end() ? nullptr : found->second.get();
  }

  storage::CommitSection section_;  // never entered: tests change trees from one thread
  std::shared_mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<Frame>> frames_;
  int held_ = 0, most_held_ = 0, fail_after_ = -1;
};

template <class Pool>
class TinyAllocator {
 public:
  using Token = typename Pool::Token;

  storage::Result<storage::PageId> allocate(Token&) {
    if (fail_after_ == 0) return storage::Errc::no_space;
    if (fail_after_ > 0) --fail_after_;
    std::uint64_t id = next_;
    if (free_.empty())
      ++next_;
    else
      id = *free_.begin(), free_.erase(free_.begin());
    used_.insert(id);
    return storage::PageId{id};
  }
  storage::Result<void> free(Token&, storage::PageId page, storage::Timestamp at) {
    if (used_.erase(storage::number(page)) != 1) return storage::Error{storage::Errc::corrupt_page, "freed twice, page", storage::number(page)};
    withheld_.emplace_back(storage::number(page), at);
    return {};
  }
  storage::Result<void> expect_frees(std::uint64_t) { return {}; }
  void release(storage::Timestamp oldest) {
    std::vector<std::pair<std::uint64_t, storage::Timestamp>> kept;
    for (const auto& [page, at] : withheld_) {
      if (at <= oldest)
        free_.insert(page);
      else
        kept.emplace_back(page, at);
    }
    withheld_ = kept;
  }
  std::uint64_t used_pages() const { return used_.size(); }
  bool in_use(storage::PageId page) const { return used_.count(storage::number(page)) == 1; }
  void fail_after(int n) { fail_after_ = n; }

 private:
  std::uint64_t next_ = 2;
  std::set<std::uint64_t> used_, free_;
  std::vector<std::pair<std::uint64_t, storage::Timestamp>> withheld_;
  int fail_after_ = -1;
};

}  // namespace aegis_test
