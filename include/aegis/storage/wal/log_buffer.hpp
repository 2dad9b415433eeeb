// SPDX-License-Identifier: Apache-2.0
// Where frames wait for the next flush: a list of aligned chunks that grows while another list is being written, so
// appending never waits for the device. What prepare() promised cannot fail later. Not synchronised; the Wal's mutex is.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstdint>
#include <cstdlib>
#include <utility>

namespace aegis::storage {

class LogBuffer {
 public:
  static constexpr std::size_t chunk_bytes = 128 << 10;  ///< A multiple of every unit.
  static constexpr std::size_t alignment = 4096;         ///< Of chunks in memory, for writes that bypass the page cache.

  struct Chunk {
    Chunk* next = nullptr;
    std::byte* data = nullptr;
    std::size_t size = 0;
    Bytes bytes() const { return {data, size}; }
  };
  struct Batch {
    Chunk *first = nullptr, *last = nullptr;
    std::uint64_t bytes = 0;
  };

  LogBuffer() = default;
  LogBuffer(const LogBuffer&) = delete;
  LogBuffer& operator=(const LogBuffer&) = delete;
  ~LogBuffer() {
    destroy(active_.first);
    destroy(free_);
  }

  /// Room for `bytes` more, however many times take() comes in between, as long as the batch before was given back by then.
  Result<void> prepare(std::uint64_t bytes) {
    while (free_count_ < bytes / chunk_bytes + 3) {
      Chunk* chunk = make();
      if (chunk == nullptr) return Error{Errc::out_of_memory, "log buffer"};
      put_free(chunk);
    }
    return {};
  }

  void put(Bytes bytes) {
    while (!bytes.empty()) {
      if (active_.last == nullptr || active_.last->size == chunk_bytes) extend();
      Chunk& to = *active_.last;
      const std::size_t part = std::min(bytes.size(), chunk_bytes - to.size);
      copy_bytes({to.data + to.size, part}, bytes.first(part));
      to.size += part;
      active_.bytes += part;
      held_ += part;
      bytes = bytes.subspan(part);
    }
  }

  Batch take() { return std::exchange(active_, Batch{}); }
  /// The bytes were written, or will never be. Keeps the chunks that `keep_bytes` may need, frees the others.
  void give_back(const Batch& batch, std::uint64_t keep_bytes) {
    held_ -= batch.bytes;
    for (Chunk* chunk = batch.first; chunk != nullptr;) {
      Chunk* next = chunk->next;
      if (free_count_ < keep_bytes / chunk_bytes + 4)
        put_free(chunk);
      else
        destroy_one(chunk);
      chunk = next;
    }
  }

  std::uint64_t held_bytes() const { return held_; }  ///< Appended and not given back.
  std::uint64_t memory_bytes() const { return chunks_ * chunk_bytes; }

 private:
  Chunk* make() {
    auto* chunk = static_cast<Chunk*>(std::malloc(sizeof(Chunk)));
    void* data = std::aligned_alloc(alignment, chunk_bytes);
    if (chunk == nullptr || data == nullptr) {
      std::free(chunk);
      std::free(data);
      return nullptr;
    }
    ++chunks_;
    return ::new (chunk) Chunk{.data = static_cast<std::byte*>(data)};
  }
  void put_free(Chunk* chunk) {
    chunk->next = free_;
    chunk->size = 0;
    free_ = chunk;
    ++free_count_;
  }
  void extend() {
    AEGIS_ASSERT(free_ != nullptr);  // prepare() promised it
    Chunk* chunk = std::exchange(free_, free_->next);
    --free_count_;
    chunk->next = nullptr;
    (active_.last == nullptr ? active_.first : active_.last->next) = chunk;
    active_.last = chunk;
  }
  void destroy_one(Chunk* chunk) {
    std::free(chunk->data);
    std::free(chunk);
    --chunks_;
  }
  void destroy(Chunk* chunk) {
    while (chunk != nullptr) destroy_one(std::exchange(chunk, chunk->next));
  }

  Batch active_;             // appended since the last take()
  Chunk* free_ = nullptr;    // free_count_ empty ones
  std::size_t free_count_ = 0;
  std::uint64_t chunks_ = 0;  // all that exist
  std::uint64_t held_ = 0;
};

}  // namespace aegis::storage
