// SPDX-License-Identifier: Apache-2.0
// A byte written behind the end of heap memory: a program that has to fail, or AddressSanitizer sees nothing here and its
// silence about the other programs means nothing.
#include <cstddef>
#include <cstdio>
#include <memory>

int main() {
  constexpr std::size_t size = 64;
  const std::unique_ptr<char[]> bytes{new char[size]{}};
  volatile std::size_t index = size;  // nothing a compiler could know
  bytes[index] = 'x';
  std::printf("%d\n", bytes[0]);
  return 0;
}
