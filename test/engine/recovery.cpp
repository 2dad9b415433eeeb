// SPDX-License-Identifier: Apache-2.0
#include "file/temporary_directory.hpp"
#include "support/processes.hpp"
#include "support/random.hpp"
#include "support/rows.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<>;
using Eager = storage::Engine<storage::AsyncDurability>;  // commits return before they are durable

namespace {

template <class E = Engine>
storage::Result<E> open_in(const std::string& directory, std::uint64_t log_bytes = 1 << 20) {
  return E::open({.directory = directory, .pool_bytes = 1 << 20, .log_bytes = log_bytes, .maintenance_thread = false});
}

std::vector<std::string> segments(const TemporaryDirectory& place) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{place / "store"})
    if (entry.path().filename().string().starts_with("wal-")) names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  return names;
}
std::uint64_t file_bytes(const std::vector<std::string>& files) {
  std::uint64_t sum = 0;
  for (const std::string& file : files) sum += std::filesystem::file_size(file);
  return sum;
}
/// Behind the last byte of the log's last segment that is not zero: in a log that was never recycled, its end.
std::uint64_t written_end(const std::string& file) {
  const std::string bytes = bytes_of_file(file);
  const std::size_t last = bytes.find_last_not_of('\0');
  return last == std::string::npos ? 0 : last + 1;
}

/// Commits of one row each until the process is killed; every acknowledgement is counted where the parent sees it.
template <class E>
void commit_until_killed(const std::string& directory, std::uint64_t from, std::atomic<std::uint64_t>& acknowledged) {
  auto engine = E::open({.directory = directory, .pool_bytes = 1 << 20, .log_bytes = 1 << 20, .sync_interval = std::chrono::milliseconds{1}});
  if (!engine) return;
  for (std::uint64_t i = from;; ++i) {
    if (!put(*engine, "t", {{"a" + std::to_string(i), std::string(i % 3000, 'v')}, {"b" + std::to_string(i), "second half"}, {"newest", std::to_string(i)}})) return;
    acknowledged.store(i + 1);
  }
}

template <class E>
void acknowledged_commits_survive_kills(int kills, std::uint64_t seed) {
  TemporaryDirectory place;
  Random random(seed);
  Shared<std::atomic<std::uint64_t>> acknowledged;
  std::uint64_t from = 0;
  for (int kill = 0; kill < kills; ++kill) {
    const std::uint64_t enough = from + 1 + random.below(150);
    in_process_killed_when([&] { commit_until_killed<E>(place / "store", from, *acknowledged); }, [&] { return acknowledged->load() >= enough; });
    auto engine = open_in<E>(place / "store");
    REQUIRE(engine);
    const Rows rows = content(*engine)["t"];
    REQUIRE(rows.count("newest"));
    const std::uint64_t found = std::stoull(rows.at("newest")) + 1;
    CHECK(found >= acknowledged->load());
    CHECK(found <= acknowledged->load() + 1);  // at most the commit that was under way
    CHECK(rows.size() == 2 * found + 1);       // every earlier one, whole
    for (std::uint64_t i = 0; i < found; ++i) REQUIRE(rows.at("a" + std::to_string(i)).size() == i % 3000);
    check_structure(*engine);
    from = found;
    acknowledged->store(found);
  }
}

}  // namespace

TEST_CASE("an acknowledged commit survives a killed process (D5), with durable commits") {
  acknowledged_commits_survive_kills<Engine>(5, seed(11));
}

TEST_CASE("an acknowledged commit survives a killed process (D5), with commits that do not wait for the disk") {
  acknowledged_commits_survive_kills<Eager>(5, seed(12));
}

TEST_CASE("a process killed right after the return of each commit loses none, under AsyncDurability") {
  TemporaryDirectory place;
  for (int i = 0; i < 20; ++i) {
    in_process_killed_after([&] {
      auto engine = open_in<Eager>(place / "store");
      return engine && put(*engine, "t", {{std::to_string(i), "value"}});
    });
    if (i % 5 != 4) continue;
    auto engine = open_in<Eager>(place / "store");
    REQUIRE(engine);
    CHECK(content(*engine)["t"].size() == static_cast<std::size_t>(i) + 1);
  }
}

TEST_CASE("a torn tail of any length never hides a later commit (D1)") {
  Random random(seed(3));
  for (std::size_t length = 1; length <= 200; length += length < 30 ? 7 : 31) {
    for (const bool same_as_frames : {false, true}) {
      CAPTURE(length);
      CAPTURE(same_as_frames);
      TemporaryDirectory place;
      in_process_killed_after([&] {
        auto engine = open_in(place / "store");
        return engine && put(*engine, "t", {{"A", "first"}});
      });
      const std::string log = segments(place).back();
      const std::uint64_t end = written_end(log);
      // Garbage, or the beginning of the log's own bytes, which look like frames.
      const std::string garbage = same_as_frames ? bytes_of_file(log).substr(4096, length) : random.bytes(length);
      overwrite(log, (end + 511) / 512 * 512, garbage);
      {
        auto engine = open_in(place / "store");
        REQUIRE(engine);
        CHECK(content(*engine)["t"] == Rows{{"A", "first"}});
        REQUIRE(put(*engine, "t", {{"B", "second"}}));
      }
      auto engine = open_in(place / "store");
      REQUIRE(engine);
      CHECK(content(*engine)["t"] == Rows{{"A", "first"}, {"B", "second"}});
    }
  }
}

TEST_CASE("a commit cut off anywhere within is not there at all, and the commits before it are") {
  for (std::uint64_t cut = 1; cut < 1200; cut += 97) {
    CAPTURE(cut);
    TemporaryDirectory place;
    Shared<std::uint64_t> before;
    in_process_killed_after([&] {
      auto engine = open_in(place / "store");
      if (!engine || !put(*engine, "t", {{"A", "first"}})) return false;
      *before = written_end(segments(place).back());
      return static_cast<bool>(put(*engine, "t", {{"B", std::string(1200, 'x')}, {"C", "third"}}));
    });
    const std::string log = segments(place).back();
    const std::uint64_t end = written_end(log);
    overwrite(log, end - cut, std::string(cut, '\0'));
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const Rows rows = content(*engine)["t"];
    CHECK(rows.count("A") == 1);
    CHECK(rows.count("B") == rows.count("C"));
    if (end - cut + 700 > end) continue;
    CHECK(rows.count("B") == 0);
  }
}

TEST_CASE("reopening never overwrites a log segment (D2)") {
  TemporaryDirectory place;
  Rows wanted;
  for (int life = 0; life < 4; ++life) {
    const Rows rows = numbered("life" + std::to_string(life) + "-", 300, 800);  // two segments and more
    in_process_killed_after([&] {
      auto engine = open_in(place / "store");
      if (!engine) return false;
      for (const auto& row : rows)
        if (!put(*engine, "t", {row})) return false;
      return true;
    });
    wanted.insert(rows.begin(), rows.end());
  }
  CHECK(segments(place).size() > 1);
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == wanted);
}

TEST_CASE("the log stays within its bound under endless load, and its truncation keeps what recovery needs (D3)") {
  TemporaryDirectory place;
  Rows wanted;
  in_process_killed_after([&] {
    auto engine = open_in(place / "store");
    if (!engine) return false;
    const auto table = engine->table("t");
    auto spanning = engine->begin();  // open across every checkpoint
    if (!spanning.put(*table, "spanning", "kept")) return false;
    std::uint64_t most = 0;
    for (int i = 0; i < 4000; ++i) {
      if (!put(*engine, "t", {{"k" + std::to_string(i % 100), std::string(2000, static_cast<char>('a' + i % 26))}})) return false;
      if (i % 50 == 0) most = std::max(most, file_bytes(segments(place)));
    }
    if (engine->stats().checkpoints < 5 || most > (1 << 20) || engine->stats().log_bytes > (1 << 20)) {
      std::fprintf(stderr, "checkpoints %llu, log files %llu\n", static_cast<unsigned long long>(engine->stats().checkpoints), static_cast<unsigned long long>(most));
      return false;
    }
    return static_cast<bool>(spanning.commit()) && put(*engine, "t", {{"last", "one"}});
  });
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  Rows rows = content(*engine)["t"];
  CHECK(rows.size() == 102);
  CHECK(rows["spanning"] == "kept");
  CHECK(rows["last"] == "one");
  for (int i = 3900; i < 4000; ++i) CHECK(rows["k" + std::to_string(i % 100)] == std::string(2000, static_cast<char>('a' + i % 26)));
  check_structure(*engine);
}

TEST_CASE("a hole in the middle of the log is corrupt_log, not its end, and the refused store is left as it was (D4)") {
  TemporaryDirectory place;
  const Rows rows = numbered("k", 400, 900);
  in_process_killed_after([&] {
    auto engine = open_in(place / "store", 2 << 20);
    if (!engine) return false;
    for (const auto& row : rows)
      if (!put(*engine, "t", {row})) return false;
    return true;
  });
  const auto names = segments(place);
  REQUIRE(names.size() >= 3);
  const std::string& middle = names[1];
  const std::string healthy = bytes_of_file(middle);
  for (std::uint64_t at = 0; at < healthy.size(); at += at < 60 ? 11 : healthy.size() / 9 + 1) {
    CAPTURE(at);
    overwrite(middle, at, std::string(1, static_cast<char>(healthy[at] ^ 0x20)));
    const auto before = bytes_of_file(place / "store/data");
    const auto refused = open_in(place / "store", 2 << 20);
    REQUIRE_FALSE(refused);
    CHECK((refused.error().code() == Errc::corrupt_log || (at < 4096 && refused.error().code() == Errc::incompatible_format)));
    INFO(refused.error().message());
    CHECK(bytes_of_file(place / "store/data") == before);
    overwrite(middle, at, std::string(1, healthy[at]));
    CHECK(bytes_of_file(middle) == healthy);
  }
  auto engine = open_in(place / "store", 2 << 20);
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == rows);
}

TEST_CASE("a log longer than a bound that was lowered since is recovered whole, and brought below the bound") {
  TemporaryDirectory place;
  const Rows rows = numbered("k", 1500, 2000);
  in_process_killed_after([&] {
    auto engine = open_in(place / "store", 16 << 20);
    if (!engine) return false;
    for (const auto& row : rows)
      if (!put(*engine, "t", {row})) return false;
    return engine->stats().checkpoints <= 2;
  });
  CHECK(file_bytes(segments(place)) > (3 << 20));
  for (int life = 0; life < 2; ++life) {
    auto engine = open_in(place / "store", 256 << 10);
    REQUIRE(engine);
    CHECK(engine->stats().recovery.transactions == (life == 0 ? rows.size() + 1 : 1));
    CHECK(content(*engine)["t"].size() == rows.size() + static_cast<std::size_t>(life));
    REQUIRE(put(*engine, "t", {{"new" + std::to_string(life), "value"}}));
  }
  auto engine = open_in(place / "store", 256 << 10);
  REQUIRE(engine);
  for (int i = 0; i < 600; ++i) {  // several times the bound
    const auto done = put(*engine, "t", {{"newer", std::string(4000, static_cast<char>('a' + i % 26))}});
    CAPTURE(i);
    if (!done) INFO(done.error().message());
    REQUIRE(done);
  }
  CHECK(engine->stats().log_bytes <= (256 << 10));
  CHECK(file_bytes(segments(place)) <= (2 << 20));  // a segment as large as it once was may stay
}

TEST_CASE("a missing segment in the middle of the log is corrupt_log") {
  TemporaryDirectory place;
  in_process_killed_after([&] {
    auto engine = open_in(place / "store", 2 << 20);
    if (!engine) return false;
    for (const auto& row : numbered("k", 400, 900))
      if (!put(*engine, "t", {row})) return false;
    return true;
  });
  const auto names = segments(place);
  REQUIRE(names.size() >= 3);
  for (const std::string& name : {names[1], names[0]}) {
    std::filesystem::rename(name, place / "aside");
    const auto refused = open_in(place / "store", 2 << 20);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::corrupt_log);
    std::filesystem::rename(place / "aside", name);
  }
  CHECK(open_in(place / "store", 2 << 20));
}

TEST_CASE("recovery applies exactly the commits since the last checkpoint, and says so (D7)") {
  TemporaryDirectory place;
  std::uint64_t wanted_records = 0;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    CHECK(engine->stats().recovery.transactions == 0);
    REQUIRE(put(*engine, "t", numbered("old", 10, 10)));
    REQUIRE(engine->checkpoint());
    for (int i = 0; i < 7; ++i) {
      const Rows rows = numbered("new" + std::to_string(i), i + 1, 10);
      const auto done = put(*engine, "t", rows);
      REQUIRE(done);
      CHECK(done->durable);
      wanted_records += rows.size();
    }
    auto lost = engine->begin();
    REQUIRE(lost.put(*engine->table("t"), "never committed", ""));
  }
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const auto report = engine->stats().recovery;
    CHECK(report.transactions == 7);
    CHECK(report.records == wanted_records);
    CHECK_FALSE(report.clean);
    CHECK(content(*engine)["t"].size() == 10 + wanted_records);
    REQUIRE(put(*engine, "t", {{"after", ""}}));
  }
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    CHECK(engine->stats().recovery.transactions == 1);  // the recovery before ended with a checkpoint
    REQUIRE(engine->close());
  }
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  CHECK(engine->stats().recovery.clean);
  CHECK(engine->stats().recovery.transactions == 0);
  CHECK(engine->stats().recovery.records == 0);
}

TEST_CASE("statistics and ids survive a restart, and no timestamp is used twice (D9)") {
  TemporaryDirectory place;
  std::set<std::uint64_t> timestamps, tables;
  std::uint64_t newest = 0;
  for (int life = 0; life < 6; ++life) {
    CAPTURE(life);
    {
      auto engine = open_in(place / "store");
      REQUIRE(engine);
      if (life > 0) {
        const auto report = engine->verify();
        REQUIRE(report);
        CHECK(report->pages == engine->stats().used_pages);
        CHECK(report->free_pages == engine->stats().free_pages);
        CHECK(engine->stats().used_pages + engine->stats().free_pages + 1 == engine->stats().pages);
      }
      const auto table = engine->table("table of life " + std::to_string(life));
      REQUIRE(table);
      CHECK(tables.insert(number(table->id())).second);
      if (life % 2 == 1) REQUIRE(engine->drop_table("table of life " + std::to_string(life)));
      for (int i = 0; i < 10; ++i) {
        const auto done = put(*engine, "t", numbered("k" + std::to_string(i), 20 + life, 500));
        REQUIRE(done);
        CHECK(number(done->timestamp) > newest);
        newest = number(done->timestamp);
        CHECK(timestamps.insert(newest).second);
      }
      if (life % 3 == 0) REQUIRE(engine->checkpoint());
      if (life % 3 == 1) REQUIRE(engine->close());
    }
  }
}

TEST_CASE("a checkpoint of one changed page among thousands costs a few writes (D9)") {
  TemporaryDirectory place;
  auto engine = Engine::open({.directory = place / "store", .pool_bytes = 4 << 20, .log_bytes = 8 << 20, .maintenance_thread = false});
  REQUIRE(engine);
  auto loader = engine->load_table("t");
  REQUIRE(loader);
  for (const auto& [key, value] : numbered("k", 20'000, 1500)) REQUIRE(loader->append(key, value));
  const auto table = loader->finish();
  REQUIRE(table);
  REQUIRE(engine->stats().used_pages > 4000);
  REQUIRE(engine->checkpoint());
  const auto before = engine->stats().backend;
  REQUIRE(put(*engine, "t", {{"k107000", "changed"}}));
  REQUIRE(engine->checkpoint());
  const auto after = engine->stats().backend;
  CHECK(after.writes - before.writes >= 2);  // the leaf and block 0
  CHECK(after.writes - before.writes <= 4);
  CHECK(after.syncs - before.syncs == 1);
}
