// SPDX-License-Identifier: Apache-2.0
// Reads again what a published generation stands on: its superblocks, map blocks and list of holes, and that no two extents
// overlap or leave the file and no hole is in use or named twice, so that every grain is used once or free. The generation
// does not expire meanwhile. One thread.
#pragma once

#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/core/owned.hpp>

#include <cstdint>
#include <new>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentCheck {
 public:
  ExtentCheck(ExtentFile<Files>& file, const Superblock& published) : file_(file), published_(published) {}

  /// fn(Error) for all that is not what was written. An error only when it could not be done.
  template <class Fn>
  Result<void> run(Fn&& fn) {
    file_.forget_read_ahead();
    grains_ = published_.used_bytes / file_.geometry().grain_bytes();
    taken_.reset(new (std::nothrow) std::uint8_t[grains_ / 8 + 1]{});
    image_ = file_.buffers().take(map_block_bytes);
    if (!taken_ || !image_) return Error{Errc::out_of_memory, "check of the map of blocks"};
    AEGIS_TRY(superblocks(fn));
    (void)take(Extent{Extent::present_bit, static_cast<std::uint32_t>(Superblock::region_bytes), 0}, 1);
    if (published_.height != 0) AEGIS_TRY(node(published_.root, published_.height - 1u, 0, fn));
    return published_.holes.present() ? holes(fn) : Result<void>{};
  }

 private:
  template <class Fn>
  Result<void> superblocks(Fn& fn) {
    const unsigned first = Superblock::first_slot(published_.generation);
    for (unsigned slot = first; slot < first + 2; ++slot) {
      const Result<Superblock> found = file_.superblock_in(slot);
      if (!found && found.error().code() == Errc::out_of_memory) return found.error();
      if (!found) fn(found.error());
      else if (!(*found == published_)) fn(Error{Errc::corrupt_block, "superblock of another generation in slot", slot});
    }
    return {};
  }
  template <class Fn>
  Result<void> node(const Extent& stored, unsigned level, std::uint64_t first_id, Fn& fn) {
    const std::uint64_t offset = file_.geometry().offset(stored);
    if (stored.bytes != map_block_bytes || !take(stored, ExtentGeometry::grains_per_unit))
      return fn(Error{Errc::corrupt_block, "map block that overlaps another extent or leaves the file, at offset", offset}), Result<void>{};
    const Owned<std::byte[]> entries{new (std::nothrow) std::byte[map_block_bytes]};
    if (!entries) return Error{Errc::out_of_memory, "map block"};
    if (const auto read = file_.read(stored, image_.bytes(), "map block at offset", offset); !read) return fn(read.error()), Result<void>{};
    copy_bytes({entries.get(), map_block_bytes}, image_.bytes().first(map_block_bytes));
    for (std::size_t i = 0; i < map_fanout; ++i) {
      const Extent entry = Extent::load(entries.get() + i * Extent::stored_bytes);
      const std::uint64_t id = first_id + (static_cast<std::uint64_t>(i) << (8 * level));
      if (!entry.is_canonical()) fn(Error{Errc::corrupt_block, "entry of the map block at offset", offset});
      else if (entry.present() && level != 0) AEGIS_TRY(node(entry, level - 1, id, fn));
      else if (entry.present() && !take(entry, 1)) fn(Error{Errc::corrupt_block, "extent that overlaps another one or leaves the file, of block", id});
    }
    return {};
  }
  /// Pairs of a first step and how many follow it; those beyond what is in use name nothing.
  template <class Fn>
  Result<void> holes(Fn& fn) {
    const Extent& list = published_.holes;
    const std::uint64_t offset = file_.geometry().offset(list);
    const Error overlap{Errc::corrupt_block, "list of holes that overlaps another extent, at offset", offset};
    if (list.bytes > ExtentGeometry::step_bytes || !take(list, ExtentGeometry::grains_per_unit)) return fn(overlap), Result<void>{};
    image_ = file_.buffers().take(list.bytes);
    if (!image_) return Error{Errc::out_of_memory, "list of holes"};
    if (const auto read = file_.read(list, image_.bytes(), "list of holes at offset", offset); !read) return fn(read.error()), Result<void>{};
    if (list.bytes % 8 != 0) return fn(Error{Errc::corrupt_block, "length of the list of holes at offset", offset}), Result<void>{};
    const std::uint64_t grains_per_step = ExtentGeometry::step_bytes / file_.geometry().grain_bytes();
    for (const std::byte* at = image_.bytes().data(); at != image_.bytes().data() + list.bytes; at += 8) {
      const std::uint64_t first = load_le<std::uint32_t>(at), end = first + load_le<std::uint32_t>(at + 4);
      for (std::uint64_t step = first; step < end && step * grains_per_step < grains_; ++step)
        if (!take_grains(step * grains_per_step, std::min(grains_per_step, grains_ - step * grains_per_step)))
          fn(Error{Errc::corrupt_block, "hole that is in use or named twice, in the list of holes, step", step});
    }
    return {};
  }
  /// False when a grain of it is taken already, or beyond what is in use.
  bool take(const Extent& extent, std::uint32_t grains_at_once) {
    const std::uint64_t wanted = (std::uint64_t{file_.geometry().grains(extent.bytes)} + grains_at_once - 1) / grains_at_once * grains_at_once;
    return extent.bytes == 0 || take_grains(extent.grain(), wanted);
  }
  bool take_grains(std::uint64_t first, std::uint64_t wanted) {
    if (first >= grains_ || wanted > grains_ - first) return false;
    for (std::uint64_t at = first; at < first + wanted; ++at) {
      if ((taken_[at / 8] >> at % 8 & 1) != 0) return false;
      taken_[at / 8] = static_cast<std::uint8_t>(taken_[at / 8] | 1u << at % 8);
    }
    return true;
  }

  ExtentFile<Files>& file_;
  const Superblock published_;
  std::uint64_t grains_ = 0;        // in use, as the superblock says
  Owned<std::uint8_t[]> taken_;     // a bit a grain
  AlignedBuffers::Buffer image_;
};

}  // namespace aegis::storage
