// SPDX-License-Identifier: Apache-2.0
#include "support/list_append/checker.hpp"
#include "support/list_append/simulated_engine.hpp"
#include "support/list_append/white_box.hpp"

#include "support/random.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

using namespace aegis_test;
using namespace aegis_test::list_append;

namespace {

struct Done {
  bool is_append;
  Key key;
  std::vector<Element> elements;
};
Done a(Key key, Element element) { return {true, key, {element}}; }
Done r(Key key, std::vector<Element> seen) { return {false, key, std::move(seen)}; }

constexpr Key x = 0, y = 1;

struct Times {
  std::uint64_t invoked = 1, returned = 9;
};

/// A history in the notation of its table: transactions, then what the final read found.
class Sketch {
 public:
  Sketch& ok(std::initializer_list<Done> steps, Times times = {}) { return add(Status::ok, steps, times); }
  Sketch& fail(std::initializer_list<Done> steps) { return add(Status::fail, steps, {}); }
  Sketch& info(std::initializer_list<Done> steps) { return add(Status::info, steps, {1, never}); }
  Sketch& snapshot(std::initializer_list<Done> steps, Times times = {}) {
    add(Status::ok, steps, times);
    history_.transactions.back().is_snapshot = true;
    return *this;
  }
  Sketch& ends(std::vector<Element> of_x, std::vector<Element> of_y = {}) {
    final_ = {std::move(of_x), std::move(of_y)};
    return *this;
  }

  /// The engine's timestamps of the last transaction, and what was published around each of its reads.
  Sketch& at(std::uint64_t snapshot, std::uint64_t commit, std::uint64_t before = 0, std::uint64_t after = never) {
    Transaction& transaction = history_.transactions.back();
    transaction.snapshot = snapshot;
    transaction.commit = commit;
    for (std::uint32_t i = transaction.first; i < transaction.first + transaction.count; ++i) history_.operations[i].published_before = before, history_.operations[i].published_after = after;
    return *this;
  }

  Report report(Level level) const { return check(history_, final_, level); }
  void is(const std::string& read_committed, const std::string& snapshot_isolation, const std::string& serializable) const {
    CHECK(report(Level::read_committed).names() == read_committed);
    CHECK(report(Level::snapshot_isolation).names() == snapshot_isolation);
    CHECK(report(Level::serializable).names() == serializable);
    CHECK(report(Level::two_phase_locking).names() == serializable);
  }
  /// By the engine's timestamps.
  void timed(const std::string& read_committed, const std::string& snapshot_isolation, const std::string& serializable, const std::string& two_phase_locking) const {
    CHECK(check_white_box(history_, final_, Level::read_committed).names() == read_committed);
    CHECK(check_white_box(history_, final_, Level::snapshot_isolation).names() == snapshot_isolation);
    CHECK(check_white_box(history_, final_, Level::serializable).names() == serializable);
    CHECK(check_white_box(history_, final_, Level::two_phase_locking).names() == two_phase_locking);
  }
  void timed(const std::string& everywhere) const { timed(everywhere, everywhere, everywhere, everywhere); }
  void is(const std::string& everywhere) const { is(everywhere, everywhere, everywhere); }

 private:
  Sketch& add(Status status, std::initializer_list<Done> steps, Times times) {
    Transaction& transaction = history_.begin(times.invoked);
    transaction.status = status;
    transaction.returned = times.returned;
    for (const Done& done : steps) {
      if (done.is_append) history_.append(done.key, done.elements.front());
      else history_.read(done.key, done.elements);
    }
    return *this;
  }

  History history_;
  FinalRead final_;
};

/// One after the other, one key: append and read what is there.
struct Serial {
  History history;
  FinalRead final_read;

  Serial(std::size_t transactions, Key live, std::uint64_t seed) {
    Random random{seed};
    for (std::uint32_t i = 0; i < transactions; ++i) {
      Transaction& transaction = history.begin(2 * i);
      transaction.returned = 2 * i + 1;
      const Key base = i / 50 * live;
      for (std::uint64_t step = 1 + random.below(4); step != 0; --step) {
        const Key key = base + static_cast<Key>(random.below(live));
        if (final_read.size() <= key) final_read.resize(key + std::size_t{1});
        history.read(key, final_read[key]);
        if (random.one_in(2)) continue;
        final_read[key].push_back(++last_);
        history.append(key, last_);
      }
    }
  }

 private:
  Element last_ = 0;
};

}  // namespace

TEST_CASE("each unit history shows each level what it forbids, and nothing else") {
  SUBCASE("U1") { Sketch{}.ok({a(x, 1), a(y, 1)}).ok({a(x, 2), a(y, 2)}).ends({1, 2}, {2, 1}).is("G0"); }
  SUBCASE("U2") { Sketch{}.fail({a(x, 1)}).ok({r(x, {1})}).ends({}).is("G1a"); }
  SUBCASE("U3") { Sketch{}.ok({a(x, 1), a(x, 2)}).ok({r(x, {1})}).ends({1, 2}).is("G1b", "G1b, G-single", "G1b, G-single"); }
  SUBCASE("U4") { Sketch{}.ok({a(x, 1), r(y, {1})}).ok({a(y, 1), r(x, {1})}).ends({1}, {1}).is("G1c"); }
  SUBCASE("U5") { Sketch{}.ok({r(x, {}), r(y, {1})}).ok({a(x, 1), a(y, 1)}).ends({1}, {1}).is("", "G-single", "G-single"); }
  SUBCASE("U6") { Sketch{}.ok({r(x, {}), a(x, 1)}).ok({r(x, {}), a(x, 2)}).ends({1, 2}).is("", "lost-update, G-single", "lost-update, G-single"); }
  SUBCASE("U7") { Sketch{}.ok({r(x, {}), a(y, 1)}).ok({r(y, {}), a(x, 1)}).ends({1}, {1}).is("", "", "G2"); }
  SUBCASE("U8") {
    Sketch{}.ok({a(x, 1)}).ok({a(y, 1)}).ok({r(x, {1}), r(y, {})}).ok({r(x, {}), r(y, {1})}).ends({1}, {1}).is("", "G-nonadjacent", "G-nonadjacent");
  }
  SUBCASE("U9") { Sketch{}.ok({a(x, 1)}, {1, 2}).ok({r(x, {})}, {3, 4}).ends({1}).is("stale-read", "G-single-rt", "G-single-rt"); }
  SUBCASE("U10") { Sketch{}.ok({a(x, 1), r(x, {})}).ends({1}).is("internal"); }
  SUBCASE("U11") { Sketch{}.ok({r(x, {1}), a(x, 1)}).ends({1}).is("future-read"); }
  SUBCASE("U12") { Sketch{}.ok({a(x, 1)}).ends({1, 1}).is("duplicate"); }
  SUBCASE("U13") { Sketch{}.ok({a(x, 1)}).ok({a(x, 2)}).ok({a(x, 3)}).ok({r(x, {1, 2})}).ok({r(x, {1, 3})}).ends({1, 2, 3}).is("incompatible-order"); }
  SUBCASE("U14") { Sketch{}.ok({r(x, {99})}).ends({99}).is("garbage"); }
  SUBCASE("U15") { Sketch{}.fail({a(x, 1)}).ok({a(x, 2)}).ends({1, 2}).is("G1a, resurrected-abort"); }
  SUBCASE("U16") { Sketch{}.ok({a(x, 1)}).ends({}).is("lost-commit"); }
  SUBCASE("U17a") { Sketch{}.info({a(x, 1), a(y, 1)}).ends({1}, {1}).is(""); }
  SUBCASE("U17b") { Sketch{}.info({a(x, 1), a(y, 1)}).ends({}, {}).is(""); }
  SUBCASE("U17c") { Sketch{}.info({a(x, 1), a(y, 1)}).ends({1}, {}).is("torn-txn, MAV", "torn-txn", "torn-txn"); }
  SUBCASE("U18") { Sketch{}.ok({a(x, 1)}).ok({r(x, {1}), r(x, {})}).ends({1}).is("non-monotone, MAV", "non-repeatable, G-single", "non-repeatable, G-single"); }
  SUBCASE("U19") { Sketch{}.ok({a(x, 1), a(y, 1)}).ok({r(x, {1}), r(y, {})}).ends({1}, {1}).is("MAV", "G-single", "G-single"); }
  SUBCASE("U20") { Sketch{}.ok({a(x, 1)}, {1, 2}).ok({r(x, {1}), a(x, 2)}, {3, 4}).ok({r(x, {1, 2})}, {5, 6}).ends({1, 2}).is(""); }
  SUBCASE("U21") {
    Sketch{}.ok({r(x, {}), r(y, {}), a(x, 1)}, {1, 20}).ok({r(y, {}), a(y, 1)}, {2, 5}).ok({r(x, {}), r(y, {1})}, {6, 8}).ends({1}, {1}).is("", "", "G2");
  }
  SUBCASE("U22") { Sketch{}.ok({a(x, 1)}, {2, 5}).ok({r(x, {}), a(y, 1)}, {1, 20}).ok({r(y, {})}, {6, 8}).ends({1}, {1}).is("", "", "G2-rt"); }
  SUBCASE("U23") { Sketch{}.ok({a(x, 1), a(x, 2)}).ok({a(x, 3)}).ends({1, 3, 2}).is("G0"); }
}

TEST_CASE("cycles that close in real time alone, and snapshots at read committed, are found too") {
  SUBCASE("a later writer stands before an earlier one") { Sketch{}.ok({a(x, 2)}, {1, 2}).ok({a(x, 1)}, {3, 4}).ends({1, 2}).is("G0-rt"); }
  SUBCASE("a read came before the transaction that it read from began") {
    Sketch{}.ok({r(x, {1})}, {1, 2}).ok({a(x, 1)}, {3, 4}).ends({1}).is("G1c-rt");
  }
  SUBCASE("of several elements one was read twice") { Sketch{}.ok({a(x, 1)}).ok({r(x, {1, 1})}).ends({1}).is("duplicate"); }
  SUBCASE("an element that was undecided was seen, and is gone") { Sketch{}.info({a(x, 1)}).ok({r(x, {1})}).ends({}).is("incompatible-order"); }
  SUBCASE("what one transaction appended is stored in another order") { Sketch{}.ok({a(x, 1), a(x, 2)}).ends({2, 1}).is("incompatible-order"); }
  SUBCASE("an own element was read twice over") { Sketch{}.ok({a(x, 1), r(x, {1, 1})}).ends({1}).is("internal"); }
  SUBCASE("a snapshot that reads twice reads the same at read committed as well") {
    Sketch{}.ok({a(x, 1)}).snapshot({r(x, {}), r(x, {1})}).ends({1}).is("non-repeatable, G-single");
  }
  SUBCASE("a snapshot falls between the halves of a commit") { Sketch{}.ok({a(x, 1), a(y, 1)}).snapshot({r(x, {}), r(y, {1})}).ends({1}, {1}).is("G-single"); }
  SUBCASE("read-write readers may, at read committed") { Sketch{}.ok({a(x, 1), a(y, 1)}).ok({r(x, {}), r(x, {1}), r(y, {1})}).ends({1}, {1}).is("", "non-repeatable, G-single", "non-repeatable, G-single"); }
}

TEST_CASE("the white box holds every read against the timestamp that its level names") {
  const auto two = [](Sketch sketch = {}) { return sketch.ok({a(x, 1)}, {1, 2}).at(0, 1); };
  SUBCASE("what was read is what was there") {
    two().ok({r(x, {1}), a(x, 2)}, {3, 4}).at(1, 2, 1, 1).ok({r(x, {1, 2}), r(y, {})}, {5, 6}).at(2, 0, 2, 2).snapshot({r(x, {1})}, {3, 6}).at(1, 0).ends({1, 2}).timed("");
  }
  SUBCASE("own appends come after what the snapshot shows") { two().ok({a(x, 2), r(x, {1, 2})}, {3, 4}).at(1, 2, 1, 1).ends({1, 2}).timed(""); }
  SUBCASE("a read misses what its snapshot has") {
    two().ok({r(x, {})}, {1, 9}).at(1, 0, 1, 1).ends({1}).timed("wrong-snapshot");
    two().snapshot({r(x, {})}, {1, 9}).at(1, 0).ends({1}).timed("wrong-snapshot");
  }
  SUBCASE("a read shows what its snapshot has not: read committed and locking look at the newest") { two().ok({r(x, {1})}, {1, 9}).at(0, 0, 0, 1).ends({1}).timed("", "wrong-snapshot", "wrong-snapshot", ""); }
  SUBCASE("a read that never was right") { two().ok({r(x, {7})}, {1, 9}).at(1, 0, 0, 1).ends({1}).timed("wrong-snapshot"); }
  SUBCASE("reads go back in time") {
    // y was appended to first, so that who sees x sees y.
    Sketch{}.ok({a(y, 1)}).at(0, 1).ok({a(x, 1)}).at(1, 2).ok({r(x, {1}), r(y, {})}).at(2, 0, 0, 2).ends({1}, {1}).timed("wrong-snapshot", "wrong-snapshot, not-serial", "wrong-snapshot, not-serial", "not-serial");
  }
  SUBCASE("write skew") {
    Sketch{}.ok({r(x, {}), a(y, 1)}).at(0, 1, 0, 2).ok({r(y, {}), a(x, 1)}).at(0, 2, 0, 2).ends({1}, {1}).timed("", "", "not-serial", "not-serial");
  }
  SUBCASE("a snapshot from before what had returned") { two().ok({r(x, {})}, {3, 4}).at(0, 0, 0, 1).ends({1}).timed("old-snapshot"); }
  SUBCASE("a commit before one that had returned") { Sketch{}.ok({a(x, 2)}, {1, 2}).at(0, 2).ok({a(x, 1)}, {3, 4}).at(2, 1).ends({1, 2}).timed("timestamps"); }
  SUBCASE("a timestamp that nobody has") { two().ok({a(y, 1)}).at(1, 3).ends({1}, {1}).timed("timestamps"); }
  SUBCASE("a timestamp that two have") { two().ok({a(y, 1)}, {1, 9}).at(0, 1).ends({1}, {1}).timed("timestamps"); }
  SUBCASE("a timestamp without a write, and a write without one") {
    two().ok({r(y, {})}, {1, 9}).at(0, 2).ends({1}).timed("timestamps");
    two().ok({a(y, 1)}, {1, 9}).at(1, 0).ends({1}).timed("timestamps");
  }
  SUBCASE("a list in another order than the commits") { two().ok({a(x, 2)}, {1, 9}).at(1, 2).ends({2, 1}).timed("version-order"); }
  SUBCASE("a list that lacks a commit") { two().ends({}).timed("version-order"); }
}

TEST_CASE("a finding names the shortest cycle, and for each of its edges the key and the element") {
  Sketch sketch;
  // A cycle of three beside one of two: T0, T1 on key x; T2, T3, T4 on keys 2, 3, 4.
  sketch.ok({r(x, {}), a(y, 1)}).ok({r(y, {}), a(x, 7)});
  sketch.ok({r(2, {}), a(3, 1)}).ok({r(3, {}), a(4, 1)}).ok({r(4, {}), a(2, 1)});
  sketch.ends({7}, {1});
  const std::string message = sketch.report(Level::serializable).message();
  INFO(message);
  CHECK(message.find("lost-commit, 3 times") != std::string::npos);  // the others' keys are not in the final read
  CHECK(message.find("T0 -rw (key 0 element 7)-> T1 -rw (key 1 element 1)-> T0") != std::string::npos);
}

TEST_CASE("a long history of one transaction after the other is clean at every level, and one sabotage in it is found") {
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(replay(seed, "test/isolation/list_append_checker"));
  Serial serial{5'000, 9, seed};
  for (const Level level : {Level::read_committed, Level::snapshot_isolation, Level::serializable}) {
    const Report report = check(serial.history, serial.final_read, level);
    INFO(report.message());
    CHECK(report.clean());
  }
  const auto found = [&](Level level) { return check(serial.history, serial.final_read, level); };
  Random random{seed};
  const auto nonempty_read = [&]() -> Operation& {
    while (true) {
      Operation& operation = serial.history.operations[random.below(serial.history.operations.size())];
      if (!operation.is_append && operation.count > 1) return operation;
    }
  };
  SUBCASE("a read that is one element short") {
    // The element's transaction had returned: at the latest real time betrays it.
    nonempty_read().count -= 1;
    for (const Level level : {Level::read_committed, Level::snapshot_isolation, Level::serializable}) CHECK_FALSE(found(level).clean());
  }
  SUBCASE("two elements of a read that changed places") {
    const Operation& read = nonempty_read();
    std::swap(serial.history.elements[read.first], serial.history.elements[read.first + 1]);
    CHECK_FALSE(found(Level::read_committed).clean());
  }
  SUBCASE("an append that was dropped from what is stored") {
    auto& list = serial.final_read[random.below(9)];
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(random.below(list.size())));
    CHECK(found(Level::read_committed).has(Anomaly::lost_commit));
  }
  SUBCASE("two neighbours that changed places in what is stored") {
    std::swap(serial.final_read[3][0], serial.final_read[3][1]);
    CHECK_FALSE(found(Level::read_committed).clean());
  }
  SUBCASE("a transaction whose commit is said to have failed") {
    for (auto& transaction : serial.history.transactions)
      if (transaction.invoked > 1000 && serial.history.operations_of(transaction).back().is_append) {
        transaction.status = Status::fail;
        break;
      }
    CHECK(found(Level::read_committed).has(Anomaly::resurrected_abort));
  }
  SUBCASE("two writers of one list that are said to have run in the opposite order") {
    const VersionOrder order{serial.history, serial.final_read};
    Key key = 0;
    while (serial.final_read[key].size() < 2 || order.at(key, 0)->transaction == order.at(key, 1)->transaction) ++key;
    auto &first = serial.history.transactions[order.at(key, 0)->transaction], &second = serial.history.transactions[order.at(key, 1)->transaction];
    std::swap(first.invoked, second.invoked);
    std::swap(first.returned, second.returned);
    CHECK_FALSE(found(Level::serializable).clean());
  }
}

TEST_CASE("the checker finds each of thirteen bugs of a simulated engine, and none in the engine without them") {
  struct Row {
    const char* name;
    Bug bug;
    Level level;
    Anomaly expected;
  };
  constexpr auto rc = Level::read_committed, si = Level::snapshot_isolation, ser = Level::serializable;
  static constexpr Row rows[] = {
      {"overwrites newer versions", Bug::overwrites, si, Anomaly::lost_update},
      {"reads the newest, not the snapshot", Bug::reads_newest, si, Anomaly::non_repeatable},
      {"old snapshot", Bug::old_snapshot, si, Anomaly::g_single_rt},
      {"aborted write leaks", Bug::aborted_leaks, rc, Anomaly::resurrected_abort},
      {"intermediate write leaks", Bug::intermediate_leaks, rc, Anomaly::g1b},
      {"intermediate write leaks", Bug::intermediate_leaks, si, Anomaly::g1b},
      {"commit visible key by key", Bug::key_by_key, rc, Anomaly::mav},
      {"commit visible key by key", Bug::key_by_key, si, Anomaly::g_single},
      {"acknowledged commit dropped", Bug::drops_acknowledged, si, Anomaly::lost_commit},
      {"reads of absent keys not validated", Bug::ignores_absent, ser, Anomaly::g2},
      {"nothing validated", Bug::validates_nothing, ser, Anomaly::g2},
      {"long fork", Bug::long_fork, si, Anomaly::incompatible_order},
      {"commit applied twice", Bug::applies_twice, si, Anomaly::duplicate},
      {"dirty read", Bug::dirty_read, rc, Anomaly::incompatible_order},
      {"undecided transaction half applied", Bug::half_applied, rc, Anomaly::torn_txn},
  };
  constexpr std::uint64_t seeds = 3, transactions = 2000;
  const std::uint64_t first = aegis_test::seed(1);
  INFO(replay(first, "test/isolation/list_append_checker"));
  const auto report_of = [](Level level, Bug bug, std::uint64_t seed) {
    SimulatedEngine engine{level, bug, seed};
    engine.run(transactions);
    return check(engine.history(), engine.final_read(), level);
  };
  for (const Level level : {rc, si, ser})
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
      const Report report = report_of(level, Bug::nothing, seed);
      INFO(report.message());
      CHECK(report.clean());
    }
  std::string table;
  for (const Row& row : rows) {
    std::uint64_t found = 0, expected = 0;
    std::string names;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
      const Report report = report_of(row.level, row.bug, seed);
      found += report.clean() ? 0 : 1;
      expected += report.has(row.expected) ? 1 : 0;
      names = report.names();
    }
    table += "\n  " + std::string(row.name) + ": found with " + std::to_string(found) + " of " + std::to_string(seeds) + " seeds; the last: " + names;
    CHECK(found > 0);
    CHECK(expected > 0);
  }
  MESSAGE(table);
}
