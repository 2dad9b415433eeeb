// SPDX-License-Identifier: Apache-2.0
// Result<T>: a T or the Error that kept it from being. The names are a subset of std::expected's.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/error.hpp>

#include <new>
#include <type_traits>
#include <utility>

namespace aegis::storage {

namespace results {
// Concepts that ask the compiler itself: in an umbrella of a hundred Results the traits of the library take half a second.
template <class U, class Self>
concept IsValue = !std::is_same_v<std::remove_cvref_t<U>, Self> && !std::is_same_v<std::remove_cvref_t<U>, Error> && !std::is_same_v<std::remove_cvref_t<U>, Errc>;
template <class U, class T>
concept IsTaken = requires(U&& value, void (&take)(T)) { take(static_cast<U&&>(value)); };
}  // namespace results

template <class T = void>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<T, Error> && !std::is_same_v<T, Errc>);

 public:
  using value_type = T;

  template <class U = T>
    requires results::IsValue<U, Result> && results::IsTaken<U, T>
  Result(U&& value) : value_(std::forward<U>(value)), has_value_(true) {}
  Result(Error error) : error_(error), has_value_(false) {}
  Result(Errc code) : Result(Error{code}) {}

  Result(const Result& other)
    requires(__is_constructible(T, const T&))
      : has_value_(other.has_value_) {
    construct(other);
  }
  Result(Result&& other) noexcept(__is_nothrow_constructible(T, T&&)) : has_value_(other.has_value_) { construct(std::move(other)); }
  Result& operator=(Result other) noexcept(__is_nothrow_constructible(T, T&&)) {
    this->~Result();
    ::new (static_cast<void*>(this)) Result(std::move(other));
    return *this;
  }
  ~Result()
    requires(__is_trivially_copyable(T))
  = default;
  ~Result() {
    if (has_value_) value_.~T();
  }

  bool has_value() const { return has_value_; }
  explicit operator bool() const { return has_value_; }

  /// Each of these is for a Result that has a value (error(): that has none); anything else is a bug and aborts.
  T& operator*() & { return checked(*this); }
  const T& operator*() const& { return checked(*this); }
  T&& operator*() && { return std::move(checked(*this)); }
  T* operator->() { return __builtin_addressof(checked(*this)); }
  const T* operator->() const { return __builtin_addressof(checked(*this)); }
  T& value() & { return checked(*this); }
  const T& value() const& { return checked(*this); }
  T&& value() && { return std::move(checked(*this)); }
  const Error& error() const {
    AEGIS_ASSERT(!has_value_);
    return error_;
  }
  template <class U>
  T value_or(U&& otherwise) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(otherwise));
  }

 private:
  template <class Self>
  static auto& checked(Self& self) {
    AEGIS_ASSERT(self.has_value_);
    return self.value_;
  }
  template <class Other>
  void construct(Other&& other) {
    if (has_value_)
      ::new (static_cast<void*>(__builtin_addressof(value_))) T(std::forward<Other>(other).value_);
    else
      ::new (static_cast<void*>(&error_)) Error(other.error_);
  }

  union {
    T value_;
    Error error_;
  };
  bool has_value_;  // which of the two is alive
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  constexpr Result() = default;
  constexpr Result(Error error) : error_(error), has_value_(false) {}
  constexpr Result(Errc code) : Result(Error{code}) {}

  constexpr bool has_value() const { return has_value_; }
  constexpr explicit operator bool() const { return has_value_; }
  constexpr void operator*() const { AEGIS_ASSERT(has_value_); }
  constexpr void value() const { AEGIS_ASSERT(has_value_); }
  constexpr const Error& error() const {
    AEGIS_ASSERT(!has_value_);
    return error_;
  }

 private:
  Error error_{Errc::engine_failed};  // meaningful when has_value_ is false
  bool has_value_ = true;
};

}  // namespace aegis::storage

/// AEGIS_TRY(declaration, expression): declares it from the Result's value, or returns the Error from this function.
/// AEGIS_TRY(expression): the same for a Result whose value is not wanted. May stand inside a lambda inside another one.
#define AEGIS_TRY(...) AEGIS_TRY_CHOOSE(__VA_ARGS__, AEGIS_TRY_VALUE, AEGIS_TRY_DONE)(AEGIS_TRY_NAME(__COUNTER__), __VA_ARGS__)
#define AEGIS_TRY_CHOOSE(first, second, chosen, ...) chosen
#define AEGIS_TRY_NAME(number) AEGIS_TRY_JOIN(aegis_result_, number)
#define AEGIS_TRY_JOIN(prefix, number) prefix##number
#define AEGIS_TRY_VALUE(result, declaration, expression)     \
  declaration = __extension__({                              \
    auto result = (expression);                              \
    if (!result) [[unlikely]] return result.error();         \
    *std::move(result);                                      \
  })
#define AEGIS_TRY_DONE(result, expression)                                            \
  do {                                                                                \
    if (auto result = (expression); !result) [[unlikely]] return result.error();      \
  } while (false)
