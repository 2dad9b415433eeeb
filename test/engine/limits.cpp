// SPDX-License-Identifier: Apache-2.0
// What an engine is asked that it cannot do: each gets its typed error, and nothing that is stored is harmed.
#include "file/temporary_directory.hpp"
#include "support/rows.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <sys/mman.h>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<>;

namespace {

storage::Result<Engine> open_in(const std::string& directory) {
  return Engine::open({.directory = directory, .pool_bytes = 1 << 20, .log_bytes = 4 << 20, .max_transaction_bytes = 1 << 20, .maintenance_thread = false});
}

template <class T>
void check_code(const storage::Result<T>& result, Errc code) {
  REQUIRE_FALSE(result);
  INFO(result.error().message());
  CHECK(storage::name_of(result.error().code()) == storage::name_of(code));
}

}  // namespace

TEST_CASE("keys and values at their limits are taken, beyond it too_large, and the transaction goes on") {
  TemporaryDirectory place;
  const std::string longest(storage::max_key_bytes(8192), 'k'), too_long = longest + "k";
  REQUIRE(longest.size() >= 1000);
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const auto table = engine->table("t");
    REQUIRE(table);
    auto transaction = engine->begin();
    REQUIRE(transaction.put(*table, longest, "longest"));
    check_code(transaction.put(*table, too_long, ""), Errc::too_large);
    check_code(transaction.insert(*table, too_long, ""), Errc::too_large);
    check_code(transaction.update(*table, too_long, ""), Errc::too_large);
    check_code(transaction.erase(*table, too_long), Errc::too_large);
    // A key that cannot be there is absent; so much may be asked.
    const auto absent = transaction.get(*table, too_long);
    if (absent) CHECK_FALSE(*absent);
    if (!absent) CHECK(absent.error().code() == Errc::too_large);
    auto cursor = transaction.scan(*table, {.from = too_long});
    CHECK(cursor.status());
    CHECK_FALSE(cursor.valid());
    cursor = transaction.scan(*table, {.to = too_long}, storage::Direction::reverse);
    REQUIRE(cursor.valid());
    CHECK(cursor.key() == longest);

    const std::string big(600'000, 'v');
    REQUIRE(transaction.put(*table, "big", big));
    check_code(transaction.put(*table, "more", big), Errc::too_large);  // than one transaction may hold
    CHECK(*transaction.get(*table, "more") == std::nullopt);
    const std::size_t enormous = storage::max_value_bytes + 1;
    void* const memory = ::mmap(nullptr, enormous, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    check_code(transaction.put(*table, "enormous", {static_cast<const char*>(memory), enormous}), Errc::too_large);
    ::munmap(memory, enormous);
    REQUIRE(transaction.put(*table, "after", "goes on"));
    REQUIRE(transaction.commit());
  }
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == Rows{{longest, "longest"}, {"big", std::string(600'000, 'v')}, {"after", "goes on"}});
  check_structure(*engine);
}

TEST_CASE("the empty key and the empty value are a key and a value (D12)") {
  TemporaryDirectory place;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const auto table = engine->table("t");
    auto transaction = engine->begin();
    CHECK(*transaction.get(*table, "") == std::nullopt);
    CHECK(*transaction.erase(*table, "") == false);
    REQUIRE(transaction.insert(*table, "", ""));
    CHECK(*transaction.get(*table, "") == "");
    check_code(transaction.insert(*table, "", "again"), Errc::key_exists);
    REQUIRE(transaction.put(*table, "a", ""));
    REQUIRE(transaction.commit());
  }
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == Rows{{"", ""}, {"a", ""}});
  const auto table = engine->table("t");
  auto transaction = engine->begin();
  auto cursor = transaction.scan(*table, {.from = "", .to = ""});
  CHECK_FALSE(cursor.valid());
  cursor = transaction.scan(*table, storage::KeyRange::prefix(""));
  CHECK(cursor.valid());
  cursor = transaction.scan(*table, {.to = "a"}, storage::Direction::reverse);
  REQUIRE(cursor.valid());
  CHECK(cursor.key().empty());
  CHECK(*transaction.erase(*table, ""));
  CHECK(*transaction.get(*table, "") == std::nullopt);
  REQUIRE(transaction.commit());
  CHECK(content(*engine)["t"] == Rows{{"a", ""}});
}

TEST_CASE("after commit and after abort every operation is transaction_closed (D13)") {
  TemporaryDirectory place;
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  const auto table = engine->table("t");
  REQUIRE(table);
  for (const bool committed : {true, false}) {
    CAPTURE(committed);
    auto transaction = engine->begin();
    REQUIRE(transaction.put(*table, "key", committed ? "kept" : "thrown away"));
    REQUIRE(transaction.put(*table, "second", "row"));
    auto cursor = transaction.scan(*table);
    REQUIRE(cursor.valid());
    if (committed) REQUIRE(transaction.commit());
    if (!committed) REQUIRE(transaction.abort());
    CHECK(transaction.state() == (committed ? storage::TransactionState::committed : storage::TransactionState::aborted));
    check_code(transaction.get(*table, "key"), Errc::transaction_closed);
    check_code(transaction.read(*table, "key", [](std::string_view) {}), Errc::transaction_closed);
    check_code(transaction.get_for_update(*table, "key"), Errc::transaction_closed);
    check_code(transaction.put(*table, "key", "x"), Errc::transaction_closed);
    check_code(transaction.insert(*table, "key2", "x"), Errc::transaction_closed);
    check_code(transaction.update(*table, "key", "x"), Errc::transaction_closed);
    check_code(transaction.erase(*table, "key"), Errc::transaction_closed);
    check_code(transaction.scan(*table).status(), Errc::transaction_closed);
    check_code(transaction.commit(), Errc::transaction_closed);
    check_code(transaction.abort(), Errc::transaction_closed);
    cursor.next();
    CHECK_FALSE(cursor.valid());
    check_code(cursor.status(), Errc::transaction_closed);
    CHECK(content(*engine)["t"] == Rows{{"key", "kept"}, {"second", "row"}});
  }
}

TEST_CASE("close is busy with live transactions; after close every call is refused") {
  TemporaryDirectory place;
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  const auto table = engine->table("t");
  REQUIRE(table);
  {
    auto writer = engine->begin();
    REQUIRE(writer.put(*table, "a", "b"));
    check_code(engine->close(), Errc::busy);
    auto reader = engine->snapshot();
    REQUIRE(writer.commit());
    check_code(engine->close(), Errc::busy);
    REQUIRE(reader.get(*table, "a"));
  }
  auto late = engine->begin();
  REQUIRE(late.abort());
  REQUIRE(engine->close());
  const Errc closed = Errc::engine_failed;
  check_code(engine->close(), closed);
  check_code(engine->table("t"), closed);
  check_code(engine->table("new"), closed);
  check_code(engine->tables(), closed);
  check_code(engine->drop_table("t"), closed);
  check_code(engine->load_table("loaded"), closed);
  check_code(engine->checkpoint(), closed);
  check_code(engine->verify(), closed);
  check_code(engine->backup(place / "copy"), closed);
  check_code(engine->transact([](Engine::Transaction&) { return storage::Result<void>{}; }), closed);
  auto transaction = engine->begin();
  check_code(transaction.get(*table, "a"), closed);
  check_code(transaction.put(*table, "a", "c"), closed);
  check_code(transaction.commit(), closed);
  check_code(engine->snapshot().get(*table, "a"), closed);
  (void)engine->stats();
  CHECK_FALSE(std::filesystem::exists(place / "copy"));
}

TEST_CASE("a table name is any bytes, and never a path") {
  TemporaryDirectory place;
  std::filesystem::create_directory(place / "inner");
  const std::vector<std::string> names{"",
                                       std::string(1, '\0'),
                                       "..",
                                       "../../escaped",
                                       "/tmp/absolute",
                                       "with/slash",
                                       std::string("a\0b", 3),
                                       "\xff\xfe",
                                       "data",
                                       "new\nline",
                                       std::string(storage::max_key_bytes(8192), 'n')};
  {
    auto engine = open_in(place / "inner/store");
    REQUIRE(engine);
    for (const std::string& name : names) {
      const auto table = engine->table(name);
      REQUIRE(table);
      CHECK(table->name() == name);
      REQUIRE(put(*engine, name, {{"name", name}}));
    }
    check_code(engine->table(names.back() + "n"), Errc::too_large);
    check_code(engine->load_table(names.back() + "n"), Errc::too_large);
    check_code(engine->drop_table(names.back() + "n"), Errc::table_not_found);
    check_code(engine->drop_table("absent"), Errc::table_not_found);
    CHECK(engine->tables()->size() == names.size());
  }
  auto engine = open_in(place / "inner/store");
  REQUIRE(engine);
  const State found = content(*engine);
  CHECK(found.size() == names.size());
  for (const std::string& name : names) {
    CHECK(found.at(name) == Rows{{"name", name}});
    REQUIRE(engine->drop_table(name));
  }
  CHECK(engine->tables()->empty());
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator{place.path()}) entries += entry.exists();
  CHECK(entries == 1);
  for (const auto& entry : std::filesystem::directory_iterator{place / "inner"}) CHECK(entry.path().filename() == "store");
}

TEST_CASE("a table of another engine, no table, and a dropped table are table_not_found") {
  TemporaryDirectory place;
  auto engine = open_in(place / "store"), other = open_in(place / "other");
  REQUIRE(engine);
  REQUIRE(other);
  const auto foreign = other->table("t"), dropped = engine->table("dropped");
  REQUIRE(foreign);
  REQUIRE(dropped);
  auto open_before = engine->begin();
  REQUIRE(open_before.put(*dropped, "written before", "the drop"));
  REQUIRE(engine->drop_table("dropped"));
  check_code(open_before.commit(), Errc::table_not_found);
  auto transaction = engine->begin();
  for (const Engine::Table& table : {*foreign, Engine::Table{}, *dropped}) {
    check_code(transaction.get(table, "k"), Errc::table_not_found);
    check_code(transaction.put(table, "k", "v"), Errc::table_not_found);
    check_code(transaction.erase(table, "k"), Errc::table_not_found);
    check_code(transaction.scan(table).status(), Errc::table_not_found);
  }
  REQUIRE(transaction.commit());
}

TEST_CASE("more transactions than options allow are busy, and room comes back when they end") {
  TemporaryDirectory place;
  auto engine = Engine::open({.directory = place / "store", .max_transactions = 4, .maintenance_thread = false});
  REQUIRE(engine);
  const auto table = engine->table("t");
  std::vector<Engine::Transaction> open;
  for (int i = 0; i < 1000; ++i) {
    open.push_back(engine->begin());
    const auto got = open.back().get(*table, "k");
    if (got) continue;
    check_code(got, Errc::busy);
    break;
  }
  CHECK(open.size() > 4);
  CHECK(open.size() < 1000);
  open.clear();
  CHECK(engine->begin().get(*table, "k"));
}
