// SPDX-License-Identifier: Apache-2.0
// XXH3, 64 bits, seed 0: the default, and the fastest of ours. Compiled in, nothing to link.
// The vector unit is the one that every machine of the architecture has, whatever the compiler's flags, so that
// all files of a program share one body.
#pragma once

#include <aegis/storage/checksum/policy.hpp>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#if !defined(XXH_VECTOR) && defined(__x86_64__)
#define XXH_VECTOR 1
#endif
#ifndef XXH_NO_INLINE_HINTS
#define XXH_NO_INLINE_HINTS 0
#endif
#include <xxhash.h>

namespace aegis::storage {

struct Xxh3Checksum {
  static constexpr Axis axis = Axis::checksum;
  static constexpr std::string_view name = "xxh3";
  static constexpr ChecksumKind kind = ChecksumKind::xxh3;

  std::uint64_t operator()(Bytes bytes) const noexcept { return XXH3_64bits(bytes.data(), bytes.size()); }
};

static_assert(ChecksumPolicy<Xxh3Checksum>);

}  // namespace aegis::storage
