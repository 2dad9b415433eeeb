// SPDX-License-Identifier: Apache-2.0
// Private images of pages. Staging buffers hold a page while it is encoded and written; copies keep what a running
// checkpoint still has to write of a page that goes on changing. Allocated once; handed out under the pool's mutex.
#pragma once

#include <aegis/storage/buffer/arena.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/page/page.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace aegis::storage {

template <std::size_t PageSize>
class CopyBuffers {
 public:
  using PageType = Page<PageSize>;

  struct Staging {
    PageType* image;
    MutableBytes scratch;
    bool busy;
  };
  struct Copy {
    enum class State : std::uint8_t { idle, waiting, writing };
    PageType* image;
    PageId id;
    State state;
  };

  Result<void> open(std::size_t stagings, std::size_t scratch_bytes, std::size_t copies) {
    const std::size_t scratch_room = (scratch_bytes + 4095) / 4096 * 4096;  // each buffer at a sector's boundary
    AEGIS_TRY(Arena memory, Arena::map(stagings * (PageSize + scratch_room) + copies * PageSize));
    stagings_.reset(new (std::nothrow) Staging[stagings]);
    copies_.reset(new (std::nothrow) Copy[copies]);
    if (!stagings_ || !copies_) return Errc::out_of_memory;
    memory_ = std::move(memory);
    staging_count_ = stagings;
    copy_count_ = copies;
    std::byte* at = memory_.data();
    for (std::size_t i = 0; i < stagings; ++i, at += PageSize + scratch_room)
      stagings_[i] = {reinterpret_cast<PageType*>(at), MutableBytes{at + PageSize, scratch_bytes}, false};
    for (std::size_t i = 0; i < copies; ++i, at += PageSize) copies_[i] = {reinterpret_cast<PageType*>(at), PageId{}, Copy::State::idle};
    return {};
  }

  /// A staging buffer that is not busy, or null.
  Staging* idle_staging() {
    for (std::size_t i = 0; i < staging_count_; ++i)
      if (!stagings_[i].busy) return &stagings_[i];
    return nullptr;
  }
  /// A copy in this state, or null.
  Copy* copy_in(typename Copy::State state) {
    for (std::size_t i = 0; i < copy_count_; ++i)
      if (copies_[i].state == state) return &copies_[i];
    return nullptr;
  }
  void drop_waiting() {
    while (Copy* copy = copy_in(Copy::State::waiting)) copy->state = Copy::State::idle;
  }

 private:
  Arena memory_;
  Owned<Staging[]> stagings_;
  Owned<Copy[]> copies_;
  std::size_t staging_count_ = 0, copy_count_ = 0;
};

}  // namespace aegis::storage
