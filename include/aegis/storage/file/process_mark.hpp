// SPDX-License-Identifier: Apache-2.0
// Remembers the process that made it: a child that fork() made of that process holds the same descriptors, mappings and
// memory, but none of the threads and no right to the store. Asking costs a load, for the kernel wipes the mark's page in the
// child (MADV_WIPEONFORK, Linux 4.14); where it cannot, a system call. Any thread.
#pragma once

#include <aegis/storage/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace aegis::storage {

class ProcessMark {
 public:
  /// Cannot fail: without a page it asks the kernel each time.
  ProcessMark() : owner_(::getpid()) {
    void* const page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    if (::madvise(page, page_bytes, MADV_WIPEONFORK) != 0) {
      ::munmap(page, page_bytes);
      return;
    }
    page_ = static_cast<std::byte*>(page);
    *page_ = std::byte{1};
  }
  ProcessMark(ProcessMark&& other) noexcept : page_(std::exchange(other.page_, nullptr)), owner_(other.owner_) {}
  ProcessMark& operator=(ProcessMark&& other) noexcept {
    std::swap(page_, other.page_);
    std::swap(owner_, other.owner_);
    return *this;
  }
  ~ProcessMark() {
    if (page_ != nullptr) ::munmap(page_, page_bytes);
  }

  bool is_here() const {
    if (page_ != nullptr) [[likely]] return *page_ != std::byte{};
    return ::getpid() == owner_;
  }
  /// already_open, with the two process ids, in a child.
  Result<void> check() const {
    if (is_here()) [[likely]] return {};
    return Error::mismatch(Errc::already_open, "store of the process before fork(), by process id", static_cast<std::uint64_t>(::getpid()), static_cast<std::uint64_t>(owner_));
  }

 private:
  static constexpr std::size_t page_bytes = 4096;

  std::byte* page_ = nullptr;  // written once; zeros in a child; nullptr: none to be had, or moved from
  ::pid_t owner_;
};

}  // namespace aegis::storage
