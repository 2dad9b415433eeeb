// SPDX-License-Identifier: Apache-2.0
// The entry points of libFuzzer (and of AFL++ in its place) for one harness.
#pragma once

#include "fuzz/harness.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace aegis_fuzz {

template <class Harness>
int drive(const std::uint8_t* data, std::size_t size) {
  try {
    Harness::run(Bytes{reinterpret_cast<const std::byte*>(data), size});
  } catch (const Violation& violation) {
    std::fprintf(stderr, "%s: broken promise: %s\n", Harness::name, violation.what.c_str());
    std::abort();
  }
  return 0;
}

/// Mostly the harness's own mutations, one to four of them; else libFuzzer's, which know the comparisons of the program.
/// Where an input is `fragile`, because many changes at once only break what is looked at first, one.
template <class Harness>
std::size_t drive_mutation(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  constexpr bool fragile = requires { Harness::fragile; };
  Dice dice{seed};
  if (dice.one_in(fragile ? 64 : 4)) return LLVMFuzzerMutate(data, size, max_size);
  Data changed(reinterpret_cast<std::byte*>(data), reinterpret_cast<std::byte*>(data) + size);
  for (std::uint64_t left = fragile ? 1 : 1 + dice.below(4); left != 0; --left) Harness::mutate(changed, dice);
  const std::size_t kept = std::min(changed.size(), max_size);
  copy_bytes({reinterpret_cast<std::byte*>(data), kept}, Bytes{changed}.first(kept));
  return kept;
}

}  // namespace aegis_fuzz
