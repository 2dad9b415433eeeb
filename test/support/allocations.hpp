// SPDX-License-Identifier: Apache-2.0
// What the program, its libraries included, asked the allocator for: the largest block, and how often. Counts with glibc
// and without sanitizers (which bring allocators of their own); elsewhere `allocations_are_counted` is false.
#pragma once

#include "support/other_allocator.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>

namespace aegis_test {

inline std::atomic<std::size_t> largest_allocation{0};
inline thread_local std::size_t allocations_of_thread = 0;

inline void note_allocation(std::size_t bytes) {
  ++allocations_of_thread;
  std::size_t seen = largest_allocation.load(std::memory_order_relaxed);
  while (seen < bytes && !largest_allocation.compare_exchange_weak(seen, bytes, std::memory_order_relaxed)) {
  }
}

#ifdef AEGIS_TEST_OTHER_ALLOCATOR
inline constexpr bool allocations_are_counted = false;
#else
inline constexpr bool allocations_are_counted = true;
#endif

}  // namespace aegis_test

#ifndef AEGIS_TEST_OTHER_ALLOCATOR
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);

// Weak: every test file may bring them, the linker keeps one.
[[gnu::weak]] void* malloc(std::size_t bytes) noexcept {
  aegis_test::note_allocation(bytes);
  return __libc_malloc(bytes);
}
[[gnu::weak]] void* calloc(std::size_t count, std::size_t bytes) noexcept {
  aegis_test::note_allocation(count * bytes);
  return __libc_calloc(count, bytes);
}
[[gnu::weak]] void* realloc(void* old, std::size_t bytes) noexcept {
  aegis_test::note_allocation(bytes);
  return __libc_realloc(old, bytes);
}
}
#endif
