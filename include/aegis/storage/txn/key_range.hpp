// SPDX-License-Identifier: Apache-2.0
// Which rows a scan visits, and in which order.
#pragma once

#include <optional>
#include <string_view>

namespace aegis::storage {

enum class Direction { forward, reverse };

/// Half-open: from <= key < to; either end may be left out. With `within`, only keys that begin with it.
/// The views are copied by scan(); they need not outlive the call.
struct KeyRange {
  std::optional<std::string_view> from{};
  std::optional<std::string_view> to{};
  std::string_view within{};

  static constexpr KeyRange prefix(std::string_view prefix) { return {.from = prefix, .to = {}, .within = prefix}; }
};

}  // namespace aegis::storage
