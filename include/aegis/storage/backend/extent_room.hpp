// SPDX-License-Identifier: Apache-2.0
// Room in the data file: who may take how much, growing it in steps of 1 MiB, reserving, and giving back what is free.
// A step is handed out only once it is allocated and durable, so reserved room survives a crash; a writer that got no
// reservation may take all of it, for whoever reserves leaves room for the map and a fixed rest. Any thread.
// Lock order: grow_mutex_, then the map's lock (the shared one passed in, which guards FreeSpace, reuse and map).
#pragma once

#include <aegis/storage/backend/extent_end.hpp>
#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_holes.hpp>
#include <aegis/storage/backend/extent_map.hpp>
#include <aegis/storage/backend/extent_reuse.hpp>
#include <aegis/storage/backend/free_space.hpp>
#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/mutex.hpp>

#include <atomic>
#include <cstdint>

namespace aegis::storage {

/// What takes room: blocks leave enough for the map blocks that a sync will write, which may then take it all, and a step
/// more, so that something can still be erased in a full store.
enum class RoomFor : std::uint8_t { blocks, map };

template <FilePolicy Files>
class ExtentRoom {
 public:
  static constexpr std::size_t initial_steps = 4;
  static constexpr std::size_t fixed_reserve_steps = 2;  // for checkpoint, erase and drop, beyond what the map needs
  static constexpr std::size_t longest_hole_list = ExtentHoles::longest_list;

  ExtentRoom(ExtentFile<Files>& file, SharedMutex& map_lock, ExtentMap& map, ExtentReuse& reuse)
      : space(file.geometry()), file_(file), map_lock_(map_lock), map_(map), reuse_(reuse), end_(space, file.geometry()), holes_(space) {}

  /// Neighbouring units, between `least` and `most`; no_space when the file cannot grow.
  Result<UnitRun> take(std::uint32_t least, std::uint32_t most, RoomFor purpose) {
    for (;;) {
      {
        const Guard guard(map_lock_);
        reuse_.advance(space);
        if (const auto run = space.take(least, most, kept_from(purpose))) return *run;
      }
      AEGIS_TRY(grow(1));
    }
  }
  /// Before a change of the map: room for the map blocks that it may dirty, and for a write a step more.
  Result<void> prepare_change(bool is_write) {
    for (;;) {
      {
        const SharedGuard guard(map_lock_);
        if (rationed_ ? has_ration_for_nodes() : room_for_nodes() >= map_.unwritten() + spare_nodes + (is_write ? nodes_per_step() : 0)) return {};
      }
      AEGIS_TRY(grow(1));
    }
  }

  Result<void> reserve(std::uint64_t bytes) {
    for (;;) {
      std::size_t missing = 0;
      {
        const Guard guard(map_lock_);
        if (bytes > (std::uint64_t{1} << 60) - reserved_) return Error{Errc::no_space, "reservation"};
        const std::size_t needed = steps_kept(reserved_ + bytes);
        if (space.free_steps() >= needed) {
          reserved_ += bytes;
          return {};
        }
        missing = needed - space.free_steps();
      }
      AEGIS_TRY(grow(missing));
    }
  }
  void release(std::uint64_t bytes) {
    const Guard guard(map_lock_);
    reserved_ -= std::min(bytes, reserved_);
  }

  /// See RationedBackend. What is free counts as it lies: in runs that a block fits in, holes aside.
  void ration() {
    const Guard guard(map_lock_);
    rationed_ = true;
  }
  bool has_room(const BlockChanges& changes) {
    const ExtentGeometry& geometry = file_.geometry();
    const Guard guard(map_lock_);
    reuse_.advance(space);
    std::uint64_t nodes = map_.unwritten() + rationed_spare_nodes;
    for (unsigned level = 0; level < map_max_height && (level == 0 || number(changes.last) >> (8 * level) != 0); ++level) {
      const std::uint64_t there = level + 1 < map_max_height ? (number(changes.last) >> (8 * (level + 1))) + 1 : 1;
      nodes += std::min(there, changes.writes + changes.erases);
    }
    const std::uint32_t node = geometry.units(map_block_bytes), block = std::max(geometry.units(changes.block_bytes), node);
    const std::uint64_t wanted = changes.writes + nodes / (block / node) + 3;  // beside them a small block, and the rests of two runs
    return space.slots(block, end_.units(), wanted) == wanted;
  }

  /// After a sync was published: lets go of free steps beyond what is reserved and a good rest, at the file's end at
  /// once, but never below what the superblock says is in use, for so long a file is looked for at opening; inside it
  /// when the list of holes that names them was published. Failing to is no failure.
  void give_back(std::uint64_t published_holes, std::uint64_t published_bytes) {
    const Guard growing(grow_mutex_);
    const std::size_t length = cut_end(published_bytes);
    if (published_holes == punched_version_ || published_holes != holes_.version()) return make_holes();
    for (std::size_t step = 0; step < length; ++step)
      if (space.is_hole(step)) (void)file_.punch_step(step);  // holes change only under grow_mutex_
    punched_version_ = published_holes;
  }

  /// While trimming, nothing is kept free for later, and what was reserved is not any more.
  void set_trimming(bool is_trimming) {
    const Guard guard(map_lock_);
    trimming_ = is_trimming;
    if (is_trimming) reserved_ = 0;
  }
  /// Whether a superblock should be written to say that less is in use, so that the file may become shorter.
  bool could_shorten(std::uint64_t published_bytes) const {
    const SharedGuard guard(map_lock_);
    return trimming_ && end_.used_bytes() < published_bytes;
  }
  /// Where the file could end if everything after it, at most `most_bytes`, moved down; holes there are made room of.
  /// The file's end as it is, when nothing can be gained. From now on room is taken below that; 0 ends it.
  std::size_t gather_below(std::uint64_t most_bytes) {
    const Guard growing(grow_mutex_);
    const ExtentGeometry& geometry = file_.geometry();
    std::size_t length = 0;
    std::uint64_t moving = 0;
    {
      const SharedGuard guard(map_lock_);
      length = space.used_length();
      std::uint64_t used = 0;
      for (std::size_t step = 0; step < length; ++step) used += end_.used_units(step);
      const std::size_t least = static_cast<std::size_t>((used + used / 16) / geometry.units_per_step()) + 1;
      for (; length > least && (moving + end_.used_units(length - 1)) * geometry.unit_bytes <= most_bytes; --length) moving += end_.used_units(length - 1);
    }
    for (std::size_t step = 0; step < length && moving != 0; ++step)
      if (space.is_hole(step)) static_cast<void>(fill_holes(step, static_cast<std::size_t>(moving / geometry.units_per_step()) + 1));
    prefer_below(length);
    return length;
  }
  void prefer_below(std::size_t steps) {
    const Guard guard(map_lock_);
    space.prefer_below(steps);
  }
  /// Whether the disk would not let the file grow in this life: room given back may never come again.
  bool was_refused() const { return refused_.load(std::memory_order_relaxed); }

  /// The list of holes for the file, see ExtentHoles; `version` tells whether it changed since.
  std::size_t encode_holes(MutableBytes to, std::uint64_t& version) const {
    const SharedGuard guard(map_lock_);
    version = holes_.version();
    return holes_.encode(to);
  }
  /// For opening: false when a named step is not free.
  bool decode_holes(Bytes from) { return holes_.decode(from); }
  std::uint64_t holes_version() const {
    const SharedGuard guard(map_lock_);
    return holes_.version();
  }

  /// For opening: the file as it is, nothing of it taken yet.
  Result<void> adopt(std::uint64_t file_bytes) { return end_.adopt(file_bytes); }
  /// Up to where anything is in use.
  std::uint64_t used_bytes() const {
    const SharedGuard guard(map_lock_);
    return end_.used_bytes();
  }
  /// With the map's lock: of the file, without its holes.
  std::uint64_t file_bytes() const { return end_.units() * file_.geometry().unit_bytes - space.holes() * ExtentGeometry::step_bytes; }

  FreeSpace space;  // under the map's lock; steps become or cease to be holes under grow_mutex_ too

 private:
  static constexpr std::size_t spare_nodes = 128;  // more than all threads together dirty between check and change
  static constexpr std::size_t rationed_spare_nodes = 8;

  std::size_t nodes_per_step() const {
    const ExtentGeometry& geometry = file_.geometry();
    return geometry.units_per_step() / geometry.units(map_block_bytes);
  }
  std::uint64_t hole_list_units() const { return file_.geometry().units(longest_hole_list * 8); }
  bool any_unit_holds_a_node() const { return file_.geometry().units(map_block_bytes) == 1; }
  /// Map blocks that could be written now; where one needs several units, fragments do not count.
  std::uint64_t room_for_nodes() const { return any_unit_holds_a_node() ? space.free_units() : std::uint64_t{space.free_steps()} * nodes_per_step(); }
  /// The same, as what is free lies; a block that is staged is checked for before the next one comes.
  bool has_ration_for_nodes() const {
    const std::uint64_t wanted = map_.unwritten() + rationed_spare_nodes;
    return room_for_nodes() >= wanted || space.slots(file_.geometry().units(map_block_bytes), end_.units(), wanted) == wanted;
  }
  FreeSpace::Keep kept_from(RoomFor purpose) const {
    if (purpose == RoomFor::map) return {};
    if (rationed_) return {.units = (map_.unwritten() + rationed_spare_nodes) * file_.geometry().units(map_block_bytes), .steps = 0};
    if (any_unit_holds_a_node()) return {.units = map_.unwritten() + spare_nodes + nodes_per_step(), .steps = 0};
    return {.units = 0, .steps = map_steps() + 1};
  }
  std::size_t map_steps() const { return static_cast<std::size_t>((map_.unwritten() + spare_nodes) / nodes_per_step()) + 1; }
  /// Free steps that must stay while so many bytes are reserved; an eighth more, for runs that end at a step's end.
  std::size_t steps_kept(std::uint64_t reserved) const {
    return static_cast<std::size_t>((reserved + reserved / 8 + ExtentGeometry::step_bytes - 1) / ExtentGeometry::step_bytes) + fixed_reserve_steps + map_steps();
  }
  /// Free steps worth keeping, so that a steady load neither grows nor shrinks the file.
  std::size_t steps_wanted() const { return trimming_ ? 0 : steps_kept(reserved_) + std::max(initial_steps, space.used_steps() / 8); }

  /// Lets go of free steps and holes at the file's end, but of nothing that the superblock says is in use; how many steps
  /// are left. With grow_mutex_ held.
  std::size_t cut_end(std::uint64_t published_bytes) {
    if (trimming_) return cut_tightly(published_bytes);  // changes only under grow_mutex_ too
    const auto least = static_cast<std::size_t>((published_bytes + ExtentGeometry::step_bytes - 1) / ExtentGeometry::step_bytes);
    std::size_t length = 0, before = 0;
    bool forgets_hole = false;
    {
      const Guard guard(map_lock_);
      before = length = space.steps();
      std::size_t spare = space.free_steps() - std::min(space.free_steps(), steps_wanted());
      while (length > least && (space.is_hole(length - 1) || (space.is_free(length - 1) && spare != 0))) {
        if (!space.is_hole(length - 1)) --spare;
        else forgets_hole = true;
        --length;
      }
      if (length != before) space.shrink_to(length);
      if (forgets_hole) holes_.note_change();
    }
    if (length != before) (void)file_.truncate_to(std::uint64_t{length} * file_.geometry().units_per_step());
    return length;
  }
  /// The same for a file that is trimmed: it keeps, or gets, a reserve, and ends behind that. Nobody writes.
  std::size_t cut_tightly(std::uint64_t published_bytes) {
    const std::uint64_t per_step = file_.geometry().units_per_step();
    std::uint64_t before = 0, end = 0;
    {
      const SharedGuard guard(map_lock_);
      before = end_.units();
      end = end_.wanted(published_bytes);
    }
    if (end > before && !extend(static_cast<std::size_t>((end + per_step - 1) / per_step) - end_.whole_steps())) end = before;  // a full disk: what there is must do
    for (std::size_t step = static_cast<std::size_t>(published_bytes / ExtentGeometry::step_bytes); step * per_step < end; ++step)
      if (space.is_hole(step) && !fill_holes(step, 1)) end = step * per_step;
    const Guard guard(map_lock_);
    const std::uint64_t length = space.used_end(end_.units());
    if (end < length) end = length;
    if (end == end_.units()) return space.steps();
    for (auto step = static_cast<std::size_t>((end + per_step - 1) / per_step); step < space.steps(); ++step)
      if (space.is_hole(step)) holes_.note_change();
    end_.shorten(end);
    (void)file_.truncate_to(end);
    return space.steps();
  }

  /// Makes at least one more free step, `wanted` or more if it is easy: holes first, then the file's end.
  Result<void> grow(std::size_t wanted) {
    const Guard growing(grow_mutex_);
    for (std::size_t step = 0; space.holes() != 0 && step < space.steps(); ++step) {
      if (!space.is_hole(step)) continue;
      const Result<void> filled = fill_holes(step, wanted);
      if (filled || filled.error().code() != Errc::no_space) return filled;  // another one may have kept its room
    }
    const std::size_t count = std::max(wanted, std::min<std::size_t>(std::max<std::size_t>(space.steps() / 4, 1), 64));
    Result<void> extended = extend(count);
    if (!extended && extended.error().code() == Errc::no_space && count != 1) extended = extend(1);
    if (!extended && extended.error().code() == Errc::no_space) refused_.store(true, std::memory_order_relaxed);
    return extended;
  }
  /// The hole at `first` and neighbours of it, `wanted` at most.
  Result<void> fill_holes(std::size_t first, std::size_t wanted) {
    std::size_t count = 1;
    while (count < wanted && first + count < space.steps() && space.is_hole(first + count)) ++count;
    Result<void> allocated = file_.allocate_steps(first, count);
    if (!allocated && count != 1) allocated = file_.allocate_steps(first, count = 1);
    AEGIS_TRY(allocated);
    AEGIS_TRY(file_.sync(true));
    const Guard guard(map_lock_);
    for (std::size_t step = first; step < first + count; ++step) space.fill_hole(step);
    holes_.note_change();
    return {};
  }
  Result<void> extend(std::size_t count) {
    const std::size_t before = end_.whole_steps();
    if (before + count > ~std::uint32_t{0}) return Error{Errc::no_space, "data file"};
    AEGIS_TRY(file_.allocate_steps(before, count));
    AEGIS_TRY(file_.sync(true));
    const Guard guard(map_lock_);
    end_.complete();
    return space.grow_to(before + count);
  }
  void make_holes() {
    const Guard guard(map_lock_);
    const std::uint64_t between = space.free_units() - std::uint64_t{space.free_steps()} * file_.geometry().units_per_step();
    const std::size_t wanted = trimming_ ? (between < hole_list_units() ? 1 : 0) : 2 * steps_wanted();  // the list itself needs room
    holes_.make(wanted);
  }

  ExtentFile<Files>& file_;
  SharedMutex& map_lock_;
  ExtentMap& map_;
  ExtentReuse& reuse_;
  Mutex grow_mutex_;              // one grows or gives back at a time; FreeSpace::steps() changes only under it
  ExtentEnd end_;                 // these under the map's lock; they change under grow_mutex_ too
  ExtentHoles holes_;
  std::uint64_t reserved_ = 0;
  bool trimming_ = false;              // under the map's lock
  bool rationed_ = false;              // the same
  std::atomic<bool> refused_{false};
  std::uint64_t punched_version_ = ~std::uint64_t{0};  // of the set whose steps were punched; none yet in this life
};

}  // namespace aegis::storage
