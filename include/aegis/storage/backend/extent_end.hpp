// SPDX-License-Identifier: Apache-2.0
// The end of a data file, which may lie inside its last step: the units of that step that the file lacks count as taken. So
// a trimmed file is as long as what it holds and a reserve, in which freeing goes on when the disk is full: a checkpoint
// writes pages anew before it frees them. Not synchronised: ExtentRoom's, under the map's lock.
#pragma once

#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/backend/free_space.hpp>
#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstdint>

namespace aegis::storage {

class ExtentEnd {
 public:
  static constexpr std::uint64_t granule_bytes = 64 << 10;       // a file ends at a multiple of this
  static constexpr std::uint64_t reserve_bytes = 768 << 10;      // free behind or among what a trimmed file holds
  static constexpr std::uint64_t reserve_run_bytes = 8 << 10;    // in runs of this: a page of the default size

  ExtentEnd(FreeSpace& space, ExtentGeometry geometry) : space_(space), geometry_(geometry) {}

  /// For opening: a file of so many bytes, all of it free.
  Result<void> adopt(std::uint64_t bytes) {
    AEGIS_TRY(space_.grow_to(steps_of(bytes / granule_bytes * granule())));
    set(bytes / granule_bytes * granule());
    return {};
  }
  /// Units that the file has.
  std::uint64_t units() const { return std::uint64_t{space_.steps()} * geometry_.units_per_step() - absent_; }
  /// Units of `step` that hold anything.
  std::uint32_t used_units(std::size_t step) const { return space_.used_units(step) - (step + 1 == space_.steps() ? absent_ : 0); }
  std::uint64_t used_bytes() const { return space_.used_end(units()) * geometry_.unit_bytes; }
  /// The file's last step that is whole ends here: it grows from this one on.
  std::size_t whole_steps() const { return space_.steps() - (absent_ != 0 ? 1 : 0); }

  /// Where a trimmed file should end: behind what is in use, `least_bytes` and what the reserve lacks before that.
  std::uint64_t wanted(std::uint64_t least_bytes) const {
    const std::uint64_t least = least_bytes / geometry_.unit_bytes, used = space_.used_end(units());
    const std::uint64_t run = geometry_.units(reserve_run_bytes), runs = geometry_.units(reserve_bytes) / run;
    const std::uint64_t free = space_.slots(static_cast<std::uint32_t>(run), used, runs);
    const std::uint64_t end = used + (runs - free) * run;
    return ((end > least ? end : least) + granule() - 1) / granule() * granule();
  }
  /// The last step is whole now.
  void complete() {
    space_.release(units() * ExtentGeometry::grains_per_unit, std::uint64_t{absent_} * ExtentGeometry::grains_per_unit);
    absent_ = 0;
  }
  /// The file has just so many units, nothing behind them being in use. Not more steps than before.
  void shorten(std::uint64_t units) {
    complete();
    space_.shrink_to(steps_of(units));
    set(units);
  }

 private:
  std::uint64_t granule() const { return granule_bytes / geometry_.unit_bytes; }
  std::size_t steps_of(std::uint64_t units) const { return static_cast<std::size_t>((units + geometry_.units_per_step() - 1) / geometry_.units_per_step()); }
  void set(std::uint64_t units) {
    absent_ = static_cast<std::uint32_t>(std::uint64_t{space_.steps()} * geometry_.units_per_step() - units);
    const bool taken = space_.mark(units * ExtentGeometry::grains_per_unit, std::uint64_t{absent_} * ExtentGeometry::grains_per_unit);
    AEGIS_ASSERT(taken);
  }

  FreeSpace& space_;
  ExtentGeometry geometry_;
  std::uint32_t absent_ = 0;  // units at the end of the last step that the file lacks; marked as taken
};

}  // namespace aegis::storage
