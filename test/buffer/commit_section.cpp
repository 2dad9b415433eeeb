// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/buffer/commit_section.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using aegis::storage::CommitSection;

static_assert(!std::is_default_constructible_v<CommitSection::Token> && !std::is_copy_constructible_v<CommitSection::Token>);

TEST_CASE("one thread at a time is in the section") {
  CommitSection section;
  std::uint64_t count = 0;  // guarded by the section alone
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        const auto token = section.enter();
        ++count;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(count == 20000);
}

TEST_CASE("a token that moves takes the section with it, and knows whose it is") {
  CommitSection section, other;
  {
    auto first = section.enter();
    const auto second = std::move(first);
    CHECK(second.is_of(section));
    CHECK_FALSE(second.is_of(other));
    CHECK_FALSE(first.is_of(section));
    bool entered = true;
    std::thread([&] { entered = section.try_enter().has_value(); }).join();
    CHECK_FALSE(entered);
  }
  CHECK(section.try_enter().has_value());
}
