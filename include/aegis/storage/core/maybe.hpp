// SPDX-License-Identifier: Apache-2.0
// Maybe<T>: a T or nothing, with the names of std::optional that the library's inside needs. It is not std::optional because
// that takes a compiler five milliseconds a type, which everybody who includes the umbrella header would pay; what users
// are given is std::optional.
#pragma once

#include <new>
#include <optional>
#include <type_traits>

namespace aegis::storage {

template <class T>
class Maybe {
 public:
  using value_type = T;

  constexpr Maybe() : nothing_{} {}
  constexpr Maybe(std::nullopt_t) : nothing_{} {}
  constexpr Maybe(const T& value) : value_(value), has_value_(true) {}
  constexpr Maybe(T&& value) : value_(static_cast<T&&>(value)), has_value_(true) {}

  constexpr Maybe(const Maybe&)
    requires(__is_trivially_copyable(T))
  = default;
  constexpr Maybe(const Maybe& other) : nothing_{} {
    if (other.has_value_) emplace(other.value_);
  }
  constexpr Maybe(Maybe&&)
    requires(__is_trivially_copyable(T))
  = default;
  constexpr Maybe(Maybe&& other) noexcept : nothing_{} {
    if (other.has_value_) emplace(static_cast<T&&>(other.value_));
  }
  constexpr Maybe& operator=(const Maybe&)
    requires(__is_trivially_copyable(T))
  = default;
  constexpr Maybe& operator=(const Maybe& other) { return this == &other ? *this : *this = Maybe(other); }
  constexpr Maybe& operator=(Maybe&&)
    requires(__is_trivially_copyable(T))
  = default;
  constexpr Maybe& operator=(Maybe&& other) noexcept {
    if (this == &other) return *this;
    reset();
    if (other.has_value_) emplace(static_cast<T&&>(other.value_));
    return *this;
  }
  constexpr ~Maybe()
    requires(__is_trivially_copyable(T))
  = default;
  constexpr ~Maybe() { reset(); }

  constexpr bool has_value() const { return has_value_; }
  constexpr explicit operator bool() const { return has_value_; }
  constexpr T& operator*() & { return value_; }
  constexpr const T& operator*() const& { return value_; }
  constexpr T&& operator*() && { return static_cast<T&&>(value_); }
  constexpr T* operator->() { return &value_; }
  constexpr const T* operator->() const { return &value_; }
  constexpr T value_or(const T& otherwise) const { return has_value_ ? value_ : otherwise; }
  constexpr friend bool operator==(const Maybe& maybe, const T& value) { return maybe.has_value_ && maybe.value_ == value; }
  constexpr friend bool operator==(const Maybe& maybe, std::nullopt_t) { return !maybe.has_value_; }
  constexpr friend bool operator==(const Maybe& a, const Maybe& b) { return a.has_value_ == b.has_value_ && (!a.has_value_ || a.value_ == b.value_); }

  constexpr void reset() {
    if (has_value_) value_.~T();
    has_value_ = false;
  }
  template <class... Arguments>
  constexpr T& emplace(Arguments&&... arguments) {
    reset();
    ::new (static_cast<void*>(&value_)) T(static_cast<Arguments&&>(arguments)...);
    has_value_ = true;
    return value_;
  }

 private:
  struct Nothing {};
  union {
    Nothing nothing_;
    T value_;
  };
  bool has_value_ = false;  // whether value_ is alive
};

}  // namespace aegis::storage
