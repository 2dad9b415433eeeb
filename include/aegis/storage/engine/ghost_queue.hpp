// SPDX-License-Identifier: Apache-2.0
// Keys whose ghosts nobody needs any more, waiting to be purged with their leaf. Any thread.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>

#include <atomic>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

class GhostQueue {
 public:
  struct Ghost {
    Ghost* next = nullptr;
    TableId table{};
    std::size_t key_bytes = 0;

    std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_bytes}; }
  };
  struct Free {
    void operator()(Ghost* ghost) const { ::operator delete(ghost); }
  };
  using Taken = Owned<Ghost, Free>;

  GhostQueue() = default;
  GhostQueue(const GhostQueue&) = delete;
  GhostQueue& operator=(const GhostQueue&) = delete;
  ~GhostQueue() {
    while (take()) {
    }
  }

  /// Without memory the ghost stays where it is, until a scan meets it and adds it again.
  void add(TableId table, std::string_view key) {
    void* const memory = ::operator new(sizeof(Ghost) + key.size(), std::nothrow);
    if (memory == nullptr) return;
    auto* const ghost = ::new (memory) Ghost{nullptr, table, key.size()};
    copy_bytes({reinterpret_cast<std::byte*>(ghost + 1), key.size()}, bytes_of(key));
    const Guard lock(mutex_);
    *end_ = ghost;
    end_ = &ghost->next;
    size_.fetch_add(1, std::memory_order_relaxed);
  }
  /// The oldest, or nothing.
  Taken take() {
    if (size() == 0) return {};
    const Guard lock(mutex_);
    Ghost* const ghost = first_;
    if (ghost == nullptr) return {};
    first_ = ghost->next;
    if (first_ == nullptr) end_ = &first_;
    size_.fetch_sub(1, std::memory_order_relaxed);
    return Taken{ghost};
  }
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  Mutex mutex_;
  Ghost* first_ = nullptr;
  Ghost** end_ = &first_;         // where the next one is hung
  std::atomic<std::size_t> size_{0};
};

}  // namespace aegis::storage
