// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/value_buffer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>

using namespace aegis::storage;

TEST_CASE("a value buffer grows, keeps what it holds, and keeps its room") {
  ValueBuffer buffer;
  CHECK(buffer.view().empty());
  REQUIRE(buffer.assign("hello"));
  REQUIRE(buffer.reserve(10'000));
  CHECK(buffer.view() == "hello");
  CHECK(buffer.capacity() >= 10'000);
  const std::byte* room = buffer.data();
  REQUIRE(buffer.assign(std::string(9'000, 'x')));
  CHECK(buffer.data() == room);
  buffer.clear();
  CHECK(buffer.size() == 0);
  CHECK(buffer.capacity() >= 10'000);
}

TEST_CASE("a moved-from value buffer is empty") {
  ValueBuffer one;
  REQUIRE(one.assign("text"));
  ValueBuffer other{std::move(one)};
  CHECK(other.view() == "text");
  CHECK(one.size() == 0);
  CHECK(one.capacity() == 0);
  one = std::move(other);
  CHECK(one.view() == "text");
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("a value buffer that cannot grow says out_of_memory and is unchanged") {
  ValueBuffer buffer;
  REQUIRE(buffer.assign("kept"));
  const auto refused = buffer.reserve(static_cast<std::size_t>(PTRDIFF_MAX) / 2);
  REQUIRE(!refused);
  CHECK(refused.error().code() == Errc::out_of_memory);
  CHECK(buffer.view() == "kept");
}
#endif
