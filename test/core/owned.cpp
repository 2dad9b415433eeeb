// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/core/owned.hpp>

#include <doctest/doctest.h>

#include <new>
#include <utility>

using namespace aegis::storage;

namespace {

struct Counted {
  explicit Counted(int& living) : living_(&living) { ++*living_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  virtual ~Counted() { --*living_; }
  int* living_;
};
struct Derived : Counted {
  using Counted::Counted;
};
struct Chained {
  explicit Chained(int& living) : self(living) {}
  Counted self;
  Owned<Chained> next;
};
struct Returned {
  void operator()(int* number) const { *number = -1; }
};

}  // namespace

static_assert(sizeof(Owned<int>) == sizeof(int*) && sizeof(Owned<int, Returned>) == sizeof(int*));
static_assert(!__is_constructible(Owned<int>, const Owned<int>&) && !__is_assignable(Owned<int>&, const Owned<int>&));

TEST_CASE("an object ends with its owner, once, whoever that became") {
  int living = 0;
  {
    Owned<Counted> first{new Counted{living}}, second;
    CHECK(first);
    CHECK(second == nullptr);
    second = std::move(first);
    CHECK(first == nullptr);
    CHECK(living == 1);
    const Owned<Counted> third{std::move(second)};
    CHECK(third->living_ == &living);
    CHECK(&*third == third.get());
    CHECK(living == 1);
  }
  CHECK(living == 0);
}

TEST_CASE("assignment and reset end what was owned before; release ends nothing") {
  int living = 0;
  Owned<Counted> owner{new Counted{living}};
  owner = Owned<Counted>{new Counted{living}};
  CHECK(living == 1);
  owner.reset(new Counted{living});
  CHECK(living == 1);
  Counted* const given_up = owner.release();
  CHECK(owner == nullptr);
  CHECK(living == 1);
  delete given_up;
  owner.reset();
  CHECK(living == 0);
}

TEST_CASE("an owner of itself by a move stays one") {
  int living = 0;
  Owned<Counted> owner{new Counted{living}};
  Owned<Counted>& same = owner;
  owner = std::move(same);
  CHECK(living == 1);
  CHECK(owner);
}

TEST_CASE("arrays are deleted as arrays, and swapped without being touched") {
  int living = 0;
  struct Item {
    ~Item() { --*living; }
    int* living = nullptr;
  };
  {
    Owned<Item[]> items{new Item[3]}, none;
    for (std::size_t i = 0; i < 3; ++i) items[i].living = &living, ++living;
    items.swap(none);
    CHECK(items == nullptr);
    CHECK(none[2].living == &living);
    CHECK(living == 3);
  }
  CHECK(living == 0);
}

TEST_CASE("a base owns what was made as a derived class") {
  int living = 0;
  {
    const Owned<Counted> base{Owned<Derived>{new Derived{living}}};
    CHECK(living == 1);
  }
  CHECK(living == 0);
}

TEST_CASE("the end is what the second parameter says") {
  int number = 7;
  { const Owned<int, Returned> owner{&number}; }
  CHECK(number == -1);
}

TEST_CASE("a chain may be cut from its front, each link holding the next") {
  int living = 0;
  Owned<Chained> chain;
  for (int i = 0; i < 100; ++i) {
    Owned<Chained> front{new Chained{living}};
    front->next = std::move(chain);
    chain = std::move(front);
  }
  CHECK(living == 100);
  while (chain) chain = std::move(chain->next);
  CHECK(living == 0);
}

TEST_CASE("a large array of constant size is owned, whichever compiler looks ahead") {
  const Owned<unsigned char[]> large{new (std::nothrow) unsigned char[std::size_t{4} << 20]};
  REQUIRE(large);
  large[(std::size_t{4} << 20) - 1] = 7;
  CHECK(large[(std::size_t{4} << 20) - 1] == 7);
}
