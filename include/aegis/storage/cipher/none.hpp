// SPDX-License-Identifier: Apache-2.0
// No cipher: bytes at rest are readable by whoever can read the files. Blocks skip it, it costs nothing.
#pragma once

#include <aegis/storage/cipher/policy.hpp>

namespace aegis::storage {

struct NoCipher {
  static constexpr Axis axis = Axis::cipher;
  static constexpr std::string_view name = "none";
  static constexpr CipherId id = CipherId::none;
  static constexpr std::size_t overhead = 0;

  std::uint32_t key_id() const noexcept { return 0; }
  std::size_t seal(Bytes, Bytes plain, MutableBytes out) const noexcept {
    copy_bytes(out, plain);
    return plain.size();
  }
  bool open(Bytes, Bytes sealed, MutableBytes plain) const noexcept {
    copy_bytes(plain, sealed);
    return true;
  }
};

static_assert(CipherPolicy<NoCipher>);

}  // namespace aegis::storage
