// SPDX-License-Identifier: Apache-2.0
// What a MemoryDisk, the backends and the logs on it share: blocks by generation and one log, under one lock, so that a
// crash takes all of it at one instant. A *life* is one opening; whoever carries an older number gets engine_failed.
// Any thread. Counted references keep it alive, so a log may outlive the backend that it came from.
#pragma once

#include <aegis/storage/core/clock.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/memory_blocks.hpp>
#include <aegis/storage/file/memory_stream.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

namespace aegis::storage {

struct MemoryDiskOptions {
  std::uint64_t capacity_bytes = ~std::uint64_t{0};  ///< Blocks beyond it get no_space; the log has its own bound.
  std::uint32_t unit_bytes = 512;                    ///< Of the log.
};

/// Whether the call at which crash_after() strikes took effect before the power was gone. Its caller learns neither.
enum class CrashPoint : bool { before_the_call, after_the_call };

class MemoryMedium {
 public:
  using Life = std::uint64_t;
  static constexpr std::size_t max_pins = 64;

  explicit MemoryMedium(MemoryDiskOptions options) : options_(options), capacity_bytes_(options.capacity_bytes) {}

  const MemoryDiskOptions& options() const { return options_; }

  // Openings. A backend begins a new life; a log belongs to the running one, or begins one where no backend is open.
  Result<Life> open_backend() {
    const Guard guard(mutex_);
    if (backend_open_) return Error{Errc::already_open, "memory disk"};
    begin_life();
    backend_open_ = true;
    return life_;
  }
  void close_backend(Life life) {
    const Guard guard(mutex_);
    if (life == life_) backend_open_ = false;
  }
  void crash() {
    const Guard guard(mutex_);
    lose_power();
  }
  void kill() {
    const Guard guard(mutex_);
    begin_life();
    countdown_ = 0;
  }
  void crash_after(std::uint64_t calls, CrashPoint point) {
    const Guard guard(mutex_);
    countdown_ = calls;
    point_ = point;
  }
  void limit(std::uint64_t capacity_bytes) {
    const Guard guard(mutex_);
    capacity_bytes_ = capacity_bytes;
  }
  std::uint64_t mutating_calls() const {
    const SharedGuard guard(mutex_);
    return mutating_calls_;
  }

  // Blocks.
  Result<std::size_t> read(Life life, BlockId id, std::uint64_t generation, MutableBytes into) const {
    const SharedGuard guard(mutex_);
    if (life != life_) return dead();
    const MemoryImage* image = blocks_.find(id, generation);
    if (image == nullptr) return Error{Errc::block_not_found, "block", number(id)};
    if (image->size > into.size()) return Error::mismatch(Errc::too_large, "buffer for block", into.size(), image->size, number(id));
    copy_bytes(into, image->bytes());
    return image->size;
  }
  Result<bool> exists(Life life, BlockId id) const {
    const SharedGuard guard(mutex_);
    if (life != life_) return dead();
    return blocks_.find(id, MemoryBlocks::newest) != nullptr;
  }
  Result<void> put(Life life, BlockId id, Bytes content, bool present) {
    MemoryImage* image = MemoryImage::prepare(content, present);
    if (image == nullptr) return Error{Errc::out_of_memory, "block", number(id)};
    const Guard guard(mutex_);
    if (life != life_ || (!present && blocks_.find(id, MemoryBlocks::newest) == nullptr) || content.size() > free_bytes()) {
      MemoryImage::discard(image);
      if (life != life_) return dead();
      if (!present) return {};
      return Error{Errc::no_space, "memory disk"};
    }
    if (strikes(CrashPoint::before_the_call)) {
      MemoryImage::discard(image);
      return dead();
    }
    AEGIS_TRY(blocks_.put(id, image, now_));
    return strikes_after();
  }
  void seal(Life life) {
    const Guard guard(mutex_);
    if (life == life_) sealed_ = now_++;
  }
  Result<void> sync(Life life) {
    const Guard guard(mutex_);
    if (life != life_ || strikes(CrashPoint::before_the_call)) return dead();
    if (sealed_ == published_) sealed_ = now_++;
    published_ = sealed_;
    prune();
    return strikes_after();
  }
  Result<void> reserve(Life life, std::uint64_t bytes) {
    const Guard guard(mutex_);
    if (life != life_) return dead();
    if (free_bytes() < reserved_ || bytes > free_bytes() - reserved_) return Error{Errc::no_space, "memory disk"};
    reserved_ += bytes;
    return {};
  }
  void release(Life life, std::uint64_t bytes) {
    const Guard guard(mutex_);
    if (life == life_) reserved_ -= bytes < reserved_ ? bytes : reserved_;
  }
  Result<std::uint64_t> pin(Life life) {
    const Guard guard(mutex_);
    if (life != life_) return dead();
    if (pin_count_ == max_pins) return Error{Errc::busy, "pinned generations"};
    pins_[pin_count_++] = published_;
    return published_;
  }
  void unpin(Life life, std::uint64_t generation) {
    const Guard guard(mutex_);
    if (life != life_) return;
    std::size_t at = 0;
    while (pins_[at] != generation) ++at;
    pins_[at] = pins_[--pin_count_];
    prune();
  }
  bool is_new() const {
    const SharedGuard guard(mutex_);
    return published_ == 0;
  }
  /// fn(const MemoryBlocks&) under the lock.
  template <class Fn>
  Result<void> look(Life life, Fn&& fn) const {
    const SharedGuard guard(mutex_);
    if (life != life_) return dead();
    fn(blocks_);
    return {};
  }

  // The log. `identity` is whose it is.
  struct LogState {
    bool exists = false;
    bool open = false;
    StoreIdentity identity{};
    std::uint64_t start = 0;    // segments are counted from here
    std::uint64_t durable = 0;  // a crash leaves exactly what lies below
  };
  /// fn(MemoryStream&, LogState&, bool published) for a new log handle; which life it belongs to.
  template <class Fn>
  Result<Life> open_log(Fn&& fn) {
    const Guard guard(mutex_);
    if (log_.open) return Error{Errc::already_open, "log of the memory disk"};
    AEGIS_TRY(fn(stream_, log_, published_ != 0));
    log_.open = true;
    return life_;
  }
  void close_log(Life life) {
    const Guard guard(mutex_);
    if (life == life_) log_.open = false;
  }
  bool has_log() const {
    const SharedGuard guard(mutex_);
    return log_.exists;
  }
  template <class Fn>
  Result<void> change_log(Life life, Fn&& fn) {
    const Guard guard(mutex_);
    if (life != life_ || strikes(CrashPoint::before_the_call)) return dead();
    AEGIS_TRY(fn(stream_, log_));
    return strikes_after();
  }
  template <class Fn>
  auto look_at_log(Life life, Fn&& fn) const -> Result<decltype(fn(std::declval<const MemoryStream&>(), std::declval<const LogState&>()))> {
    const SharedGuard guard(mutex_);
    if (life != life_) return dead();
    return fn(stream_, log_);
  }
  /// Makes room for appends up to `until`; no change of state.
  bool prepare_log(Life life, std::uint64_t until) {
    const Guard guard(mutex_);
    return life != life_ || stream_.prepare(until);
  }

  std::uint64_t draw_id() {
    const auto ticks = static_cast<std::uint64_t>(SteadyClock::now());
    const auto today = static_cast<std::uint64_t>(SteadyClock::read(CLOCK_REALTIME));
    std::uint64_t z = ticks ^ (today << 17) ^ reinterpret_cast<std::uintptr_t>(this) ^ (draws_.fetch_add(1) * 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  friend class MemoryMediumRef;

  static Error dead() { return Error{Errc::engine_failed, "memory disk"}; }

  std::uint64_t free_bytes() const {
    return capacity_bytes_ < blocks_.used_bytes() ? 0 : capacity_bytes_ - blocks_.used_bytes();
  }
  void prune() {
    std::array<std::uint64_t, max_pins + 2> needed{};
    for (std::size_t i = 0; i < pin_count_; ++i) needed[i] = pins_[i];
    needed[pin_count_] = published_;
    needed[pin_count_ + 1] = sealed_;
    blocks_.prune({needed.data(), pin_count_ + 2}, published_);
  }
  void begin_life() {
    blocks_.revert(published_);
    sealed_ = published_;
    now_ = published_ + 1;
    pin_count_ = 0;
    reserved_ = 0;
    backend_open_ = log_.open = false;
    ++life_;
  }
  void lose_power() {
    begin_life();
    countdown_ = 0;
    if (log_.exists && log_.durable < stream_.end()) stream_.cut(log_.durable);
  }
  /// Counts a mutating call; true when the crash comes at this point of it.
  bool strikes(CrashPoint point) {
    if (point == CrashPoint::before_the_call) {
      ++mutating_calls_;
      if (countdown_ == 0 || --countdown_ != 0) return false;
      if (point_ == CrashPoint::after_the_call) {
        strike_after_ = true;
        return false;
      }
    } else if (!std::exchange(strike_after_, false)) {
      return false;
    }
    lose_power();
    return true;
  }
  Result<void> strikes_after() {
    if (strikes(CrashPoint::after_the_call)) return dead();
    return {};
  }

  mutable SharedMutex mutex_;  // guards everything below but the atomics
  const MemoryDiskOptions options_;
  std::uint64_t capacity_bytes_;
  MemoryBlocks blocks_;
  std::uint64_t published_ = 0;      // published_ <= sealed_ < now_; images carry the now_ of their write
  std::uint64_t sealed_ = 0;         // equal to published_ when nothing is sealed
  std::uint64_t now_ = 1;
  std::array<std::uint64_t, max_pins> pins_{};
  std::size_t pin_count_ = 0;
  std::uint64_t reserved_ = 0;
  MemoryStream stream_;
  LogState log_;
  Life life_ = 1;
  bool backend_open_ = false;
  bool strike_after_ = false;
  CrashPoint point_ = CrashPoint::before_the_call;
  std::uint64_t countdown_ = 0;      // 0: no crash is due
  std::uint64_t mutating_calls_ = 0;
  std::atomic<std::uint64_t> draws_{0};
  std::atomic<std::uint64_t> references_{0};
};

/// One counted reference; empty when there was no memory for a medium.
class MemoryMediumRef {
 public:
  MemoryMediumRef() = default;
  explicit MemoryMediumRef(MemoryMedium* medium) : medium_(medium) {
    if (medium_ != nullptr) medium_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  MemoryMediumRef(const MemoryMediumRef& other) : MemoryMediumRef(other.medium_) {}
  MemoryMediumRef(MemoryMediumRef&& other) noexcept : medium_(std::exchange(other.medium_, nullptr)) {}
  MemoryMediumRef& operator=(MemoryMediumRef other) noexcept {
    std::swap(medium_, other.medium_);
    return *this;
  }
  ~MemoryMediumRef() {
    if (medium_ != nullptr && medium_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete medium_;
  }
  explicit operator bool() const { return medium_ != nullptr; }
  MemoryMedium* operator->() const { return medium_; }

 private:
  MemoryMedium* medium_ = nullptr;
};

}  // namespace aegis::storage
