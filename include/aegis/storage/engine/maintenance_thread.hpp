// SPDX-License-Identifier: Apache-2.0
// The one thread an engine may have. It sleeps until it is woken or its interval is over, then lets the worker do what
// is due. It never spins, and everything it does can be done by others when it is turned off.
#pragma once

#include <aegis/storage/core/condition.hpp>
#include <aegis/storage/core/result.hpp>

#include <pthread.h>

namespace aegis::storage {

/// Worker has `void maintain()`. The thread is POSIX's own: std::thread brings a vtable with it.
template <class Worker>
class MaintenanceThread {
 public:
  MaintenanceThread(Worker& worker, Milliseconds interval) : worker_(worker), interval_(interval) {}
  MaintenanceThread(const MaintenanceThread&) = delete;
  MaintenanceThread& operator=(const MaintenanceThread&) = delete;
  ~MaintenanceThread() { stop(); }

  /// The first time, or after stop().
  Result<void> start() {
    {
      const Guard lock(mutex_);
      stopping_ = false;
    }
    const int error = pthread_create(&thread_, nullptr, [](void* self) -> void* { return static_cast<MaintenanceThread*>(self)->run(), nullptr; }, this);
    if (error != 0) return Error::os(Errc::out_of_memory, error, "maintenance thread");
    running_ = true;
    return {};
  }

  /// Any thread; cheap when it is woken already.
  void wake() {
    {
      const Guard lock(mutex_);
      if (woken_) return;
      woken_ = true;
    }
    changed_.notify_one();
  }

  /// Returns after the round that is running. Not from the thread itself, and not beside start().
  void stop() {
    if (!running_) return;
    {
      const Guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    pthread_join(thread_, nullptr);
    running_ = false;
  }

  bool running() const { return running_; }

 private:
  void run() {
    Guard lock(mutex_);
    while (!stopping_) {
      changed_.wait_until(lock, SteadyClock::after(interval_), [this] { return woken_ || stopping_; });
      if (stopping_) return;
      woken_ = false;
      lock.unlock();
      worker_.maintain();
      lock.lock();
    }
  }

  Worker& worker_;
  const Milliseconds interval_;
  Mutex mutex_;
  Condition changed_;
  pthread_t thread_{};
  bool running_ = false;   // changed while nobody else looks
  bool woken_ = false;     // under mutex_
  bool stopping_ = false;  // under mutex_
};

}  // namespace aegis::storage
