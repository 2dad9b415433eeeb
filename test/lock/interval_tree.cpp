// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/lock/interval_tree.hpp>

#include <support/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace aegis::storage;
using namespace std::string_view_literals;

namespace {

using End = LockSpan::End;

bool contains(const LockSpan& span, std::string_view key) {
  if (key < span.low) return false;
  return span.end == End::open || (span.end == End::included ? key <= span.high : key < span.high);
}

/// Every interval that has its ends among these keys. Where two intervals meet, the higher of both beginnings is in both.
const std::vector<std::string_view>& keys() {
  static const std::vector<std::string_view> all{""sv, "\0"sv, "a"sv, "a\0"sv, "ab"sv, "b"sv, "\xff"sv};
  return all;
}
std::vector<LockSpan> spans() {
  std::vector<LockSpan> all;
  for (std::string_view low : keys()) {
    all.push_back({low, {}, End::open});
    for (std::string_view high : keys())
      for (const End end : {End::excluded, End::included}) all.push_back({low, high, end});
  }
  return all;
}

}  // namespace

TEST_CASE("an interval is empty, and two overlap, exactly if some key says so") {
  for (const LockSpan& a : spans()) {
    CHECK(a.is_empty() == std::none_of(keys().begin(), keys().end(), [&](std::string_view key) { return contains(a, key); }));
    for (const LockSpan& b : spans()) {
      if (a.is_empty() || b.is_empty()) continue;
      const bool meet = std::any_of(keys().begin(), keys().end(), [&](std::string_view key) { return contains(a, key) && contains(b, key); });
      CHECK(a.overlaps(b) == meet);
      CHECK(b.overlaps(a) == meet);
    }
  }
}

TEST_CASE("an interval covers another only if it has all of its keys") {
  for (const LockSpan& a : spans())
    for (const LockSpan& b : spans())
      if (!b.is_empty() && a.covers(b)) CHECK(std::none_of(keys().begin(), keys().end(), [&](std::string_view key) { return contains(b, key) && !contains(a, key); }));
  const LockSpan middle{"b", "d", End::excluded};
  CHECK(middle.covers(middle));
  CHECK(middle.covers(LockSpan::point("b")));
  CHECK(middle.covers(LockSpan::point("c")));
  CHECK_FALSE(middle.covers(LockSpan::point("d")));
  CHECK_FALSE(middle.covers({"b", "d", End::included}));
  CHECK_FALSE(middle.covers({"a", "c", End::excluded}));
  CHECK(LockSpan::everything().covers(LockSpan::everything()));
  CHECK(LockSpan::everything().covers(LockSpan::point("")));
  CHECK_FALSE(middle.covers(LockSpan::everything()));
}

TEST_CASE("the tree finds exactly the intervals that overlap, in order, whatever came and went") {
  const std::uint64_t seed = aegis_test::seed(11);
  INFO(aegis_test::replay(seed, "test/lock/interval_tree"));
  aegis_test::Random random{seed};
  struct Node {
    std::string low, high;
    locks::IntervalRequest request;
  };
  const auto key = [&] { return std::string(1, static_cast<char>('a' + random.below(20))) + (random.one_in(3) ? "x" : ""); };
  const auto span = [&](const std::string& low, const std::string& high) {
    if (random.one_in(2)) return LockSpan::point(low);
    if (random.one_in(8)) return LockSpan{low, {}, End::open};
    return LockSpan{std::min(low, high), std::max(low, high), End::included};
  };
  std::vector<std::unique_ptr<Node>> nodes;
  locks::IntervalTree tree;
  std::uint64_t visits = 0, number = 0, found_in_all = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t wanted = round % 2000 < 1000 ? 60 : 5;  // grows and shrinks
    if (nodes.size() < wanted ? !random.one_in(4) : random.one_in(4)) {
      nodes.push_back(std::make_unique<Node>(Node{key(), key(), {}}));
      Node& node = *nodes.back();
      node.request.span = span(node.low, node.high);
      node.request.number = ++number;
      node.request.priority = static_cast<std::uint32_t>(random.below(30));  // equal ones, too
      tree.insert(node.request, visits);
    } else if (!nodes.empty()) {
      std::swap(nodes[random.below(nodes.size())], nodes.back());
      tree.erase(nodes.back()->request, visits);
      nodes.pop_back();
    }
    CHECK(tree.empty() == nodes.empty());
    const std::string low = key(), high = key();
    const LockSpan asked = span(low, high);
    std::vector<locks::IntervalRequest*> expected, found;
    for (const auto& node : nodes)
      if (node->request.span.overlaps(asked)) expected.push_back(&node->request);
    std::sort(expected.begin(), expected.end(), [](const auto* a, const auto* b) { return a->span.low != b->span.low ? a->span.low < b->span.low : a->number < b->number; });
    CHECK_FALSE(tree.any(asked, visits, [&](locks::IntervalRequest& each) { return found.push_back(&each), false; }));
    CHECK(found == expected);
    found_in_all += found.size();
    if (!expected.empty()) CHECK(tree.any(asked, visits, [&](locks::IntervalRequest& each) { return &each == expected.back(); }));
  }
  CHECK(found_in_all > 20'000);
}
