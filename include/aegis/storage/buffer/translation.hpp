// SPDX-License-Identifier: Apache-2.0
// Page id -> frame, in two levels and without a hash: ids are dense. Chunks are published once and never freed, so a
// lookup is two loads and needs no lock. Entries change under the pool's mutex.
#pragma once

#include <aegis/storage/buffer/arena.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/eviction/policy.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

namespace aegis::storage {

class TranslationTable {
 public:
  static constexpr std::size_t chunk_bytes = 64 * 1024;
  static constexpr std::size_t entries_per_chunk = chunk_bytes / sizeof(std::atomic<std::uint32_t>);
  static constexpr std::size_t max_chunks = std::size_t{1} << 18;
  static constexpr std::uint64_t max_pages = std::uint64_t{max_chunks} * entries_per_chunk;

  TranslationTable() = default;
  TranslationTable(const TranslationTable&) = delete;
  TranslationTable& operator=(const TranslationTable&) = delete;
  ~TranslationTable() {
    for (std::size_t i = 0; i < chunks_end_.load(std::memory_order_relaxed); ++i) delete root()[i].load(std::memory_order_relaxed);
  }

  /// The root is address space; only what is used of it becomes memory, hence no huge pages.
  Result<void> open() {
    AEGIS_TRY(Arena root, Arena::map(max_chunks * sizeof(std::atomic<Chunk*>), false));
    root_ = std::move(root);
    return {};
  }

  std::optional<FrameIndex> find(PageId id) const {
    if (number(id) >= max_pages) return std::nullopt;
    const Chunk* chunk = root()[number(id) / entries_per_chunk].load(std::memory_order_acquire);
    if (chunk == nullptr) return std::nullopt;
    const std::uint32_t entry = chunk->entries[number(id) % entries_per_chunk].load(std::memory_order_acquire);
    if (entry == 0) return std::nullopt;
    return entry - 1;
  }

  /// Makes room for an id; set() needs it. too_large, out_of_memory.
  Result<void> ensure(PageId id) {
    if (number(id) >= max_pages) return Error{Errc::too_large, "page", number(id)};
    const std::size_t at = number(id) / entries_per_chunk;
    if (root()[at].load(std::memory_order_relaxed) != nullptr) return {};
    Chunk* const chunk = new (std::nothrow) Chunk{};
    if (chunk == nullptr) return Errc::out_of_memory;
    root()[at].store(chunk, std::memory_order_release);
    chunks_.fetch_add(1, std::memory_order_relaxed);
    if (at + 1 > chunks_end_.load(std::memory_order_relaxed)) chunks_end_.store(at + 1, std::memory_order_relaxed);
    return {};
  }
  void set(PageId id, FrameIndex frame) { entry(id).store(frame + 1, std::memory_order_release); }
  void clear(PageId id) { entry(id).store(0, std::memory_order_release); }

  std::size_t memory_bytes() const {
    return chunks_.load(std::memory_order_relaxed) * chunk_bytes + chunks_end_.load(std::memory_order_relaxed) * sizeof(std::atomic<Chunk*>);
  }

 private:
  struct Chunk {
    std::atomic<std::uint32_t> entries[entries_per_chunk];  // frame + 1, or 0
  };
  static_assert(sizeof(Chunk) == chunk_bytes);

  std::atomic<Chunk*>* root() const { return reinterpret_cast<std::atomic<Chunk*>*>(root_.data()); }
  std::atomic<std::uint32_t>& entry(PageId id) {
    return root()[number(id) / entries_per_chunk].load(std::memory_order_relaxed)->entries[number(id) % entries_per_chunk];
  }

  Arena root_;                                // max_chunks pointers, null until published
  std::atomic<std::size_t> chunks_{0};
  std::atomic<std::size_t> chunks_end_{0};    // no chunk is published at or after this index
};

}  // namespace aegis::storage
