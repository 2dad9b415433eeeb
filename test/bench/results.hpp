// SPDX-License-Identifier: Apache-2.0
// What the measurements of this engine alone share: a result that must be there, an answer that must be right.
#pragma once

#include "common.hpp"

#include <type_traits>
#include <utility>

namespace bench {

template <class R>
auto need(R&& result, const char* what) {
  if (!result) fail(std::string{what} + ": " + result.error().message());
  if constexpr (!std::is_void_v<decltype(*result)>) return std::move(*result);
}
inline void must(bool holds, const std::string& what) {
  if (!holds) fail("WRONG: " + what);
}

}  // namespace bench
