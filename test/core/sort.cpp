// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/sort.hpp>

#include "support/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

TEST_CASE("every order of up to seven items, equal ones among them, is sorted") {
  for (std::size_t count = 0; count <= 7; ++count) {
    std::vector<int> order;
    for (std::size_t i = 0; i < count; ++i) order.push_back(static_cast<int>(i / 2));
    do {
      std::vector<int> items = order, expected = order;
      aegis::storage::sort(items.data(), items.size(), [](int a, int b) { return a < b; });
      std::sort(expected.begin(), expected.end());
      REQUIRE(items == expected);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("long lists of strings are sorted, none lost or doubled") {
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(aegis_test::replay(seed, "test/core/sort"));
  aegis_test::Random random{seed};
  std::vector<std::string> items;
  for (int i = 0; i < 5000; ++i) items.push_back(std::to_string(random.below(2000)));
  std::vector<std::string> expected = items;
  aegis::storage::sort(items.data(), items.size(), [](const std::string& a, const std::string& b) { return a > b; });
  std::sort(expected.begin(), expected.end(), std::greater<>{});
  CHECK(items == expected);
}

TEST_CASE("a merge sort gives every order of up to seven items, and leaves what is equal in its order") {
  using Item = std::pair<int, std::size_t>;
  for (std::size_t count = 0; count <= 7; ++count) {
    std::vector<int> order;
    for (std::size_t i = 0; i < count; ++i) order.push_back(static_cast<int>(i / 2));
    do {
      std::vector<Item> items, spare(count);
      for (std::size_t i = 0; i < count; ++i) items.push_back({order[i], i});
      std::vector<Item> expected = items;
      aegis::storage::merge_sort(items.data(), spare.data(), count, [](const Item& a, const Item& b) { return a.first < b.first; });
      std::sort(expected.begin(), expected.end());
      REQUIRE(items == expected);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("a merge sort looks at what is in order once, and at anything at most n log n times") {
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(aegis_test::replay(seed, "test/core/sort"));
  aegis_test::Random random{seed};
  constexpr std::size_t count = 4096, halvings = 12;
  std::vector<std::uint64_t> items(count), spare(count);
  std::size_t looks = 0;
  const auto sort = [&] {
    looks = 0;
    aegis::storage::merge_sort(items.data(), spare.data(), count, [&](std::uint64_t a, std::uint64_t b) { return ++looks, a < b; });
  };
  for (std::size_t i = 0; i < count; ++i) items[i] = i / 3;
  sort();
  CHECK(looks == count - 1);
  for (std::uint64_t& item : items) item = random.below(1000);
  std::vector<std::uint64_t> expected = items;
  std::sort(expected.begin(), expected.end());
  sort();
  CHECK(items == expected);
  CHECK(looks <= 2 * count * (halvings + 1));  // a pass finds its runs, then merges them
}
