// SPDX-License-Identifier: Apache-2.0
// What the newest commits wrote, in a ring of bounded size with its own copies of the keys. Written in the commit section,
// read by any thread without a lock: whoever meets what is being overwritten is older than the ring's tail and has lost
// anyway. Commit-time validation follows Kung and Robinson, "On Optimistic Methods for Concurrency Control", 1981.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/isolation/interval_set.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

class RecentCommits {
 public:
  /// The keys of one write set, copied; whole tables where there are very many.
  class Commit {
   public:
    Commit() = default;
    Commit(Commit&& other) noexcept : many_(std::move(other.many_)), words_(other.words_), count_(other.count_), too_large_(other.too_large_) {
      if (!many_) std::memcpy(few_, other.few_, words_ * sizeof(std::uint64_t));
    }
    Commit& operator=(Commit&& other) noexcept {
      if (this == &other) return *this;
      many_ = std::move(other.many_);
      words_ = other.words_, count_ = other.count_, too_large_ = other.too_large_;
      if (!many_) std::memcpy(few_, other.few_, words_ * sizeof(std::uint64_t));
      return *this;
    }

   private:
    friend class RecentCommits;
    static constexpr std::size_t few = 24;

    bool reserve(std::size_t words) {
      if (words > few) many_.reset(new (std::nothrow) std::uint64_t[words]);
      return words <= few || many_;
    }
    std::uint64_t* words() { return many_ ? many_.get() : few_; }
    void add_table(TableId table) {
      words()[words_] = whole_table | number(table), words()[words_ + 1] = 0;
      words_ += key_header_words, ++count_;
    }
    void add_key(TableId table, std::string_view key) {
      std::uint64_t* const to = words() + words_;
      to[0] = std::uint64_t{key.size()} << 32 | number(table);
      to[1] = PointSet::hash_of(table, key);
      if (!key.empty()) to[key_words(key) - 1] = 0, std::memcpy(to + key_header_words, key.data(), key.size());
      words_ += key_words(key), ++count_;
    }

    Owned<std::uint64_t[]> many_;  // instead of few_, if those do not do
    std::size_t words_ = 0, count_ = 0;
    bool too_large_ = false;       // for the ring: nothing is in it, and everything conflicts with it
    std::uint64_t few_[few];
  };

  static Result<RecentCommits> open(std::uint64_t limit_bytes) {
    Owned<Ring> ring{new (std::nothrow) Ring};
    if (!ring) return Error{Errc::out_of_memory, "recent commits"};
    ring->capacity = static_cast<std::size_t>(limit_bytes / sizeof(std::uint64_t) < most_words ? limit_bytes / sizeof(std::uint64_t) : most_words);
    ring->words.reset(new (std::nothrow) std::uint64_t[ring->capacity]);  // pages are touched as they are used
    if (!ring->words) return Error{Errc::out_of_memory, "recent commits, bytes", limit_bytes};
    return RecentCommits{std::move(ring)};
  }

  /// Any thread. Writes: for_each_key(fn(TableId, key)), by table.
  template <class Writes>
  Result<Commit> prepare(const Writes& writes) const {
    std::size_t words = 0, tables = 0;
    bool long_key = false;
    TableId last{};
    writes.for_each_key([&](TableId table, std::string_view key) {
      if (tables == 0 || table != last) ++tables, last = table;
      words += key_words(key);
      long_key = long_key || key.size() > most_key_bytes;
    });
    const bool by_table = long_key || words > ring_->capacity / 4;
    if (by_table) words = tables * key_header_words;
    Commit commit;
    commit.too_large_ = words + header_words > ring_->capacity;
    if (commit.too_large_) return commit;
    if (!commit.reserve(words)) return Error{Errc::out_of_memory, "recent commits"};
    writes.for_each_key([&](TableId table, std::string_view key) {
      if (!by_table) return commit.add_key(table, key);
      if (commit.count_ == 0 || table != last) commit.add_table(table);
      last = table;
    });
    return commit;
  }
  Result<Commit> prepare_table(TableId table) const {
    Commit commit;
    commit.too_large_ = key_header_words + header_words > ring_->capacity;
    if (!commit.too_large_) commit.add_table(table);
    return commit;
  }

  /// In the section, timestamps rise.
  void remember(Commit&& commit, Timestamp timestamp) {
    Ring& ring = *ring_;
    if (commit.too_large_) {
      while (ring.count != 0) forget_one(ring);
      ring.forgotten.store(number(timestamp), std::memory_order_release);
    } else {
      const std::size_t at = make_room(ring, header_words + commit.words_), size = header_words + commit.words_;
      const std::uint64_t header[header_words] = {number(timestamp), ring.newest.load(std::memory_order_relaxed), ring.last.load(std::memory_order_relaxed),
                                                  std::uint64_t{size} << 32 | commit.count_};
      for (std::size_t i = 0; i < header_words; ++i) ring.store(at + i, header[i]);
      for (std::size_t i = 0; i < commit.words_; ++i) ring.store(at + header_words + i, commit.words()[i]);
      ring.end = at + size;
      ++ring.count;
      ring.last.store(at, std::memory_order_release);
    }
    ring.newest.store(number(timestamp), std::memory_order_release);
  }
  /// In the section. Gives up what ended at or below `oldest`.
  void forget(Timestamp oldest) {
    while (ring_->count != 0 && ring_->words[ring_->begin] <= number(oldest)) forget_one(*ring_);
  }

  /// Any thread, beside remember() and forget(). From the newest commit backwards, so it costs what was added since `after`.
  /// Read: an IntervalSet, or what answers as one.
  template <class Read, class Lost>
  Result<Timestamp> validate(const Read& read, Timestamp after, Lost&& lost) const {
    const Ring& ring = *ring_;
    const std::uint64_t newest = ring.newest.load(std::memory_order_acquire);
    if (newest <= number(after) || read.empty()) return Timestamp{newest <= number(after) ? number(after) : newest};
    // Entries that are later than `after` are whole as long as nothing later than `after` was forgotten; that is asked
    // after each look and before what was seen is believed. `last` is at least as new as `newest`, so it is one of them.
    if (ring.is_overtaken(after)) return too_old();  // nor is any of them so large that it never had an entry
    std::uint64_t seen = 0;
    for (std::uint64_t at = ring.last.load(std::memory_order_acquire);;) {
      const std::uint64_t timestamp = ring.load(at), earlier = ring.load(at + 1), earlier_at = ring.load(at + 2), counts = ring.load(at + 3);
      if (ring.is_overtaken(after)) return too_old();
      if (seen == 0) seen = timestamp;
      AEGIS_TRY(validate_entry(ring, at, counts & low_half, read, after, lost));
      if (earlier <= number(after)) return Timestamp{seen};
      at = earlier_at;
    }
  }

  /// How many commits are kept.
  std::size_t size() const { return ring_->count; }

 private:
  static constexpr std::size_t header_words = 4;      // timestamp, the one before, where that is, words << 32 | keys
  static constexpr std::size_t key_header_words = 2;  // bytes << 32 | table, hash
  static constexpr std::size_t most_key_bytes = 8192; // of any page size
  static constexpr std::size_t most_words = std::size_t{1} << 31;
  static constexpr std::uint64_t low_half = 0xffffffff, whole_table = low_half << 32;
  static constexpr std::uint64_t wrap_mark = 0;       // instead of a timestamp: the next entry is at the beginning

  struct Ring {
    void store(std::size_t at, std::uint64_t word) { std::atomic_ref(words[at]).store(word, std::memory_order_release); }
    std::uint64_t load(std::size_t at) const { return std::atomic_ref(words[at]).load(std::memory_order_acquire); }
    bool is_overtaken(Timestamp after) const { return forgotten.load(std::memory_order_acquire) > number(after); }

    // Stored in this order: forgotten, then the words that overwrite, then last, then newest.
    alignas(64) std::atomic<std::uint64_t> newest{0};  // timestamp of the newest commit
    std::atomic<std::uint64_t> last{0};                // where its entry is
    std::atomic<std::uint64_t> forgotten{0};           // timestamp of the newest commit that was given up
    Owned<std::uint64_t[]> words;
    std::size_t capacity = 0;
    std::size_t begin = 0, end = 0, count = 0;         // the section's; [begin, end), or when it has wrapped [begin, .) and [0, end)
    bool wrapped = false;
  };

  explicit RecentCommits(Owned<Ring> ring) : ring_(std::move(ring)) {}

  static std::size_t key_words(std::string_view key) { return key_header_words + (key.size() + 7) / 8; }
  static Error too_old() { return Error{Errc::conflict, "reads older than the commits that are remembered"}; }

  template <class Read, class Lost>
  static Result<void> validate_entry(const Ring& ring, std::size_t at, std::uint64_t keys, const Read& read, Timestamp after, Lost&& lost) {
    at += header_words;
    for (std::uint64_t i = 0; i < keys; ++i) {
      const std::uint64_t which = ring.load(at), hash = ring.load(at + 1);
      if (ring.is_overtaken(after)) return too_old();
      const TableId table{static_cast<std::uint32_t>(which & low_half)};
      at += key_header_words;
      if ((which & whole_table) == whole_table) {
        if (read.touches(table)) return Error{Errc::conflict, "reads of a table that was dropped or rewritten since the snapshot; table", number(table)};
        continue;
      }
      const std::size_t bytes = static_cast<std::size_t>(which >> 32), words = (bytes + 7) / 8;
      if (read.may_contain(hash)) {
        std::uint64_t copy[most_key_bytes / 8];
        for (std::size_t word = 0; word < words; ++word) copy[word] = ring.load(at + word);
        if (ring.is_overtaken(after)) return too_old();
        const std::string_view key{reinterpret_cast<const char*>(copy), bytes};
        if (read.contains(table, key)) {
          lost(table, key);
          return Error{Errc::conflict, "reads that were changed since the snapshot; table", number(table)};
        }
      }
      at += words;
    }
    return {};
  }

  /// Where `size` words, at most the capacity, go.
  static std::size_t make_room(Ring& ring, std::size_t size) {
    for (;; forget_one(ring)) {
      if (ring.wrapped) {
        if (size <= ring.begin - ring.end) return ring.end;
      } else {
        if (size <= ring.capacity - ring.end) return ring.end;
        if (size <= ring.begin) {
          if (ring.end < ring.capacity) ring.store(ring.end, wrap_mark);
          ring.wrapped = true;
          return 0;
        }
      }
    }
  }
  static void forget_one(Ring& ring) {
    ring.forgotten.store(ring.words[ring.begin], std::memory_order_release);
    ring.begin += static_cast<std::size_t>(ring.words[ring.begin + 3] >> 32);
    if (--ring.count == 0) {
      ring.begin = ring.end = 0;
      ring.wrapped = false;
    } else if (ring.wrapped && (ring.begin == ring.capacity || ring.words[ring.begin] == wrap_mark)) {
      ring.begin = 0;
      ring.wrapped = false;
    }
  }

  Owned<Ring> ring_;
};

}  // namespace aegis::storage
