// SPDX-License-Identifier: Apache-2.0
// What a policy is a choice of. Every policy names its axis, so that Engine<...> takes policies in any order.
#pragma once

#include <aegis/storage/core/concepts.hpp>


namespace aegis::storage {

enum class Axis { backend, log, codec, checksum, cipher, eviction, latch, isolation, durability, page_size };

template <class Policy, Axis wanted>
concept OnAxis = requires { { Policy::axis } -> ConvertsTo<Axis>; } && (Policy::axis == wanted);

}  // namespace aegis::storage
