// SPDX-License-Identifier: Apache-2.0
// One part of the lock table: a hash table of what is locked, with nodes that are used again. An allocation is nothrow and
// happens only when no node is left over; the caller holds the mutex.
#pragma once

#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/lock/lock_queue.hpp>

#include <new>
#include <utility>

namespace aegis::storage::locks {

struct alignas(64) Shard {
  static constexpr std::uint32_t count = 32;       // ThreadSanitizer follows at most 64 mutexes held by one thread
  static constexpr std::size_t first_buckets = 16;
  static constexpr std::uint32_t kept_nodes = 64;  // of each kind, for reuse
  static constexpr std::size_t short_key = 40;     // heads have room for keys of this length at least

  ~Shard() {
    for (std::size_t i = 0; i < bucket_count; ++i) AEGIS_ASSERT(buckets[i] == nullptr);
    while (KeyRequest* const request = free_requests) free_requests = static_cast<KeyRequest*>(request->next_of_owner), delete request;
    while (Head* const head = free_heads) free_heads = head->next, destroy(head);
  }
  static void destroy(Head* head) {
    head->~Head();
    ::operator delete(head);
  }
  Head** bucket(std::uint64_t hash) { return &buckets[(hash / count) & (bucket_count - 1)]; }
  Head* find(std::uint64_t hash, const LockTarget& target) {
    for (Head* head = *bucket(hash); head != nullptr; head = head->next) {
      ++visits;
      if (head->is(hash, target)) return head;
    }
    return nullptr;
  }
  bool grow(std::size_t wanted) {
    Owned<Head*[]> old{new (std::nothrow) Head* [wanted] {}};
    if (!old) return false;
    buckets.swap(old);
    const std::size_t old_count = std::exchange(bucket_count, wanted);
    for (std::size_t i = 0; i < old_count; ++i)
      while (Head* const head = old[i]) {
        old[i] = head->next;
        head->next = std::exchange(*bucket(head->hash), head);
      }
    return true;
  }
  Head* make_head(std::uint64_t hash, const LockTarget& target) {
    if (head_count >= bucket_count) (void)grow(2 * bucket_count);  // failing that, chains get longer
    Head* head = free_heads;
    if (head != nullptr && head->key_capacity >= target.key.size()) {
      free_heads = head->next;
      --free_head_count;
    } else {
      const std::size_t capacity = std::max(short_key, target.key.size());
      void* const memory = ::operator new(sizeof(Head) + capacity, std::nothrow);
      if (memory == nullptr) return nullptr;
      head = ::new (memory) Head;
      head->key_capacity = static_cast<std::uint32_t>(capacity);
      ++allocations;
    }
    head->hash = hash;
    head->table = target.table;
    head->whole_table = target.whole_table;
    head->key_bytes = static_cast<std::uint32_t>(target.key.size());
    copy_bytes({reinterpret_cast<std::byte*>(head + 1), target.key.size()}, bytes_of(target.key));
    head->next = std::exchange(*bucket(hash), head);
    ++head_count;
    return head;
  }
  void drop_if_unused(Head& head) {
    if (!head.granted.empty() || !head.waiting.empty()) return;
    Head** at = bucket(head.hash);
    for (; *at != &head; at = &(*at)->next) ++visits;
    *at = head.next;
    --head_count;
    if (free_head_count == kept_nodes || head.key_capacity > short_key) return destroy(&head);
    head.next = std::exchange(free_heads, &head);
    ++free_head_count;
  }
  KeyRequest* make_request() {
    KeyRequest* request = free_requests;
    if (request != nullptr) {
      free_requests = static_cast<KeyRequest*>(request->next_of_owner);
      --free_request_count;
    } else if ((request = new (std::nothrow) KeyRequest) != nullptr) {
      ++allocations;
    }
    if (request == nullptr) return nullptr;
    request->is_granted = false;
    request->overtaken = 0;
    ++request_count;
    return request;
  }
  void recycle(KeyRequest* request) {
    --request_count;
    if (free_request_count == kept_nodes) return delete request;
    request->next_of_owner = std::exchange(free_requests, request);
    ++free_request_count;
  }

  template <class Fn>
  static void for_each_blocker(Request& request, Fn&& fn) {
    locks::for_each_blocker(static_cast<KeyRequest&>(request), fn);
  }

  mutable Mutex mutex;  // guards everything that hangs on the shard; two are held only by a search for circles, by rising index
  Owned<Head*[]> buckets;
  std::size_t bucket_count = 0;  // a power of two
  std::uint64_t head_count = 0, request_count = 0, allocations = 0;
  std::uint64_t visits = 0;
  KeyRequest* free_requests = nullptr;
  Head* free_heads = nullptr;
  std::uint32_t free_request_count = 0, free_head_count = 0;
};

}  // namespace aegis::storage::locks
