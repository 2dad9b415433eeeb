// SPDX-License-Identifier: Apache-2.0
// A stack and the place on it where its code goes on: what a Scheduler switches between. The address sanitizer is told.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define AEGIS_TEST_FIBRES_TOLD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AEGIS_TEST_FIBRES_TOLD 1
#endif
#endif
#ifdef AEGIS_TEST_FIBRES_TOLD
#include <sanitizer/common_interface_defs.h>
#endif

namespace aegis_test {

class Context {
 public:
  Context() = default;  ///< The caller's own, once it is left.
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Makes it begin in `enter`, on the stack of that number.
  void prepare(std::size_t index, void (*enter)()) {
    getcontext(&place_);
    stack_ = place_.uc_stack.ss_sp = stack_of(index);
    size_ = place_.uc_stack.ss_size = stack_bytes;
    place_.uc_link = nullptr;
    makecontext(&place_, enter, 0);
  }
  /// Leaves this one, which is the caller's; returns when somebody switches back.
  void switch_to(Context& to) {
#ifdef AEGIS_TEST_FIBRES_TOLD
    __sanitizer_start_switch_fiber(&fake_stack_, to.stack_, to.size_);
    swapcontext(&place_, &to.place_);
    __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#else
    swapcontext(&place_, &to.place_);
#endif
  }
  /// The first that `enter` does; `from` is where it was switched to from.
  static void arrived([[maybe_unused]] Context& from) {
#ifdef AEGIS_TEST_FIBRES_TOLD
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    from.stack_ = const_cast<void*>(bottom);
    from.size_ = size;
#endif
  }

 private:
  static constexpr std::size_t stack_bytes = 512 << 10;

  // Used again by the next schedule, and at the same addresses in every run: the library tells threads apart by them.
  static void* stack_of(std::size_t index) {
    constexpr std::uintptr_t first = 0x2000'0000'0000;
    static std::vector<void*> stacks;
    for (std::size_t at = stacks.size(); at <= index; ++at)
      stacks.push_back(mmap(reinterpret_cast<void*>(first + 2 * at * stack_bytes), stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return stacks[index];
  }

  ucontext_t place_{};
  void* stack_ = nullptr;       // as the sanitizer wants to be told
  std::size_t size_ = 0;
  void* fake_stack_ = nullptr;
};

}  // namespace aegis_test
