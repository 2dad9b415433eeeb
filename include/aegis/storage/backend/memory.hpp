// SPDX-License-Identifier: Apache-2.0
// Blocks in memory, with everything a backend may offer: seal, pin, reserve, and a published state kept apart, so that a
// test can crash it (see MemoryDisk). Fast, complete and gone with the power: durable_medium is false.
// Any thread; reads share a lock, writes copy before they take it.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/file/memory_disk.hpp>
#include <aegis/storage/log/memory.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace aegis::storage {

class MemoryBackend {
 public:
  using Log = MemoryLog;
  class Pin;

  static constexpr Axis axis = Axis::backend;
  static constexpr std::string_view name = "memory";
  static constexpr bool durable_medium = false;

  /// A backend on a disk of its own. Without memory for that, every call answers out_of_memory.
  MemoryBackend() {
    const MemoryDisk disk;
    if (!disk.medium()) return;
    if (const auto life = disk.medium()->open_backend()) {
      medium_ = disk.medium();
      life_ = *life;
    }
  }
  static Result<MemoryBackend> open(MemoryDisk& disk) {
    if (!disk.medium()) return Error{Errc::out_of_memory, "memory disk"};
    AEGIS_TRY(const MemoryMedium::Life life, disk.medium()->open_backend());
    return MemoryBackend{disk.medium(), life};
  }

  MemoryBackend(MemoryBackend&& other) noexcept : medium_(std::move(other.medium_)), life_(other.life_) { take_counts(other); }
  MemoryBackend& operator=(MemoryBackend&& other) noexcept {
    if (this == &other) return *this;
    close();
    medium_ = std::move(other.medium_);
    life_ = other.life_;
    take_counts(other);
    return *this;
  }
  ~MemoryBackend() { close(); }

  Result<std::size_t> read(BlockId id, MutableBytes into) {
    if (!medium_) return no_memory();
    reads_.fetch_add(1, std::memory_order_relaxed);
    return medium_->read(life_, id, MemoryBlocks::newest, into);
  }
  Result<void> write(BlockId id, Bytes content) {
    if (!medium_) return no_memory();
    if (content.size() > max_block_bytes()) return Error{Errc::too_large, "block", number(id)};
    writes_.fetch_add(1, std::memory_order_relaxed);
    return medium_->put(life_, id, content, true);
  }
  Result<void> erase(BlockId id) {
    if (!medium_) return no_memory();
    erases_.fetch_add(1, std::memory_order_relaxed);
    return medium_->put(life_, id, {}, false);
  }
  Result<bool> exists(BlockId id) {
    if (!medium_) return no_memory();
    return medium_->exists(life_, id);
  }
  Result<void> sync() {
    if (!medium_) return no_memory();
    syncs_.fetch_add(1, std::memory_order_relaxed);
    return medium_->sync(life_);
  }
  void seal() {
    if (medium_) medium_->seal(life_);
  }
  Result<void> reserve(std::uint64_t bytes) {
    if (!medium_) return no_memory();
    return medium_->reserve(life_, bytes);
  }
  void release(std::uint64_t bytes) {
    if (medium_) medium_->release(life_, bytes);
  }
  Result<Pin> pin();

  /// In ascending order of ids; fn may call the backend.
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    if (!medium_) return no_memory();
    return enumerate(medium_, life_, MemoryBlocks::newest, fn);
  }

  Result<MemoryLog> open_log(const LogOptions& options) {
    if (!medium_) return no_memory();
    return MemoryLog::open(medium_, options);
  }
  Result<bool> has_log() {
    if (!medium_) return no_memory();
    return medium_->has_log();
  }
  bool is_new() const { return !medium_ || medium_->is_new(); }
  std::size_t max_block_bytes() const { return std::size_t{16} << 20; }
  std::uint64_t draw_id() { return medium_ ? medium_->draw_id() : 0; }

  BackendStats stats() const {
    BackendStats stats{.reads = reads_, .writes = writes_, .erases = erases_, .syncs = syncs_};
    if (!medium_) return stats;
    (void)medium_->look(life_, [&](const MemoryBlocks& blocks) {
      stats.blocks = blocks.blocks();
      stats.stored_bytes = blocks.stored_bytes();
      stats.file_bytes = blocks.used_bytes();
      stats.memory_bytes = blocks.used_bytes() + blocks.table_bytes();
    });
    return stats;
  }

 private:
  struct Listed {
    BlockId id;
    std::size_t size;
  };
  struct Free {
    void operator()(Listed* list) const { std::free(list); }
  };

  MemoryBackend(MemoryMediumRef medium, MemoryMedium::Life life) : medium_(std::move(medium)), life_(life) {}

  static Error no_memory() { return Error{Errc::out_of_memory, "memory disk"}; }

  template <class Fn>
  static Result<void> enumerate(const MemoryMediumRef& medium, MemoryMedium::Life life, std::uint64_t generation, Fn& fn) {
    Owned<Listed[], Free> list;
    std::size_t count = 0;
    bool room = true;
    AEGIS_TRY(medium->look(life, [&](const MemoryBlocks& blocks) {
      list.reset(static_cast<Listed*>(std::malloc((blocks.entries() + 1) * sizeof(Listed))));
      room = list != nullptr;
      if (room) blocks.for_each(generation, [&](BlockId id, std::size_t size) { list[count++] = {id, size}; });
    }));
    if (!room) return no_memory();
    sort(list.get(), count, [](const Listed& a, const Listed& b) { return a.id < b.id; });
    for (std::size_t i = 0; i < count; ++i) fn(list[i].id, list[i].size);
    return {};
  }
  void close() {
    if (medium_) medium_->close_backend(life_);
  }
  void take_counts(const MemoryBackend& other) {
    reads_ = other.reads_.load();
    writes_ = other.writes_.load();
    erases_ = other.erases_.load();
    syncs_ = other.syncs_.load();
  }

  MemoryMediumRef medium_;  // empty: out of memory, or moved from
  MemoryMedium::Life life_ = 0;
  std::atomic<std::uint64_t> reads_{0}, writes_{0}, erases_{0}, syncs_{0};
};

/// The generation that was published when it was made. May outlive the backend; after a crash it answers engine_failed.
class MemoryBackend::Pin {
 public:
  Pin(Pin&& other) noexcept : medium_(std::move(other.medium_)), life_(other.life_), generation_(other.generation_) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(medium_, other.medium_);
    std::swap(life_, other.life_);
    std::swap(generation_, other.generation_);
    return *this;
  }
  ~Pin() {
    if (medium_) medium_->unpin(life_, generation_);
  }

  Result<std::size_t> read(BlockId id, MutableBytes into) { return medium_->read(life_, id, generation_, into); }
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    return enumerate(medium_, life_, generation_, fn);
  }

 private:
  friend class MemoryBackend;
  Pin(MemoryMediumRef medium, MemoryMedium::Life life, std::uint64_t generation)
      : medium_(std::move(medium)), life_(life), generation_(generation) {}

  MemoryMediumRef medium_;  // empty only after a move
  MemoryMedium::Life life_;
  std::uint64_t generation_;
};

inline Result<MemoryBackend::Pin> MemoryBackend::pin() {
  if (!medium_) return no_memory();
  AEGIS_TRY(const std::uint64_t generation, medium_->pin(life_));
  return Pin{medium_, life_, generation};
}

}  // namespace aegis::storage
