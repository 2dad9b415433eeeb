// SPDX-License-Identifier: Apache-2.0
// The right to touch a page. Handles move, do not copy, and give back exactly what they hold: pins cannot be unbalanced.
// A handle must not outlive its pool; an ExclusiveHandle not the stay in the section that it was made in.
#pragma once

#include <aegis/storage/buffer/frame.hpp>

#include <utility>

namespace aegis::storage {

/// Keeps a page in its frame.
template <class Frames>
class FramePin {
 public:
  FramePin(Frames& frames, FrameIndex index, PinKind kind) : frames_(&frames), index_(index), kind_(kind) {}
  FramePin(FramePin&& other) noexcept : frames_(std::exchange(other.frames_, nullptr)), index_(other.index_), kind_(other.kind_) {}
  FramePin& operator=(FramePin&& other) noexcept {
    FramePin old{std::move(*this)};
    frames_ = std::exchange(other.frames_, nullptr);
    index_ = other.index_;
    kind_ = other.kind_;
    return *this;
  }
  ~FramePin() {
    if (frames_ != nullptr) frames_->unpin(index_, kind_);
  }

  bool holds() const { return frames_ != nullptr; }
  FrameIndex index() const { return index_; }
  auto& frame() const { return frames_->frame(index_); }
  auto& page() const { return frames_->page(index_); }
  PageId id() const { return PageId{frame().page.load(std::memory_order_relaxed)}; }

 private:
  Frames* frames_;  // null when moved from
  FrameIndex index_;
  PinKind kind_;
};

/// The page stays in memory; it may change. page() is readable by whoever is in the section, where alone pages change.
template <class Frames>
class Pin {
 public:
  explicit Pin(FramePin<Frames> pin) : pin_(std::move(pin)) {}
  const typename Frames::PageType& page() const { return pin_.page(); }
  PageId id() const { return pin_.id(); }

 private:
  FramePin<Frames> pin_;
};

/// The page stays in memory and does not change.
template <class Frames>
class SharedHandle {
 public:
  /// Waits for the latch.
  explicit SharedHandle(FramePin<Frames> pin) : pin_(std::move(pin)) { pin_.frame().latch.lock_shared(); }
  SharedHandle(SharedHandle&&) noexcept = default;
  SharedHandle& operator=(SharedHandle&& other) noexcept {
    release();
    pin_ = std::move(other.pin_);
    return *this;
  }
  ~SharedHandle() { release(); }

  const typename Frames::PageType& page() const { return pin_.page(); }
  const typename Frames::PageType* operator->() const { return &page(); }
  PageId id() const { return pin_.id(); }
  FrameVersion version() const { return {pin_.index(), pin_.frame().latch.version()}; }

 private:
  void release() {
    if (pin_.holds()) pin_.frame().latch.unlock_shared();
  }

  FramePin<Frames> pin_;
};

/// The page is the holder's to change, and counts as changed.
template <class Frames>
class ExclusiveHandle {
 public:
  /// Takes over a latch that is held exclusively.
  explicit ExclusiveHandle(FramePin<Frames> latched) : pin_(std::move(latched)) {}
  ExclusiveHandle(ExclusiveHandle&&) noexcept = default;
  ExclusiveHandle& operator=(ExclusiveHandle&& other) noexcept {
    release();
    pin_ = std::move(other.pin_);
    return *this;
  }
  ~ExclusiveHandle() { release(); }

  typename Frames::PageType& page() const { return pin_.page(); }
  typename Frames::PageType* operator->() const { return &page(); }
  PageId id() const { return pin_.id(); }
  /// What read_versioned() will tell of this page once the handle is gone.
  FrameVersion version_after() const { return {pin_.index(), pin_.frame().latch.version() + 1}; }

 private:
  void release() {
    if (pin_.holds()) pin_.frame().latch.unlock();
  }

  FramePin<Frames> pin_;
};

}  // namespace aegis::storage
