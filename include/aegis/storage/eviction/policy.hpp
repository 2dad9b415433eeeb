// SPDX-License-Identifier: Apache-2.0
// Which frame of a full buffer pool is given up next. A policy decides, the pool evicts.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/core/result.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace aegis::storage {

using FrameIndex = std::uint32_t;

/// EvictionPolicy. `access` from any thread at any time; everything else under the caller's lock.
///  1. resize(n), once and before everything else, makes room for frames 0 to n - 1, none of them admitted; out_of_memory otherwise.
///  2. victim(evictable) names an admitted frame for which evictable(frame) was true; nothing iff there is none.
///  3. victim removes nothing: the frame stays admitted until remove.
///  4. Victims that are removed come each once, until every admitted frame was named.
///  5. access of any frame, admitted or not, changes at most the order; it takes no lock and no memory.
///  6. Of frames admitted earlier, those not accessed since the last admission are named before those that were.
///  7. A frame that was removed may be admitted again and is then as new.
template <class E>
concept EvictionPolicy =
    OnAxis<E, Axis::eviction> && DefaultConstructible<E> &&
    requires(E eviction, std::size_t frames, FrameIndex frame, bool (*evictable)(FrameIndex)) {
      { E::name } -> ConvertsTo<std::string_view>;
      { eviction.resize(frames) } -> std::same_as<Result<void>>;
      { eviction.admit(frame) } -> std::same_as<void>;
      { eviction.remove(frame) } -> std::same_as<void>;
      { eviction.access(frame) } -> std::same_as<void>;
      { eviction.victim(evictable) } -> std::same_as<std::optional<FrameIndex>>;
    };

}  // namespace aegis::storage
