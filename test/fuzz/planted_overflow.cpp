// SPDX-License-Identifier: Apache-2.0
// Reads behind the end of an input that begins with a magic word, which chance does not find in ten seconds: a fuzzer that does
// not learn from comparisons and coverage, or a sanitizer that does not look, is seen by this one staying whole.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint32_t word = 0;
  if (size < sizeof word) return 0;
  std::memcpy(&word, data, sizeof word);
  if (word != 0x5a4b4c31) return 0;
  const std::unique_ptr<std::uint8_t[]> copy{new std::uint8_t[size]};
  std::memcpy(copy.get(), data, size);
  const volatile std::size_t behind = size;
  return copy[behind] == 0xff ? -1 : 0;
}
