// SPDX-License-Identifier: Apache-2.0
// Whatever stands where a store should be, opening it gives a typed error that names the thing, and changes nothing.
#include "file/temporary_directory.hpp"
#include "support/processes.hpp"
#include "support/random.hpp"
#include "support/rows.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<>;

namespace {

storage::Result<Engine> open_in(const std::string& directory) {
  return Engine::open({.directory = directory, .pool_bytes = 256 << 10, .log_bytes = 1 << 20, .maintenance_thread = false});
}

/// The store's files, but for the lock, which says nothing.
std::map<std::string, std::string> files_of(const TemporaryDirectory& place, const std::string& store = "store") {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator{place / store}) {
    const std::string name = entry.path().filename().string();
    if (name != "lock") files[name] = bytes_of_file(entry.path());
  }
  return files;
}
void restore(const TemporaryDirectory& place, const std::map<std::string, std::string>& files) {
  for (const auto& [name, old] : files_of(place))
    if (!files.count(name)) std::filesystem::remove(place / ("store/" + name));
  for (const auto& [name, bytes] : files) place.write("store/" + name, bytes);
}
std::string log_of(const std::map<std::string, std::string>& files) {
  for (const auto& [name, bytes] : files)
    if (name.starts_with("wal-")) return name;
  FAIL("no log");
  return {};
}

/// A closed store with rows in its pages.
void make_store(const TemporaryDirectory& place, const std::string& name = "store") {
  auto engine = open_in(place / name);
  REQUIRE(engine);
  REQUIRE(put(*engine, "t", numbered("k", 200, 300)));
  REQUIRE(engine->close());
}

/// Refused with one of the codes, a message that tells a way out, and not a byte changed.
void check_refused(const TemporaryDirectory& place, std::initializer_list<Errc> codes) {
  const auto before = files_of(place);
  const auto refused = open_in(place / "store");
  REQUIRE_FALSE(refused);
  INFO(refused.error().message());
  bool expected = false;
  for (const Errc code : codes) expected = expected || refused.error().code() == code;
  CHECK(expected);
  CHECK(refused.error().message().find(';') != std::string::npos);
  CHECK(files_of(place) == before);
}

}  // namespace

TEST_CASE("a foreign, truncated or emptied data file is refused and left as it is") {
  TemporaryDirectory place;
  make_store(place);
  const auto healthy = files_of(place);
  Random random(seed(5));
  auto damaged = healthy;
  for (const std::string& bytes : {std::string{}, std::string("hello\n"), std::string(100, '\0'), std::string(1 << 20, '\0'), random.bytes(1 << 20), healthy.at("data").substr(0, 512),
                                   healthy.at("data").substr(0, 100'000), healthy.at(log_of(healthy))}) {
    CAPTURE(bytes.size());
    damaged["data"] = bytes;
    restore(place, damaged);
    check_refused(place, {Errc::corrupt_block, Errc::incompatible_format});
  }
  restore(place, healthy);
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == numbered("k", 200, 300));
}

TEST_CASE("a data file with a flipped bit is opened whole or refused, never opened wrong") {
  TemporaryDirectory place;
  make_store(place);
  const auto healthy = files_of(place);
  const Rows rows = numbered("k", 200, 300);
  const std::string& data = healthy.at("data");
  std::size_t refused = 0, found_later = 0, unharmed = 0;
  std::vector<std::size_t> places;  // where the file holds something, and a few elsewhere
  for (std::size_t at = 0; at < data.size(); ++at)
    if (data[at] != '\0' || at % 1'000'000 == 0) places.push_back(at);
  for (std::size_t i = 0; i < places.size(); i += i < 300 ? 29 : places.size() / 30 + 1) {
    const std::size_t at = places[i];
    CAPTURE(at);
    restore(place, healthy);
    const std::string flipped(1, static_cast<char>(data[at] ^ 0x04));
    overwrite(place / "store/data", at, flipped);
    auto engine = open_in(place / "store");
    if (!engine) {
      ++refused;
      const Errc code = engine.error().code();
      CHECK((code == Errc::corrupt_block || code == Errc::corrupt_page || code == Errc::incompatible_format));
      auto after = files_of(place);
      CHECK(after["data"][at] == flipped[0]);
      after["data"][at] = data[at];
      CHECK(after == healthy);
      continue;
    }
    const auto report = engine->verify();
    REQUIRE(report);
    const auto table = engine->table("t");
    REQUIRE(table);
    auto reader = engine->snapshot();
    bool whole = true;
    for (const auto& [key, value] : rows) {
      const auto got = reader.get(*table, key);
      if (got) CHECK(*got == value);  // what is told is true
      if (!got) CHECK((got.error().code() == Errc::corrupt_block || got.error().code() == Errc::corrupt_page));
      whole = whole && got;
    }
    if (!whole) CHECK_FALSE(report->ok());
    ++(whole ? unharmed : found_later);
  }
  CHECK(refused > 0);
  CHECK(unharmed > 0);  // free room, older superblocks
  CAPTURE(found_later);
}

TEST_CASE("a missing log is corrupt_log, a missing data file beside a log corrupt_block") {
  TemporaryDirectory place;
  make_store(place);
  const auto healthy = files_of(place);
  auto without_log = healthy, without_data = healthy;
  for (const auto& [name, bytes] : healthy)
    if (name != "data") without_log.erase(name);
  restore(place, without_log);
  check_refused(place, {Errc::corrupt_log});
  without_data.erase("data");
  restore(place, without_data);
  check_refused(place, {Errc::corrupt_block});
  restore(place, healthy);
  CHECK(open_in(place / "store"));
}

TEST_CASE("an empty data file of another store beside a log is no new store") {
  TemporaryDirectory place;
  make_store(place);
  REQUIRE(storage::LocalBackend::open({.directory = place / "other", .read_only = false}));  // nothing was ever published in it
  auto mixed = files_of(place);
  mixed["data"] = place.content("other/data");
  restore(place, mixed);
  check_refused(place, {Errc::corrupt_block});
}

TEST_CASE("the log of another store is incompatible_format") {
  TemporaryDirectory place;
  make_store(place);
  make_store(place, "other");
  auto mixed = files_of(place);
  for (const auto& [name, bytes] : files_of(place, "other"))
    if (name != "data") mixed[name] = bytes;
  restore(place, mixed);
  check_refused(place, {Errc::incompatible_format});
}

TEST_CASE("a data file older than its log is refused") {
  TemporaryDirectory place;
  std::map<std::string, std::string> older;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", numbered("k", 100, 300)));
    REQUIRE(engine->checkpoint());
    older = files_of(place);
    REQUIRE(put(*engine, "t", {{"newer", "row"}}));
    REQUIRE(engine->checkpoint());
    REQUIRE(put(*engine, "t", {{"newest", "row"}}));
  }
  auto mixed = files_of(place);
  mixed["data"] = older["data"];
  restore(place, mixed);
  check_refused(place, {Errc::corrupt_block, Errc::corrupt_log});
}

TEST_CASE("files that are not the store's are left alone") {
  TemporaryDirectory place;
  make_store(place);
  place.write("store/README", "mine");
  place.write("store/wal-notes.txt", "mine too");
  auto engine = open_in(place / "store");
  REQUIRE(engine);
  REQUIRE(put(*engine, "t", {{"a", "b"}}));
  REQUIRE(engine->close());
  CHECK(place.content("store/README") == "mine");
  CHECK(place.content("store/wal-notes.txt") == "mine too");
}

TEST_CASE("a second opener gets already_open, in the same process and in another, and the first is not disturbed") {
  TemporaryDirectory place;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const auto second = open_in(place / "store");
    REQUIRE_FALSE(second);
    CHECK(second.error().code() == Errc::already_open);
    CHECK(in_process([&] {
            const auto third = open_in(place / "store");
            return !third && third.error().code() == Errc::already_open ? 0 : 1;
          }) == 0);
    REQUIRE(put(*engine, "t", {{"a", "b"}}));
    REQUIRE(engine->close());
    CHECK_FALSE(open_in(place / "store"));  // closed, but not gone yet
  }
  CHECK(open_in(place / "store"));
  in_process_killed_after([&] { return static_cast<bool>(open_in(place / "store")); });
  CHECK(open_in(place / "store"));  // a dead process holds no lock
}

TEST_CASE("a spare log segment of a size that none has is cleared away, whatever its number") {
  for (int number = 0; number < 8; ++number) {
    CAPTURE(number);
    TemporaryDirectory place;
    std::filesystem::create_directory(place / "store");
    place.write("store/spare-000000000000000" + std::to_string(number) + ".log", "odd");
    for (int opening = 0; opening < 2; ++opening) {
      auto engine = open_in(place / "store");
      REQUIRE_MESSAGE(engine, engine.error().message());
      REQUIRE(engine->table("t"));
      CHECK(engine->close());
    }
  }
}

TEST_CASE("a spare log segment of whatever size and number, left in an empty directory, keeps no store shut") {
  const Rows rows = numbered("k", 20, 60'000);  // more than the log holds at once
  for (const char* number : {"0000000000000000", "0000000000000002", "7fffffffffffffff", "8000000000000000", "ffffffffffffffff"})
    for (const std::size_t bytes : {8u << 10, 512u << 10, (512u << 10) + 4096, 1u << 20, 3u << 20}) {
      CAPTURE(number);
      CAPTURE(bytes);
      TemporaryDirectory place;
      std::filesystem::create_directory(place / "store");
      place.write(std::string("store/spare-") + number + ".log", std::string(bytes, 'x'));
      for (int opening = 0; opening < 2; ++opening) {
        auto engine = open_in(place / "store");
        REQUIRE_MESSAGE(engine, engine.error().message());
        if (opening == 0)
          for (const auto& row : rows) REQUIRE(put(*engine, "t", {row}));
        CHECK(content(*engine)["t"] == rows);
        std::uint64_t log_bytes = 0;
        for (const auto& [name, file] : files_of(place)) log_bytes += name == "data" ? 0 : file.size();
        CHECK(log_bytes <= 1 << 20);
        if (opening == 0) CHECK(engine->close());
      }
    }
}

TEST_CASE("a file where the directory should be, a missing parent, and no name at all are refused") {
  TemporaryDirectory place;
  place.write("file", "precious");
  for (const std::string& directory : {place / "file", place / "file/below", place / "no/such/parent", std::string{}}) {
    CAPTURE(directory);
    const auto refused = open_in(directory);
    REQUIRE_FALSE(refused);
    INFO(refused.error().message());
    CHECK(refused.error().code() == Errc::invalid_argument);
  }
  CHECK(place.content("file") == "precious");
  CHECK_FALSE(std::filesystem::exists(place / "no"));
}

TEST_CASE("a directory that may not be written is read_only, and is not harmed") {
  TemporaryDirectory place;
  make_store(place);
  const auto before = files_of(place);
  for (const auto& entry : std::filesystem::directory_iterator{place / "store"}) std::filesystem::permissions(entry.path(), std::filesystem::perms{0444});
  std::filesystem::permissions(place / "store", std::filesystem::perms{0555});
  std::filesystem::permissions(place.path(), std::filesystem::perms{0755});
  const int code = in_process([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 250;
    const auto refused = open_in(place / "store");
    return refused ? 251 : static_cast<int>(refused.error().code());
  });
  CHECK(code == static_cast<int>(Errc::read_only));
  const int none = in_process([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 250;
    const auto refused = open_in(place / "new");
    return refused ? 251 : static_cast<int>(refused.error().code());
  });
  CHECK(none == static_cast<int>(Errc::read_only));
  CHECK_FALSE(std::filesystem::exists(place / "new"));
  std::filesystem::permissions(place / "store", std::filesystem::perms{0755});
  CHECK(files_of(place) == before);
}

TEST_CASE("options that make no sense are invalid_argument, and make nothing") {
  TemporaryDirectory place;
  for (const storage::EngineOptions& options :
       {storage::EngineOptions{.directory = place / "x", .log_bytes = 1000}, storage::EngineOptions{.directory = place / "x", .max_transactions = 0},
        storage::EngineOptions{}}) {
    const auto refused = Engine::open(options);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::invalid_argument);
    CHECK_FALSE(std::filesystem::exists(place / "x/data"));
  }
}
