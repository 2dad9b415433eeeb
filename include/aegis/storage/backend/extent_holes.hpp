// SPDX-License-Identifier: Apache-2.0
// Steps of a data file that were given back to the file system and wait to be allocated again, and the list of them that the
// superblock names. Not synchronised: ExtentRoom's, under the map's lock.
#pragma once

#include <aegis/storage/backend/free_space.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>

#include <cstdint>

namespace aegis::storage {

class ExtentHoles {
 public:
  static constexpr std::size_t longest_list = 4096;  // runs of holes

  explicit ExtentHoles(FreeSpace& space) : space_(space) {}

  /// Rises when the set of holes changes.
  std::uint64_t version() const { return version_; }
  void note_change() { ++version_; }

  /// The list as it stands in the file: u32 first step, u32 count, ... Returns its length; `to` has room for longest_list
  /// runs.
  std::size_t encode(MutableBytes to) const {
    std::size_t length = 0;
    for (std::size_t step = 0; step < space_.steps(); ++step) {
      if (!space_.is_hole(step)) continue;
      const std::size_t first = step;
      while (step < space_.steps() && space_.is_hole(step)) ++step;
      store_le(to.data() + length, static_cast<std::uint32_t>(first));
      store_le(to.data() + length + 4, static_cast<std::uint32_t>(step - first));
      length += 8;
    }
    return length;
  }
  /// For opening: false when a named step is not free. A list may name steps beyond the file's end, if power was lost after
  /// the file was cut and before that was published; it is written anew then, lest it name what the file grows by later.
  bool decode(Bytes from) {
    if (from.size() % 8 != 0 || from.size() > longest_list * 8) return false;
    for (std::size_t at = 0; at < from.size(); at += 8) {
      const std::size_t first = load_le<std::uint32_t>(from.data() + at);
      const std::size_t count = load_le<std::uint32_t>(from.data() + at + 4);
      for (std::size_t step = first; step < first + count; ++step) {
        if (step >= space_.steps()) {
          ++version_;
          break;
        }
        if (!space_.is_free(step)) return false;
        space_.make_hole(step);
      }
    }
    return true;
  }
  /// Of free steps, all but `kept`, as far as the list can name them.
  void make(std::size_t kept) {
    std::size_t runs = 0;
    bool inside = false;
    for (std::size_t step = 0; step < space_.steps(); ++step) {
      if (!space_.is_hole(step) && space_.free_steps() > kept && runs < longest_list && space_.is_free(step)) {
        space_.make_hole(step);
        ++version_;
      }
      if (space_.is_hole(step) && !inside) ++runs;
      inside = space_.is_hole(step);
    }
  }

 private:
  FreeSpace& space_;
  std::uint64_t version_ = 0;
};

}  // namespace aegis::storage
