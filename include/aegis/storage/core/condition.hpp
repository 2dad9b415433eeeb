// SPDX-License-Identifier: Apache-2.0
// What a thread waits on for something that another one changes under a Mutex, with the names of
// std::condition_variable. It is the operating system's own: the standard library's header brings shared_ptr with it, a sixth
// of what the umbrella header costs a compiler. Any thread may notify, with or without the mutex.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/core/mutex.hpp>

#include <pthread.h>
#include <time.h>

namespace aegis::storage {

class Condition {
 public:
  Condition() {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    const int error = pthread_cond_init(&condition_, &attributes);
    AEGIS_ASSERT(error == 0);
    pthread_condattr_destroy(&attributes);
  }
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition() { pthread_cond_destroy(&condition_); }

  void notify_one() { pthread_cond_signal(&condition_); }
  void notify_all() { pthread_cond_broadcast(&condition_); }

  /// Gives the mutex back while it waits. May return without a reason.
  void wait(Guard<Mutex>& lock) { pthread_cond_wait(&condition_, lock.mutex().native_handle()); }
  template <class Predicate>
  void wait(Guard<Mutex>& lock, Predicate&& holds) {
    while (!holds()) wait(lock);
  }
  /// False when the time came first.
  bool wait_until(Guard<Mutex>& lock, SteadyClock::time_point deadline) {
    timespec at{};
    at.tv_sec = static_cast<time_t>(deadline / 1'000'000'000);
    at.tv_nsec = static_cast<long>(deadline % 1'000'000'000);
    return pthread_cond_timedwait(&condition_, lock.mutex().native_handle(), &at) == 0;
  }
  /// What `holds` says in the end.
  template <class Predicate>
  bool wait_until(Guard<Mutex>& lock, SteadyClock::time_point deadline, Predicate&& holds) {
    while (!holds())
      if (!wait_until(lock, deadline)) return holds();
    return true;
  }

 private:
  pthread_cond_t condition_;
};

}  // namespace aegis::storage
