// SPDX-License-Identifier: Apache-2.0
// Proves that an eviction policy keeps the numbered promises of eviction/policy.hpp, in any test framework: `report` is
// called as report(std::string_view promise, bool held), once for each; the promise begins with its number.
#pragma once

#include <aegis/storage/eviction/policy.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace aegis::storage::testing {

template <EvictionPolicy Eviction>
class EvictionSuite {
 public:
  explicit EvictionSuite(std::uint64_t seed) : random_(seed) {}

  bool starts_empty() {
    const auto eviction = sized(16);
    return eviction && !eviction->victim(any) && admitted_all(*eviction, 16);
  }

  /// Against a set of admitted frames and one of evictable ones, both changing.
  bool names_what_it_may() {
    constexpr FrameIndex frames = 24;
    const auto eviction = sized(frames);
    std::set<FrameIndex> admitted, pinned;
    for (int step = 0; step < 4000; ++step) {
      const FrameIndex frame = below(frames);
      if (admitted.count(frame) == 0) {
        eviction->admit(frame);
        admitted.insert(frame);
      } else if (below(3) == 0) {
        eviction->remove(frame);
        admitted.erase(frame);
      } else {
        eviction->access(frame);
      }
      if (below(2) == 0) pinned.insert(below(frames));
      else pinned.erase(below(frames));
      const auto evictable = [&](FrameIndex it) { return pinned.count(it) == 0; };
      const bool possible = std::any_of(admitted.begin(), admitted.end(), evictable);
      const auto victim = eviction->victim(evictable);
      if (victim.has_value() != possible) return false;
      if (victim && (admitted.count(*victim) == 0 || !evictable(*victim))) return false;
    }
    return true;
  }

  bool removes_nothing() {
    const auto eviction = sized(4);
    eviction->admit(2);
    for (int i = 0; i < 10; ++i)
      if (eviction->victim(any) != FrameIndex{2}) return false;
    eviction->remove(2);
    return !eviction->victim(any);
  }

  bool names_each_once() {
    const auto eviction = sized(100);
    for (FrameIndex frame = 0; frame < 100; ++frame) eviction->admit(frame);
    for (int i = 0; i < 50; ++i) eviction->access(below(100));
    std::set<FrameIndex> named;
    while (const auto victim = eviction->victim(any)) {
      if (!named.insert(*victim).second) return false;
      eviction->remove(*victim);
    }
    return named.size() == 100;
  }

  /// Accesses from threads while the lock's holder admits, removes and asks: afterwards exactly the admitted are named.
  bool access_is_free() {
    constexpr FrameIndex frames = 64;
    const auto eviction = sized(frames);
    for (FrameIndex frame = 0; frame < frames; ++frame) eviction->access(frame);
    if (eviction->victim(any)) return false;
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (FrameIndex worker = 0; worker < 3; ++worker) {
      threads.emplace_back([&, worker] {
        for (FrameIndex frame = worker; !stop.load(std::memory_order_relaxed); frame = (frame + 7) % frames) eviction->access(frame);
      });
    }
    std::set<FrameIndex> admitted;
    bool right = true;
    for (int step = 0; step < 3000; ++step) {
      const FrameIndex frame = below(frames);
      if (admitted.insert(frame).second) {
        eviction->admit(frame);
      } else if (const auto victim = eviction->victim(any); victim && admitted.erase(*victim) == 1) {
        eviction->remove(*victim);
      } else {
        right = false;
      }
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    std::set<FrameIndex> named;
    while (const auto victim = eviction->victim(any)) {
      named.insert(*victim);
      eviction->remove(*victim);
    }
    return right && named == admitted;
  }

  bool accessed_outlive_others() {
    constexpr FrameIndex frames = 32;
    const auto eviction = sized(frames);
    for (FrameIndex frame = 0; frame < frames; ++frame) eviction->admit(frame);
    for (FrameIndex frame = 0; frame < frames; frame += 2) eviction->access(frame);
    for (FrameIndex i = 0; i < frames; ++i) {
      const auto victim = eviction->victim(any);
      if (!victim || (*victim % 2 == 0) != (i >= frames / 2)) return false;
      eviction->remove(*victim);
    }
    return true;
  }

  bool comes_back_as_new() {
    const auto eviction = sized(8);
    for (FrameIndex frame = 0; frame < 8; ++frame) eviction->admit(frame);
    for (FrameIndex frame = 0; frame < 8; ++frame) eviction->access(frame);
    eviction->remove(3);
    eviction->admit(3);
    for (FrameIndex frame = 0; frame < 8; ++frame)
      if (frame != 3) eviction->access(frame);
    return eviction->victim(any) == FrameIndex{3};
  }

 private:
  static constexpr auto any = [](FrameIndex) { return true; };

  static std::unique_ptr<Eviction> sized(std::size_t frames) {
    auto eviction = std::make_unique<Eviction>();
    if (!eviction->resize(frames)) return nullptr;
    return eviction;
  }
  static bool admitted_all(Eviction& eviction, FrameIndex frames) {
    for (FrameIndex frame = 0; frame < frames; ++frame) {
      eviction.admit(frame);
      if (eviction.victim([&](FrameIndex it) { return it == frame; }) != frame) return false;
    }
    return true;
  }
  FrameIndex below(FrameIndex bound) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<FrameIndex>((random_ >> 33) % bound);
  }

  std::uint64_t random_;
};

template <EvictionPolicy Eviction, class Report>
void check_eviction(Report&& report, std::uint64_t seed = 1) {
  EvictionSuite<Eviction> suite{seed};
  report("1. after resize there is room for every frame, and none is admitted", suite.starts_empty());
  report("2. a victim is admitted and evictable; there is none only if no frame is both", suite.names_what_it_may());
  report("3. naming a victim removes nothing", suite.removes_nothing());
  report("4. victims that are removed come each once, until all were named", suite.names_each_once());
  report("5. an access, by any thread and of any frame, changes at most the order", suite.access_is_free());
  report("6. frames accessed since the last admission outlive those that were not", suite.accessed_outlive_others());
  report("7. a frame admitted again is as new", suite.comes_back_as_new());
}

}  // namespace aegis::storage::testing
