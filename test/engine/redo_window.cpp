// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/engine/redo_window.hpp>

#include "support/random.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Rows = std::vector<std::pair<std::pair<std::uint32_t, std::string>, std::string>>;
constexpr const char* erased = "(erased)";

RedoWindow window_of(std::size_t bytes) {
  auto window = RedoWindow::open(bytes);
  REQUIRE(window);
  return std::move(*window);
}

/// As it would come from a log.
bool add(RedoWindow& window, LogRecordType type, std::uint32_t table, std::string_view key, std::string_view value) {
  FrameBuilder payload;
  REQUIRE(payload.add(type, TableId{table}, key, value));
  LogRecord record;
  REQUIRE(RecordReader{payload.payload()}.next(record).value());
  return window.add(record);
}

Rows rows_of(RedoWindow& window) {
  Rows rows;
  window.order();
  REQUIRE(window.for_each([&](const LogRecord& record) -> Result<void> {
    rows.push_back({{number(record.table), std::string{record.key}}, record.type == LogRecordType::erase ? erased : std::string{record.value}});
    return {};
  }));
  return rows;
}

/// Keys that share beginnings, begin each other, are empty, end in zeros and in the highest byte.
std::string any_key(Random& random) {
  static const std::string beginnings[] = {"", "a", std::string(7, 'a'), std::string(8, 'a'), std::string(40, 'a'), std::string(7, '\0'), "account0000000", "\xff\xff\xff\xff\xff\xff\xff\xff"};
  std::string key = beginnings[random.below(std::size(beginnings))];
  for (std::uint64_t i = random.below(10); i > 0; --i) key += "\0\0a\x01\xff"[random.below(5)];
  return key;
}

}  // namespace

TEST_CASE("a window gives the last record of each key, by table and key, whatever came in what order") {
  const std::uint64_t first = seed(1);
  for (std::uint64_t round = first; round < first + 50; ++round) {
    INFO(replay(round, "test/engine/redo_window"));
    Random random{round};
    RedoWindow window = window_of(1 << 20);
    for (int life = 0; life < 2; ++life) {  // a window is used again
      std::map<std::pair<std::uint32_t, std::string>, std::string> model;
      for (std::uint64_t i = 0, count = random.below(3000); i < count; ++i) {
        const std::uint32_t table = static_cast<std::uint32_t>(random.below(3) * 200);
        const std::string key = any_key(random), value = std::to_string(i);
        const auto type = random.below(4) == 0 ? LogRecordType::erase : random.below(2) == 0 ? LogRecordType::insert : LogRecordType::update;
        REQUIRE(add(window, type, table, key, value));
        model[{table, key}] = type == LogRecordType::erase ? erased : value;
      }
      CHECK(rows_of(window) == Rows(model.begin(), model.end()));
      CHECK(rows_of(window) == Rows(model.begin(), model.end()));  // asking changes nothing
      window.clear();
      CHECK(window.empty());
    }
  }
}

TEST_CASE("an empty window gives nothing; the first error ends the giving") {
  RedoWindow window = window_of(1 << 16);
  CHECK(rows_of(window).empty());
  for (const char* key : {"c", "a", "b"}) REQUIRE(add(window, LogRecordType::insert, 1, key, "v"));
  window.order();
  std::string given;
  const Result<void> done = window.for_each([&](const LogRecord& record) -> Result<void> {
    given += record.key;
    return record.key == "b" ? Result<void>{Error{Errc::no_space, "page"}} : Result<void>{};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().code() == Errc::no_space);
  CHECK(given == "ab");
}

TEST_CASE("a window that has no room takes nothing and keeps what it has; cleared it has room again") {
  for (const std::size_t bytes : {std::size_t{4096}, std::size_t{4096 + 7}, std::size_t{100'000}}) {
    RedoWindow window = window_of(bytes);
    const std::string value(1000, 'v');
    for (int life = 0; life < 2; ++life) {
      std::size_t taken = 0;
      while (add(window, LogRecordType::insert, 1, "key" + std::to_string(1000 + taken), value)) ++taken;
      const std::size_t record_bytes = 1 + 1 + 1 + 7 + 2 + 1000;
      CHECK((taken + 1) * (record_bytes + RedoWindow::record_cost) > bytes - 8);
      CHECK(taken * (record_bytes + RedoWindow::record_cost) <= bytes);
      const Rows rows = rows_of(window);
      REQUIRE(rows.size() == taken);
      for (std::size_t i = 0; i < taken; ++i) REQUIRE(rows[i] == Rows::value_type{{1, "key" + std::to_string(1000 + i)}, value});
      window.clear();
    }
  }
}

TEST_CASE("a record larger than the window is not taken, and a window without memory takes none") {
  RedoWindow window = window_of(4096), none;
  CHECK_FALSE(add(window, LogRecordType::insert, 1, "key", std::string(4096, 'v')));
  CHECK(window.empty());
  CHECK(add(window, LogRecordType::insert, 1, "key", std::string(3000, 'v')));
  CHECK_FALSE(add(none, LogRecordType::erase, 1, "", ""));
}

TEST_CASE("the longest keys that differ in their last byte are ordered") {
  RedoWindow window = window_of(1 << 16);
  const std::string longest(1024, 'k');
  for (const char last : {'z', 'a', 'm'}) REQUIRE(add(window, LogRecordType::insert, 1, longest + last, std::string(1, last)));
  const Rows rows = rows_of(window);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].second == "a");
  CHECK(rows[1].second == "m");
  CHECK(rows[2].second == "z");
}
