// SPDX-License-Identifier: Apache-2.0
// When a freed extent may be written again: once no published, in-progress or pinned generation names it, and every
// reader that may have looked it up is done. Readers count themselves into one of two epochs (as in sleepable RCU);
// an epoch's frees wait until the other epoch's readers have left. Under the map's lock, except leave().
#pragma once

#include <aegis/storage/backend/free_space.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace aegis::storage {

/// A freed extent on its way back. Made before the change that frees it, so that freeing cannot fail.
struct FreedExtent {
  std::uint64_t grain = 0;
  std::uint32_t grains = 0;
  std::uint64_t generation = 0;  // the first one that does not name it
  FreedExtent* next = nullptr;

  static FreedExtent* prepare() { return new (std::nothrow) FreedExtent; }
};

class ExtentReuse {
 public:
  ExtentReuse() = default;
  ExtentReuse(const ExtentReuse&) = delete;
  ExtentReuse& operator=(const ExtentReuse&) = delete;
  ~ExtentReuse() {
    for (FreedExtent** list : {&deferred_, &limbo_[0], &limbo_[1]})
      while (FreedExtent* freed = *list) {
        *list = freed->next;
        delete freed;
      }
  }

  /// Published generations may name it: waits until `generation` is the oldest that anybody needs.
  void defer(FreedExtent* freed, std::uint64_t generation) {
    freed->generation = generation;
    push(deferred_, freed);
  }
  /// No published generation names it: waits for readers only.
  void retire(FreedExtent* freed) { push(limbo_[epoch_], freed); }

  /// No generation before `oldest` is needed any more.
  void expire(std::uint64_t oldest) {
    for (FreedExtent** at = &deferred_; *at != nullptr;) {
      FreedExtent* freed = *at;
      if (freed->generation > oldest) {
        at = &freed->next;
        continue;
      }
      *at = freed->next;
      retire(freed);
    }
  }

  /// Returns to `space` whatever no reader can know any more.
  void advance(FreeSpace& space) {
    for (int turn = 0; turn < 2 && (limbo_[0] != nullptr || limbo_[1] != nullptr); ++turn) {
      const unsigned other = 1 - epoch_;
      if (readers_[other].load(std::memory_order_acquire) != 0) return;
      while (FreedExtent* freed = limbo_[other]) {
        limbo_[other] = freed->next;
        space.release(freed->grain, freed->grains);
        delete freed;
      }
      epoch_ = other;
    }
  }

  /// A reader begins; the map's lock is held, shared at least. What it returns goes to leave().
  unsigned enter() {
    readers_[epoch_].fetch_add(1, std::memory_order_relaxed);
    return epoch_;
  }
  void leave(unsigned epoch) { readers_[epoch].fetch_sub(1, std::memory_order_release); }

 private:
  static void push(FreedExtent*& list, FreedExtent* freed) {
    freed->next = list;
    list = freed;
  }

  FreedExtent* deferred_ = nullptr;
  FreedExtent* limbo_[2] = {nullptr, nullptr};  // freed while epoch_ was the index; only readers of that epoch may know them
  unsigned epoch_ = 0;
  std::atomic<std::uint64_t> readers_[2] = {0, 0};
};

/// Holds a reader's place in its epoch.
class ReadingExtent {
 public:
  explicit ReadingExtent(ExtentReuse& reuse) : reuse_(&reuse), epoch_(reuse.enter()) {}
  ReadingExtent(const ReadingExtent&) = delete;
  ReadingExtent& operator=(const ReadingExtent&) = delete;
  ~ReadingExtent() { reuse_->leave(epoch_); }

 private:
  ExtentReuse* reuse_;
  unsigned epoch_;
};

}  // namespace aegis::storage
