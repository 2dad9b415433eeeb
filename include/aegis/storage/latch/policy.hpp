// SPDX-License-Identifier: Apache-2.0
// What guards one frame of the buffer pool for a few hundred nanoseconds. Latches guard bytes, locks guard keys.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/concepts.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

namespace aegis::storage {

/// LatchPolicy. Every call from any thread; unlocks only by the holder.
///  1. lock excludes everybody, lock_shared excludes exclusive holders; both wait, without burning the processor for long.
///  2. try_lock and try_lock_shared never wait; they succeed on a latch that nobody holds or wants.
///  3. What a holder wrote is seen by the next one.
///  4. version rises with every exclusive unlock, and with nothing else.
///  5. A stream of shared holders does not keep an exclusive one out for ever; so a thread must not take the same latch
///     shared twice.
///  6. Optimistic latches: begin_read gives nothing while the latch is held exclusively; validate(v) is true iff nobody
///     held it exclusively since begin_read gave v. Both write nothing that others read.
template <class L>
concept LatchPolicy =
    OnAxis<L, Axis::latch> && DefaultConstructible<L> && !Movable<L> &&
    requires(L latch, const L constant) {
      { L::name } -> ConvertsTo<std::string_view>;
      { L::optimistic } -> ConvertsTo<bool>;
      { latch.lock() } -> std::same_as<void>;
      { latch.try_lock() } -> std::same_as<bool>;
      { latch.unlock() } -> std::same_as<void>;
      { latch.lock_shared() } -> std::same_as<void>;
      { latch.try_lock_shared() } -> std::same_as<bool>;
      { latch.unlock_shared() } -> std::same_as<void>;
      { constant.version() } -> std::same_as<std::uint64_t>;
    } &&
    (!L::optimistic || requires(const L constant, std::uint64_t version) {
      { constant.begin_read() } -> std::same_as<std::optional<std::uint64_t>>;
      { constant.validate(version) } -> std::same_as<bool>;
    });

}  // namespace aegis::storage
