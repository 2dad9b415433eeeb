// SPDX-License-Identifier: Apache-2.0
// Requests for intervals of keys in order of where they begin, so that those which overlap a given one are found at once:
// a treap (Seidel and Aragon, 1996) whose nodes know which interval below them ends last. Expected cost of all operations
// is logarithmic, plus what is found. The nodes are the requests; the tree allocates nothing. The caller holds the mutex.
#pragma once

#include <aegis/storage/lock/lock_queue.hpp>

#include <cstdint>
#include <string_view>

namespace aegis::storage {

/// An interval of keys, from `low` on: up to `high`, with it or without it, or to the end of the table.
struct LockSpan {
  enum class End : std::uint8_t { excluded, included, open };

  static constexpr LockSpan point(std::string_view key) { return {key, key, End::included}; }
  static constexpr LockSpan everything() { return {}; }

  /// False: `key` lies past the end.
  constexpr bool reaches(std::string_view key) const { return end == End::open || key < high || (end == End::included && key == high); }
  constexpr bool is_empty() const { return !reaches(low); }
  constexpr bool overlaps(const LockSpan& other) const { return reaches(other.low) && other.reaches(low); }
  constexpr bool ends_before(const LockSpan& other) const {
    if (end == End::open || other.end == End::open) return end != End::open;
    return high < other.high || (high == other.high && end == End::excluded && other.end == End::included);
  }
  constexpr bool covers(const LockSpan& other) const { return low <= other.low && !ends_before(other); }
  /// They have a key in common or none between them, so that their union is an interval.
  constexpr bool touches(const LockSpan& other) const {
    return overlaps(other) || (end == End::excluded && high == other.low) || (other.end == End::excluded && other.high == low);
  }
  /// The smallest interval that has all keys of both.
  constexpr LockSpan joined(const LockSpan& other) const {
    const LockSpan& later = ends_before(other) ? other : *this;
    return {other.low < low ? other.low : low, later.high, later.end};
  }
  friend constexpr bool operator==(const LockSpan& a, const LockSpan& b) {
    return a.low == b.low && a.end == b.end && (a.end == End::open || a.high == b.high);
  }

  std::string_view low{}, high{};
  End end = End::open;
};

namespace locks {

struct IntervalSpace;

/// For an interval. is_granted: it is in its space's tree, else in its queue. The bytes of the span's keys follow it.
struct IntervalRequest : Request {
  IntervalSpace* space = nullptr;
  IntervalRequest* raises = nullptr;            // while it waits: the owner's lock on the same interval, if there is one
  LockSpan span;
  Links<IntervalRequest> place;                 // in the queue
  IntervalRequest *left = nullptr, *right = nullptr;
  IntervalRequest* latest = nullptr;            // of its subtree, one that ends last
  std::uint64_t number = 0;                     // unlike all others in its tree; tells those apart that begin alike
  std::uint32_t priority = 0;
  std::uint32_t key_capacity = 0;
  bool is_passed = false;                       // scratch of who looks for its place in the queue
};

class IntervalTree {
 public:
  bool empty() const { return root_ == nullptr; }

  void insert(IntervalRequest& node, std::uint64_t& visits) {
    node.left = node.right = nullptr;
    IntervalRequest** at = &root_;
    for (; *at != nullptr && (*at)->priority >= node.priority; at = before(node, **at) ? &(*at)->left : &(*at)->right, ++visits)
      if ((*at)->latest->span.ends_before(node.span)) (*at)->latest = &node;
    split(*at, node, node.left, node.right, visits);
    *at = &node;
    update(node);
  }

  void erase(IntervalRequest& node, std::uint64_t& visits) { root_ = without(root_, node, visits); }

  /// Calls fn(IntervalRequest&) for those that overlap the span, by where they begin, until it says true; whether it did.
  template <class Fn>
  bool any(const LockSpan& span, std::uint64_t& visits, Fn&& fn) const {
    return any(root_, span, visits, fn);
  }

 private:
  static bool before(const IntervalRequest& a, const IntervalRequest& b) {
    const int order = a.span.low.compare(b.span.low);
    return order != 0 ? order < 0 : a.number < b.number;
  }
  static void update(IntervalRequest& node) {
    node.latest = &node;
    for (const IntervalRequest* child : {node.left, node.right})
      if (child != nullptr && node.latest->span.ends_before(child->latest->span)) node.latest = child->latest;
  }
  static void split(IntervalRequest* at, const IntervalRequest& by, IntervalRequest*& left, IntervalRequest*& right, std::uint64_t& visits) {
    left = right = nullptr;
    if (at == nullptr) return;
    ++visits;
    if (before(*at, by)) {
      IntervalRequest* inner = nullptr;
      split(at->right, by, inner, right, visits);
      at->right = inner;
      left = at;
    } else {
      IntervalRequest* inner = nullptr;
      split(at->left, by, left, inner, visits);
      at->left = inner;
      right = at;
    }
    update(*at);
  }
  static IntervalRequest* merge(IntervalRequest* left, IntervalRequest* right, std::uint64_t& visits) {
    if (left == nullptr || right == nullptr) return left == nullptr ? right : left;
    ++visits;
    const bool left_first = left->priority >= right->priority;
    IntervalRequest* const top = left_first ? left : right;
    if (left_first) left->right = merge(left->right, right, visits);
    else right->left = merge(left, right->left, visits);
    update(*top);
    return top;
  }
  static IntervalRequest* without(IntervalRequest* at, IntervalRequest& node, std::uint64_t& visits) {
    ++visits;
    if (at == &node) return merge(node.left, node.right, visits);
    IntervalRequest*& child = before(node, *at) ? at->left : at->right;
    child = without(child, node, visits);
    if (at->latest == &node) update(*at);
    return at;
  }
  template <class Fn>
  static bool any(IntervalRequest* at, const LockSpan& span, std::uint64_t& visits, Fn& fn) {
    for (; at != nullptr && ++visits && at->latest->span.reaches(span.low); at = at->right) {
      if (any(at->left, span, visits, fn)) return true;
      if (!span.reaches(at->span.low)) return false;
      if (at->span.reaches(span.low) && fn(*at)) return true;
    }
    return false;
  }

  IntervalRequest* root_ = nullptr;  // priorities fall downwards
};

}  // namespace locks

}  // namespace aegis::storage
