// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/lock/lock_manager.hpp>
#include <aegis/storage/lock/interval_lock_manager.hpp>

#include <support/lock_actor.hpp>
#include <support/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace aegis::storage;
using namespace std::chrono_literals;

namespace {

constexpr Milliseconds at_once{0};
constexpr TableId table{3};
constexpr auto S = LockMode::shared, U = LockMode::update, X = LockMode::exclusive, IS = LockMode::intent_shared, IX = LockMode::intent_exclusive;

LockTarget key(std::string_view name) { return {table, name}; }

template <class Manager>
auto open(LockOptions options = {.timeout = std::chrono::minutes{1}}) {
  return std::move(Manager::open(options).value());
}

/// How many nodes one acquisition and its release may look at beside `locks` others: a bucket's, or a tree's depth thrice.
template <class Manager>
constexpr std::uint64_t visits_beside(std::uint64_t locks) {
  return std::is_same_v<Manager, LockManager> ? 8 : 3 * 3 * static_cast<std::uint64_t>(std::bit_width(locks));
}

}  // namespace

TEST_CASE_TEMPLATE("D24: a second owner is granted beside the first exactly where the matrix says so", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>();
  constexpr std::array<LockMode, lock_mode_count> all{IS, IX, S, LockMode::shared_intent_exclusive, U, X};
  for (LockMode granted : all)
    for (LockMode requested : all) {
      LockOwner a, b;
      CHECK(manager->acquire(a, LockTarget::of_table(table), granted));
      auto second = manager->acquire(b, LockTarget::of_table(table), requested, at_once);
      INFO(name_of(requested), " beside ", name_of(granted));
      CHECK(second.has_value() == compatible(requested, granted));
      if (!second) CHECK(second.error().code() == Errc::lock_timeout);
      manager->release_all(a);
      manager->release_all(b);
    }
  CHECK(manager->stats().keys == 0);
}

TEST_CASE_TEMPLATE("an owner's second acquisition combines with its first, and a weaker one costs nothing", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>();
  LockOwner owner;
  CHECK_FALSE(manager->acquire(owner, key("k"), S)->was_held);
  CHECK(manager->acquire(owner, key("k"), S)->was_held);
  CHECK_FALSE(manager->acquire(owner, key("k"), IX)->was_held);
  CHECK(manager->held(owner, key("k")) == LockMode::shared_intent_exclusive);
  CHECK(manager->acquire(owner, key("k"), IS)->was_held);
  CHECK(owner.lock_count() == 1);
  manager->release_all(owner);
  CHECK_FALSE(manager->held(owner, key("k")).has_value());
}

TEST_CASE_TEMPLATE("keys of two tables, a table and its empty key, and absent keys are all different things", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>();
  LockOwner a, b;
  CHECK(manager->acquire(a, key("k"), X));
  CHECK(manager->acquire(b, LockTarget{TableId{4}, "k"}, X, at_once));
  CHECK(manager->acquire(a, key(""), X));
  CHECK(manager->acquire(b, LockTarget::of_table(table), X, at_once));
  manager->release_all(a);
  manager->release_all(b);
}

TEST_CASE_TEMPLATE("D16: waiters are granted in the order of their arrival", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>();
  aegis_test::GrantLog grants;
  LockOwner holder;
  REQUIRE(manager->acquire(holder, key("k"), X));
  std::vector<std::unique_ptr<Actor>> actors;
  for (int i = 0; i < 6; ++i) {
    actors.push_back(std::make_unique<Actor>(*manager));
    actors.back()->log_grants(std::to_string(i), grants);
    actors.back()->acquire(key("k"), X);
    CHECK(actors.back()->waits());
  }
  CHECK(manager->waiting_count() == 6);
  manager->release_all(holder);
  for (auto& actor : actors) {
    CHECK(actor->outcome() == "waited");
    actor->finish();
  }
  CHECK(grants.names == std::vector<std::string>{"0", "1", "2", "3", "4", "5"});
  CHECK(manager->waiting_count() == 0);
}

TEST_CASE_TEMPLATE("a reader does not pass a waiting writer, and goes with the readers before it", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>();
  LockOwner holder;
  REQUIRE(manager->acquire(holder, key("k"), S));
  Actor writer{*manager}, reader{*manager};
  writer.acquire(key("k"), X);
  reader.acquire(key("k"), S);
  CHECK(writer.waits());
  CHECK(reader.waits());
  manager->release_all(holder);
  CHECK(writer.outcome() == "waited");
  CHECK(reader.waits());
  writer.finish();
  CHECK(reader.outcome() == "waited");
}

TEST_CASE_TEMPLATE("one release is enough for everybody who goes together, and for nobody behind them", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  unsigned offer_limit = 0;
  SUBCASE("handed over") {}
  SUBCASE("offered") { offer_limit = 1; }
  auto manager = open<Manager>({.timeout = std::chrono::minutes{1}, .offer_limit = offer_limit});
  LockOwner holder;
  REQUIRE(manager->acquire(holder, key("k"), X));
  Actor first{*manager}, second{*manager}, third{*manager}, writer{*manager};
  for (Actor* reader : {&first, &second, &third}) reader->acquire(key("k"), S);
  writer.acquire(key("k"), X);
  CHECK(manager->waiting_count() == 4);
  manager->release_all(holder);
  CHECK(manager->waiting_count() == 1);
  for (Actor* reader : {&first, &second, &third}) CHECK(reader->outcome() == "waited");
  CHECK(writer.waits());
  for (Actor* reader : {&first, &second, &third}) reader->finish();
  CHECK(writer.outcome() == "waited");
}

TEST_CASE_TEMPLATE("while somebody holds what it waits for, nobody passes a waiter, however many might take it first", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>({.timeout = std::chrono::minutes{1}, .offer_limit = 1'000'000});
  LockOwner first, second, newcomer;
  REQUIRE(manager->acquire(first, key("k"), S));
  REQUIRE(manager->acquire(second, key("k"), S));
  Actor writer{*manager};
  writer.acquire(key("k"), X);
  CHECK_FALSE(manager->acquire(newcomer, key("k"), S, at_once));
  manager->release_all(first);
  CHECK(writer.waits());
  CHECK_FALSE(manager->acquire(newcomer, key("k"), S, at_once));
  manager->release_all(second);
  CHECK(writer.outcome() == "waited");
}

TEST_CASE_TEMPLATE("within its limit a newcomer may pass a waiter, and not beyond", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>({.timeout = std::chrono::minutes{1}, .overtake_limit = 2});
  LockOwner holder, second, third, fourth;
  REQUIRE(manager->acquire(holder, key("k"), S));
  Actor writer{*manager};
  writer.acquire(key("k"), X);
  CHECK(manager->acquire(second, key("k"), S, at_once));
  CHECK(manager->acquire(third, key("k"), S, at_once));
  CHECK_FALSE(manager->acquire(fourth, key("k"), S, at_once));
  for (LockOwner* owner : {&holder, &second, &third}) manager->release_all(*owner);
  CHECK(writer.outcome() == "waited");
}

TEST_CASE_TEMPLATE("D24: U becomes X as soon as the readers that were there have gone, ahead of waiting newcomers", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>();
  LockOwner reader;
  REQUIRE(manager->acquire(reader, key("k"), S));
  Actor updater{*manager}, late_reader{*manager}, other_writer{*manager};
  updater.acquire(key("k"), U);
  CHECK(updater.outcome() == "at once");
  other_writer.acquire(key("k"), X);
  late_reader.acquire(key("k"), S);
  CHECK(late_reader.waits());
  updater.acquire(key("k"), X);
  CHECK(updater.waits());
  manager->release_all(reader);
  CHECK(updater.outcome() == "waited");
  CHECK(manager->held(updater.owner, key("k")) == X);
  CHECK(other_writer.waits());
  updater.finish();
  CHECK(other_writer.outcome() == "waited");
  other_writer.finish();
  CHECK(late_reader.outcome() == "waited");
}

TEST_CASE_TEMPLATE("D16: circles of two, three and many are refused at once to the one who closes them, and only to that one", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  for (std::size_t parties : {2U, 3U, 12U}) {
    auto manager = open<Manager>();
    std::vector<std::unique_ptr<Actor>> actors;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < parties; ++i) {
      actors.push_back(std::make_unique<Actor>(*manager));
      names.push_back("key " + std::to_string(i));
    }
    for (std::size_t i = 0; i < parties; ++i) REQUIRE(manager->acquire(actors[i]->owner, key(names[i]), X));
    for (std::size_t i = 0; i + 1 < parties; ++i) {
      actors[i]->acquire(key(names[i + 1]), X);
      CHECK(actors[i]->waits());
    }
    actors.back()->acquire(key(names[0]), X);
    CHECK(actors.back()->outcome() == "deadlock");
    for (std::size_t i = 0; i + 1 < parties; ++i) CHECK(actors[i]->waits());
    CHECK(manager->held(actors.back()->owner, key(names.back())) == X);
    for (std::size_t i = parties; i-- > 0;) actors[i]->finish();
    CHECK(actors[0]->outcome() == "waited");
    CHECK(manager->stats().deadlocks == 1);
    CHECK(manager->stats().keys == 0);
  }
}

TEST_CASE_TEMPLATE("two readers that both want to write are a circle; with U the second one waits before it reads", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>();
  Actor a{*manager}, b{*manager};
  SUBCASE("S and S") {
    a.acquire(key("k"), S), b.acquire(key("k"), S);
    a.acquire(key("k"), X);
    CHECK(a.waits());
    b.acquire(key("k"), X);
    CHECK(b.outcome() == "deadlock");
    CHECK(manager->held(b.owner, key("k")) == S);
    b.finish();
    CHECK(a.outcome() == "waited");
  }
  SUBCASE("U and U") {
    a.acquire(key("k"), U), b.acquire(key("k"), U);
    CHECK(b.waits());
    a.acquire(key("k"), X);
    CHECK(a.outcome() == "at once");
    a.finish();
    CHECK(b.outcome() == "waited");
  }
}

TEST_CASE_TEMPLATE("a circle through a queue is found: one waits behind a waiter, not behind a holder", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>();
  Actor reader{*manager}, writer{*manager}, newcomer{*manager};
  REQUIRE(manager->acquire(reader.owner, key("a"), S));
  REQUIRE(manager->acquire(newcomer.owner, key("b"), X));
  writer.acquire(key("a"), X);     // waits for reader
  newcomer.acquire(key("a"), S);   // waits for writer, in the queue
  CHECK(newcomer.waits());
  reader.acquire(key("b"), X);     // waits for newcomer
  CHECK(reader.outcome() == "deadlock");
  reader.finish();
  CHECK(writer.outcome() == "waited");
  writer.finish();
  CHECK(newcomer.outcome() == "waited");
}

TEST_CASE_TEMPLATE("a wait that has its limit ends with lock_timeout, and those behind go on", Manager, LockManager, IntervalLockManager) {
  using Actor = aegis_test::LockActor<Manager>;
  auto manager = open<Manager>();
  LockOwner holder;
  REQUIRE(manager->acquire(holder, key("k"), S));
  Actor writer{*manager}, reader{*manager};
  writer.acquire(key("k"), X, Milliseconds{300ms});
  reader.acquire(key("k"), S);
  CHECK(writer.outcome() == "lock_timeout");
  CHECK(reader.outcome() == "waited");
  CHECK(manager->stats().timeouts == 1);
  manager->release_all(holder);
}

TEST_CASE_TEMPLATE("an upgrade that timed out keeps what it had", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>();
  LockOwner a, b;
  REQUIRE(manager->acquire(a, key("k"), S));
  REQUIRE(manager->acquire(b, key("k"), S));
  auto refused = manager->acquire(a, key("k"), X, Milliseconds{1ms});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::lock_timeout);
  CHECK(manager->held(a, key("k")) == S);
  manager->release_all(b);
  CHECK(manager->acquire(a, key("k"), X));
  manager->release_all(a);
}

TEST_CASE_TEMPLATE("without a limit of its own a wait has the manager's: two owners in one thread cannot hang", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>({.timeout = 2ms});
  LockOwner a, b;
  REQUIRE(manager->acquire(a, key("k"), X));
  auto refused = manager->acquire(b, key("k"), X);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::lock_timeout);
  CHECK(b.lock_count() == 0);
  manager->release_all(a);
}

TEST_CASE_TEMPLATE("D16: a transaction's cost does not depend on the locks of others", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>();
  const auto cost = [&] {
    LockOwner owner;
    const LockStats before = manager->stats();
    for (int i = 0; i < 1000; ++i) {
      REQUIRE(manager->acquire(owner, LockTarget::of_table(table), IX));
      REQUIRE(manager->acquire(owner, key("mine"), X));
      manager->release_all(owner);
    }
    const LockStats after = manager->stats();
    return std::pair{after.allocations - before.allocations, after.visits - before.visits};
  };
  (void)cost();
  const auto [alone_allocations, alone_visits] = cost();
  LockOwner others;
  for (int i = 0; i < 100'000; ++i) REQUIRE(manager->acquire(others, key("other " + std::to_string(i)), X));
  (void)cost();  // the others took the recycled nodes
  const auto [allocations, visits] = cost();
  CHECK(alone_allocations == 0);
  CHECK(allocations == 0);
  CHECK(visits <= alone_visits + 1000 * visits_beside<Manager>(100'000));
  CHECK(manager->stats().locks == 100'000);
  const LockStats before = manager->stats();
  manager->release_all(others);
  CHECK(manager->stats().locks == 0);
  CHECK(manager->stats().visits - before.visits <= 100'000 * visits_beside<Manager>(100'000));
}

TEST_CASE_TEMPLATE("keys of any length are locked as a whole", Manager, LockManager, IntervalLockManager) {
  auto manager = open<Manager>();
  LockOwner a, b;
  const std::string one(1000, 'k');
  std::string other = one;
  other.back() = 'l';
  REQUIRE(manager->acquire(a, key(one), X));
  CHECK(manager->acquire(b, key(other), X, at_once));
  CHECK_FALSE(manager->acquire(b, key(one), X, at_once));
  manager->release_all(a);
  manager->release_all(b);
}

TEST_CASE_TEMPLATE("one key that all want is passed on without a gap, whoever it is offered to", Manager, LockManager, IntervalLockManager) {
  for (const unsigned limit : {0U, 1U, 1024U}) {
    auto manager = open<Manager>({.timeout = std::chrono::minutes{1}, .offer_limit = limit});
    constexpr int rounds = 3000;
    std::uint64_t counter = 0;  // under the key
    std::atomic<std::uint64_t> errors{0};
    std::vector<std::thread> threads;
    for (const LockMode mode : {X, U, X, U})
      threads.emplace_back([&, mode] {
        for (int i = 0; i < rounds; ++i) {
          LockOwner owner;
          if (!manager->acquire(owner, key("k"), mode)) ++errors;
          ++counter;
          manager->release_all(owner);
        }
      });
    for (auto& thread : threads) thread.join();
    CHECK(errors == 0);
    CHECK(counter == 4 * rounds);
    CHECK(manager->waiting_count() == 0);
    CHECK(manager->stats().keys == 0);
  }
}

TEST_CASE_TEMPLATE("under a storm of transactions X is exclusive, S shares, and every circle is resolved", Manager, LockManager, IntervalLockManager) {
  const std::uint64_t seed = aegis_test::seed(5);
  INFO(aegis_test::replay(seed, "test/lock/lock_manager"));
  auto manager = open<Manager>();
  constexpr std::uint64_t keys = 5;
  std::array<std::atomic<int>, keys> readers{}, writers{};
  std::atomic<bool> wrong{false};
  std::atomic<std::uint64_t> done{0}, deadlocks{0}, others{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      aegis_test::Random random{seed * 100 + t};
      for (int i = 0; i < 2000; ++i) {
        LockOwner owner;
        std::array<char, keys> mode{};
        for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
          const std::uint64_t k = random.below(keys);
          const char wanted = random.one_in(2) ? 'X' : 'S';
          auto got = manager->acquire(owner, key(std::to_string(k)), wanted == 'X' ? X : S);
          if (!got) {
            ++(got.error().code() == Errc::deadlock ? deadlocks : others);
            break;
          }
          if (mode[k] == 'X' || mode[k] == wanted) continue;
          if (mode[k] == 'S') --readers[k];
          ++(wanted == 'X' ? writers : readers)[k];
          mode[k] = wanted;
          if (wanted == 'X' ? writers[k] != 1 || readers[k] != 0 : writers[k] != 0) wrong = true;
        }
        for (std::uint64_t k = 0; k < keys; ++k) {
          if (mode[k] == 'X' && (writers[k] != 1 || readers[k] != 0)) wrong = true;
          if (mode[k] != 0) --(mode[k] == 'X' ? writers : readers)[k];
        }
        manager->release_all(owner);
        ++done;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(wrong);
  CHECK(done == 6 * 2000);
  CHECK(others == 0);
  CHECK(manager->stats().deadlocks == deadlocks);
  CHECK(manager->stats().locks == 0);
  CHECK(manager->stats().keys == 0);
  CHECK(manager->waiting_count() == 0);
}
