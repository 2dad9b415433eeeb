// SPDX-License-Identifier: Apache-2.0
// What a stretch of the log changed: the last operation of each key, by table and key. Records lie one behind the other as
// in the log, and sixteen bytes each are ordered: by seven bytes of the keys from the first on that they do not share, what is
// equal in them by the next (the multikey idea of Bentley and Sedgewick, SODA 1997). One thread at a time.
#pragma once

#include <aegis/storage/buffer/arena.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/wal/record.hpp>

#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace aegis::storage {

class RedoWindow {
 public:
  /// Memory for each record besides its own bytes.
  static constexpr std::size_t record_cost = 32;

  /// A window of so many bytes, below 4 GiB; memory is touched as records come. out_of_memory.
  static Result<RedoWindow> open(std::size_t bytes) {
    RedoWindow window;
    AEGIS_TRY(window.memory_, Arena::map(bytes));
    window.capacity_ = bytes;
    return window;
  }
  RedoWindow() = default;  ///< No room for anything.

  bool empty() const { return count_ == 0; }

  /// An insert, update or erase, later than all before, as RecordReader gave it. False: no room, and nothing changed.
  bool add(const LogRecord& record) {
    const std::size_t needed = record.encoded.size() + record_cost * (count_ + 1) + alignof(Entry);
    if (needed > capacity_ - size_) return false;
    std::memcpy(memory_.data() + size_, record.encoded.data(), record.encoded.size());
    size_ += record.encoded.size();
    ++count_;
    return true;
  }

  /// Before for_each(); nothing can be added then until clear().
  void order() {
    if (count_ == 0 || entries_ != nullptr) return;
    find_records();
    merge_sort(entries_, entries_ + count_, count_, [](const Entry& a, const Entry& b) { return a.table < b.table; });
    for_each_run(0, count_, [](const Entry& a, const Entry& b) { return a.table == b.table; }, [&](std::size_t from, std::size_t to) { order_keys(from, to, 0); });
  }

  /// Calls fn(const LogRecord&) -> Result<void> for the last record of each key, by table and key, until one fails.
  template <class Fn>
  Result<void> for_each(Fn&& fn) const {
    LogRecord record = count_ != 0 ? record_at(entries_[0].at) : LogRecord{}, next;
    for (std::size_t i = 0; i < count_; ++i, record = next) {
      if (i + lookahead < count_) prefetch(entries_[i + lookahead]);
      if (i + 1 < count_) {
        next = record_at(entries_[i + 1].at);
        if (next.table == record.table && next.key == record.key) continue;
      }
      AEGIS_TRY(fn(std::as_const(record)));
    }
    return {};
  }

  void clear() {
    size_ = count_ = 0;
    entries_ = nullptr;
  }

 private:
  struct Entry {
    std::uint64_t head;   // of its key, at the depth that is being ordered
    std::uint32_t table;
    std::uint32_t at;     // of its record
  };
  static_assert(2 * sizeof(Entry) == record_cost);
  static constexpr std::size_t head_bytes = 7;
  static constexpr std::size_t lookahead = 16;  // records that are on their way to the processor while one is worked on

  // What add() took can be read.
  LogRecord record_at(std::size_t at) const {
    LogRecord record;
    (void)RecordReader{Bytes{memory_.data() + at, size_ - at}}.next(record);
    return record;
  }
  // Records lie as they came, and are wanted by key.
  void prefetch(const Entry& entry) const {
    for (std::size_t line = 0; line < 192; line += 64) __builtin_prefetch(memory_.data() + entry.at + line);
  }

  /// Entries, and as much spare room, lie behind the records.
  void find_records() {
    const std::size_t first = (size_ + alignof(Entry) - 1) / alignof(Entry) * alignof(Entry);
    entries_ = ::new (memory_.data() + first) Entry[2 * count_];
    std::size_t at = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const LogRecord record = record_at(at);
      entries_[i] = {0, number(record.table), static_cast<std::uint32_t>(at)};
      at += record.encoded.size();
    }
  }
  /// [from, to) is of one table, and equal in the first `depth` bytes of its keys, and often in more.
  void order_keys(std::size_t from, std::size_t to, std::size_t depth) {
    depth = common_bytes(from, to, depth);
    for (std::size_t i = from; i < to; ++i) entries_[i].head = head_of(record_at(entries_[i].at).key.substr(depth));
    merge_sort(entries_ + from, entries_ + count_, to - from, [](const Entry& a, const Entry& b) { return a.head < b.head; });
    for_each_run(from, to, [](const Entry& a, const Entry& b) { return a.head == b.head; }, [&](std::size_t first, std::size_t last) {
      const bool goes_on = (entries_[first].head & 0xff) > head_bytes;
      if (goes_on) order_keys(first, last, depth + head_bytes);
    });
  }
  std::size_t common_bytes(std::size_t from, std::size_t to, std::size_t depth) const {
    const std::string_view first = record_at(entries_[from].at).key;
    std::size_t common = first.size();
    for (std::size_t i = from + 1; i < to && common > depth; ++i) {
      const std::string_view key = record_at(entries_[i].at).key;
      common = std::min(common, key.size());
      if (std::memcmp(first.data() + depth, key.data() + depth, common - depth) == 0) continue;
      for (std::size_t at = depth; at < common; ++at)
        if (first[at] != key[at]) common = at;
    }
    return common;
  }
  /// Seven bytes, then how many there are of them, or eight when there are more: so a key comes before all that it begins.
  static std::uint64_t head_of(std::string_view rest) {
    std::uint64_t head = 0;
    for (std::size_t i = 0; i < head_bytes; ++i) head = head << 8 | (i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0);
    return head << 8 | std::min(rest.size(), head_bytes + 1);
  }
  /// fn(first, last) for every longest run of two or more that are all the same.
  template <class Same, class Fn>
  void for_each_run(std::size_t from, std::size_t to, Same&& same, Fn&& fn) {
    std::size_t ahead = from;
    for (std::size_t first = from, last; first < to; first = last) {
      for (last = first + 1; last < to && same(entries_[first], entries_[last]);) ++last;
      if (last - first < 2) continue;
      for (; ahead < to && ahead < last + lookahead; ++ahead) prefetch(entries_[ahead]);
      fn(first, last);
    }
  }

  Arena memory_;                       // the records as they came, size_ bytes; then what orders them
  std::size_t capacity_ = 0, size_ = 0;
  std::size_t count_ = 0;              // of records; record_cost bytes are kept for each
  Entry* entries_ = nullptr;           // null until they are in order; behind them spare room for as many
};

}  // namespace aegis::storage
