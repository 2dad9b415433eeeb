// SPDX-License-Identifier: Apache-2.0
#include "fuzz/driver.hpp"
#include "fuzz/z2_block.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { return aegis_fuzz::drive<aegis_fuzz::BlockHarness>(data, size); }
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  return aegis_fuzz::drive_mutation<aegis_fuzz::BlockHarness>(data, size, max_size, seed);
}
