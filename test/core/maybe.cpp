// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/maybe.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace aegis::storage;

static_assert(__is_trivially_copyable(Maybe<int>) && !__is_trivially_copyable(Maybe<std::string>));
static_assert(Maybe<int>{3} == 3 && Maybe<int>{} == std::nullopt && !Maybe<int>{} && Maybe<int>{}.value_or(4) == 4);

TEST_CASE_TEMPLATE("nothing, a value, and nothing again", T, std::string, long) {
  const T one(static_cast<T>([] {
    if constexpr (std::is_same_v<T, long>) return 1L;
    else return "one, and long enough not to lie in the string itself";
  }()));
  Maybe<T> maybe;
  CHECK_FALSE(maybe.has_value());
  CHECK(maybe == std::nullopt);
  maybe = one;
  REQUIRE(maybe);
  CHECK(*maybe == one);
  Maybe<T> copy = maybe;
  CHECK(copy == maybe);
  const Maybe<T> moved = std::move(copy);
  CHECK(*moved == one);
  maybe = Maybe<T>{};
  CHECK(maybe != moved);
  maybe = moved;
  CHECK(maybe == one);
  maybe = std::nullopt;
  CHECK_FALSE(maybe);
  CHECK(maybe.value_or(one) == one);
  CHECK(maybe.emplace(one) == one);
  maybe.reset();
  CHECK_FALSE(maybe == one);
}

TEST_CASE("every value that began ends once") {
  static int living = 0;
  struct Counted {
    Counted() { ++living; }
    Counted(const Counted&) { ++living; }
    Counted(Counted&&) noexcept { ++living; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --living; }
  };
  {
    Maybe<Counted> first{Counted{}}, second = first, none;
    CHECK(living == 2);
    Maybe<Counted>& same = second;
    second = same;
    CHECK(living == 2);
    first.emplace();
    CHECK(living == 2);
    second = none;
    CHECK(living == 1);
    second = std::move(first);
    CHECK(second.has_value());
    first.reset();
    CHECK(living == 1);
  }
  CHECK(living == 0);
}

TEST_CASE("what can only be moved is") {
  struct MoveOnly {
    explicit MoveOnly(int of) : number(of) {}
    MoveOnly(MoveOnly&& other) noexcept : number(std::exchange(other.number, 0)) {}
    int number;
  };
  Maybe<MoveOnly> from{MoveOnly{5}};
  Maybe<MoveOnly> to = std::move(from);
  CHECK(to->number == 5);
  CHECK((*std::move(to)).number == 5);
}
