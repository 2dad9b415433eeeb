// SPDX-License-Identifier: Apache-2.0
// Sorting for the few places that need it: heapsort (Williams, CACM 1964), in place and in O(n log n) comparisons whatever
// the order, and natural merge sort (Knuth, TAOCP 3, 5.2.4) where there is room beside, order matters between equals and
// much is in order already. <algorithm> would be a tenth of the umbrella header for them.
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

/// The same, and what is equal keeps its order. `spare` has room for as many. One pass over what is in order already, one
/// more for each time that its ascending runs can be halved.
template <class T, class Precedes>
void merge_sort(T* items, T* spare, std::size_t count, Precedes&& precedes) {
  const auto run_end = [&](std::size_t at) {
    for (++at; at < count && !precedes(items[at], items[at - 1]);) ++at;
    return at < count ? at : count;
  };
  for (bool in_order = false; !in_order;) {
    in_order = true;
    for (std::size_t first = 0; first < count;) {
      const std::size_t middle = run_end(first);
      if (first == 0 && middle == count) return;
      const std::size_t end = middle < count ? run_end(middle) : count;
      std::size_t left = first, right = middle;
      for (std::size_t to = first; to < end; ++to) {
        const bool from_right = left == middle || (right < end && precedes(items[right], items[left]));
        spare[to] = items[from_right ? right++ : left++];
      }
      first = end;
      in_order = false;
    }
    for (std::size_t i = 0; i < count; ++i) items[i] = spare[i];
  }
}

}  // namespace aegis::storage
