// SPDX-License-Identifier: Apache-2.0
// Readers that write nothing: note the version, read, look whether the version is still the same. Between the two a
// reader sees bytes that a writer may be changing: it checks every offset before use and believes nothing before
// validate() said yes. The only place of the library with fences; protocol after Boehm, "Can seqlocks get along with
// programming language memory models?" (MSPC 2012), latch after LeanStore and unodb.
#pragma once

#include <aegis/storage/latch/latch_word.hpp>
#include <aegis/storage/latch/policy.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// Of the sanitizer's run-time library.
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif
#endif

namespace aegis::storage {

class OptimisticLatch {
 public:
  /// While one lives, its thread's reads may meet writes of others: they are believed only if validate() says yes
  /// afterwards. Costs nothing; ThreadSanitizer (Clang's) is told of it and goes on watching everything else.
  class RacyReads {
   public:
    RacyReads(const RacyReads&) = delete;
    RacyReads& operator=(const RacyReads&) = delete;
    RacyReads() { watch(false); }
    ~RacyReads() { watch(true); }

   private:
    static void watch([[maybe_unused]] bool on) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
      on ? AnnotateIgnoreReadsEnd(__FILE__, __LINE__) : AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
#endif
#endif
    }
  };

  static constexpr Axis axis = Axis::latch;
  static constexpr std::string_view name = "optimistic";
  static constexpr bool optimistic = true;

  OptimisticLatch() = default;
  OptimisticLatch(const OptimisticLatch&) = delete;
  OptimisticLatch& operator=(const OptimisticLatch&) = delete;

  void lock() {
    word_.lock();
    std::atomic_thread_fence(std::memory_order_release);  // no write of the holder becomes visible before the exclusive bit
  }
  bool try_lock() {
    if (!word_.try_lock()) return false;
    std::atomic_thread_fence(std::memory_order_release);
    return true;
  }
  void unlock() { word_.unlock(); }
  void lock_shared() { word_.lock_shared(); }
  bool try_lock_shared() { return word_.try_lock_shared(); }
  void unlock_shared() { word_.unlock_shared(); }

  std::optional<std::uint64_t> begin_read() const {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    if (LatchWord::is_exclusive(word)) return std::nullopt;
    return LatchWord::version(word);
  }
  bool validate(std::uint64_t version) const {
    std::atomic_thread_fence(std::memory_order_acquire);  // no read of the caller happens after the next load
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return !LatchWord::is_exclusive(word) && LatchWord::version(word) == version;
  }
  std::uint64_t version() const { return LatchWord::version(word_.load(std::memory_order_acquire)); }

 private:
  LatchWord word_;
};

static_assert(LatchPolicy<OptimisticLatch> && sizeof(OptimisticLatch) == 8);

}  // namespace aegis::storage
