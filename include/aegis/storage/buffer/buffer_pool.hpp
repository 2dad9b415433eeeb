// SPDX-License-Identifier: Apache-2.0
// Pages in memory: page n is block n. Reads go through an optimistic latch without lock, allocation, hash or shared
// write; changes happen in the commit section only. A page is never loaded twice, a pinned one never evicted, a dirty
// one written before its frame is reused. Any thread, unless a call takes the section's token.
#pragma once

#include <aegis/storage/buffer/commit_section.hpp>
#include <aegis/storage/buffer/frame_store.hpp>
#include <aegis/storage/buffer/page_handle.hpp>
#include <aegis/storage/buffer/page_io.hpp>
#include <aegis/storage/buffer/page_loader.hpp>
#include <aegis/storage/buffer/pool_options.hpp>
#include <aegis/storage/buffer/pool_stats.hpp>
#include <aegis/storage/buffer/write_back.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/codec/none.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/eviction/lru.hpp>
#include <aegis/storage/latch/optimistic.hpp>

#include <type_traits>
#include <utility>

namespace aegis::storage {

template <BackendPolicy Backend, CodecPolicy Codec = NoCodec, ChecksumPolicy Checksum = Xxh3Checksum, EvictionPolicy Eviction = LruEviction,
          LatchPolicy Latch = OptimisticLatch, std::size_t PageSize = 8192, CipherPolicy Cipher = NoCipher>
class BufferPool {
  using Frames = FrameStore<Eviction, Latch, PageSize>;
  using Io = PageIo<Backend, Codec, Checksum, Cipher, PageSize>;
  using Writes = WriteBack<Frames, Io, PageSize>;
  using Lock = typename Frames::Lock;

 public:
  using PageType = Page<PageSize>;
  using PageBlock = typename Io::PageBlock;
  using Token = CommitSection::Token;
  using Pin = storage::Pin<Frames>;
  using SharedHandle = storage::SharedHandle<Frames>;
  using PageHandle = SharedHandle;  ///< The usual one: to read. ExclusiveHandle is to change.
  using ExclusiveHandle = storage::ExclusiveHandle<Frames>;
  static constexpr std::size_t page_size_bytes = PageSize;

  /// The backend must outlive the pool. out_of_memory.
  static Result<Owned<BufferPool>> open(Backend& backend, PoolOptions options = {}, PageBlock block = PageBlock{}) {
    if (backend.max_block_bytes() < PageSize + Cipher::overhead) return Error{Errc::invalid_argument, "page of bytes for this backend", PageSize};
    const std::size_t wanted = options.frames != 0 ? options.frames : options.bytes / PageSize;
    const std::size_t frames = std::min(std::max(wanted, PoolOptions::min_frames), PoolOptions::max_frames);
    Owned<BufferPool> pool{new (std::nothrow) BufferPool(Io{backend, std::move(block)})};
    if (!pool) return Errc::out_of_memory;
    AEGIS_TRY(pool->frames_.open(frames));
    AEGIS_TRY(pool->writes_.open(std::min<std::size_t>(std::max<std::size_t>(frames / 8, 2), 8), std::max<std::size_t>(options.copy_buffers, 1)));
    return pool;
  }
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  CommitSection& section() { return section_; }

  /// fn(const PageType&) on one consistent state of the page; its value. With an optimistic latch fn may run several
  /// times, also on bytes that are just being changed: it must be pure, check every offset before use and give values.
  /// Ids at or above page_count() are corrupt_page. Pins nothing afterwards.
  template <class Fn>
  auto read(PageId id, Fn&& fn) -> Result<std::invoke_result_t<Fn&, const PageType&>> {
    FrameVersion version;
    return read_versioned(id, fn, version);
  }
  /// The same; `version` says where, and is unchanged() until somebody may change the page or it leaves its frame.
  template <class Fn>
  auto read_versioned(PageId id, Fn&& fn, FrameVersion& version) -> Result<std::invoke_result_t<Fn&, const PageType&>> {
    if constexpr (Latch::optimistic) {
      for (int attempt = 0; attempt < optimistic_attempts; ++attempt) {
        const auto index = number(id) < page_count() ? frames_.find(id) : std::nullopt;
        if (!index) break;
        const auto& frame = frames_.frame(*index);
        const auto begun = frame.latch.begin_read();
        if (!begun || !frame.holds(id)) continue;
        auto value = [&] {
          const typename Latch::RacyReads racy;
          return fn(std::as_const(frames_.page(*index)));
        }();
        if (!frame.latch.validate(*begun)) continue;
        version = {*index, *begun};
        loader_.count_hit(*index);
        return value;
      }
    }
    AEGIS_TRY(FramePin<Frames> pin, acquire(id, PinKind::transient));
    const SharedHandle handle{std::move(pin)};
    version = handle.version();
    return fn(handle.page());
  }
  /// True: the page is where it was and as it was when `version` was taken.
  bool unchanged(PageId id, FrameVersion version) {
    if (version.frame >= frames_.count()) return false;
    auto& frame = frames_.frame(version.frame);
    if constexpr (Latch::optimistic) {
      return frame.holds(id) && frame.latch.validate(version.version);
    } else {
      if (!frame.latch.try_lock_shared()) return false;
      const bool same = frame.holds(id) && frame.latch.version() == version.version;
      frame.latch.unlock_shared();
      return same;
    }
  }

  /// Waits for whoever changes the page. pool_exhausted: handles of the user hold every frame.
  Result<SharedHandle> shared(PageId id) {
    AEGIS_TRY(FramePin<Frames> pin, acquire(id, PinKind::handle));
    return SharedHandle{std::move(pin)};
  }
  Result<Pin> pin(PageId id) {
    AEGIS_TRY(FramePin<Frames> pin, acquire(id, PinKind::handle));
    return Pin{std::move(pin)};
  }
  /// Loads the page if that needs no waiting for a frame.
  void prefetch(PageId id) {
    if (number(id) >= page_count() || frames_.find(id)) return;
    loader_.prefetch(id);
  }

  /// The page to change; it counts as changed in the current epoch from now on.
  Result<ExclusiveHandle> exclusive(Token& token, PageId id) {
    AEGIS_ASSERT(token.is_of(section_));
    AEGIS_TRY(FramePin<Frames> pin, acquire(id, PinKind::section));
    return latch_dirty(std::move(pin));
  }
  /// A frame of zeros for a page that is new, or free until now: nothing is read.
  Result<ExclusiveHandle> create(Token& token, PageId id) {
    AEGIS_ASSERT(token.is_of(section_));
    if (number(id) >= page_count()) return beyond(id);
    for (;;) {
      if (const auto found = frames_.pin(id, PinKind::section)) {
        ExclusiveHandle handle = latch_dirty(FramePin<Frames>{frames_, *found, PinKind::section});
        std::memset(handle.page().bytes().data(), 0, PageSize);
        return handle;
      }
      Lock lock = frames_.lock();
      AEGIS_TRY(const auto index, loader_.take_for(lock, id, PinKind::section, true));
      if (!index) continue;
      frames_.publish(*index, id, PinKind::section, false);
      lock.unlock();
      writes_.mark_dirty(frames_.frame(*index));
      std::memset(frames_.page(*index).bytes().data(), 0, PageSize);
      return ExclusiveHandle{FramePin<Frames>{frames_, *index, PinKind::section}};
    }
  }
  /// The page was freed: what the frame holds is not written any more, except for a running checkpoint.
  void discard(Token& token, PageId id) {
    AEGIS_ASSERT(token.is_of(section_));
    const auto index = frames_.pin(id, PinKind::section);
    if (!index) return;
    writes_.settle(*index);
    writes_.mark_clean(frames_.frame(*index));
    frames_.unpin(*index, PinKind::section);
    const Lock lock = frames_.lock();
    if (frames_.frame(*index).holds(id) && frames_.claim(*index)) {
      frames_.give_back(*index);
      frames_.wake(lock);
    }
  }

  std::uint64_t page_count() const { return page_count_.load(std::memory_order_acquire); }
  void set_page_count(Token& token, std::uint64_t count) {
    AEGIS_ASSERT(token.is_of(section_));
    page_count_.store(count, std::memory_order_release);
  }

  /// From now on changes belong to a new epoch; what is dirty belongs to the checkpoint that this begins. Returns the
  /// old epoch. One checkpoint at a time; no ExclusiveHandle is alive.
  Epoch begin_epoch(Token& token) {
    AEGIS_ASSERT(token.is_of(section_));
    return writes_.begin_epoch();
  }
  /// Writes every page of the old epoch as it was at begin_epoch(); returns when all are written and no other write is
  /// under way. Several threads may help. After an error the checkpoint can only be abandoned.
  Result<void> write_epoch() { return writes_.write_epoch(); }
  /// After the backend's seal() (or sync()): pages of the new epoch may be written.
  void seal_epoch() { writes_.seal_epoch(); }
  /// What the checkpoint did not write belongs to the next one.
  void abandon_epoch() { writes_.abandon_epoch(); }

  /// Writes every dirty page; busy while a checkpoint runs. The first error ends it; what was not written stays dirty.
  /// The calling thread holds no ExclusiveHandle.
  Result<void> flush() {
    if (writes_.running()) return Error{Errc::busy, "checkpoint"};
    for (std::size_t i = 0; i < frames_.count(); ++i) AEGIS_TRY(writes_.write_page(static_cast<FrameIndex>(i)));
    return {};
  }
  /// Cleans up to `max_pages` dirty pages, going round the frames, for whoever keeps checkpoints short. How many it wrote.
  Result<std::size_t> write_back(std::size_t max_pages) {
    std::size_t written = 0;
    for (std::size_t looked = 0; looked < frames_.count() && written < max_pages && writes_.dirty_pages() != 0; ++looked) {
      const std::size_t at = write_back_hand_.fetch_add(1, std::memory_order_relaxed) % frames_.count();
      if (frames_.frame(static_cast<FrameIndex>(at)).dirty.load(std::memory_order_relaxed) == clean) continue;
      AEGIS_TRY(const bool wrote, writes_.write_page(static_cast<FrameIndex>(at)));
      written += wrote ? 1 : 0;
    }
    return written;
  }

  /// Reads the page's block from the backend, whatever is cached, and proves it.
  Result<void> check(PageId id) {
    return writes_.with_staging([&](auto& staging) { return writes_.io().load(id, *staging.image, staging.scratch); });
  }
  /// Proves bytes that were read elsewhere: the page's block as it is stored.
  Result<void> check(PageId id, Bytes stored) {
    return writes_.with_staging([&](auto& staging) { return writes_.io().prove(id, stored, *staging.image, staging.scratch); });
  }

  PoolStats stats() {
    PoolStats stats;
    stats.frames = frames_.count();
    for (std::size_t i = 0; i < frames_.count(); ++i)
      stats.pinned += frames_.frame(static_cast<FrameIndex>(i)).pins.load(std::memory_order_relaxed) != 0;
    const Lock lock = frames_.lock();
    stats.free = frames_.free_count();
    stats.used = stats.frames - stats.free;
    stats.dirty = writes_.dirty_pages();
    loader_.tell(lock, stats);
    stats.write_backs = writes_.stats(lock).write_backs;
    stats.copies = writes_.stats(lock).copies;
    stats.table_bytes = frames_.table().memory_bytes();
    stats.huge_pages = frames_.huge_pages();
    return stats;
  }
  std::uint64_t dirty_pages() const { return writes_.dirty_pages(); }  ///< Cheap, for whoever paces checkpoints.
  std::uint64_t write_backs() {                                        ///< Pages written so far.
    const Lock lock = frames_.lock();
    return writes_.stats(lock).write_backs;
  }
  std::size_t frame_count() const { return frames_.count(); }

 private:
  static constexpr int optimistic_attempts = 4;

  explicit BufferPool(Io io) : writes_(frames_, std::move(io)), loader_(frames_, writes_) {}

  static Error beyond(PageId id) { return Error{Errc::corrupt_page, "id beyond the last page", number(id)}; }
  Result<FramePin<Frames>> acquire(PageId id, PinKind kind) {
    if (number(id) >= page_count()) return beyond(id);
    return loader_.acquire(id, kind);
  }

  ExclusiveHandle latch_dirty(FramePin<Frames> pin) {
    writes_.settle(pin.index());
    pin.frame().latch.lock();
    writes_.mark_dirty(pin.frame());
    return ExclusiveHandle{std::move(pin)};
  }

  CommitSection section_;
  Frames frames_;
  Writes writes_;
  PageLoader<Frames, Writes> loader_;
  std::atomic<std::uint64_t> page_count_{0};       // changed in the section
  std::atomic<std::size_t> write_back_hand_{0};
};

}  // namespace aegis::storage
