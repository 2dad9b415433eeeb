// SPDX-License-Identifier: Apache-2.0
// Processes that die, and memory that outlives them.
#pragma once

#include <doctest/doctest.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace aegis_test {

/// One T that parent and child see.
template <class T>
class Shared {
 public:
  Shared() : memory_(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) std::abort();
    value_ = new (memory_) T{};
  }
  Shared(const Shared&) = delete;
  ~Shared() { ::munmap(memory_, sizeof(T)); }
  T& operator*() { return *value_; }
  T* operator->() { return value_; }

 private:
  void* memory_;
  T* value_ = nullptr;
};

/// fn() -> bool in a child that then dies of SIGKILL, as from outside: nothing is destroyed or flushed. False kills nothing
/// and fails the test.
template <class Fn>
void in_process_killed_after(Fn&& fn) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (fn()) ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
}

/// fn() in a child that is killed as soon as ready() holds, wherever it is then. A child that ends by itself fails the test.
template <class Fn, class Ready>
void in_process_killed_when(Fn&& fn, Ready&& ready) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    fn();
    ::_exit(1);
  }
  int status = 0;
  while (!ready()) {
    if (::waitpid(child, &status, WNOHANG) == child) FAIL("the child ended by itself");
    ::sched_yield();
  }
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}

/// What fn() -> int returns in a child.
template <class Fn>
int in_process(Fn&& fn) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(fn());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace aegis_test
