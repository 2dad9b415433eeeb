// SPDX-License-Identifier: Apache-2.0
// What std::mutex, std::shared_mutex, the library's Condition and its waits call, defined in the test program, where it
// goes before the C library's: fibres of a Scheduler wait for each other in it, everybody else calls the real thing.
// A lock's state stays in the real lock, which fibres only try. For one source file of a program.
#pragma once

#include <support/deterministic_scheduler.hpp>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace aegis_test {

/// The C library's function of that name.
template <class Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

inline std::uint64_t nanoseconds(const timespec& at) {
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(at.tv_nsec);
}

/// `try_it` is a function that takes the lock unless it would have to wait.
template <class Lock, class Try>
int take(Scheduler& scheduler, const char* what, Lock* lock, Try* try_it) {
  scheduler.step(what, lock);
  for (;;) {
    const int error = try_it(lock);
    if (error != EBUSY) return error;
    scheduler.park("wait for lock", lock);
  }
}

inline int wait_for(Scheduler& scheduler, pthread_cond_t* condition, pthread_mutex_t* mutex, std::uint64_t deadline) {
  static auto* const unlock = real(&pthread_mutex_unlock, "pthread_mutex_unlock");
  static auto* const try_lock = real(&pthread_mutex_trylock, "pthread_mutex_trylock");
  scheduler.step("before wait", condition);
  unlock(mutex);
  scheduler.wake_all(mutex);
  const bool woken = scheduler.park("wait", condition, deadline);
  take(scheduler, "lock after wait", mutex, try_lock);
  return woken ? 0 : ETIMEDOUT;
}

}  // namespace aegis_test

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static auto* const lock = aegis_test::real(&pthread_mutex_lock, "pthread_mutex_lock");
  static auto* const try_lock = aegis_test::real(&pthread_mutex_trylock, "pthread_mutex_trylock");
  auto* const scheduler = aegis_test::Scheduler::running();
  return scheduler == nullptr ? lock(mutex) : aegis_test::take(*scheduler, "lock", mutex, try_lock);
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  static auto* const try_lock = aegis_test::real(&pthread_mutex_trylock, "pthread_mutex_trylock");
  if (auto* const scheduler = aegis_test::Scheduler::running()) scheduler->step("try lock", mutex);
  return try_lock(mutex);
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  static auto* const unlock = aegis_test::real(&pthread_mutex_unlock, "pthread_mutex_unlock");
  const int error = unlock(mutex);
  if (auto* const scheduler = aegis_test::Scheduler::running()) scheduler->wake_all(mutex), scheduler->step("unlock", mutex);
  return error;
}

int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  static auto* const wait = aegis_test::real(&pthread_rwlock_rdlock, "pthread_rwlock_rdlock");
  static auto* const try_lock = aegis_test::real(&pthread_rwlock_tryrdlock, "pthread_rwlock_tryrdlock");
  auto* const scheduler = aegis_test::Scheduler::running();
  return scheduler == nullptr ? wait(lock) : aegis_test::take(*scheduler, "shared lock", lock, try_lock);
}
int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  static auto* const wait = aegis_test::real(&pthread_rwlock_wrlock, "pthread_rwlock_wrlock");
  static auto* const try_lock = aegis_test::real(&pthread_rwlock_trywrlock, "pthread_rwlock_trywrlock");
  auto* const scheduler = aegis_test::Scheduler::running();
  return scheduler == nullptr ? wait(lock) : aegis_test::take(*scheduler, "exclusive lock", lock, try_lock);
}
int pthread_rwlock_unlock(pthread_rwlock_t* lock) noexcept {
  static auto* const unlock = aegis_test::real(&pthread_rwlock_unlock, "pthread_rwlock_unlock");
  const int error = unlock(lock);
  if (auto* const scheduler = aegis_test::Scheduler::running()) scheduler->wake_all(lock), scheduler->step("unlock", lock);
  return error;
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  static auto* const wait = aegis_test::real(&pthread_cond_wait, "pthread_cond_wait");
  auto* const scheduler = aegis_test::Scheduler::running();
  return scheduler == nullptr ? wait(condition, mutex) : aegis_test::wait_for(*scheduler, condition, mutex, aegis_test::Scheduler::never);
}
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* at) {
  static auto* const wait = aegis_test::real(&pthread_cond_timedwait, "pthread_cond_timedwait");
  auto* const scheduler = aegis_test::Scheduler::running();
  return scheduler == nullptr ? wait(condition, mutex, at) : aegis_test::wait_for(*scheduler, condition, mutex, aegis_test::nanoseconds(*at));
}
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* at) {
  static auto* const wait = aegis_test::real(&pthread_cond_clockwait, "pthread_cond_clockwait");
  auto* const scheduler = aegis_test::Scheduler::running();
  return scheduler == nullptr ? wait(condition, mutex, clock, at) : aegis_test::wait_for(*scheduler, condition, mutex, aegis_test::nanoseconds(*at));
}
int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  static auto* const signal = aegis_test::real(&pthread_cond_signal, "pthread_cond_signal");
  auto* const scheduler = aegis_test::Scheduler::running();
  if (scheduler == nullptr) return signal(condition);
  scheduler->wake_one(condition);
  scheduler->step("signal", condition);
  return 0;
}
int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  static auto* const broadcast = aegis_test::real(&pthread_cond_broadcast, "pthread_cond_broadcast");
  auto* const scheduler = aegis_test::Scheduler::running();
  if (scheduler == nullptr) return broadcast(condition);
  scheduler->wake_all(condition);
  scheduler->step("broadcast", condition);
  return 0;
}

int sched_yield() noexcept {
  if (auto* const scheduler = aegis_test::Scheduler::running()) return scheduler->step("yield", nullptr, true), 0;
  return static_cast<int>(syscall(SYS_sched_yield));
}
int nanosleep(const timespec* span, timespec* left) {
  static auto* const sleep = aegis_test::real(&nanosleep, "nanosleep");
  auto* const scheduler = aegis_test::Scheduler::running();
  if (scheduler == nullptr) return sleep(span, left);
  scheduler->park("sleep", span, scheduler->now() + aegis_test::nanoseconds(*span), true);
  return 0;
}
int clock_gettime(clockid_t clock, timespec* at) noexcept {
  auto* const scheduler = aegis_test::Scheduler::running();
  if (scheduler == nullptr) return static_cast<int>(syscall(SYS_clock_gettime, clock, at));
  at->tv_sec = static_cast<time_t>(scheduler->now() / 1'000'000'000);
  at->tv_nsec = static_cast<long>(scheduler->now() % 1'000'000'000);
  return 0;
}

}  // extern "C"
