// SPDX-License-Identifier: Apache-2.0
// Zeroed memory straight from the system, aligned to a huge page and, if wanted, advised to be made of them: fewer TLB
// misses. Nothing is touched before it is used. It stays mapped until the arena goes, so a late optimistic reader never faults.
#pragma once

#include <aegis/storage/core/result.hpp>

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace aegis::storage {

class Arena {
 public:
  static Result<Arena> map(std::size_t bytes, bool huge_pages = true) {
    const std::size_t size = (bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes, mapped = size + huge_page_bytes;
    if (mapped < bytes) return Errc::out_of_memory;
    void* const base = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return Error{Errc::out_of_memory, "bytes of buffer pool", bytes};
    Arena arena;
    arena.base_ = static_cast<std::byte*>(base);
    arena.mapped_ = mapped;
    arena.begin_ = arena.base_ + (huge_page_bytes - reinterpret_cast<std::uintptr_t>(base) % huge_page_bytes) % huge_page_bytes;
    arena.huge_pages_ = huge_pages && bytes >= huge_page_bytes && ::madvise(arena.begin_, size, MADV_HUGEPAGE) == 0;
    return arena;
  }

  Arena() = default;
  Arena(Arena&& other) noexcept { swap(other); }
  Arena& operator=(Arena&& other) noexcept {
    Arena taken{std::move(other)};
    swap(taken);
    return *this;
  }
  ~Arena() {
    if (base_ != nullptr) ::munmap(base_, mapped_);
  }

  std::byte* data() const { return begin_; }
  bool huge_pages() const { return huge_pages_; }  ///< The system took the advice.

 private:
  static constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

  void swap(Arena& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(begin_, other.begin_);
    std::swap(mapped_, other.mapped_);
    std::swap(huge_pages_, other.huge_pages_);
  }

  std::byte* base_ = nullptr;   // what was mapped
  std::byte* begin_ = nullptr;  // the first huge page boundary in it
  std::size_t mapped_ = 0;
  bool huge_pages_ = false;
};

}  // namespace aegis::storage
