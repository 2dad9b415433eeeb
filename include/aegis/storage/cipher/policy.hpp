// SPDX-License-Identifier: Apache-2.0
// The axis of ciphers: what hides bytes at rest and proves who wrote them. A cipher works on one block at a time, after
// the codec and inside the checksum. Every call may run in any number of threads on one instance.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/concepts.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace aegis::storage {

/// Written to disk: values never change their meaning. 2..127 are reserved, 128..255 are for users' own ciphers.
enum class CipherId : std::uint8_t { none = 0, aes256_gcm = 1 };

/// The name of one of ours, at most eight characters; empty for any other value.
constexpr std::string_view name_of(CipherId id) {
  switch (id) {
    case CipherId::none: return "none";
    case CipherId::aes256_gcm: return "aes256";
  }
  return {};
}

/// 1. open() gives back what seal() was given, for the same header and the same key.
/// 2. seal() writes exactly plain.size() + overhead bytes to the start of `out`, which is at least as long, and returns
///    their number, or 0 on failure. The buffers of one call do not overlap.
/// 3. open() is true only if header and sealed bytes are together what one seal() saw and made under this key; it is
///    told so before any plain byte may be used, and false for any other input. `plain` is sealed.size() - overhead bytes.
/// 4. No nonce is used twice under one key, also not across a crash, a copy of the cipher, or two threads.
/// 5. The key comes with the instance, never from a global or the environment; key_id() tells keys apart and is no secret.
/// 6. `name` has one to eight characters; a user's own id is 128 or more.
template <class Cipher>
concept CipherPolicy =
    OnAxis<Cipher, Axis::cipher>
    && requires { { Cipher::name } -> ConvertsTo<std::string_view>; }
    && requires { { Cipher::id } -> ConvertsTo<CipherId>; }
    && requires { { Cipher::overhead } -> ConvertsTo<std::size_t>; }
    && requires(const Cipher cipher) { { cipher.key_id() } noexcept -> std::same_as<std::uint32_t>; }
    && requires(const Cipher cipher, Bytes header, Bytes plain, MutableBytes out) { { cipher.seal(header, plain, out) } noexcept -> std::same_as<std::size_t>; }
    && requires(const Cipher cipher, Bytes header, Bytes sealed, MutableBytes plain) { { cipher.open(header, sealed, plain) } noexcept -> std::same_as<bool>; }
    && std::is_nothrow_move_constructible_v<Cipher>;

}  // namespace aegis::storage
