// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/btree.hpp>

#include "tree/fixture.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace aegis::storage;
using namespace aegis_test;
using Fixture = TreeFixture<>;

TEST_CASE("an empty tree has one leaf that covers every key") {
  Fixture f;
  CHECK(f.get("") == std::nullopt);
  CHECK(f.get("x") == std::nullopt);
  const TreeCounts counts = check_tree(f);
  CHECK(counts.leaves == 1);
  CHECK(counts.levels == 1);
  CHECK(counts.rows == 0);
}

TEST_CASE("what was put is got, the empty key and the empty value among it") {
  Fixture f;
  f.put("", "for the empty key");
  f.put("key", "");
  f.put(std::string_view{"a\0b", 3}, "binary");
  CHECK(f.get("") == "for the empty key");
  CHECK(f.get("key") == "");
  CHECK(f.get(std::string_view{"a\0b", 3}) == "binary");
  CHECK(f.get("a") == std::nullopt);
  check_tree(f);
}

TEST_CASE_TEMPLATE("a key of the documented limit is taken, one byte more is too_large and names the limit", F, TreeFixture<4096>, TreeFixture<8192>, TreeFixture<65536>) {
  F f;
  const std::string longest(F::Tree::key_limit, 'k'), longer = longest + "k";
  for (int i = 0; i < 60; ++i) {
    std::string key = longest;
    key[key.size() - 1] = static_cast<char>(i * 4);
    key[0] = static_cast<char>(i * 7);
    f.put(key, "v");
    CHECK(f.get(key) == "v");
  }
  const auto refused = f.tree.put(f.token, f.root, longer, "v", Timestamp{1});
  REQUIRE(!refused);
  CHECK(refused.error().code() == Errc::too_large);
  CHECK(refused.error().expected() == F::Tree::key_limit);
  CHECK(f.get(longer) == std::nullopt);
  CHECK(*f.tree.erase(f.token, f.root, longer, true, Timestamp{1}) == false);
  check_tree(f);
}

TEST_CASE("1,000-byte keys are taken at the default page size, at least four rows to a leaf") {
  TreeFixture<8192> f;
  for (int i = 0; i < 400; ++i) {
    std::string key = Random{static_cast<std::uint64_t>(i)}.bytes(1000);
    f.put(key, std::string(300, 'v'));
  }
  const TreeCounts counts = check_tree(f);
  CHECK(counts.rows == 400);
  CHECK(counts.leaves <= 200);
}

TEST_CASE_TEMPLATE("a tree behaves like an ordered map under random changes", F, TreeFixture<4096>, TreeFixture<8192>, TreeFixture<16384>) {
  const std::uint64_t seed = aegis_test::seed(0x7ee);
  const std::string replay = aegis_test::replay(seed, "test_tree");
  INFO(replay);
  Random random{seed};
  F f;
  TreeModel model;
  for (int round = 0; round < 6; ++round) {
    const bool shrinking = round % 2 == 1;
    for (int i = 0; i < 2500; ++i) {
      const std::string key = random_key(random, F::Tree::key_limit);
      if (random.below(10) < (shrinking ? 2u : 8u)) {
        const std::string value = random_value(random);
        f.put(key, value);
        model[key] = value;
      } else {
        const auto hit = shrinking && !model.empty() && !random.one_in(4) ? model.lower_bound(key) : model.find(key);
        const std::string gone = hit == model.end() ? key : hit->first;
        REQUIRE(*f.tree.erase(f.token, f.root, gone, false, Timestamp{1}) == (hit != model.end()));
        if (hit != model.end()) model.erase(hit);
      }
      if (random.one_in(50)) f.allocator.release(Timestamp{5});
      const std::string asked = random_key(random, F::Tree::key_limit);
      const auto known = model.find(asked);
      REQUIRE(f.get(asked) == (known == model.end() ? std::nullopt : std::optional{known->second}));
    }
    CHECK(check_tree(f).rows == model.size());
    check_walks(f, model);
    for (const auto& [key, value] : model) REQUIRE(f.get(key) == value);
  }
  CHECK(f.pool.most_held() <= 3);
  while (!model.empty()) {
    auto next = model.lower_bound(random_key(random, 20));
    if (next == model.end()) next = model.begin();
    REQUIRE(f.erase(next->first, false, 2));
    model.erase(next);
  }
  const TreeCounts counts = check_tree(f);
  CHECK(counts.rows == 0);
  CHECK(f.allocator.used_pages() == 1);
}

TEST_CASE("save sees what a write replaces, exactly once, before it changes") {
  Fixture f;
  std::vector<std::pair<RowKind, std::string>> saved;
  const auto save = [&](const StoredValue& old) { saved.emplace_back(old.kind, std::string{old.bytes}); };
  const auto put = [&](std::string_view key, std::string_view value) { REQUIRE(f.tree.put(f.token, f.root, key, value, Timestamp{1}, save)); };
  std::size_t writes = 0;
  for (std::uint64_t i = 0; i < 500; ++i, ++writes) put(numbered(i * 7919 % 500), std::string(200, 'v'));
  for (const auto& [kind, bytes] : saved) REQUIRE(kind == RowKind::absent);
  REQUIRE(saved.size() == writes);
  saved.clear();
  put(numbered(3), "short");
  put(numbered(3), std::string(10'000, 'x'));
  put(numbered(3), "back");
  REQUIRE(saved.size() == 3);
  CHECK(saved[0] == std::pair{RowKind::in_place, std::string(200, 'v')});
  CHECK(saved[1] == std::pair{RowKind::in_place, std::string{"short"}});
  CHECK(saved[2].first == RowKind::overflow);
  CHECK(saved[2].second.size() == OverflowRef::encoded_bytes);

  REQUIRE(*f.tree.erase(f.token, f.root, numbered(3), true, Timestamp{1}, save));
  CHECK(saved.back() == std::pair{RowKind::in_place, std::string{"back"}});
  put(numbered(3), "over a ghost");
  CHECK(saved.back() == std::pair{RowKind::ghost, std::string{}});
}

TEST_CASE("readers see every row that is never deleted while a writer splits and merges around it") {
  Fixture f;
  constexpr std::uint64_t kept = 200;
  for (std::uint64_t i = 0; i < kept; ++i) f.put("k" + numbered(i * 1000), i % 10 == 0 ? std::string(9000, static_cast<char>('a' + i % 26)) : std::to_string(i));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> reads{0};
  const auto reader = [&](std::uint64_t seed) {
    Random random{seed};
    ValueBuffer buffer;
    Fixture::Leaf leaf;
    while (!stop.load()) {
      const std::uint64_t i = random.below(kept);
      const auto found = f.tree.get(f.root, "k" + numbered(i * 1000), buffer);
      if (!found || !found->present() || buffer.view() != (i % 10 == 0 ? std::string(9000, static_cast<char>('a' + i % 26)) : std::to_string(i))) ++wrong;
      if (random.one_in(20)) {
        std::uint64_t seen = 0;
        bool more = static_cast<bool>(f.tree.copy_leaf(f.root, LeafPosition::first(), leaf));
        if (!more) ++wrong;
        while (more) {
          for (std::size_t row = leaf.begin_row(); row < leaf.end_row(); ++row) seen += leaf.key(row).size() == 17 ? 1 : 0;
          const auto moved = f.tree.next_leaf(f.root, leaf);
          if (!moved) ++wrong;
          more = moved && *moved;
        }
        if (seen != kept) ++wrong;
      }
      ++reads;
    }
  };
  std::vector<std::thread> readers;
  for (std::uint64_t i = 0; i < 3; ++i) readers.emplace_back(reader, i + 1);
  Random random{aegis_test::seed(8)};
  for (int round = 0; round < 10 || reads.load() < 200; ++round) {
    for (std::uint64_t i = 0; i < 1500; ++i) f.put("k" + numbered(random.below(kept * 1000)) + "+", std::string(random.below(300), 'w'));
    Fixture::Leaf leaf;
    std::vector<std::string> gone;
    REQUIRE(f.tree.copy_leaf(f.root, LeafPosition::first(), leaf));
    for (bool more = true; more; more = *f.tree.next_leaf(f.root, leaf))
      for (std::size_t row = 0; row < leaf.size(); ++row)
        if (leaf.key(row).size() != 17) gone.emplace_back(leaf.key(row));
    for (const auto& key : gone) REQUIRE(f.erase(key, false, 2));
  }
  stop = true;
  for (auto& thread : readers) thread.join();
  CHECK(wrong == 0);
  CHECK(check_tree(f).rows == kept);
}

TEST_CASE("a wrong expectation of a leaf costs nothing but time") {
  Fixture f;
  for (std::uint64_t i = 0; i < 500; ++i) f.put(numbered(i), std::string(100, 'v'));
  const auto right = f.tree.touch(f.root, numbered(400)), wrong = f.tree.touch(f.root, numbered(3));
  REQUIRE(right);
  REQUIRE(wrong);
  REQUIRE(*right != *wrong);
  for (const PageId page : {*right, *wrong, f.root.root, PageId{999'999}}) {
    f.tree.expect_leaf(f.token, f.root, page);
    f.put(numbered(400), std::to_string(number(page)));
    CHECK(f.get(numbered(400)) == std::to_string(number(page)));
  }
  CHECK(check_tree(f).rows == 500);
}

TEST_CASE("the shape of a row is told without its value") {
  Fixture f;
  f.put("short", "12345");
  f.put("long", std::string(50'000, 'x'));
  f.put("gone", "1");
  REQUIRE(f.erase("gone", true));
  CHECK(f.tree.shape(f.root, "short")->kind == RowKind::in_place);
  CHECK(f.tree.shape(f.root, "short")->stored_bytes == 5);
  CHECK(f.tree.shape(f.root, "long")->kind == RowKind::overflow);
  CHECK(f.tree.shape(f.root, "long")->stored_bytes == OverflowRef::encoded_bytes);
  CHECK(!f.tree.shape(f.root, "gone")->present());
  CHECK(f.tree.shape(f.root, "none")->kind == RowKind::absent);
}

TEST_CASE("a hint finds the row or is found wrong: another leaf, an inner node, another table's, a freed page, none at all") {
  Fixture f;
  for (std::uint64_t i = 0; i < 500; ++i) f.put(numbered(i), std::string(100, 'v'));
  const TableRoot other{TableId{8}, *f.tree.create(f.token, TableId{8})};
  REQUIRE(f.tree.put(f.token, other, numbered(400), "of the other table", Timestamp{1}));
  const PageId right = *f.tree.touch(f.root, numbered(400)), wrong = *f.tree.touch(f.root, numbered(3));
  REQUIRE(right != wrong);
  for (const PageId hint : {PageId{}, right, wrong, f.root.root, other.root, PageId{999'999}}) {
    const auto found = f.tree.shape(f.root, numbered(400), hint);
    REQUIRE(found);
    CHECK(found->kind == RowKind::in_place);
    CHECK(found->stored_bytes == 100);
    CHECK(found->leaf == right);
    CHECK(f.tree.shape(f.root, "none such", hint)->kind == RowKind::absent);
  }
  for (std::uint64_t i = 300; i < 500; ++i) f.erase(numbered(i));
  f.put(numbered(400), "again");
  const auto after = f.tree.shape(f.root, numbered(400), right);
  REQUIRE(after);
  CHECK(after->stored_bytes == 5);
  CHECK(after->leaf == *f.tree.touch(f.root, numbered(400)));
}
