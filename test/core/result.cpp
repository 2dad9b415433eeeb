#include <aegis/storage/core/result.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>

using aegis::storage::Errc;
using aegis::storage::Error;
using aegis::storage::Result;

namespace {

Result<std::unique_ptr<int>> made(bool well) {
  if (!well) return Error{Errc::out_of_memory, "number", 7};
  return std::make_unique<int>(7);
}
Result<void> checked(bool well) {
  if (!well) return Errc::busy;
  return {};
}
Result<int> tried(bool first, bool second, int& reached) {
  AEGIS_TRY(const auto number, made(first));
  ++reached;
  AEGIS_TRY(checked(second));
  ++reached;
  return *number;
}
Result<int> nested() {
  AEGIS_TRY(const int outer, [&]() -> Result<int> {
    AEGIS_TRY(const auto inner, made(true));
    AEGIS_TRY(checked(true));
    return *inner + 1;
  }());
  return outer + 1;
}

}  // namespace

TEST_CASE("a Result is its value or its error, and says which") {
  const Result<std::string> value = "text";
  const Result<std::string> error = Errc::io;
  CHECK(value);
  CHECK(*value == "text");
  CHECK(value->size() == 4);
  CHECK(value.value_or("other") == "text");
  CHECK_FALSE(error);
  CHECK(error.error().code() == Errc::io);
  CHECK(error.value_or("other") == "other");
  CHECK(Result<void>{}.has_value());
  CHECK(Result<void>{Errc::busy}.error().code() == Errc::busy);
}

TEST_CASE("a Result may be copied, moved and assigned across value and error") {
  Result<std::string> a = std::string(100, 'a');
  Result<std::string> b = Errc::conflict;
  Result<std::string> copy = a;
  CHECK(*copy == *a);
  a = b;
  CHECK(a.error().code() == Errc::conflict);
  b = std::move(copy);
  CHECK(*b == std::string(100, 'a'));
  Result<std::unique_ptr<int>> moved = made(true);
  Result<std::unique_ptr<int>> taken = std::move(moved);
  CHECK(**taken == 7);
  CHECK(*std::move(taken).value() == 7);
}

TEST_CASE("AEGIS_TRY goes on with the value or returns the error at once") {
  int reached = 0;
  CHECK(*tried(true, true, reached) == 7);
  CHECK(reached == 2);
  reached = 0;
  const auto first = tried(false, true, reached);
  CHECK(first.error().code() == Errc::out_of_memory);
  CHECK(first.error().id() == 7);
  CHECK(reached == 0);
  CHECK(tried(true, false, reached).error().code() == Errc::busy);
  CHECK(reached == 1);
}

TEST_CASE("AEGIS_TRY may stand in a lambda within another AEGIS_TRY") { CHECK(*nested() == 9); }
