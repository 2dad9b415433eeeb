// SPDX-License-Identifier: Apache-2.0
// Runs a small scene of threads under thousands of schedules, each of them a seed. A scene is a class: its constructor takes
// a Schedule, draws what it does from schedule.random and spawns its threads; at_end(schedule) looks at what is left. Library
// code runs unchanged: its locks, waits, clocks and atomics are the scheduler's. To be included before the library's headers,
// in one file of a program. ThreadSanitizer brings locks of its own: there, nothing runs.
#pragma once

#include <doctest/doctest.h>
#include <support/random.hpp>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#define AEGIS_TEST_REAL_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AEGIS_TEST_REAL_THREADS 1
#endif
#endif

#include <support/deterministic_scheduler.hpp>
#ifdef AEGIS_TEST_FIBRES_TOLD
#include <sanitizer/lsan_interface.h>
#endif
#ifndef AEGIS_TEST_REAL_THREADS
#include <support/deterministic_atomics.hpp>
#include <support/deterministic_calls.hpp>
#endif

namespace aegis_test {

class Schedule {
 public:
  using Timeouts = Scheduler::Timeouts;

  explicit Schedule(std::uint64_t seed) : random(seed), scheduler_(seed) {}

  void spawn(std::function<void()> body) { scheduler_.spawn(std::move(body)); }
  void allow(Timeouts timeouts) { scheduler_.allow(timeouts); }
  /// A false one ends the schedule, in a thread of it or after them.
  void require(bool holds, const char* what) {
    if (!holds) scheduler_.fail(std::string{"not so: "} + what);
  }

  Random random;

 private:
  template <class Scene>
  friend struct Exploration;

  Scheduler scheduler_;
};

/// While it lives, a crash of the program says which seed it was.
class SeedOfCrash {
 public:
  explicit SeedOfCrash(std::uint64_t seed) {
    text_ = replay(seed, program_invocation_name) + "\n";
    struct sigaction action {};
    action.sa_handler = [](int signal) {
      (void)!write(STDERR_FILENO, text_.data(), text_.size());
      sigaction(signal, &before_[signal == SIGSEGV], nullptr);
      (void)raise(signal);
    };
    action.sa_flags = SA_ONSTACK;
    for (int signal : {SIGABRT, SIGSEGV}) sigaction(signal, &action, &before_[signal == SIGSEGV]);
  }
  SeedOfCrash(const SeedOfCrash&) = delete;
  SeedOfCrash& operator=(const SeedOfCrash&) = delete;
  ~SeedOfCrash() {
    for (int signal : {SIGABRT, SIGSEGV}) sigaction(signal, &before_[signal == SIGSEGV], nullptr);
  }

 private:
  static inline std::string text_;
  static inline struct sigaction before_[2];
};

/// The schedules of one scene, from a seed on.
template <class Scene>
struct Exploration {
  std::uint64_t seed = 0, schedules = 0, steps = 0;
  std::string failure;  ///< Of the last schedule, `seed`; empty: all went well.

  static Exploration of(std::uint64_t first, std::uint64_t count) {
    Exploration all;
    for (; all.schedules < count && all.failure.empty(); ++all.schedules) {
      all.seed = first + all.schedules;
      const SeedOfCrash seed_of_crash{all.seed};
      Schedule schedule{all.seed};
      auto scene = std::make_unique<Scene>(schedule);
      schedule.scheduler_.run();
      if (schedule.scheduler_.failure().empty()) scene->at_end(schedule);
      all.steps += schedule.scheduler_.steps();
      all.failure = schedule.scheduler_.failure();
      if (!all.failure.empty()) abandoned().push_back(std::move(scene));  // threads stand in the midst of it
    }
    return all;
  }

 private:
  static std::vector<std::unique_ptr<Scene>>& abandoned() {
    static auto* const scenes = new std::vector<std::unique_ptr<Scene>>;
    return *scenes;
  }
};

inline bool schedules_are_real() {
#ifdef AEGIS_TEST_REAL_THREADS
  MESSAGE("skipped: the thread sanitizer has locks of its own");
  return true;
#else
  return false;
#endif
}

/// Every schedule of the scene ends well.
template <class Scene>
void holds_in_schedules(std::uint64_t count, std::uint64_t otherwise = 1) {
  if (schedules_are_real()) return;
  const std::uint64_t first = seed(otherwise);
  const auto all = Exploration<Scene>::of(first, count);
  MESSAGE(all.schedules << " schedules from seed " << first << ", " << all.steps << " steps");
  CHECK_MESSAGE(all.failure.empty(), "seed " << all.seed << ": " << all.failure << "\n" << replay(all.seed, program_invocation_name));
}

/// A scene with a planted bug: one of the first `count` schedules shows it, and its seed shows it again, step by step.
template <class Scene>
void fails_in_schedules(std::uint64_t count, const char* why) {
  if (schedules_are_real()) return;
#ifdef AEGIS_TEST_FIBRES_TOLD
  const __lsan::ScopedDisabler what_abandoned_threads_had;
#endif
  const auto found = Exploration<Scene>::of(1, count);
  MESSAGE("planted bug found by schedule " << found.schedules);
  REQUIRE_MESSAGE(found.failure.find(why) != std::string::npos, found.failure);
  CHECK(Exploration<Scene>::of(found.seed, 1).failure == found.failure);
}

}  // namespace aegis_test
