// SPDX-License-Identifier: Apache-2.0
// Memory that direct I/O takes: aligned, from a few kept buffers, else from the heap. Never throws; an empty buffer says
// that memory is out. Any thread.
#pragma once

#include <aegis/storage/core/bytes.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace aegis::storage {

class AlignedBuffers {
 public:
  static constexpr std::size_t alignment = 4096;
  static constexpr std::size_t kept_bytes = 128 << 10;

  /// Owns its bytes; gives a kept one back when dropped. Outlived by the pool.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept : pool_(other.pool_), bytes_(std::exchange(other.bytes_, {})) {}
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Buffer() {
      if (bytes_.data() != nullptr) pool_->put_back(bytes_);
    }
    MutableBytes bytes() const { return bytes_; }
    explicit operator bool() const { return bytes_.data() != nullptr; }

   private:
    friend class AlignedBuffers;
    Buffer(AlignedBuffers* pool, MutableBytes bytes) : pool_(pool), bytes_(bytes) {}
    AlignedBuffers* pool_ = nullptr;
    MutableBytes bytes_{};
  };

  AlignedBuffers() = default;
  AlignedBuffers(const AlignedBuffers&) = delete;
  AlignedBuffers& operator=(const AlignedBuffers&) = delete;
  ~AlignedBuffers() {
    for (auto& slot : kept_) std::free(slot.load());
  }

  /// At least `bytes` of them, content arbitrary.
  Buffer take(std::size_t bytes) {
    const std::size_t wanted = bytes <= kept_bytes ? kept_bytes : (bytes + alignment - 1) / alignment * alignment;
    void* memory = nullptr;
    if (wanted == kept_bytes)
      for (auto& slot : kept_)
        if (slot.load(std::memory_order_relaxed) != nullptr && (memory = slot.exchange(nullptr, std::memory_order_acquire)) != nullptr) break;
    if (memory == nullptr) memory = std::aligned_alloc(alignment, wanted);
    if (memory == nullptr) return {};
    return Buffer{this, {static_cast<std::byte*>(memory), wanted}};
  }

  static bool is_aligned(const void* at, std::size_t to) { return reinterpret_cast<std::uintptr_t>(at) % to == 0; }

 private:
  void put_back(MutableBytes bytes) {
    void* memory = bytes.data();
    if (bytes.size() == kept_bytes)
      for (auto& slot : kept_) {
        void* empty = nullptr;
        if (slot.load(std::memory_order_relaxed) == nullptr && slot.compare_exchange_strong(empty, memory, std::memory_order_release, std::memory_order_relaxed)) return;
      }
    std::free(memory);
  }

  std::array<std::atomic<void*>, 8> kept_{};  // buffers of kept_bytes, or nullptr
};

}  // namespace aegis::storage
