// SPDX-License-Identifier: Apache-2.0
// Makes a data file as small as what it holds: blocks at its end are written again further down, as any write out of
// place, and published; then free steps go, at the end by truncation, inside as published holes. A crash at any point
// leaves one published generation or the next, with the same blocks. Alone: no writer, no reservation; readers may be.
#pragma once

#include <aegis/storage/backend/extent_store.hpp>

#include <cstdint>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentTrim {
 public:
  /// No more is written again than this; a larger file is left longer than it need be, with holes inside it.
  static constexpr std::uint64_t most_moved_bytes = std::uint64_t{64} << 20;

  explicit ExtentTrim(ExtentStore<Files>& store) : store_(store) {}

  /// Nothing is done where the disk was found full. After an error the published state is whole; a failed sync poisons.
  Result<void> run() {
    AEGIS_TRY(store_.alive());
    if (store_.room.was_refused()) return {};
    const Result<void> done = work();
    store_.room.prefer_below(0);
    store_.room.set_trimming(false);
    return done;
  }

 private:
  /// One sync publishes the moved blocks, one that less is in use, one the holes, one that their old list is free. With
  /// nothing to publish a sync does nothing.
  static constexpr int most_syncs = 6;

  Result<void> work() {
    AEGIS_TRY(move_below(store_.room.gather_below(most_moved_bytes)));
    store_.room.set_trimming(true);
    for (int round = 0; round < most_syncs; ++round) AEGIS_TRY(store_.sync());
    return {};
  }
  Result<void> move_below(std::size_t length) {
    const std::uint64_t limit = std::uint64_t{length} * store_.file.geometry().units_per_step() * ExtentGeometry::grains_per_unit;
    if (!store_.reaches_beyond(limit)) return {};
    const AlignedBuffers::Buffer content = store_.file.buffers().take(ExtentStore<Files>::max_block_bytes);
    if (!content) return Error{Errc::out_of_memory, "buffer for moving blocks"};
    for (std::uint64_t id = 0;; ++id) {
      AEGIS_TRY(const auto size, store_.next(store_.map.current, id));
      if (!size) return {};
      if (store_.lies_beyond(limit, id)) {
        AEGIS_TRY(const std::size_t bytes, store_.read(store_.map.current, BlockId{id}, content.bytes()));
        AEGIS_TRY(store_.write(BlockId{id}, content.bytes().first(bytes)));
      }
      if (id == ~std::uint64_t{0}) return {};
    }
  }

  ExtentStore<Files>& store_;
};

}  // namespace aegis::storage
