// SPDX-License-Identifier: Apache-2.0
// Owned<T>, Owned<T[]>: the only owner of an object or array on the heap, with the names of std::unique_ptr. Made from
// `new (std::nothrow)`, so whoever makes one looks for nullptr. It is not std::unique_ptr because that takes a compiler ten
// milliseconds a type, which everybody who includes the umbrella header would pay a hundred times.
#pragma once

#include <cstddef>
#include <type_traits>

namespace aegis::storage {

template <class T>
struct Deleting {
  void operator()(T* object) const { delete object; }
};
template <class T>
struct Deleting<T[]> {
  void operator()(T* objects) const { delete[] objects; }
};

/// Delete: a stateless function object that ends a T.
template <class T, class Delete = Deleting<T>>
class Owned {
  static_assert(__is_empty(Delete));

 public:
  using Element = std::remove_extent_t<T>;

  constexpr Owned() = default;
  constexpr Owned(std::nullptr_t) {}
  explicit Owned(Element* object) : object_(object) {}  // what comes from the heap is no constant
  constexpr Owned(Owned&& other) noexcept : object_(other.release()) {}
  /// From the owner of a derived class, whose base deletes virtually.
  template <class U>
    requires(!std::is_same_v<U, T> && __is_base_of(T, U) && __has_virtual_destructor(T))
  constexpr Owned(Owned<U>&& other) noexcept : object_(other.release()) {}
  constexpr Owned& operator=(Owned&& other) noexcept {
    reset(other.release());
    return *this;
  }
  constexpr ~Owned() {
    if (object_ != nullptr) Delete{}(object_);
  }

  constexpr Element* get() const { return object_; }
  constexpr explicit operator bool() const { return object_ != nullptr; }
  constexpr friend bool operator==(const Owned& owned, std::nullptr_t) { return owned.object_ == nullptr; }
  constexpr Element& operator*() const { return *object_; }
  constexpr Element* operator->() const { return object_; }
  constexpr Element& operator[](std::size_t index) const { return object_[index]; }

  /// Gives the object up; nobody owns it then.
  [[nodiscard]] constexpr Element* release() {
    Element* const object = object_;
    object_ = nullptr;
    return object;
  }
  /// Ends what it owned after it owns the other, as std::unique_ptr does, so that a chain may end itself.
  constexpr void reset(Element* object = nullptr) {
    Element* const old = object_;
    object_ = object;
    if (old != nullptr) Delete{}(old);
  }
  constexpr void swap(Owned& other) noexcept {
    Element* const own = object_;
    object_ = other.object_;
    other.object_ = own;
  }

 private:
  Element* object_ = nullptr;
};

}  // namespace aegis::storage
