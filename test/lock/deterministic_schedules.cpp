// SPDX-License-Identifier: Apache-2.0
// Both lock managers under schedules of a deterministic scheduler: owners that take, raise and give back locks in every
// order that the seeds give. Nobody holds what another one's lock keeps out, every wait ends, circles end with a victim.
#include <support/deterministic_threads.hpp>

#include <aegis/storage/lock/interval_lock_manager.hpp>
#include <aegis/storage/lock/lock_manager.hpp>

#include <array>
#include <deque>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace aegis::storage;
using aegis_test::Schedule;

namespace {

constexpr int keys = 4;  // two in each of two tables
constexpr auto S = LockMode::shared, U = LockMode::update, X = LockMode::exclusive;

constexpr TableId table_of_key(int key) { return TableId{static_cast<std::uint32_t>(3 + key / 2)}; }
constexpr std::string_view name_of_key(int key) { return key % 2 == 0 ? "a" : "b"; }

struct Wish {
  int from = 0, to = 0;  // keys of one table, both included
  LockMode mode{};
};

template <class Manager>
Result<LockOutcome> acquire(Manager& manager, LockOwner& owner, const Wish& wish) {
  if constexpr (std::is_same_v<Manager, IntervalLockManager>)
    if (wish.from != wish.to)
      return manager.acquire(owner, table_of_key(wish.from), LockSpan{name_of_key(wish.from), name_of_key(wish.to), LockSpan::End::included}, wish.mode);
  return manager.acquire(owner, LockTarget{table_of_key(wish.from), name_of_key(wish.from)}, wish.mode);
}

template <class Manager>
auto open(const LockOptions& options) {
  return std::move(Manager::open(options).value());
}

unsigned offer_limit(Schedule& schedule) { return std::array{0U, 1U, 2U, 1000U}[schedule.random.below(4)]; }

// What the owners hold, as the scene knows it: entered after acquire() returned, taken out before release_all().
class Held {
 public:
  explicit Held(std::size_t owners) : modes_(owners) {}
  void add(Schedule& schedule, std::size_t owner, const Wish& wish) {
    for (int key = wish.from; key <= wish.to; ++key) {
      modes_[owner][static_cast<std::size_t>(key)].push_back(wish.mode);
      for (std::size_t other = 0; other < modes_.size(); ++other)
        for (LockMode theirs : modes_[other][static_cast<std::size_t>(key)])
          schedule.require(other == owner || compatible(wish.mode, theirs) || compatible(theirs, wish.mode), "locks of two owners go together");
    }
  }
  void clear(std::size_t owner) { modes_[owner] = {}; }

 private:
  std::vector<std::array<std::vector<LockMode>, keys>> modes_;
};

// Owners with random wishes. In half of the schedules no wait ends by time: who is not woken then is lost.
template <class Manager>
class RandomOwners {
 public:
  explicit RandomOwners(Schedule& schedule)
      : patient_(schedule.random.one_in(2)), owners_(3 + schedule.random.below(2)), held_(owners_.size()),
        manager_(open<Manager>({.timeout = Milliseconds{50}, .overtake_limit = static_cast<unsigned>(schedule.random.below(2)), .offer_limit = offer_limit(schedule), .spins = 1})) {
    schedule.allow(patient_ ? Schedule::Timeouts::none : Schedule::Timeouts::any_time);
    for (std::size_t owner = 0; owner < owners_.size(); ++owner) {
      std::vector<Wish> wishes(1 + schedule.random.below(4));
      for (Wish& wish : wishes) wish = draw(schedule.random);
      schedule.spawn([this, &schedule, owner, wishes = std::move(wishes)] { work(schedule, owner, wishes); });
    }
  }

  void at_end(Schedule& schedule) {
    const LockStats stats = manager_->stats();
    schedule.require(stats.locks == 0 && stats.keys == 0 && stats.waiting == 0, "the lock table is empty at the end");
    schedule.require(stats.deadlocks == deadlocks_ && stats.timeouts == timeouts_, "every error is counted once");
    for (const LockOwner& owner : owners_) schedule.require(owner.lock_count() == 0 && !owner.is_waiting(), "no owner holds or waits at the end");
  }

 private:
  static Wish draw(aegis_test::Random& random) {
    constexpr std::array<LockMode, 4> modes{S, U, X, X};
    const int from = static_cast<int>(random.below(keys));
    const bool wide = !std::is_same_v<Manager, LockManager> && from % 2 == 0 && random.one_in(2);
    return {from, wide ? from + 1 : from, modes[random.below(modes.size())]};
  }
  void work(Schedule& schedule, std::size_t index, const std::vector<Wish>& wishes) {
    for (const Wish& wish : wishes) {
      if (const auto outcome = acquire(*manager_, owners_[index], wish)) {
        held_.add(schedule, index, wish);
        continue;
      } else {
        const bool deadlock = outcome.error().code() == Errc::deadlock;
        schedule.require(deadlock || (outcome.error().code() == Errc::lock_timeout && !patient_), "a wait ends with a grant, as a victim or, if it may, by time");
        ++(deadlock ? deadlocks_ : timeouts_);
        break;
      }
    }
    held_.clear(index);
    manager_->release_all(owners_[index]);
  }

  const bool patient_;
  std::deque<LockOwner> owners_;
  Held held_;
  std::uint64_t deadlocks_ = 0, timeouts_ = 0;
  Owned<Manager> manager_;
};

// Either every owner has a key and wants the next one's: one circle. Or all have read one key and want to write it: whoever
// asks while another waits closes a circle of two, so all but one are victims.
template <class Manager>
class Circles {
 public:
  explicit Circles(Schedule& schedule)
      : upgrade_(schedule.random.one_in(2)), owners_(2 + schedule.random.below(3)), manager_(open<Manager>({.timeout = Milliseconds{50}, .offer_limit = offer_limit(schedule), .spins = 1})) {
    schedule.allow(Schedule::Timeouts::none);
    for (std::size_t owner = 0; owner < owners_.size(); ++owner) schedule.spawn([this, &schedule, owner] { work(schedule, static_cast<int>(owner)); });
  }
  void at_end(Schedule& schedule) {
    schedule.require(victims_ == (upgrade_ ? owners_.size() - 1 : 1), "one victim for every circle");
    schedule.require(manager_->stats().keys == 0, "the lock table is empty at the end");
  }

 private:
  void work(Schedule& schedule, int index) {
    LockOwner& owner = owners_[static_cast<std::size_t>(index)];
    const int next = (index + 1) % static_cast<int>(owners_.size());
    const Wish first = upgrade_ ? Wish{0, 0, S} : Wish{index, index, X}, second = upgrade_ ? Wish{0, 0, X} : Wish{next, next, X};
    schedule.require(acquire(*manager_, owner, first).has_value(), "the first lock goes with all others");
    {
      Guard lock{mutex_};
      if (++arrived_ == owners_.size()) all_arrived_.notify_all();
      all_arrived_.wait(lock, [&] { return arrived_ == owners_.size(); });
    }
    const auto outcome = acquire(*manager_, owner, second);
    schedule.require(outcome || outcome.error().code() == Errc::deadlock, "a circle's member is its victim or is granted");
    if (!outcome) ++victims_;
    manager_->release_all(owner);
  }

  const bool upgrade_;
  std::deque<LockOwner> owners_;
  Mutex mutex_;
  Condition all_arrived_;
  std::size_t arrived_ = 0, victims_ = 0;
  Owned<Manager> manager_;
};

// One owner takes a key and gives it back again and again, while others come for it one after the other. The first of those
// who wait is passed as often as the limit says and no more, and not once after it woke up to find the key taken. Or all of
// them want to read, and the one raises what it has: only then it passes them.
template <class Manager>
class Hasty {
 public:
  static constexpr unsigned highest_limit = 3;
  static inline std::array<unsigned, highest_limit + 1> most_passed{};  // by limit, in all schedules
  static inline unsigned came_too_late = 0;                             // waiters, likewise

  explicit Hasty(Schedule& schedule)
      : limit_(static_cast<unsigned>(schedule.random.below(highest_limit + 1))), raises_(schedule.random.one_in(3)), waiters_(1 + schedule.random.below(3)),
        manager_(open<Manager>({.timeout = Milliseconds{50}, .offer_limit = limit_, .spins = 1})) {
    schedule.allow(Schedule::Timeouts::none);
    schedule.spawn([this, &schedule] { hurry(schedule); });
    for (std::size_t index = 0; index < waiters_.size(); ++index) {
      const LockMode mode = raises_ ? S : schedule.random.one_in(2) ? X : U;
      schedule.spawn([this, &schedule, index, mode] { wait(schedule, index, mode); });
    }
  }
  void at_end(Schedule& schedule) { schedule.require(first_in_queue() == nullptr && manager_->stats().keys == 0, "all were served and nothing is left"); }

 private:
  struct Waiter {
    LockOwner owner;
    bool is_queued = false, is_late = false, is_served = false;  // is_queued: as far as the hasty one has seen
    unsigned passed = 0;                                         // while it was the first
  };

  void hurry(Schedule& schedule) {
    LockOwner owner;
    for (std::size_t round = 0; round < 3 + limit_ * waiters_.size(); ++round) {
      look();
      const Waiter* const first = first_in_queue();
      if (raises_) schedule.require(acquire(*manager_, owner, {0, 0, S}).has_value(), "the hasty one reads each time");
      const auto outcome = acquire(*manager_, owner, {0, 0, X});
      schedule.require(outcome.has_value(), "the hasty one gets the key each time");
      if (!outcome->waited) pass(schedule);
      else schedule.require(raises_ || first == nullptr || first->is_served, "who waits does not pass those who waited before");
      look();
      manager_->release_all(owner);
    }
  }
  void wait(Schedule& schedule, std::size_t index, LockMode mode) {
    {
      Guard lock{mutex_};
      next_may_come_.wait(lock, [&] { return index == 0 || waiters_[index - 1].is_queued || waiters_[index - 1].is_served; });
    }
    Waiter& self = waiters_[index];
    const auto outcome = acquire(*manager_, self.owner, {0, 0, mode});
    schedule.require(outcome.has_value(), "a waiter gets the key");
    const Waiter* const first = first_in_queue();
    if (!outcome->waited && !raises_) pass(schedule);
    if (outcome->waited && !raises_) schedule.require(first == nullptr || first >= &self, "who waits does not pass those who waited before");
    {
      const Guard lock{mutex_};
      self.is_served = true;
      next_may_come_.notify_all();
    }
    manager_->release_all(self.owner);
  }

  void look() {
    const Guard lock{mutex_};
    for (Waiter& waiter : waiters_)
      if (waiter.owner.is_waiting()) waiter.is_queued = true;
    next_may_come_.notify_all();
  }
  Waiter* first_in_queue() {
    for (Waiter& waiter : waiters_)
      if (waiter.is_queued && !waiter.is_served) return &waiter;
    return nullptr;
  }
  // By one who has the key and has not waited for it.
  void pass(Schedule& schedule) {
    Waiter* const first = first_in_queue();
    if (first == nullptr) return;
    schedule.require(++first->passed <= limit_, "the first waiter is passed no more often than the limit says");
    schedule.require(!first->is_late, "who came too late for an offer is not passed again");
    most_passed[limit_] = std::max(most_passed[limit_], first->passed);
    if (first->owner.is_waiting()) first->is_late = true, ++came_too_late;
  }

  const unsigned limit_;
  const bool raises_;
  std::vector<Waiter> waiters_;
  Mutex mutex_;
  Condition next_may_come_;
  Owned<Manager> manager_;
};

// A waiter holds what a newcomer wants, who takes first what the waiter is offered: a circle, although the waiter was awake.
template <class Manager>
class CircleThroughOffer {
 public:
  static inline unsigned victims = 0;  // in all schedules

  explicit CircleThroughOffer(Schedule& schedule)
      : other_key_(1 + static_cast<int>(schedule.random.below(2))), manager_(open<Manager>({.timeout = Milliseconds{50}, .offer_limit = offer_limit(schedule), .spins = 1})) {
    schedule.allow(Schedule::Timeouts::none);
    schedule.require(acquire(*manager_, holder_, {0, 0, X}).has_value(), "nobody is there yet");
    schedule.require(acquire(*manager_, waiter_, {other_key_, other_key_, X}).has_value(), "nobody is there yet");
    schedule.spawn([this, &schedule] {
      schedule.require(acquire(*manager_, waiter_, {0, 0, X}).has_value(), "who waited first is no victim");
      is_served_ = true;
      manager_->release_all(waiter_);
    });
    schedule.spawn([this] {
      for (int looks = 0; looks < 30 && !waiter_.is_waiting(); ++looks) sched_yield();
      {
        const Guard lock{mutex_};
        is_queued_ = waiter_.is_waiting();
        has_looked_ = true;
        looked_.notify_all();
      }
      manager_->release_all(holder_);
    });
    schedule.spawn([this, &schedule] {
      {
        Guard lock{mutex_};
        looked_.wait(lock, [&] { return has_looked_; });
      }
      if (!is_queued_) return;
      schedule.require(acquire(*manager_, newcomer_, {0, 0, X}).has_value(), "no circle yet");
      const bool is_first = !is_served_;
      const auto second = acquire(*manager_, newcomer_, {other_key_, other_key_, X});
      schedule.require(second ? !is_first : is_first && second.error().code() == Errc::deadlock, "who closes the circle is its victim");
      if (!second) ++victims;
      manager_->release_all(newcomer_);
    });
  }
  void at_end(Schedule& schedule) { schedule.require(manager_->stats().keys == 0, "the lock table is empty at the end"); }

 private:
  const int other_key_;
  LockOwner holder_, waiter_, newcomer_;
  bool is_queued_ = false, has_looked_ = false, is_served_ = false;
  Mutex mutex_;
  Condition looked_;
  Owned<Manager> manager_;
};

// The first of two waiters has little time, the second has all of it: whatever the first is told while its time ends, what
// it leaves goes on to the second. Who is left asleep ends by time, since nobody else can go on.
template <class Manager>
class ImpatientFirst {
 public:
  static inline unsigned gave_up = 0;  // in all schedules

  explicit ImpatientFirst(Schedule& schedule) : manager_(open<Manager>({.timeout = Milliseconds{60'000}, .offer_limit = offer_limit(schedule), .spins = 1})) {
    schedule.allow(Schedule::Timeouts::when_stuck);
    schedule.require(acquire(*manager_, holder_, {0, 0, X}).has_value(), "nobody is there yet");
    schedule.spawn([this] {
      const timespec span{0, 50'000'000};
      nanosleep(&span, nullptr);
      manager_->release_all(holder_);
    });
    schedule.spawn([this, &schedule] {
      const auto outcome = manager_->acquire(first_, LockTarget{table_of_key(0), name_of_key(0)}, X, Milliseconds{50});
      schedule.require(outcome || outcome.error().code() == Errc::lock_timeout, "it gets the key or gives up");
      if (!outcome) ++gave_up;
      manager_->release_all(first_);
    });
    for (LockOwner* owner : {&second_, &newcomer_})
      schedule.spawn([this, &schedule, owner, mode = schedule.random.one_in(2) ? X : S] {
        schedule.require(acquire(*manager_, *owner, {0, 0, mode}).has_value(), "who has time is served");
        manager_->release_all(*owner);
      });
  }
  void at_end(Schedule& schedule) { schedule.require(manager_->stats().keys == 0, "the lock table is empty at the end"); }

 private:
  LockOwner holder_, first_, second_, newcomer_;
  Owned<Manager> manager_;
};

// Planted: it looks whether the lock is free, and goes to sleep later, under another hold of the mutex.
class ForgetfulLock {
 public:
  void lock() {
    for (;;) {
      {
        const Guard guard{mutex_};
        if (!std::exchange(taken_, true)) return;
      }
      Guard guard{mutex_};
      freed_.wait(guard);
    }
  }
  void unlock() {
    const Guard guard{mutex_};
    taken_ = false;
    freed_.notify_one();
  }

 private:
  Mutex mutex_;
  Condition freed_;
  bool taken_ = false;
};
// Planted: between the look and the taking others may do the same.
class HastyLock {
 public:
  void lock() {
    while (taken_.load()) sched_yield();
    taken_.store(true);
  }
  void unlock() { taken_.store(false); }

 private:
  std::atomic<bool> taken_{false};
};
// Planted: two who hold one lock each want the other's, and nobody looks for circles.
class PairOfLocks {
 public:
  void lock() {
    const bool turned = std::exchange(turn_, !turn_);
    (turned ? b_ : a_).lock();
    (turned ? a_ : b_).lock();
  }
  void unlock() { a_.unlock(), b_.unlock(); }

 private:
  Mutex a_, b_;
  bool turn_ = false;
};

template <class Lock>
class Exclusion {
 public:
  explicit Exclusion(Schedule& schedule) {
    for (int thread = 0; thread < 3; ++thread)
      schedule.spawn([this, &schedule] {
        for (int round = 0; round < 2; ++round) {
          lock_.lock();
          schedule.require(++inside_ == 1, "one at a time");
          sched_yield();
          --inside_;
          lock_.unlock();
        }
      });
  }
  void at_end(Schedule& schedule) { schedule.require(inside_ == 0, "all have left"); }

 private:
  Lock lock_;
  int inside_ = 0;
};

}  // namespace

TEST_CASE("keys under random owners: locks keep each other out, every wait ends, nothing is left") {
  aegis_test::holds_in_schedules<RandomOwners<LockManager>>(10'000);
}
TEST_CASE("intervals under random owners: locks keep each other out, every wait ends, nothing is left") {
  aegis_test::holds_in_schedules<RandomOwners<IntervalLockManager>>(10'000);
}
TEST_CASE_TEMPLATE("a circle has one victim in every schedule", Manager, LockManager, IntervalLockManager) {
  aegis_test::holds_in_schedules<Circles<Manager>>(5'000);
}

TEST_CASE_TEMPLATE("a waiter is passed as often as the limit says and no more, and is served in its turn", Manager, LockManager, IntervalLockManager) {
  aegis_test::holds_in_schedules<Hasty<Manager>>(5'000);
  if (aegis_test::schedules_are_real()) return;
  for (unsigned limit = 0; limit <= Hasty<Manager>::highest_limit; ++limit) CHECK(Hasty<Manager>::most_passed[limit] == limit);
  CHECK(Hasty<Manager>::came_too_late > 0);
}
TEST_CASE_TEMPLATE("a circle through a waiter that was offered its lock is found by who closes it", Manager, LockManager, IntervalLockManager) {
  aegis_test::holds_in_schedules<CircleThroughOffer<Manager>>(3'000);
  if (!aegis_test::schedules_are_real()) CHECK(CircleThroughOffer<Manager>::victims > 0);
}
TEST_CASE_TEMPLATE("what a waiter leaves whose time ended goes on to the next", Manager, LockManager, IntervalLockManager) {
  aegis_test::holds_in_schedules<ImpatientFirst<Manager>>(5'000);
  if (!aegis_test::schedules_are_real()) CHECK(ImpatientFirst<Manager>::gave_up > 0);
}

TEST_CASE("a sound lock is sound in every schedule, and planted bugs are found") {
  aegis_test::holds_in_schedules<Exclusion<Mutex>>(1'000);
  aegis_test::fails_in_schedules<Exclusion<ForgetfulLock>>(1'000, "lost wake-up");
  aegis_test::fails_in_schedules<Exclusion<HastyLock>>(1'000, "one at a time");
  aegis_test::fails_in_schedules<Exclusion<PairOfLocks>>(1'000, "a deadlock");
}
