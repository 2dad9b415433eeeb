// SPDX-License-Identifier: Apache-2.0
// Mutual exclusion: the operating system's mutexes, and guards that hold one for as long as they live. Not the standard
// library's, whose headers bring <chrono> and tuples, an eighth of what the umbrella header costs a compiler. Not recursive.
#pragma once

#include <aegis/storage/core/assert.hpp>

#include <pthread.h>

namespace aegis::storage {

/// One holder. The names are those of std::mutex, so the guards of <mutex> hold it too.
class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() { pthread_mutex_destroy(&mutex_); }

  void lock() {
    [[maybe_unused]] const int error = pthread_mutex_lock(&mutex_);
    AEGIS_ASSERT(error == 0);
  }
  bool try_lock() { return pthread_mutex_trylock(&mutex_) == 0; }
  void unlock() { pthread_mutex_unlock(&mutex_); }
  pthread_mutex_t* native_handle() { return &mutex_; }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// One holder, or any number that share it.
class SharedMutex {
 public:
  SharedMutex() = default;
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;
  ~SharedMutex() { pthread_rwlock_destroy(&mutex_); }

  void lock() {
    [[maybe_unused]] const int error = pthread_rwlock_wrlock(&mutex_);
    AEGIS_ASSERT(error == 0);
  }
  void unlock() { pthread_rwlock_unlock(&mutex_); }
  void lock_shared() {
    [[maybe_unused]] const int error = pthread_rwlock_rdlock(&mutex_);
    AEGIS_ASSERT(error == 0);
  }
  void unlock_shared() { pthread_rwlock_unlock(&mutex_); }

 private:
  pthread_rwlock_t mutex_ = PTHREAD_RWLOCK_INITIALIZER;
};

/// Holds a mutex from its construction to its end, except between unlock() and lock(). One thread's.
template <class AnyMutex>
class Guard {
 public:
  explicit Guard(AnyMutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() {
    if (holds_) mutex_.unlock();
  }

  void lock() {
    mutex_.lock();
    holds_ = true;
  }
  void unlock() {
    holds_ = false;
    mutex_.unlock();
  }
  /// After unlock(), when this thread came to hold the mutex by other means.
  void adopt() { holds_ = true; }
  AnyMutex& mutex() const { return mutex_; }

 private:
  AnyMutex& mutex_;
  bool holds_ = true;
};

/// Shares a mutex from its construction to its end, or to unlock(). One thread's.
template <class AnyMutex>
class SharedGuard {
 public:
  explicit SharedGuard(AnyMutex& mutex) : mutex_(mutex) { mutex_.lock_shared(); }
  SharedGuard(const SharedGuard&) = delete;
  SharedGuard& operator=(const SharedGuard&) = delete;
  ~SharedGuard() {
    if (holds_) mutex_.unlock_shared();
  }

  void unlock() {
    holds_ = false;
    mutex_.unlock_shared();
  }

 private:
  AnyMutex& mutex_;
  bool holds_ = true;
};

}  // namespace aegis::storage
