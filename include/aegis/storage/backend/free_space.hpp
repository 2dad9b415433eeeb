// SPDX-License-Identifier: Apache-2.0
// Which grains of a data file are taken: one bit a grain, one byte a unit, so a unit is free when its byte is zero.
// Hands out runs of wholly free units inside one step (1 MiB), first from steps in use, then from free steps; steps that
// were given back to the file system are holes until they are allocated again. Releasing needs no memory and cannot
// fail. Not synchronised.
#pragma once

#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

namespace aegis::storage {

/// Neighbouring units.
struct UnitRun {
  std::uint64_t first = 0;
  std::uint32_t count = 0;
};

class FreeSpace {
 public:
  explicit FreeSpace(ExtentGeometry geometry) : geometry_(geometry) {}
  FreeSpace(const FreeSpace&) = delete;
  FreeSpace& operator=(const FreeSpace&) = delete;
  ~FreeSpace() {
    std::free(units_);
    std::free(steps_);
  }

  /// The file has `count` steps, all allocated; those that are new are free.
  Result<void> grow_to(std::size_t count) {
    if (count <= count_) return {};
    if (count > capacity_) AEGIS_TRY(widen(std::max(count, capacity_ * 2)));
    std::memset(units_ + count_ * per_step(), 0, (count - count_) * per_step());
    for (std::size_t i = count_; i < count; ++i) steps_[i] = {per_step(), per_step(), false};
    free_steps_ += count - count_;
    free_units_ += std::uint64_t{count - count_} * per_step();
    lowest_free_ = std::min(lowest_free_, count_);
    count_ = count;
    return {};
  }
  /// Takes the last steps off; they are free or holes.
  void shrink_to(std::size_t count) {
    while (count_ > count) {
      --count_;
      if (steps_[count_].hole)
        --holes_;
      else
        forget_free_step();
    }
    if (cursor_ >= count_) cursor_ = 0;
  }

  /// What a taker leaves to others.
  struct Keep {
    std::uint64_t units = 0;
    std::size_t steps = 0;
  };
  /// At least `least`, at most `most` units (least <= units_per_step) that lie in one step.
  Maybe<UnitRun> take(std::uint32_t least, std::uint32_t most, Keep keep) {
    if (free_units_ < keep.units + least) return std::nullopt;
    most = static_cast<std::uint32_t>(std::min<std::uint64_t>(most, free_units_ - keep.units));
    for (std::size_t step = 0; step < preferred_ && step < count_; ++step)
      if (is_partial(step) || (is_free(step) && free_steps_ > keep.steps))
        if (const auto run = take_in(step, least, most)) return run;
    if (cursor_ < count_ && is_partial(cursor_))
      if (const auto run = take_in(cursor_, least, most)) return run;
    if (least < exhausted_) {
      for (std::size_t i = 1; i < count_; ++i) {
        const std::size_t step = cursor_ + i < count_ ? cursor_ + i : cursor_ + i - count_;
        if (!is_partial(step)) continue;
        if (const auto run = take_in(step, least, most)) {
          cursor_ = step;
          return run;
        }
      }
    }
    exhausted_ = least;
    if (free_steps_ <= keep.steps) return std::nullopt;
    while (!is_free(lowest_free_)) ++lowest_free_;
    cursor_ = lowest_free_;
    return take_in(cursor_, least, most);
  }

  /// From now on take() prefers the first `steps` steps, at the cost of a search through them; 0: none.
  void prefer_below(std::size_t steps) { preferred_ = steps; }

  /// Gives grains back that take() or mark() took.
  void release(std::uint64_t grain, std::uint64_t count) {
    for (; count != 0; ++grain, --count) {
      const std::uint64_t unit = grain / 8;
      units_[unit] = static_cast<std::uint8_t>(units_[unit] & ~(1u << (grain % 8)));
      if (units_[unit] == 0) note_free(static_cast<std::size_t>(unit / per_step()));
    }
  }

  /// Takes exactly these grains; false when they are not all free or leave the file. For opening.
  bool mark(std::uint64_t grain, std::uint64_t count) {
    const std::uint64_t limit = std::uint64_t{count_} * per_step() * 8;
    if (count > limit || grain > limit - count) return false;
    for (; count != 0; ++grain, --count) {
      const std::uint64_t unit = grain / 8;
      const std::size_t step = static_cast<std::size_t>(unit / per_step());
      const auto bit = static_cast<std::uint8_t>(1u << (grain % 8));
      if ((units_[unit] & bit) != 0 || steps_[step].hole) return false;
      if (units_[unit] == 0) note_taken(step, 1);
      units_[unit] |= bit;
    }
    return true;
  }

  // Holes: free steps without room behind them.
  bool is_free(std::size_t step) const { return !steps_[step].hole && steps_[step].free == per_step(); }
  bool is_hole(std::size_t step) const { return steps_[step].hole; }
  void make_hole(std::size_t step) {
    steps_[step].hole = true;
    forget_free_step();
    ++holes_;
  }
  void fill_hole(std::size_t step) {
    steps_[step].hole = false;
    ++free_steps_;
    free_units_ += per_step();
    --holes_;
    lowest_free_ = std::min(lowest_free_, step);
  }

  std::size_t steps() const { return count_; }
  std::size_t free_steps() const { return free_steps_; }
  std::uint64_t free_units() const { return free_units_; }
  std::size_t holes() const { return holes_; }
  std::size_t used_steps() const { return count_ - free_steps_ - holes_; }
  /// Steps up to the last one that holds anything.
  std::size_t used_length() const {
    std::size_t length = count_;
    while (length != 0 && (is_hole(length - 1) || is_free(length - 1))) --length;
    return length;
  }
  /// Units of a step that hold anything.
  std::uint32_t used_units(std::size_t step) const { return is_hole(step) ? 0 : per_step() - steps_[step].free; }
  /// Blocks of `units` each that find room before unit `end`, or `enough`.
  std::uint64_t slots(std::uint32_t units, std::uint64_t end, std::uint64_t enough) const {
    std::uint64_t found = 0;
    for (std::size_t step = 0; step < count_ && std::uint64_t{step} * per_step() < end && found < enough; ++step) {
      if (is_hole(step) || steps_[step].free < units) continue;
      std::uint64_t run = 0;
      for (std::uint64_t at = std::uint64_t{step} * per_step(), last = at + per_step(); at < last && at < end; ++at) {
        run = units_[at] == 0 ? run + 1 : 0;
        if (run == units) ++found, run = 0;
      }
    }
    return found < enough ? found : enough;
  }
  /// Behind the last unit before `end` that is taken.
  std::uint64_t used_end(std::uint64_t end) const {
    while (end != 0) {
      const auto step = static_cast<std::size_t>((end - 1) / per_step());
      if (is_hole(step) || is_free(step)) end = std::uint64_t{step} * per_step();
      else if (units_[end - 1] == 0) --end;
      else break;
    }
    return end;
  }
  std::uint64_t memory_bytes() const { return capacity_ * (per_step() + sizeof(Step)); }

 private:
  struct Step {
    std::uint32_t free;     // wholly free units
    std::uint32_t longest;  // no run of free units is longer
    bool hole;
  };

  std::uint32_t per_step() const { return geometry_.units_per_step(); }
  bool is_partial(std::size_t step) const { return !steps_[step].hole && steps_[step].free < per_step(); }

  Maybe<UnitRun> take_in(std::size_t step, std::uint32_t least, std::uint32_t most) {
    Step& about = steps_[step];
    if (about.longest < least || about.free < least) return std::nullopt;
    std::uint8_t* const units = units_ + step * per_step();
    std::uint32_t longest = 0;
    for (std::uint32_t at = 0; at < per_step();) {
      if (units[at] != 0) {
        ++at;
        continue;
      }
      std::uint32_t end = at;
      while (end < per_step() && end - at < most && units[end] == 0) ++end;
      if (end - at >= least) {
        std::memset(units + at, 0xff, end - at);
        note_taken(step, end - at);
        return UnitRun{step * per_step() + at, end - at};
      }
      longest = std::max(longest, end - at);
      at = end;
    }
    about.longest = longest;
    return std::nullopt;
  }
  void forget_free_step() {
    --free_steps_;
    free_units_ -= per_step();
  }
  void note_taken(std::size_t step, std::uint32_t count) {
    free_units_ -= count;
    if (steps_[step].free == per_step()) --free_steps_;
    steps_[step].free -= count;
  }
  void note_free(std::size_t step) {
    Step& about = steps_[step];
    about.longest = ++about.free;
    ++free_units_;
    exhausted_ = ~std::uint32_t{0};
    if (about.free != per_step()) return;
    ++free_steps_;
    lowest_free_ = std::min(lowest_free_, step);
  }
  Result<void> widen(std::size_t capacity) {
    auto* units = static_cast<std::uint8_t*>(std::realloc(units_, capacity * per_step()));
    if (units != nullptr) units_ = units;
    auto* steps = static_cast<Step*>(std::realloc(steps_, capacity * sizeof(Step)));
    if (steps != nullptr) steps_ = steps;
    if (units == nullptr || steps == nullptr) return Error{Errc::out_of_memory, "table of free space"};
    capacity_ = capacity;
    return {};
  }

  const ExtentGeometry geometry_;
  std::uint8_t* units_ = nullptr;  // one byte a unit of each step, one bit a grain
  Step* steps_ = nullptr;          // count_ of them in use, capacity_ allocated
  std::size_t count_ = 0;
  std::size_t capacity_ = 0;
  std::size_t free_steps_ = 0;     // wholly free and no hole
  std::uint64_t free_units_ = 0;   // wholly free, in steps that are no holes
  std::size_t holes_ = 0;
  std::size_t cursor_ = 0;         // the step that is being filled
  std::size_t lowest_free_ = 0;    // no free step lies before it
  std::size_t preferred_ = 0;      // steps that take() tries first
  std::uint32_t exhausted_ = ~std::uint32_t{0};  // of steps in use, only the cursor's may have a run of so many units
};

}  // namespace aegis::storage
