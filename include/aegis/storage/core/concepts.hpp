// SPDX-License-Identifier: Apache-2.0
// The few questions about types that policies are asked, put to the compiler itself: the library's concepts of these
// names ask for common references and more, and cost the umbrella header a twentieth of its compile time.
#pragma once

namespace aegis::storage {

template <class T>
concept Movable = __is_constructible(T, T&&) && __is_assignable(T&, T&&);
template <class T>
concept Copyable = Movable<T> && __is_constructible(T, const T&) && __is_assignable(T&, const T&);
template <class T>
concept DefaultConstructible = __is_constructible(T);
template <class From, class To>
concept ConvertsTo = requires(From (&from)(), void (&take)(To)) { take(from()); };

}  // namespace aegis::storage
