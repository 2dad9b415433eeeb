// SPDX-License-Identifier: Apache-2.0
// Who holds one locked thing and who waits for it. Everything here is guarded by the mutex of the part of the lock table
// in which the lock lives, unless it says otherwise.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/lock/lock_owner.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aegis::storage::locks {

/// Neighbours of a request in one of the lists that it stands in.
template <class Kind>
struct Links {
  Kind* previous = nullptr;
  Kind* next = nullptr;
};

/// A list through members of the requests themselves.
template <class Kind, Links<Kind> Kind::*links>
class RequestList {
 public:
  struct Iterator {
    Kind* at;
    Kind& operator*() const { return *at; }
    Iterator& operator++() { return at = (at->*links).next, *this; }
    bool operator!=(Iterator other) const { return at != other.at; }
  };

  bool empty() const { return first_ == nullptr; }
  Kind* first() const { return first_; }
  Iterator begin() const { return {first_}; }
  Iterator end() const { return {nullptr}; }

  void push_back(Kind& request) { insert(nullptr, request); }
  /// Before `next`; nullptr: at the end.
  void insert(Kind* next, Kind& request) {
    Kind* const previous = next == nullptr ? last_ : (next->*links).previous;
    request.*links = {previous, next};
    (previous == nullptr ? first_ : (previous->*links).next) = &request;
    (next == nullptr ? last_ : (next->*links).previous) = &request;
  }
  /// Returns the one after it.
  Kind* erase(Kind& request) {
    const Links<Kind> around = request.*links;
    (around.previous == nullptr ? first_ : (around.previous->*links).next) = around.next;
    (around.next == nullptr ? last_ : (around.next->*links).previous) = around.previous;
    return around.next;
  }

 private:
  Kind* first_ = nullptr;
  Kind* last_ = nullptr;
};

struct Head;

/// For a key or a table as such. is_granted: it stands in granted (an upgrade too), else in waiting.
struct KeyRequest : Request {
  Head* head = nullptr;
  Links<KeyRequest> place;          // in granted or waiting
  Links<KeyRequest> upgrade_place;  // in upgrades
};

/// One locked thing. The key's bytes follow it.
struct Head {
  Head* next = nullptr;  // in its bucket; in the free list
  std::uint64_t hash = 0;
  TableId table{};
  bool whole_table = false;
  std::uint32_t key_bytes = 0, key_capacity = 0;
  std::uint32_t granted_count = 0;
  std::array<std::uint32_t, lock_mode_count> held{};  // how many hold each mode
  RequestList<KeyRequest, &KeyRequest::place> granted, waiting;      // waiting: in order of arrival
  RequestList<KeyRequest, &KeyRequest::upgrade_place> upgrades;      // of those granted that want more; served before waiting

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_bytes}; }
  bool is(std::uint64_t other_hash, const LockTarget& target) const {
    return hash == other_hash && table == target.table && whole_table == target.whole_table && key() == target.key;
  }
  /// The modes held, but for one holder of `mine`.
  std::uint8_t held_modes(const KeyRequest* mine = nullptr) const {
    std::uint8_t modes = 0;
    for (std::size_t i = 0; i < lock_mode_count; ++i)
      if (held[i] > (mine != nullptr && static_cast<std::size_t>(mine->held) == i ? 1U : 0U)) modes = static_cast<std::uint8_t>(modes | (1U << i));
    return modes;
  }
};

constexpr bool fits(LockMode requested, std::uint8_t modes) { return (modes & ~compatible_set(requested)) == 0; }
/// Calls fn(LockOwner&) for everyone that the waiting request waits for: holders, and waiters before it, that exclude it.
template <class Fn>
void for_each_blocker(KeyRequest& request, Fn&& fn) {
  Head& head = *request.head;
  for (KeyRequest& holder : head.granted)
    if (&holder != &request && !compatible(request.wanted, holder.held)) fn(*holder.owner);
  for (KeyRequest& upgrade : head.upgrades) {
    if (&upgrade == &request) return;
    if (!compatible(request.wanted, upgrade.wanted)) fn(*upgrade.owner);
  }
  for (KeyRequest& earlier : head.waiting) {
    if (&earlier == &request) return;
    if (!compatible(request.wanted, earlier.wanted)) fn(*earlier.owner);
  }
}

}  // namespace aegis::storage::locks
