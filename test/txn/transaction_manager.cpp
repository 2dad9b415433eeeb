// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/transaction_manager.hpp>

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/isolation/read_committed.hpp>

#include "support/foreign_locks.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace aegis::storage;

namespace {

using Manager = TransactionManager<SnapshotIsolation>;
constexpr TableId table{1};

template <class T>
bool failed_with(const Result<T>& result, Errc code) {
  return !result && result.error().code() == code;
}

static_assert(!std::is_copy_constructible_v<Manager::Transaction> && std::is_move_constructible_v<Manager::Transaction>);

}  // namespace

TEST_CASE("a manager works alone, beside a backend or without one") {
  MemoryBackend backend;
  TransactionManager<SnapshotIsolation> manager;
  auto txn = manager.begin();
  REQUIRE(manager.commit(txn).has_value());
  CHECK(txn.state() == TransactionState::committed);
  CHECK(manager.stats().committed == 1);
  CHECK(manager.stats().active == 0);
}

TEST_CASE("commits get timestamps that rise by one, and are published in that order") {
  Manager manager;
  for (std::uint64_t n = 1; n <= 5; ++n) {
    auto txn = manager.begin();
    REQUIRE(txn.put(table, "k", "v").has_value());
    const auto done = manager.commit(txn);
    REQUIRE(done.has_value());
    CHECK(done->timestamp == Timestamp{n});
    CHECK(manager.published() == Timestamp{n});
  }
  auto nothing = manager.begin();
  CHECK(manager.commit(nothing)->timestamp == Timestamp{});
  CHECK(manager.published() == Timestamp{5});
}

TEST_CASE("D13: after commit or abort there is only transaction_closed, and a commit stays a commit") {
  Manager manager;
  auto txn = manager.begin();
  REQUIRE(txn.put(table, "k", "v").has_value());
  SUBCASE("commit") {
    REQUIRE(manager.commit(txn).has_value());
    txn.abort();
    CHECK(txn.state() == TransactionState::committed);
  }
  SUBCASE("abort") {
    txn.abort();
    CHECK(txn.state() == TransactionState::aborted);
  }
  const TransactionState state = txn.state();
  CHECK(failed_with(txn.put(table, "k", "w"), Errc::transaction_closed));
  CHECK(failed_with(manager.commit(txn), Errc::transaction_closed));
  CHECK(txn.state() == state);
  CHECK(manager.locks().stats().locks == 0);
}

TEST_CASE("a moved transaction goes on, and what it was moved from is closed") {
  Manager manager;
  auto first = manager.begin();
  REQUIRE(first.put(table, "k", "v").has_value());
  auto second = std::move(first);
  CHECK(failed_with(first.put(table, "k", "w"), Errc::transaction_closed));
  CHECK(first.state() != TransactionState::active);
  CHECK(second.state() == TransactionState::active);
  CHECK(manager.commit(second).has_value());
}

TEST_CASE("a dropped transaction aborts and frees its locks") {
  Manager manager;
  {
    auto txn = manager.begin();
    REQUIRE(txn.put(table, "k", "v").has_value());
    CHECK(manager.locks().stats().locks == 1);
  }
  CHECK(manager.locks().stats().locks == 0);
  CHECK(manager.stats().aborted == 1);
}

TEST_CASE("D14: a key written twice is one lock and one write, and leaves nothing behind") {
  Manager manager;
  auto txn = manager.begin();
  for (int i = 0; i < 1000; ++i) REQUIRE(txn.put(table, "k", std::to_string(i)).has_value());
  CHECK(manager.locks().stats().locks == 1);
  REQUIRE(manager.commit(txn).has_value());
  CHECK(manager.locks().stats().keys == 0);
  CHECK(manager.stats().versions == 0);
  CHECK(manager.stats().version_bytes == 0);
}

TEST_CASE("D16: begin and commit touch and allocate the same with a hundred thousand foreign locks") {
  Manager manager{{.max_transactions = 8, .max_transaction_bytes = std::size_t{256} << 20}};
  const aegis_test::CostBesideLocks cost = aegis_test::cost_beside_locks(manager, table, "mine", 0);
  CHECK(cost.alone.allocations == 0);
  CHECK(cost.beside.allocations == 0);
  CHECK(cost.beside.visits <= cost.alone.visits + aegis_test::measured_transactions * 2 * 8);  // neighbours in one bucket, never a walk
}

TEST_CASE("D16: two that wait for each other: one is told deadlock at once, the other commits") {
  Manager manager;
  auto first = manager.begin();
  auto second = manager.begin();
  REQUIRE(first.put(table, "a", "1").has_value());
  REQUIRE(second.put(table, "b", "2").has_value());
  std::thread waiter([&] {
    CHECK(first.put(table, "b", "1").has_value());
    CHECK(manager.commit(first).has_value());
  });
  while (manager.locks().waiting_count() == 0) std::this_thread::yield();
  CHECK(failed_with(second.put(table, "a", "2"), Errc::deadlock));
  CHECK(failed_with(second.put(table, "c", "2"), Errc::deadlock) == false);  // the manager alone lets it try; commit does not
  CHECK(failed_with(manager.commit(second), Errc::deadlock));
  waiter.join();
  CHECK(manager.stats().deadlocks == 1);
  CHECK(manager.stats().committed == 1);
  CHECK(manager.stats().aborted == 1);
}

TEST_CASE("two transactions of one thread that want one key end with lock_timeout") {
  Manager manager{{.lock_timeout = std::chrono::milliseconds(1)}};
  auto first = manager.begin();
  auto second = manager.begin();
  REQUIRE(first.put(table, "k", "1").has_value());
  CHECK(failed_with(second.put(table, "k", "2"), Errc::lock_timeout));
  CHECK(failed_with(manager.commit(second), Errc::lock_timeout));
  CHECK(manager.commit(first).has_value());
  CHECK(manager.stats().lock_timeouts == 1);
}

TEST_CASE("what cannot be begun says so, and does not count as active") {
  Manager manager{{.max_transactions = 64}};
  std::vector<Manager::Transaction> open;
  for (int i = 0; i < 64; ++i) open.push_back(manager.begin());
  CHECK(manager.stats().active == 64);
  auto more = manager.begin();
  CHECK(more.state() != TransactionState::active);
  CHECK(failed_with(more.put(table, "k", "v"), Errc::transaction_closed));
  CHECK(failed_with(manager.commit(more), Errc::transaction_closed));
  CHECK(manager.stats().active == 64);
  open.clear();
  auto again = manager.begin();
  CHECK(again.put(table, "k", "v").has_value());
}

TEST_CASE("a write set that grows over its bound is too_large, and the transaction goes on") {
  Manager manager{{.max_transaction_bytes = 1000}};
  auto txn = manager.begin();
  REQUIRE(txn.put(table, "a", std::string(500, 'a')).has_value());
  CHECK(failed_with(txn.put(table, "b", std::string(500, 'b')), Errc::too_large));
  CHECK(manager.commit(txn)->timestamp == Timestamp{1});
}

TEST_CASE("eight threads that write the same four keys all come through, in as many timestamps as commits") {
  TransactionManager<ReadCommitted> manager;
  std::array<std::uint64_t, 8> committed{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        auto txn = manager.begin();
        bool good = true;
        for (std::size_t k = 0; k < 2 && good; ++k) good = txn.put(table, std::to_string((t * 3 + k * static_cast<std::size_t>(i)) % 4), "v").has_value();
        if (good && manager.commit(txn)) ++committed[t];
      }
    });
  for (auto& thread : threads) thread.join();
  std::uint64_t all = 0;
  for (const std::uint64_t count : committed) all += count;
  const TransactionStats stats = manager.stats();
  CHECK(stats.begun == 4000);
  CHECK(stats.committed == all);
  CHECK(stats.aborted == 4000 - all);
  CHECK(stats.deadlocks == 4000 - all);
  CHECK(number(stats.published) == all);
  CHECK(stats.active == 0);
  CHECK(manager.locks().stats().keys == 0);
}
