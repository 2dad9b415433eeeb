// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage.hpp>

#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace aegis::storage;

namespace {

template <class Isolation>
using EngineAt = Engine<MemoryBackend, Isolation>;

Errc error_of(const Result<void>& result) { return result ? Errc::invalid_argument : result.error().code(); }

}  // namespace

TEST_CASE_TEMPLATE("savepoints", Isolation, ReadCommitted, SnapshotIsolation, Serializable, TwoPhaseLocking) {
  auto engine = EngineAt<Isolation>::open(EngineOptions{}).value();
  auto table = engine.table("t").value();
  REQUIRE(engine.transact([&](auto& txn) -> Result<void> {
    AEGIS_TRY(txn.put(table, "changed", "0"));
    AEGIS_TRY(txn.put(table, "erased", "0"));
    return txn.put(table, "kept", "0");
  }));
  const auto content = [&] {
    std::string text;
    auto reader = engine.snapshot();
    for (auto cursor = reader.scan(table); cursor.valid(); cursor.next()) text.append(cursor.key()).append("=").append(cursor.value()).append(" ");
    return text;
  };

  SUBCASE("what was written since is taken back, what came before and after is committed") {
    auto txn = engine.begin();
    REQUIRE(txn.put(table, "before", "1"));
    REQUIRE(txn.put(table, "changed", "1"));
    const auto savepoint = txn.savepoint().value();
    REQUIRE(txn.put(table, "changed", "2"));
    REQUIRE(txn.erase(table, "erased").value());
    REQUIRE(txn.insert(table, "added", "2"));
    REQUIRE(txn.rollback_to(savepoint));
    CHECK(txn.get(table, "changed").value() == "1");
    CHECK(txn.get(table, "erased").value() == "0");
    CHECK_FALSE(txn.get(table, "added").value().has_value());
    REQUIRE(txn.insert(table, "added", "3"));
    REQUIRE(txn.commit());
    CHECK(content() == "added=3 before=1 changed=1 erased=0 kept=0 ");
  }
  SUBCASE("a scan sees no write that was taken back, a cursor that is open neither") {
    auto txn = engine.begin();
    const auto savepoint = txn.savepoint().value();
    REQUIRE(txn.put(table, "f", "1"));
    auto cursor = txn.scan(table);
    REQUIRE(txn.rollback_to(savepoint));
    std::string keys;
    for (; cursor.valid(); cursor.next()) keys.append(cursor.key()).append(" ");
    REQUIRE(cursor.status());
    CHECK(keys == "changed erased kept ");
  }
  SUBCASE("they nest: an inner one goes with the rollback to an outer one, the outer one stays") {
    auto txn = engine.begin();
    const auto outer = txn.savepoint().value();
    REQUIRE(txn.put(table, "changed", "1"));
    const auto inner = txn.savepoint().value();
    REQUIRE(txn.put(table, "changed", "2"));
    REQUIRE(txn.rollback_to(inner));
    REQUIRE(txn.rollback_to(inner));
    CHECK(txn.get(table, "changed").value() == "1");
    REQUIRE(txn.rollback_to(outer));
    CHECK(txn.get(table, "changed").value() == "0");
    CHECK(error_of(txn.rollback_to(inner)) == Errc::invalid_argument);
    REQUIRE(txn.put(table, "changed", "3"));
    REQUIRE(txn.rollback_to(outer));
    CHECK(txn.get(table, "changed").value() == "0");
  }
  SUBCASE("a transaction that took back all of its writes commits nothing") {
    auto txn = engine.begin();
    const auto savepoint = txn.savepoint().value();
    REQUIRE(txn.put(table, "changed", "1"));
    REQUIRE(txn.rollback_to(savepoint));
    const auto done = txn.commit();
    REQUIRE(done);
    CHECK(number(done->timestamp) == 0);
    CHECK(content() == "changed=0 erased=0 kept=0 ");
  }
  SUBCASE("locks stay: nobody else changes a key whose write was taken back before the end") {
    auto txn = engine.begin();
    const auto savepoint = txn.savepoint().value();
    REQUIRE(txn.put(table, "changed", "1"));
    const std::size_t held = txn.hold()->locks.lock_count();
    REQUIRE(txn.rollback_to(savepoint));
    CHECK(txn.hold()->locks.lock_count() == held);
    CHECK(held > 0);
  }
  SUBCASE("another transaction's savepoint, and one used after the end, are refused") {
    auto first = engine.begin();
    const auto foreign = first.savepoint().value();
    REQUIRE(first.abort());
    CHECK(error_of(first.rollback_to(foreign)) == Errc::transaction_closed);
    CHECK(first.savepoint().error().code() == Errc::transaction_closed);
    auto second = engine.begin();
    REQUIRE(second.savepoint());
    REQUIRE(second.put(table, "changed", "1"));
    CHECK(error_of(second.rollback_to(foreign)) == Errc::invalid_argument);
    CHECK(second.get(table, "changed").value() == "1");
    REQUIRE(second.commit());
    CHECK(content() == "changed=1 erased=0 kept=0 ");
  }
}

TEST_CASE("what was read before a rollback still counts when the commit is judged") {
  auto engine = EngineAt<Serializable>::open(EngineOptions{}).value();
  auto table = engine.table("t").value();
  auto txn = engine.begin();
  const auto savepoint = txn.savepoint().value();
  CHECK_FALSE(txn.get(table, "read").value().has_value());
  REQUIRE(txn.rollback_to(savepoint));
  REQUIRE(engine.transact([&](auto& other) { return other.put(table, "read", "1"); }));
  REQUIRE(txn.put(table, "written", "1"));
  CHECK(txn.commit().error().code() == Errc::conflict);
}
