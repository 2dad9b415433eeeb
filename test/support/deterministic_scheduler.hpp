// SPDX-License-Identifier: Apache-2.0
// Threads of a test as fibres of one real thread: at every point (a call that waits, wakes or touches an atomic) a seeded
// choice says who goes on, so a seed is a schedule and can be run again. Half of the seeds choose at random, the others by
// priorities with a few change points (PCT: Burckhardt et al., ASPLOS 2010). Nothing that can go on, or far too many steps,
// ends the schedule with a failure. Interleavings are sequentially consistent ones: weaker orders are not explored.
#pragma once

#include <support/deterministic_fibre.hpp>
#include <support/random.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace aegis_test {

class Scheduler {
 public:
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
  enum class Timeouts : std::uint8_t { none, when_stuck, any_time };  ///< When a timed wait may end by time.

  explicit Scheduler(std::uint64_t seed) : random_(seed * 0x9e3779b97f4a7c15 + 1), by_priority_(random_.one_in(2)) {
    constexpr std::array<std::uint64_t, 4> stays{1, 2, 4, 16};
    stays_ = stays[random_.below(stays.size())];
    const std::uint64_t horizon = std::uint64_t{16} << random_.below(9);
    for (std::uint64_t& point : change_points_) point = 1 + random_.below(horizon);
  }
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// The one that runs at present, if the caller is one of its fibres.
  static Scheduler* running() { return running_; }

  void spawn(std::function<void()> body) {
    fibres_.push_back(std::make_unique<Fibre>());
    fibres_.back()->body = std::move(body);
    fibres_.back()->priority = first_priority + (random_.next() >> 8);
  }
  void allow(Timeouts timeouts) { timeouts_ = timeouts; }

  /// Runs all fibres to their end, or to the first failure: then they are abandoned where they stand.
  void run() {
    for (std::size_t i = 0; i < fibres_.size(); ++i) fibres_[i]->context.prepare(i, &Scheduler::enter);
    running_ = this;
    if (Fibre* const first = choose(false); first != nullptr) {
      current_ = first;
      switch_to(main_, first->context);
    }
    running_ = nullptr;
  }
  /// Ends the schedule. The first reason counts.
  void fail(const std::string& reason) {
    if (failure_.empty()) failure_ = reason + trace();
    if (running_ == this) switch_to(current_->context, main_);
  }
  const std::string& failure() const { return failure_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t now() const { return now_; }  ///< Nanoseconds of a clock that only the schedule moves.

  /// A point: perhaps others run before the caller goes on.
  void step(const char* what, const void* object, bool yields = false) {
    note(what, object);
    if (yields) current_->priority = --lowest_;
    hand_over(yields);
  }
  /// Waits for wake_one or wake_all on the object; false: the time came first. A sleep ends by time in any case.
  bool park(const char* what, const void* object, std::uint64_t deadline = never, bool sleeps = false) {
    note(what, object);
    Fibre& me = *current_;
    me.waits_for = object;
    me.deadline = deadline;
    me.sleeps = sleeps;
    me.timed_out = false;
    hand_over(false);
    return !me.timed_out;
  }
  void wake_all(const void* object) {
    for (auto& fibre : fibres_)
      if (fibre->waits_for == object) fibre->waits_for = nullptr;
  }
  void wake_one(const void* object) {
    std::vector<Fibre*> waiting;
    for (auto& fibre : fibres_)
      if (fibre->waits_for == object) waiting.push_back(fibre.get());
    if (!waiting.empty()) waiting[random_.below(waiting.size())]->waits_for = nullptr;
  }

 private:
  static constexpr std::size_t changes = 3, remembered = 48;
  static constexpr std::uint64_t step_limit = 300'000, longest_run = 2'000, step_nanoseconds = 100;
  static constexpr std::uint64_t first_priority = std::uint64_t{1} << 60;

  struct Fibre {
    Context context;
    std::function<void()> body;
    const void* waits_for = nullptr;  // nullptr: it can go on
    std::uint64_t deadline = never;
    bool sleeps = false, timed_out = false, finished = false;
    std::uint64_t priority = 0;
  };
  struct Point {
    std::size_t fibre;
    const char* what;
    const void* object;
  };

  static void enter() {
    Scheduler& self = *running_;
    Context::arrived(*self.previous_);
    self.current_->body();
    self.current_->finished = true;
    self.note("end", nullptr);
    self.hand_over(false);
  }
  void switch_to(Context& from, Context& to) {
    previous_ = &from;
    from.switch_to(to);
  }

  void note(const char* what, const void* object) {
    trace_[steps_ % remembered] = {index_of(*current_), what, object};
    ++steps_;
    now_ += step_nanoseconds;
    if (steps_ > step_limit) fail("no end after " + std::to_string(steps_ - 1) + " steps");
  }

  void hand_over(bool yields) {
    Fibre& me = *current_;
    Fibre* const next = choose(yields);
    if (next == &me) return;
    if (next != nullptr) current_ = next;
    switch_to(me.context, next == nullptr ? main_ : next->context);
  }

  // Who goes on; nullptr: nobody, since all have ended or since nobody can.
  Fibre* choose(bool yields) {
    std::array<Fibre*, 16> ready{};
    std::size_t count = 0;
    bool all_finished = true;
    Fibre* earliest = nullptr;
    for (auto& each : fibres_) {
      if (each->finished) continue;
      all_finished = false;
      if (each->waits_for == nullptr) ready[count++] = each.get();
      else if (each->deadline != never && (each->sleeps || timeouts_ != Timeouts::none) && (earliest == nullptr || each->deadline < earliest->deadline))
        earliest = each.get();
    }
    const bool early = earliest != nullptr && count > 0 && (earliest->sleeps || timeouts_ == Timeouts::any_time) && random_.one_in(40);
    if (earliest != nullptr && (count == 0 || early)) return time_out(*earliest);
    if (all_finished) return nullptr;
    if (count == 0) {
      failure_ = "nobody can go on: a deadlock, or a lost wake-up" + trace();
      return nullptr;
    }
    return by_priority_ ? by_priority(ready.data(), count) : at_random(ready.data(), count, yields);
  }
  Fibre* time_out(Fibre& fibre) {
    now_ = std::max(now_, fibre.deadline);
    fibre.waits_for = nullptr;
    fibre.timed_out = true;
    return &fibre;
  }
  Fibre* at_random(Fibre** ready, std::size_t count, bool yields) {
    const bool can_stay = current_ != nullptr && std::find(ready, ready + count, current_) != ready + count;
    if (can_stay && !yields && !random_.one_in(stays_)) return current_;
    Fibre* const next = ready[random_.below(count)];
    return yields && next == current_ ? ready[random_.below(count)] : next;
  }
  Fibre* by_priority(Fibre** ready, std::size_t count) {
    for (std::size_t i = 0; i < changes; ++i)
      if (steps_ == change_points_[i] && current_ != nullptr) current_->priority = i;
    Fibre* const next = *std::max_element(ready, ready + count, [](const Fibre* a, const Fibre* b) { return a->priority < b->priority; });
    run_length_ = next == current_ ? run_length_ + 1 : 0;
    if (run_length_ < longest_run || count == 1) return next;
    run_length_ = 0;
    next->priority = --lowest_;  // who spins lets others go on
    return next;
  }

  std::size_t index_of(const Fibre& fibre) const {
    std::size_t index = 0;
    while (fibres_[index].get() != &fibre) ++index;
    return index;
  }
  std::string trace() const {
    std::string text = "; the last steps:";
    std::map<const void*, std::size_t> numbers;
    for (std::uint64_t at = steps_ > remembered ? steps_ - remembered : 0; at < steps_; ++at) {
      const Point& point = trace_[at % remembered];
      text += "\n  " + std::to_string(at) + ": thread " + std::to_string(point.fibre) + " " + point.what;
      if (point.object != nullptr) text += " #" + std::to_string(numbers.emplace(point.object, numbers.size()).first->second);
    }
    return text;
  }

  static inline Scheduler* running_ = nullptr;

  Random random_;
  const bool by_priority_;
  std::uint64_t stays_ = 1;                                 // one point in so many hands over, at random
  std::array<std::uint64_t, changes> change_points_{};
  std::uint64_t lowest_ = first_priority;                   // sinks with every yield; the change points' are below it
  Timeouts timeouts_ = Timeouts::any_time;
  std::vector<std::unique_ptr<Fibre>> fibres_;
  Context main_;
  Fibre* current_ = nullptr;                                // runs, or ran last
  Context* previous_ = nullptr;                             // left last
  std::array<Point, remembered> trace_{};
  std::uint64_t steps_ = 0, now_ = 1'000'000'000, run_length_ = 0;
  std::string failure_;
};

}  // namespace aegis_test
