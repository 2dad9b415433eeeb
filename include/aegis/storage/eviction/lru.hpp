// SPDX-License-Identifier: Apache-2.0
// Least recently used. The order is exact for up to `ring_size` accesses between two calls that hold the lock; of more
// only the newest count. An access is a store into a small ring, and nothing when the frame was the last one accessed:
// the list is touched by the lock's holder alone (batching after BP-Wrapper, Ding et al., ICDE 2009).
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/eviction/policy.hpp>

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace aegis::storage {

class LruEviction {
 public:
  static constexpr Axis axis = Axis::eviction;
  static constexpr std::string_view name = "lru";
  static constexpr std::uint32_t ring_size = 256;

  LruEviction() = default;
  LruEviction(const LruEviction&) = delete;
  LruEviction& operator=(const LruEviction&) = delete;
  ~LruEviction() { order_.clear(); }

  Result<void> resize(std::size_t frames) {
    nodes_.reset(new (std::nothrow) Node[frames]);
    if (!nodes_) return Errc::out_of_memory;
    frames_ = frames;
    return {};
  }
  void admit(FrameIndex frame) {
    drain();
    order_.push_back(nodes_[frame]);
  }
  void remove(FrameIndex frame) {
    drain();
    order_.erase(order_.iterator_to(nodes_[frame]));
  }
  void access(FrameIndex frame) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (ring_[(tail - 1) % ring_size].load(std::memory_order_relaxed) == frame) return;
    // Two threads may meet in one place and one of them is lost: an order is a guess at the future anyway.
    ring_[tail % ring_size].store(frame, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_relaxed);
  }
  template <class Evictable>
  std::optional<FrameIndex> victim(Evictable&& evictable) {
    drain();
    for (const Node& node : order_)
      if (const FrameIndex frame = static_cast<FrameIndex>(&node - nodes_.get()); evictable(frame)) return frame;
    return std::nullopt;
  }

 private:
  struct Node : boost::intrusive::list_base_hook<> {};

  void drain() {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - drained_ > ring_size) drained_ = tail - ring_size;
    for (; drained_ != tail; ++drained_) {
      const FrameIndex frame = ring_[drained_ % ring_size].load(std::memory_order_relaxed);
      if (frame < frames_ && nodes_[frame].is_linked()) order_.splice(order_.end(), order_, order_.iterator_to(nodes_[frame]));
    }
    // The next access of the same frame counts again: other frames may be admitted before it.
    ring_[(tail - 1) % ring_size].store(none, std::memory_order_relaxed);
  }

  static constexpr FrameIndex none = ~FrameIndex{0};

  Owned<Node[]> nodes_;          // by frame; linked iff admitted
  std::size_t frames_ = 0;
  boost::intrusive::list<Node> order_;     // least recently used first
  std::uint32_t drained_ = 0;              // accesses before this one are in order_
  alignas(64) std::atomic<std::uint32_t> tail_{0};
  std::atomic<FrameIndex> ring_[ring_size] = {};
};

static_assert(EvictionPolicy<LruEviction>);

}  // namespace aegis::storage
