// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/commit_steps.hpp>

#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/isolation/two_phase_locking.hpp>
#include <aegis/storage/txn/transaction_manager.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <thread>

using namespace aegis::storage;

namespace {

constexpr TableId table{1};

/// A transaction of a manager that is used alone, its context in reach.
template <class Isolation>
struct Client {
  using Manager = TransactionManager<Isolation>;

  explicit Client(Manager& of) : manager(of), context(*of.open(false)) {}
  ~Client() { manager.close(*context, state); }

  void put(std::string_view key) {
    REQUIRE(manager.claim(*context, table, key).has_value());
    REQUIRE(context->writes.write(table, key, WriteKind::put, "v").has_value());
  }
  void read(std::string_view key) {
    if constexpr (Isolation::reads_take_locks) REQUIRE(manager.claim_read(*context, table, key).has_value());
    REQUIRE(manager.view(*context, [this] { return manager.published(); }).has_value());
    REQUIRE(context->footprint.note_point(table, key).has_value());
  }
  template <class Steps>
  Result<CommitInfo> commit(CommitSection& section, Steps&& steps) {
    const auto done = manager.commit(*context, section, steps);
    if (done) state = TransactionState::committed;
    return done;
  }
  bool holds(std::string_view key) { return manager.locks().held(context->locks, LockTarget{table, key}).has_value(); }

  Manager& manager;
  typename Manager::Context* context;
  TransactionState state = TransactionState::aborted;
};

/// Looks at every step at what others could see.
template <class Isolation>
struct Observer {
  Result<void> confirm(Timestamp) { return {}; }
  Result<void> prepare() { return look("prepare", before, true); }
  Result<void> arrive(CommitSection::Token&) { return look("arrive", before, true); }
  Result<void> append(CommitSection::Token&, Timestamp) { return look("append", before, true); }
  Result<void> apply(CommitSection::Token&, Timestamp) { return look("apply", before, true); }
  Result<bool> settle(Timestamp timestamp) {
    (void)look("settle", timestamp, false);
    return true;
  }
  Result<void> look(std::string_view step, Timestamp published, bool locked) {
    INFO(step);
    CHECK(client.manager.published() == published);
    CHECK(client.holds("written") == locked);
    CHECK(client.holds("read") == (locked && Isolation::reads_take_locks));
    CHECK(client.manager.snapshots().oldest(next(next(before))) == (locked ? before : next(next(before))));
    steps.append(step.substr(0, 2));
    return {};
  }

  Client<Isolation>& client;
  Timestamp before;
  std::string steps{};
};

/// Somebody else commits while the transaction prepares, or in the section's first step.
struct Overtaken : NoSteps {
  Result<void> prepare() {
    Client<Serializable> rival{manager};
    rival.put(key);
    CHECK(rival.commit(section, NoSteps{}).has_value());
    return {};
  }
  Result<void> append(CommitSection::Token&, Timestamp) {
    appended = true;
    return {};
  }

  TransactionManager<Serializable>& manager;
  CommitSection& section;
  std::string_view key;
  bool appended = false;
};

}  // namespace

TEST_CASE_TEMPLATE("nothing of a commit is published, and no lock given up, before all of it is applied", Isolation, ReadCommitted, SnapshotIsolation, Serializable,
                   TwoPhaseLocking) {
  TransactionManager<Isolation> manager;
  CommitSection section;
  for (std::uint64_t n = 0; n < 3; ++n) {
    Client<Isolation> client{manager};
    client.read("read");
    client.put("written");
    Observer<Isolation> observer{client, Timestamp{n}};
    const auto done = client.commit(section, observer);
    REQUIRE(done.has_value());
    CHECK(done->timestamp == Timestamp{n + 1});
    CHECK(done->durable);
    CHECK(observer.steps == "prarapapse");
  }
}

TEST_CASE("a serializable transaction is judged by what others committed up to its place in the order, and has none when it lost") {
  TransactionManager<Serializable> manager;
  CommitSection section;
  Client<Serializable> client{manager};
  client.read("read");
  client.put("written");
  Overtaken steps{{}, manager, section, "read"};
  SUBCASE("it read what they wrote") {
    const auto done = client.commit(section, steps);
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().code() == Errc::conflict);
    CHECK_FALSE(steps.appended);
    CHECK(manager.published() == Timestamp{1});
    CHECK(manager.stats().validation_conflicts == 1);
  }
  SUBCASE("it did not") {
    steps.key = "other";
    const auto done = client.commit(section, steps);
    REQUIRE(done.has_value());
    CHECK(steps.appended);
    CHECK(done->timestamp == Timestamp{2});
  }
}

TEST_CASE_TEMPLATE("who waited for a lock at its first operation sees what it waited for", Isolation, ReadCommitted, SnapshotIsolation, Serializable, TwoPhaseLocking) {
  TransactionManager<Isolation> manager;
  CommitSection section;
  Client<Isolation> client{manager};
  {
    Client<Isolation> holder{manager};
    holder.put("written");
    std::thread waiter([&] { CHECK(manager.claim(*client.context, table, "written").has_value()); });
    while (manager.locks().waiting_count() == 0) std::this_thread::yield();
    const auto done = holder.commit(section, NoSteps{});
    waiter.join();
    REQUIRE(done.has_value());
  }
  CHECK(client.context->snapshot == Timestamp{1});
}
