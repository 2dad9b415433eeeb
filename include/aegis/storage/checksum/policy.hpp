// SPDX-License-Identifier: Apache-2.0
// The axis of checksums: what proves that stored bytes are the ones that were written. Against accidents, not against
// an adversary; that is a cipher's work. Models are empty values, usable from any thread.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/checksum_kind.hpp>
#include <aegis/storage/core/concepts.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace aegis::storage {

/// 1. Equal bytes give equal checksums, in every process, on every machine and from every instance.
/// 2. The bytes may stand at any alignment and have any length; none at all is fine.
/// 3. Nothing outside the bytes is read and nothing is allocated.
/// 4. Unless the kind is `none`: one changed bit gives another checksum.
/// 5. Unless the kind is `none`: bytes cut short or lengthened by zeros give another checksum.
/// 6. The kind is `none` exactly when every checksum is 0; a user's own kind is 128 or more.
/// 7. `name` has one to eight characters, so that an Error can carry it.
template <class Checksum>
concept ChecksumPolicy =
    OnAxis<Checksum, Axis::checksum>
    && requires { { Checksum::name } -> ConvertsTo<std::string_view>; }
    && requires { { Checksum::kind } -> ConvertsTo<ChecksumKind>; }
    && requires(const Checksum checksum, Bytes bytes) { { checksum(bytes) } noexcept -> std::same_as<std::uint64_t>; }
    && std::is_empty_v<Checksum>
    && std::is_nothrow_default_constructible_v<Checksum>
    && std::is_trivially_copyable_v<Checksum>;

}  // namespace aegis::storage
