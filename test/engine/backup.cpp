// SPDX-License-Identifier: Apache-2.0
// Copies that open by themselves, and damage that verify() and reads find.
#include "file/temporary_directory.hpp"
#include "support/latch_of_threads.hpp"
#include "support/random.hpp"
#include "support/rows.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<>;
using ThreadedEngine = storage::Engine<LatchOfThreads>;

namespace {

template <class E = Engine>
storage::Result<E> open_in(const std::string& directory, bool thread = false) {
  return E::open({.directory = directory, .pool_bytes = 512 << 10, .log_bytes = 2 << 20, .maintenance_thread = thread});
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

TEST_CASE("a backup of a bank under writers and checkpoints is one instant of it, between what was told before and after") {
  // Transfers between accounts that no one instant may break: the sum, and every client's ledger against its own counter.
  constexpr int accounts = 40, clients = 3;
  constexpr long initial = 1000;
  const std::uint64_t seed = aegis_test::seed(4);
  INFO(aegis_test::replay(seed, "test/engine/backup"));
  TemporaryDirectory place;
  auto engine = open_in<ThreadedEngine>(place / "store", true);
  REQUIRE(engine);
  const auto table = engine->table("bank");
  REQUIRE(table);
  const auto account = [](std::uint64_t i) { return "account" + std::to_string(100 + i); };
  Rows first;
  for (std::uint64_t i = 0; i < accounts; ++i) first[account(i)] = std::to_string(initial) + std::string(700, '.');  // more pages than frames
  REQUIRE(put(*engine, "bank", first));
  std::atomic<bool> stop{false};
  std::atomic<long> done[clients]{}, tried[clients]{};
  std::atomic<int> broken{0};
  std::vector<std::thread> threads;
  for (int client = 0; client < clients; ++client)
    threads.emplace_back([&, client] {
      Random random{seed * 10 + static_cast<std::uint64_t>(client)};
      for (long sequence = 1; !stop; ++sequence) {
        const std::uint64_t from = random.below(accounts), to = (from + 1 + random.below(accounts - 1)) % accounts;
        const long amount = static_cast<long>(random.below(90));
        tried[client] = sequence;
        const auto made = engine->transact([&](ThreadedEngine::Transaction& transaction) -> storage::Result<void> {
          for (const bool is_to : {false, true}) {
            AEGIS_TRY(const auto value, transaction.get_for_update(*table, account(is_to ? to : from)));
            AEGIS_TRY(transaction.put(*table, account(is_to ? to : from), std::to_string(std::stol(*value) + (is_to ? amount : -amount)) + std::string(700, '.')));
          }
          AEGIS_TRY(transaction.put(*table, "ledger" + std::to_string(client) + "/" + std::to_string(10'000'000 + sequence), std::to_string(amount)));
          return transaction.put(*table, "count" + std::to_string(client), std::to_string(sequence));
        }, 10'000);
        if (!made) ++broken, stop = true;
        else done[client] = sequence;
      }
    });
  threads.emplace_back([&] {
    while (!stop)
      if (!engine->checkpoint()) ++broken, stop = true;
  });
  const auto count_of = [](Rows& rows, int client) { return std::atol(rows["count" + std::to_string(client)].c_str()); };
  long copies = 0, moved = 0;
  for (int copy = 0; copy < 6; ++copy) {
    long before[clients], after[clients];
    for (int c = 0; c < clients; ++c)
      for (const long at_least = done[c] + 5; done[c] < at_least && !stop;) std::this_thread::yield();
    for (int c = 0; c < clients; ++c) before[c] = done[c];
    const std::string directory = place / ("copy" + std::to_string(copy));
    const auto made = engine->backup(directory);
    if (!made) MESSAGE(made.error().message());
    for (int c = 0; c < clients; ++c) after[c] = tried[c];
    stop = stop || !made;
    CHECK(made);
    if (!made) break;
    auto other = open_in<ThreadedEngine>(directory);
    REQUIRE(other);
    CHECK(other->stats().recovery.transactions == 0);  // it needs no log
    Rows rows = content(*other)["bank"];
    long sum = 0, entries = 0, counted = 0;
    for (std::uint64_t i = 0; i < accounts; ++i) sum += std::atol(rows[account(i)].c_str());
    for (const auto& [key, value] : rows) entries += key.starts_with("ledger");
    for (int c = 0; c < clients; ++c) {
      CAPTURE(c);
      const long count = count_of(rows, c);
      CHECK(count >= before[c]);
      CHECK(count <= after[c]);
      CHECK((count == 0 || rows.contains("ledger" + std::to_string(c) + "/" + std::to_string(10'000'000 + count))));
      counted += count;
      moved += count - before[c];
    }
    CHECK(sum == accounts * initial);
    CHECK(entries == counted);
    check_structure(*other);
    REQUIRE(put(*other, "bank", {{"goes", "on"}}));
    REQUIRE(other->close());
    ++copies;
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(broken == 0);
  check_structure(*engine);
  MESSAGE(copies << " copies, " << done[0] + done[1] + done[2] << " transfers beside them, " << moved << " of them between a backup's call and its instant");
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
