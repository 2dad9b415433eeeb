// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/policy.hpp>
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>

#include <doctest/doctest.h>

#include <concepts>
#include <string>
#include <vector>

using namespace aegis::storage;

namespace {

// A level that remembers what it is told: the concept has room for it.
struct Recording {
  static constexpr Axis axis = Axis::isolation;
  static constexpr std::string_view name = "recording";
  static constexpr bool snapshot_per_operation = false, conflict_on_newer_version = true, reads_take_locks = false, tracks_reads = true;
  struct Footprint {
    std::vector<std::string> noted;
    Result<void> note_point(TableId, std::string_view key) { return noted.emplace_back(key), Result<void>{}; }
    Result<void> note_range(TableId, const KeyInterval& interval) { return noted.emplace_back(interval.from), Result<void>{}; }
    void clear() { noted.clear(); }
  };
  struct Validator {
    using Commit = std::vector<std::string>;
    static Result<Validator> open(std::uint64_t) { return Validator{}; }
    template <class Writes>
    Result<Commit> prepare(const Writes& writes) {
      Commit commit;
      writes.for_each_key([&](TableId, std::string_view key) { commit.emplace_back(key); });
      return commit;
    }
    Result<Commit> prepare_table(TableId) { return Commit{}; }
    template <class Lost>
    Result<Timestamp> validate(const Footprint&, Timestamp after, Lost&&) const {
      return after;
    }
    void remember(Commit&&, Timestamp) {}
    void forget(Timestamp) {}
  };
};

struct WithoutDecisions {
  static constexpr Axis axis = Axis::isolation;
  static constexpr std::string_view name = "undecided";
  using Footprint = NoFootprint;
  using Validator = NoValidator;
};

// Claims to track nothing and yet makes every transaction carry a footprint.
struct Wasteful : SnapshotIsolation {
  using Footprint = Recording::Footprint;
};

template <class Policy>
struct TransactionState {
  Timestamp snapshot;
  [[no_unique_address]] typename Policy::Footprint footprint;
  [[no_unique_address]] typename Policy::Validator validator;
};

}  // namespace

static_assert(IsolationPolicy<Recording>);
static_assert(WithoutDecisions::name == "undecided" && !IsolationPolicy<WithoutDecisions>);
static_assert(!IsolationPolicy<Wasteful>);
static_assert(!IsolationPolicy<int>);
static_assert(!Recording::reads_take_locks && !Recording::snapshot_per_operation && Recording::conflict_on_newer_version);

TEST_CASE_TEMPLATE("a level that tracks nothing takes no room and never refuses", Policy, ReadCommitted, SnapshotIsolation) {
  CHECK(sizeof(TransactionState<Policy>) == sizeof(Timestamp));
  typename Policy::Footprint footprint;
  CHECK(footprint.note_point(TableId{1}, "k"));
  CHECK(footprint.note_range(TableId{1}, {"a", "b"}));
  auto validator = Policy::Validator::open(0);
  REQUIRE(validator);
  CHECK(validator->prepare_table(TableId{1}));
  auto commit = validator->prepare(isolation::AnyWrites{});
  REQUIRE(commit);
  validator->remember(*std::move(commit), Timestamp{5});
  auto validated = validator->validate(footprint, Timestamp{3}, isolation::NoLostKey{});
  REQUIRE(validated);
  CHECK(*validated == Timestamp{3});
}

TEST_CASE("the levels decide as their names promise") {
  CHECK(ReadCommitted::snapshot_per_operation);
  CHECK_FALSE(ReadCommitted::conflict_on_newer_version);
  CHECK_FALSE(SnapshotIsolation::snapshot_per_operation);
  CHECK(SnapshotIsolation::conflict_on_newer_version);
  CHECK_FALSE(ReadCommitted::reads_take_locks);
  CHECK_FALSE(SnapshotIsolation::reads_take_locks);
}
