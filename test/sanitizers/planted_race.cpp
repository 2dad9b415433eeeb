// SPDX-License-Identifier: Apache-2.0
// Two threads write one plain int: a program that has to fail, or ThreadSanitizer sees nothing here and its silence about the
// other programs means nothing.
#include <cstdio>
#include <thread>

int main() {
  int shared = 0;
  const auto count = [&shared] {
    for (int i = 0; i < 10'000; ++i) ++shared;
  };
  std::thread one{count}, other{count};
  one.join();
  other.join();
  std::printf("%d\n", shared);
  return 0;
}
