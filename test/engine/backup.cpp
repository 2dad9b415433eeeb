// SPDX-License-Identifier: Apache-2.0
// Copies that open by themselves, and damage that verify() and reads find.
#include "file/temporary_directory.hpp"
#include "support/rows.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<>;

namespace {

storage::Result<Engine> open_in(const std::string& directory, bool thread = false) {
  return Engine::open({.directory = directory, .pool_bytes = 512 << 10, .log_bytes = 2 << 20, .maintenance_thread = thread});
}

}  // namespace

TEST_CASE("a backup opens by itself, equals its source at that instant, and goes its own way") {
  TemporaryDirectory place;
  State at_backup;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", numbered("k", 300, 900)));
    REQUIRE(put(*engine, "u", {{"long", std::string(100'000, 'v')}, {"", ""}}));
    REQUIRE(put(*engine, "gone", {{"a", "b"}}));
    REQUIRE(engine->drop_table("gone"));
    at_backup = content(*engine);
    REQUIRE(engine->backup(place / "copy"));
    REQUIRE(put(*engine, "t", {{"only in", "the original"}}));
    CHECK(engine->backup(place / "copy").error().code() == Errc::invalid_argument);
    CHECK(engine->backup(place / "store").error().code() == Errc::already_open);
    auto copy = open_in(place / "copy");
    REQUIRE(copy);
    CHECK(copy->stats().recovery.transactions == 0);
    CHECK(content(*copy) == at_backup);
    check_structure(*copy);
    REQUIRE(put(*copy, "t", {{"only in", "the copy"}}));
    REQUIRE(engine->close());
  }
  {
    auto copy = open_in(place / "copy");
    REQUIRE(copy);
    at_backup["t"]["only in"] = "the copy";
    CHECK(content(*copy) == at_backup);
    REQUIRE(copy->backup(place / "copy of the copy"));
  }
  auto third = open_in(place / "copy of the copy");
  REQUIRE(third);
  CHECK(content(*third) == at_backup);
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  CHECK(content(*engine)["t"].at("only in") == "the original");
}

TEST_CASE("a backup is of another lineage: it never takes the original's log for its own") {
  TemporaryDirectory place;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", {{"a", "b"}}));
    REQUIRE(engine->backup(place / "copy"));
    REQUIRE(put(*engine, "t", {{"later", "row"}}));
  }
  { REQUIRE(open_in(place / "copy")); }
  for (const auto& entry : std::filesystem::directory_iterator{place / "copy"})
    if (entry.path().filename() != "data" && entry.path().filename() != "lock") std::filesystem::remove(entry.path());
  for (const auto& entry : std::filesystem::directory_iterator{place / "store"})
    if (entry.path().filename().string().starts_with("wal-")) std::filesystem::copy_file(entry.path(), std::filesystem::path(place / "copy") / entry.path().filename());
  const auto refused = open_in(place / "copy");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::incompatible_format);
}

TEST_CASE("a backup under concurrent commits is one instant of the source") {
  TemporaryDirectory place;
  auto engine = open_in(place / "store", true);
  REQUIRE(engine);
  const auto table = engine->table("t");
  REQUIRE(table);
  std::atomic<bool> stop{false};
  std::atomic<int> commits{0};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {  // both halves in one transaction
      const auto done = engine->transact([&](Engine::Transaction& transaction) -> storage::Result<void> {
        AEGIS_TRY(transaction.put(*table, "left" + std::to_string(i % 500), std::to_string(i)));
        return transaction.put(*table, "right" + std::to_string(i % 500), std::to_string(i));
      });
      if (!done) break;
      commits = i + 1;
    }
  });
  for (int copy = 0; copy < 3; ++copy) {
    const int at_least = commits;
    while (commits < at_least + 20) std::this_thread::yield();
    const int before = commits;
    const std::string directory = place / ("copy" + std::to_string(copy));
    REQUIRE(engine->backup(directory));
    const int after = commits;
    auto other = open_in(directory);
    REQUIRE(other);
    Rows rows = content(*other)["t"];
    int newest = -1;
    for (int k = 0; k < 500 && rows.count("left" + std::to_string(k)); ++k) {
      CHECK(rows["left" + std::to_string(k)] == rows["right" + std::to_string(k)]);
      newest = std::max(newest, std::stoi(rows["left" + std::to_string(k)]));
    }
    CHECK(newest + 1 >= before);
    CHECK(newest <= after);
    check_structure(*other);
  }
  stop = true;
  writer.join();
}

TEST_CASE("verify finds damage that was planted in a closed store, and other rows stay readable") {
  TemporaryDirectory place;
  const std::string mark = "this very row is damaged";
  Rows rows = numbered("k", 250, 900);
  rows["k100120"] = mark;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", rows));
    REQUIRE(engine->close());
  }
  const std::string data = bytes_of_file(place / "store/data");
  const std::size_t at = data.rfind(mark);
  REQUIRE(at != std::string::npos);
  REQUIRE(data.find(mark) == at);
  overwrite(place / "store/data", at, "T");
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const auto report = engine->verify();
    REQUIRE(report);
    CHECK_FALSE(report->ok());
    CHECK(report->problem_count >= 1);
    CHECK(report->message().find("corrupt_block") != std::string::npos);
    const auto table = engine->table("t");
    REQUIRE(table);
    auto reader = engine->snapshot();
    CHECK(reader.get(*table, "k100120").error().code() == Errc::corrupt_block);
    std::size_t readable = 0;
    for (const auto& [key, value] : rows) {
      const auto got = reader.get(*table, key);
      readable += got && *got == value;
    }
    CHECK(readable > rows.size() / 2);
    CHECK(readable < rows.size());
    auto cursor = reader.scan(*table);
    while (cursor.valid()) cursor.next();
    CHECK(cursor.status().error().code() == Errc::corrupt_block);
  }
  overwrite(place / "store/data", at, "t");
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  check_structure(*engine);
  CHECK(content(*engine)["t"] == rows);
}
