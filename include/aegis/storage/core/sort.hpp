// SPDX-License-Identifier: Apache-2.0
// Sorting for the few places that need it, none of them hot: heapsort (Williams, CACM 1964), in place and in
// O(n log n) comparisons whatever the order. <algorithm> would be a tenth of the umbrella header for them.
#pragma once

#include <cstddef>
#include <utility>

namespace aegis::storage {

/// Orders items[0 .. count) so that precedes(items[i], items[i - 1]) is false for every i.
template <class T, class Precedes>
void sort(T* items, std::size_t count, Precedes&& precedes) {
  const auto sink = [&](std::size_t at, std::size_t end) {
    for (std::size_t child = 2 * at + 1; child < end; at = child, child = 2 * at + 1) {
      if (child + 1 < end && precedes(items[child], items[child + 1])) ++child;
      if (!precedes(items[at], items[child])) return;
      std::swap(items[at], items[child]);
    }
  };
  for (std::size_t at = count / 2; at-- > 0;) sink(at, count);
  for (std::size_t end = count; end-- > 1;) {
    std::swap(items[0], items[end]);
    sink(0, end);
  }
}

}  // namespace aegis::storage
