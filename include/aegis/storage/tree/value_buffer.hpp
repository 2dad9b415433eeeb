// SPDX-License-Identifier: Apache-2.0
// Growable bytes that say out_of_memory instead of throwing. Grows by doubling and keeps its room, so that a buffer used
// again allocates nothing. One thread at a time.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstddef>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

class ValueBuffer {
 public:
  ValueBuffer() = default;
  ValueBuffer(ValueBuffer&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}
  ValueBuffer& operator=(ValueBuffer&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  std::byte* data() { return bytes_.get(); }
  const std::byte* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  std::string_view view() const { return text_of({bytes_.get(), size_}); }
  MutableBytes bytes() { return {bytes_.get(), size_}; }

  /// Room for `capacity` bytes; what it held is kept. On failure nothing changed.
  Result<void> reserve(std::size_t capacity) {
    if (capacity <= capacity_) return {};
    std::size_t wanted = capacity_ < 64 ? 64 : 2 * capacity_;
    if (wanted < capacity) wanted = capacity;
    Owned<std::byte[]> grown{new (std::nothrow) std::byte[wanted]};
    if (!grown) return Error{Errc::out_of_memory, "value buffer of bytes", wanted};
    copy_bytes({grown.get(), wanted}, {bytes_.get(), size_});
    bytes_ = std::move(grown);
    capacity_ = wanted;
    return {};
  }
  /// New bytes are indeterminate.
  Result<void> resize(std::size_t size) {
    AEGIS_TRY(reserve(size));
    size_ = size;
    return {};
  }
  /// Within the capacity, so it cannot fail.
  void set_size(std::size_t size) {
    AEGIS_ASSERT(size <= capacity_);
    size_ = size;
  }
  Result<void> assign(std::string_view text) {
    AEGIS_TRY(resize(text.size()));
    copy_bytes(bytes(), bytes_of(text));
    return {};
  }
  void clear() { size_ = 0; }

 private:
  Owned<std::byte[]> bytes_;
  std::size_t size_ = 0;  // <= capacity_
  std::size_t capacity_ = 0;
};

}  // namespace aegis::storage
