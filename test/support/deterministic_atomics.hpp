// SPDX-License-Identifier: Apache-2.0
// std::atomic with a point of the Scheduler before every operation. From here on `std::atomic` means it, in the library's
// headers too, which stay as they are: include this before them, and after every standard header that speaks of atomics.
#pragma once

#include <support/deterministic_scheduler.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <type_traits>

namespace aegis_test {

template <class T>
class ScheduledAtomic : public std::atomic<T> {
  using Base = std::atomic<T>;
  using Difference = std::conditional_t<std::is_pointer_v<T>, std::ptrdiff_t, T>;
  using Order = std::memory_order;
  static constexpr Order strongest = std::memory_order_seq_cst;

 public:
  using Base::Base;
  ScheduledAtomic() = default;
  T operator=(T value) { return store(value), value; }
  operator T() const { return load(); }

  T load(Order order = strongest) const { return point("load"), Base::load(order); }
  void store(T value, Order order = strongest) { point("store"), Base::store(value, order); }
  T exchange(T value, Order order = strongest) { return point("exchange"), Base::exchange(value, order); }
  bool compare_exchange_weak(T& seen, T value, Order order = strongest) { return point("compare"), Base::compare_exchange_strong(seen, value, order); }
  bool compare_exchange_weak(T& seen, T value, Order won, Order lost) { return point("compare"), Base::compare_exchange_strong(seen, value, won, lost); }
  bool compare_exchange_strong(T& seen, T value, Order order = strongest) { return point("compare"), Base::compare_exchange_strong(seen, value, order); }
  bool compare_exchange_strong(T& seen, T value, Order won, Order lost) { return point("compare"), Base::compare_exchange_strong(seen, value, won, lost); }
  T fetch_add(Difference by, Order order = strongest) { return point("add"), Base::fetch_add(by, order); }
  T fetch_sub(Difference by, Order order = strongest) { return point("subtract"), Base::fetch_sub(by, order); }
  T fetch_and(T with, Order order = strongest) { return point("and"), Base::fetch_and(with, order); }
  T fetch_or(T with, Order order = strongest) { return point("or"), Base::fetch_or(with, order); }
  T operator++() { return fetch_add(1) + 1; }
  T operator++(int) { return fetch_add(1); }
  T operator--() { return fetch_sub(1) - 1; }
  T operator--(int) { return fetch_sub(1); }
  T operator+=(Difference by) { return fetch_add(by) + by; }
  T operator-=(Difference by) { return fetch_sub(by) - by; }

  void wait(T old, Order order = strongest) const {
    Scheduler* const scheduler = Scheduler::running();
    if (scheduler == nullptr) return Base::wait(old, order);
    scheduler->step("before wait", this);
    while (Base::load(order) == old) scheduler->park("wait", this);
  }
  void notify_one() {
    Scheduler* const scheduler = Scheduler::running();
    if (scheduler == nullptr) return Base::notify_one();
    scheduler->wake_one(this);
    scheduler->step("notify one", this);
  }
  void notify_all() {
    Scheduler* const scheduler = Scheduler::running();
    if (scheduler == nullptr) return Base::notify_all();
    scheduler->wake_all(this);
    scheduler->step("notify all", this);
  }

 private:
  void point(const char* what) const {
    if (Scheduler* const scheduler = Scheduler::running()) scheduler->step(what, this);
  }
};

}  // namespace aegis_test

namespace std {
template <class T>
using scheduled_atomic = aegis_test::ScheduledAtomic<T>;
}

#define atomic scheduled_atomic
