// SPDX-License-Identifier: Apache-2.0
// A transaction that asks for locks in a thread of its own. The test goes on once it has finished its step or is
// registered as a waiter; nothing sleeps.
#pragma once

#include <aegis/storage/lock/lock_waits.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test {

/// Names in the order in which their owners were granted.
struct GrantLog {
  std::mutex mutex;
  std::vector<std::string> names;
};

template <class Manager>
class LockActor {
 public:
  explicit LockActor(Manager& manager) : manager_(manager) {}
  ~LockActor() { finish(); }

  /// `what` as acquire() takes it: a target, or a table and an interval.
  template <class... What>
  void acquire(What... what) {
    join();
    done_ = false;
    thread_ = std::thread{[=, this] {
      auto result = manager_.acquire(owner, what...);
      outcome_ = result ? (result->waited ? "waited" : "at once") : std::string{name_of(result.error().code())};
      if (result && grants_ != nullptr) {
        const std::lock_guard lock{grants_->mutex};
        grants_->names.push_back(name_);
      }
      done_.store(true, std::memory_order_release);
    }};
    while (!done_.load(std::memory_order_acquire) && !owner.is_waiting()) std::this_thread::yield();
  }
  bool waits() const { return !done_ && owner.is_waiting(); }
  std::string outcome() {
    join();
    return outcome_;
  }
  void finish() {
    join();
    manager_.release_all(owner);
  }
  void log_grants(std::string name, GrantLog& to) { name_ = std::move(name), grants_ = &to; }

  aegis::storage::LockOwner owner;

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  Manager& manager_;
  std::thread thread_;
  std::atomic<bool> done_{true};
  std::string outcome_, name_;
  GrantLog* grants_ = nullptr;
};

}  // namespace aegis_test
