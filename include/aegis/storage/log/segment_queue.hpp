// SPDX-License-Identifier: Apache-2.0
// A double-ended queue of owned objects whose room is set aside beforehand, so that moving one in cannot fail. Objects
// stay where they are while they change queues. Not synchronised.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/owned.hpp>

#include <cstddef>
#include <new>
#include <utility>

namespace aegis::storage {

template <class T>
class SegmentQueue {
 public:
  /// Room for `count` objects in all; false when there is no memory, and then nothing changed.
  bool ensure(std::size_t count) {
    if (count <= room_) return true;
    const std::size_t room = count < 2 * room_ ? 2 * room_ : count;
    Owned<Owned<T>[]> slots{new (std::nothrow) Owned<T>[room]};
    if (!slots) return false;
    for (std::size_t i = 0; i < size_; ++i) slots[i] = std::move(slot(i));
    slots_ = std::move(slots);
    room_ = room;
    begin_ = 0;
    return true;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) const { return *slots_[(begin_ + i) % room_]; }
  T& front() const { return (*this)[0]; }
  T& back() const { return (*this)[size_ - 1]; }

  void push_back(Owned<T> object) {
    AEGIS_ASSERT(size_ < room_);
    slots_[(begin_ + size_++) % room_] = std::move(object);
  }
  Owned<T> pop_front() {
    AEGIS_ASSERT(size_ > 0);
    Owned<T> object = std::move(slots_[begin_]);
    begin_ = (begin_ + 1) % room_;
    --size_;
    return object;
  }
  Owned<T> pop_back() {
    AEGIS_ASSERT(size_ > 0);
    return std::move(slot(--size_));
  }

 private:
  Owned<T>& slot(std::size_t i) { return slots_[(begin_ + i) % room_]; }

  Owned<Owned<T>[]> slots_;  // a ring: size_ objects from begin_ on
  std::size_t room_ = 0;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace aegis::storage
