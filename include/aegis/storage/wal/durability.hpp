// SPDX-License-Identifier: Apache-2.0
// The axis of durability: what a commit that returned has survived. It changes nothing in what is written, so a store may
// be opened with another one than it was made with.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/concepts.hpp>

#include <string_view>
#include <type_traits>

namespace aegis::storage {

/// 1. With `wait` a commit returns once its frame, and every frame before it, survives a power cut.
/// 2. Without, once they survive a killed process; what a power cut can take is bounded by the next sync of the log.
template <class D>
concept DurabilityPolicy =
    OnAxis<D, Axis::durability>
    && std::is_empty_v<D>
    && requires { { D::name } -> ConvertsTo<std::string_view>; }
    && requires { { D::wait } -> ConvertsTo<bool>; };

struct SyncDurability {
  static constexpr Axis axis = Axis::durability;
  static constexpr std::string_view name = "sync";
  static constexpr bool wait = true;
};

/// The log is to be opened with LogOptions::process_durable.
struct AsyncDurability {
  static constexpr Axis axis = Axis::durability;
  static constexpr std::string_view name = "async";
  static constexpr bool wait = false;
};

static_assert(DurabilityPolicy<SyncDurability> && DurabilityPolicy<AsyncDurability>);

}  // namespace aegis::storage
