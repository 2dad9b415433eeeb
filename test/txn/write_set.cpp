// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/txn/write_set.hpp>

#include <support/random.hpp>

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace aegis::storage;

namespace {

constexpr TableId t1{1}, t2{2};
constexpr std::size_t plenty = std::size_t{1} << 30;

std::string keys_of(const WriteSet& writes) {
  std::string text;
  writes.for_each([&](const WriteEntry& entry) { text += std::to_string(number(entry.table())) + ":" + std::string{entry.key()} + " "; });
  return text;
}
std::string key_of(const WriteEntry* entry) { return entry == nullptr ? "none" : std::string{entry->key()}; }
void put(WriteSet& writes, TableId table, std::string_view key, std::string_view value) { REQUIRE(writes.write(table, key, WriteKind::put, value)); }

}  // namespace

TEST_CASE("D12: a transaction finds its own writes; an empty value is a value and an erased key is absent") {
  WriteSet writes{plenty};
  CHECK(writes.empty());
  CHECK(writes.find(t1, "a") == nullptr);
  put(writes, t1, "a", "");
  REQUIRE(writes.write(t1, "b", WriteKind::erase, "ignored"));
  REQUIRE(writes.write(t1, "", WriteKind::insert, "empty key"));
  CHECK(writes.find(t1, "a")->present());
  CHECK(writes.find(t1, "a")->value().empty());
  CHECK_FALSE(writes.find(t1, "b")->present());
  CHECK(writes.find(t1, "b")->value().empty());
  CHECK(writes.find(t1, "")->kind() == WriteKind::insert);
  CHECK(writes.find(t2, "a") == nullptr);
  CHECK(writes.size() == 3);
}

TEST_CASE("D14: writing a key twice leaves one entry with the last value") {
  WriteSet writes{plenty};
  put(writes, t1, "k", "first");
  const std::size_t bytes = writes.bytes();
  put(writes, t1, "k", "second value that is longer");
  put(writes, t1, "k", "third");
  CHECK(writes.size() == 1);
  CHECK(writes.bytes() == bytes);
  CHECK(writes.find(t1, "k")->value() == "third");
  REQUIRE(writes.write(t1, "k", WriteKind::erase, {}));
  CHECK_FALSE(writes.find(t1, "k")->present());
}

TEST_CASE("a key written a million times does not grow the arena") {
  WriteSet writes{1 << 20};
  for (int i = 0; i < 1'000'000; ++i) REQUIRE(writes.write(t1, "k", WriteKind::put, "twelve bytes"));
  CHECK(writes.arena_bytes() <= 8192);
}

TEST_CASE("a value may view the one that it replaces") {
  WriteSet writes{plenty};
  put(writes, t1, "k", "abcdef");
  put(writes, t1, "k", writes.find(t1, "k")->value().substr(2));
  CHECK(writes.find(t1, "k")->value() == "cdef");
}

TEST_CASE("entries come by table, then by key in unsigned order") {
  WriteSet writes{plenty};
  for (const char* key : {"b", "a", "\xff", "ab", ""}) put(writes, t2, key, "v");
  put(writes, t1, "z", "v");
  CHECK(keys_of(writes) == "1:z 2: 2:a 2:ab 2:b 2:\xff ");
}

TEST_CASE("steps forward and backward stay inside their table") {
  WriteSet writes{plenty};
  for (const char* key : {"b", "d", "f"}) put(writes, t2, key, "v");
  put(writes, t1, "z", "v");
  put(writes, TableId{3}, "a", "v");
  CHECK(key_of(writes.first(t2)) == "b");
  CHECK(key_of(writes.last(t2)) == "f");
  CHECK(key_of(writes.at_or_after(t2, "b")) == "b");
  CHECK(key_of(writes.after(t2, "b")) == "d");
  CHECK(key_of(writes.at_or_after(t2, "g")) == "none");
  CHECK(key_of(writes.after(t2, "f")) == "none");
  CHECK(key_of(writes.at_or_before(t2, "e")) == "d");
  CHECK(key_of(writes.at_or_before(t2, "d")) == "d");
  CHECK(key_of(writes.before(t2, "d")) == "b");
  CHECK(key_of(writes.before(t2, "b")) == "none");
  CHECK(key_of(writes.at_or_before(t2, "a")) == "none");
  CHECK(key_of(writes.next(*writes.find(t2, "f"))) == "none");
  CHECK(key_of(writes.previous(*writes.find(t2, "b"))) == "none");
  CHECK(key_of(writes.next(*writes.find(t2, "b"))) == "d");
  CHECK(key_of(writes.previous(*writes.find(t2, "d"))) == "b");
  CHECK(key_of(writes.first(TableId{9})) == "none");
  CHECK(key_of(writes.last(TableId{0})) == "none");
  CHECK(key_of(writes.last(TableId{9})) == "none");
}

TEST_CASE("a write over the limit is too_large and changes nothing") {
  WriteSet writes{1000};
  put(writes, t1, "a", "v");
  const std::size_t bytes = writes.bytes();
  auto refused = writes.write(t1, "b", WriteKind::put, std::string(1000, 'x'));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::too_large);
  refused = writes.write(t1, "a", WriteKind::put, std::string(1000, 'x'));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::too_large);
  CHECK(writes.bytes() == bytes);
  CHECK(writes.size() == 1);
  CHECK(writes.find(t1, "a")->value() == "v");
  CHECK(writes.find(t1, "b") == nullptr);
  put(writes, t1, "c", std::string(100, 'x'));
}

TEST_CASE("rolling back to a savepoint brings back what was there, and its memory") {
  WriteSet writes{plenty};
  put(writes, t1, "kept", "1");
  put(writes, t1, "changed", "1");
  const std::uint64_t outer = writes.mark().value();
  put(writes, t1, "changed", "2");
  const std::uint64_t inner = writes.mark().value();
  REQUIRE(writes.write(t1, "changed", WriteKind::erase, {}));
  put(writes, t1, "added", std::string(10000, 'x'));
  REQUIRE(writes.rollback_to(inner));
  CHECK(writes.find(t1, "changed")->value() == "2");
  CHECK(writes.find(t1, "added") == nullptr);
  SUBCASE("a mark may be returned to more than once") {
    put(writes, t1, "changed", "3");
    REQUIRE(writes.rollback_to(inner));
    CHECK(writes.find(t1, "changed")->value() == "2");
  }
  REQUIRE(writes.rollback_to(outer));
  CHECK(writes.find(t1, "changed")->value() == "1");
  CHECK(writes.size() == 2);
  CHECK(writes.arena_bytes() <= 4096);
  CHECK_FALSE(writes.rollback_to(inner));  // it went with the rollback to the outer one
  CHECK_FALSE(writes.rollback_to(0));
  CHECK_FALSE(writes.rollback_to(inner + 1));
  CHECK(writes.find(t1, "changed")->value() == "1");
  writes.clear();
  CHECK_FALSE(writes.rollback_to(outer));
  CHECK(writes.bytes() == 0);
}

TEST_CASE("rolling back gives back what the writes counted against the limit, and savepoints count, too") {
  WriteSet writes{2000};
  put(writes, t1, "k", "v");
  const std::size_t before = writes.bytes();
  const std::uint64_t first = writes.mark().value();
  const std::size_t with_mark = writes.bytes();
  CHECK(with_mark > before);
  put(writes, t1, "l", std::string(900, 'x'));
  REQUIRE(writes.rollback_to(first));
  CHECK(writes.bytes() == with_mark);
  put(writes, t1, "l", std::string(900, 'x'));
  REQUIRE(writes.rollback_to(first));
  auto mark = writes.mark();
  for (int i = 0; i < 100 && mark; ++i) mark = writes.mark();
  REQUIRE_FALSE(mark);
  CHECK(mark.error().code() == Errc::too_large);
  REQUIRE(writes.rollback_to(first));
  CHECK(writes.bytes() == with_mark);
}

TEST_CASE("rolling back to a mark made before the first write leaves nothing") {
  WriteSet writes{plenty};
  const std::uint64_t mark = writes.mark().value();
  REQUIRE(writes.rollback_to(mark));
  put(writes, t1, "k", std::string(100000, 'x'));
  REQUIRE(writes.rollback_to(mark));
  CHECK(writes.empty());
  put(writes, t1, "k", "v");
  CHECK(writes.find(t1, "k")->value() == "v");
}

TEST_CASE("clear keeps a chunk for the next transaction, but not a huge one") {
  WriteSet writes{plenty};
  for (int i = 0; i < 10000; ++i) put(writes, t1, std::to_string(i), "v");
  writes.clear();
  CHECK(writes.empty());
  CHECK(writes.bytes() == 0);
  CHECK(writes.find(t1, "1") == nullptr);
  CHECK(writes.arena_bytes() == 4096);
  WriteSet huge{plenty};
  put(huge, t1, "k", std::string(1 << 20, 'x'));
  huge.clear();
  CHECK(huge.arena_bytes() == 4096);
  WriteSet huge_from_the_start{plenty};
  put(huge_from_the_start, t1, std::string(1 << 20, 'k'), "v");
  huge_from_the_start.clear();
  CHECK(huge_from_the_start.arena_bytes() == 0);
}

TEST_CASE("the leaf that a key was seen in stays with its entry") {
  WriteSet writes{plenty};
  (*writes.write(t1, "k", WriteKind::put, "v"))->leaf = PageId{12};
  put(writes, t1, "k", "w");
  CHECK(writes.find(t1, "k")->leaf == PageId{12});
}

TEST_CASE("the write set does what a map does, savepoints and scans included") {
  const std::uint64_t seed = aegis_test::seed(77);
  INFO(aegis_test::replay(seed, "test/txn/write_set"));
  aegis_test::Random random{seed};
  using Model = std::map<std::pair<std::uint32_t, std::string>, std::optional<std::string>>;
  for (int round = 0; round < 60; ++round) {
    WriteSet writes{plenty};
    Model model;
    std::vector<std::pair<std::uint64_t, Model>> marks;
    std::vector<std::uint64_t> gone;
    for (int step = 0; step < 400; ++step) {
      const auto table = static_cast<std::uint32_t>(random.below(3));
      const std::string key = "k" + std::to_string(random.below(40));
      switch (random.below(10)) {
        case 0: marks.emplace_back(writes.mark().value(), model); break;
        case 1:
          if (!marks.empty()) {
            while (marks.size() > 1 && random.one_in(2)) gone.push_back(marks.back().first), marks.pop_back();
            REQUIRE(writes.rollback_to(marks.back().first));
            model = marks.back().second;
          }
          if (!gone.empty()) REQUIRE_FALSE(writes.rollback_to(gone[random.below(gone.size())]));
          break;
        case 2:
          REQUIRE(writes.write(TableId{table}, key, WriteKind::erase, {}));
          model[{table, key}] = std::nullopt;
          break;
        case 3: {
          const auto above = model.upper_bound({table, key});
          const WriteEntry* after = writes.after(TableId{table}, key);
          REQUIRE((after != nullptr) == (above != model.end() && above->first.first == table));
          if (after != nullptr) REQUIRE(after->key() == above->first.second);
          auto below = model.lower_bound({table, key});
          const WriteEntry* before = writes.before(TableId{table}, key);
          const bool exists = below != model.begin() && (--below)->first.first == table;
          REQUIRE((before != nullptr) == exists);
          if (before != nullptr) REQUIRE(before->key() == below->first.second);
          break;
        }
        default: {
          const std::string value = random.bytes(random.below(200));
          REQUIRE(writes.write(TableId{table}, key, WriteKind::put, value));
          model[{table, key}] = value;
        }
      }
      if (step % 40 != 0) continue;
      auto expected = model.begin();
      writes.for_each([&](const WriteEntry& entry) {
        REQUIRE(expected != model.end());
        REQUIRE(number(entry.table()) == expected->first.first);
        REQUIRE(entry.key() == expected->first.second);
        REQUIRE(entry.present() == expected->second.has_value());
        REQUIRE(entry.value() == expected->second.value_or(""));
        ++expected;
      });
      REQUIRE(expected == model.end());
      REQUIRE(writes.size() == model.size());
    }
  }
}

namespace {

/// A WriteArena whose memory ends after so many allocations.
struct EndingArena : WriteArena {
  static inline int left = 0;
  void* allocate(std::size_t bytes) { return left-- > 0 ? WriteArena::allocate(bytes) : nullptr; }
};

}  // namespace

TEST_CASE("where the memory ends, the call that needs it says out_of_memory, and the set is as before") {
  BasicWriteSet<EndingArena> writes{plenty};
  const auto text = [&] {
    std::string all;
    writes.for_each([&](const WriteEntry& entry) { all.append(entry.key()).append("=").append(entry.value()).append(" "); });
    return all + std::to_string(writes.bytes());
  };
  EndingArena::left = 1'000;
  REQUIRE(writes.write(t1, "b", WriteKind::put, "old"));
  const std::uint64_t savepoint = writes.mark().value();
  REQUIRE(writes.write(t1, "c", WriteKind::put, "short"));
  const std::string before = text();
  const auto fails_after = [&](int allocations, auto&& call) {
    EndingArena::left = allocations;
    const auto result = call();
    REQUIRE_FALSE(result);
    CHECK(result.error().code() == Errc::out_of_memory);
    CHECK(text() == before);
  };
  const std::string longer(100, 'x');
  for (const int allocations : {0, 1}) fails_after(allocations, [&] { return writes.write(t1, "a", WriteKind::put, "new"); });  // the entry, its write
  fails_after(0, [&] { return writes.write(t1, "b", WriteKind::put, "behind a savepoint"); });
  fails_after(0, [&] { return writes.write(t1, "c", WriteKind::put, longer); });
  fails_after(0, [&] { return writes.mark(); });
  EndingArena::left = 1'000;
  REQUIRE(writes.write(t1, "a", WriteKind::put, "new"));
  REQUIRE(writes.write(t1, "b", WriteKind::erase, {}));
  REQUIRE(writes.rollback_to(savepoint));
  CHECK(writes.size() == 1);
  CHECK(writes.find(t1, "b")->value() == "old");
}
