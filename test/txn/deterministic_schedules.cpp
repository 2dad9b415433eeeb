// SPDX-License-Identifier: Apache-2.0
// Snapshot publication and commit of a whole engine under schedules of a deterministic scheduler: writers move value between
// two rows. Every reader finds the sum, a snapshot taken after a commit returned shows it, and what is acknowledged grows.
#include <support/deterministic_threads.hpp>

#include <support/engines.hpp>

#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

constexpr int total = 200;

template <class Isolation>
class Movers {
 public:
  using E = Engine<MemoryBackend, Isolation>;

  explicit Movers(Schedule& schedule) {
    schedule.allow(Schedule::Timeouts::none);
    EngineOptions options = small_options<E>();
    options.log_bytes = std::size_t{1} << 20;
    options.max_transaction_bytes = std::size_t{64} << 10;
    options.version_bytes = std::size_t{64} << 10;
    options.max_transactions = 8;
    engine_.emplace(open_on<E>(disk_, options));
    table_.emplace(table_of(*engine_, "accounts"));
    put(*engine_, *table_, "a", std::to_string(total / 2));
    put(*engine_, *table_, "b", std::to_string(total / 2));
    for (std::uint64_t thread = 0, threads = 1 + schedule.random.below(2); thread < threads; ++thread)
      schedule.spawn([this, &schedule, thread, rounds = 1 + schedule.random.below(2)] {
        for (std::uint64_t round = 0; round < rounds; ++round) move(schedule, static_cast<int>(1 + 10 * thread + round));
      });
    for (std::uint64_t thread = 0, threads = 1 + schedule.random.below(2); thread < threads; ++thread)
      schedule.spawn([this, &schedule] {
        for (int round = 0; round < 2; ++round) look(schedule);
      });
  }

  void at_end(Schedule& schedule) {
    look(schedule);
    schedule.require(locks_of(*engine_).keys == 0, "no lock is left");
    schedule.require(engine_->stats().transactions.active == 0, "no transaction is left");
  }

 private:
  template <class Reader>
  static std::optional<int> balance(Reader& reader, const typename E::Table& table, std::string_view key) {
    auto row = reader.get(table, key);
    if (!row || !row->has_value()) return std::nullopt;
    return std::stoi(std::string{**row});
  }

  void move(Schedule& schedule, int amount) {
    auto txn = engine_->begin();
    const auto a = balance(txn, *table_, "a"), b = balance(txn, *table_, "b");
    schedule.require(a && b && *a + *b == total, "a writer finds the sum");
    const bool written = txn.put(*table_, "a", std::to_string(*a - amount)).has_value() && txn.put(*table_, "b", std::to_string(*b + amount)).has_value();
    if (!written) return;  // another one was first
    const auto committed = txn.commit();
    if (!committed) return schedule.require(committed.error().code() == Errc::conflict, "a commit fails for a conflict only");
    schedule.require(engine_->stats().acknowledged >= committed->timestamp, "a commit that returned is acknowledged");
    auto reader = engine_->snapshot();
    schedule.require(balance(reader, *table_, "a").value_or(total) <= *a - amount, "a snapshot shows the commits that returned before it");
  }
  void look(Schedule& schedule) {
    const Timestamp before = engine_->stats().acknowledged;
    schedule.require(before >= acknowledged_, "what is acknowledged never goes back");
    acknowledged_ = before;
    auto reader = engine_->snapshot();
    const auto a = balance(reader, *table_, "a"), b = balance(reader, *table_, "b");
    schedule.require(a && b && *a + *b == total, "a reader finds the sum");
    schedule.require(balance(reader, *table_, "a") == a, "a snapshot does not change");
  }

  MemoryDisk disk_;
  std::optional<E> engine_;
  std::optional<typename E::Table> table_;
  Timestamp acknowledged_{};
};

enum class Planted { nothing, between_halves, outside, out_of_order };

// What of it is promised, on two rows that keep all of their versions, sound or with one bug.
template <Planted bug>
class SmallMovers {
 public:
  explicit SmallMovers(Schedule& schedule) {
    for (int thread = 0; thread < 2; ++thread)
      schedule.spawn([this, &schedule] {
        const std::uint64_t mine = commit();
        schedule.require(acknowledged_.load() >= mine, "a commit that returned is acknowledged");
        const std::uint64_t snapshot = published_.load();
        schedule.require(snapshot >= mine, "a snapshot shows the commits that returned before it");
      });
    schedule.spawn([this, &schedule] {
      for (int round = 0; round < 3; ++round) {
        const std::uint64_t before = acknowledged_.load(), snapshot = published_.load();
        schedule.require(before >= seen_, "what is acknowledged never goes back");
        seen_ = before;
        schedule.require(a_[snapshot].load() + b_[snapshot].load() == total, "a reader finds the sum");
      }
    });
  }
  void at_end(Schedule& schedule) { schedule.require(acknowledged_.load() == 2, "all is acknowledged"); }

 private:
  std::uint64_t commit() {
    std::uint64_t mine = 0;
    {
      const std::lock_guard section{section_};
      mine = ++last_;
      const int amount = static_cast<int>(mine);
      a_[mine].store(total / 2 - amount);
      if (bug == Planted::between_halves) published_.store(mine);
      b_[mine].store(total / 2 + amount);
      if (bug != Planted::outside) published_.store(mine);
    }
    if (bug == Planted::outside) published_.store(mine);
    acknowledge(mine);
    return mine;
  }
  void acknowledge(std::uint64_t timestamp) {
    if (bug == Planted::out_of_order) return acknowledged_.store(timestamp);
    for (std::uint64_t before = acknowledged_.load(); before < timestamp && !acknowledged_.compare_exchange_weak(before, timestamp);) continue;
  }

  std::mutex section_;
  std::uint64_t last_ = 0, seen_ = 0;
  std::array<std::atomic<int>, 3> a_{total / 2, 0, 0}, b_{total / 2, 0, 0};
  std::atomic<std::uint64_t> published_{0}, acknowledged_{0};
};

}  // namespace

TEST_CASE_TEMPLATE("readers find the sum of what writers move, in every schedule", Isolation, SnapshotIsolation, Serializable) {
  holds_in_schedules<Movers<Isolation>>(1'000);
}

TEST_CASE("a small store is sound in every schedule, and planted bugs are found") {
  holds_in_schedules<SmallMovers<Planted::nothing>>(1'000);
  fails_in_schedules<SmallMovers<Planted::between_halves>>(1'000, "finds the sum");
  fails_in_schedules<SmallMovers<Planted::outside>>(1'000, "a snapshot shows the commits that returned before it");
  fails_in_schedules<SmallMovers<Planted::out_of_order>>(1'000, "all is acknowledged");
}
