// SPDX-License-Identifier: Apache-2.0
// What a stretch of the log changed: the last operation of each key, by table and key. Records lie one behind the other as
// in the log, and sixteen bytes each are ordered: by seven bytes of the keys from the first on that they do not share, what is
// equal in them by the next (the multikey idea of Bentley and Sedgewick, SODA 1997). One thread at a time.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/wal/record.hpp>

#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace aegis::storage {

class RedoWindow {
 public:
  /// Memory grows as records come, up to the bytes of the payloads that were taken and 32 for each record, at most doubled.
  std::size_t bytes() const { return records_.payload().size() + 2 * sizeof(Entry) * count_; }

  /// An insert, update or erase, later than all before. out_of_memory, too_large beyond a gigabyte; then nothing is lost.
  Result<void> add(const LogRecord& record) {
    AEGIS_TRY(make_room());
    const auto at = static_cast<std::uint32_t>(records_.payload().size());
    AEGIS_TRY(records_.add(record.type, record.table, record.key, record.value));
    entries_[count_++] = {0, number(record.table), at};
    return {};
  }

  /// Calls fn(const LogRecord&) -> Result<void> for the last record of each key, by table and key, until one fails.
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    order();
    LogRecord record = count_ != 0 ? record_of(entries_[0]) : LogRecord{}, next;
    for (std::size_t i = 0; i < count_; ++i, record = next) {
      if (i + 1 < count_) {
        next = record_of(entries_[i + 1]);
        if (next.table == record.table && next.key == record.key) continue;
      }
      AEGIS_TRY(fn(std::as_const(record)));
    }
    return {};
  }

  void clear() {
    records_.clear();
    count_ = 0;
  }

 private:
  struct Entry {
    std::uint64_t head;   // of its key, at the depth that is being ordered
    std::uint32_t table;
    std::uint32_t at;     // of its record
  };
  static constexpr std::size_t head_bytes = 7;

  Result<void> make_room() {
    if (count_ < capacity_) return {};
    const std::size_t wanted = capacity_ == 0 ? 1024 : 2 * capacity_;
    Owned<Entry[]> entries{new (std::nothrow) Entry[wanted]}, spare{new (std::nothrow) Entry[wanted]};
    if (!entries || !spare) return Error{Errc::out_of_memory, "window of the redo", 2 * wanted * sizeof(Entry)};
    for (std::size_t i = 0; i < count_; ++i) entries[i] = entries_[i];
    entries_ = std::move(entries);
    spare_ = std::move(spare);
    capacity_ = wanted;
    return {};
  }

  // What add() wrote can be read.
  LogRecord record_of(const Entry& entry) const {
    LogRecord record;
    (void)RecordReader{records_.payload().subspan(entry.at)}.next(record);
    return record;
  }

  void order() {
    merge_sort(entries_.get(), spare_.get(), count_, [](const Entry& a, const Entry& b) { return a.table < b.table; });
    for_each_run(0, count_, [](const Entry& a, const Entry& b) { return a.table == b.table; }, [&](std::size_t from, std::size_t to) { order_keys(from, to, 0); });
  }
  /// [from, to) is of one table, and equal in the first `depth` bytes of its keys, and often in more.
  void order_keys(std::size_t from, std::size_t to, std::size_t depth) {
    depth = common_bytes(from, to, depth);
    for (std::size_t i = from; i < to; ++i) entries_[i].head = head_of(record_of(entries_[i]).key.substr(depth));
    merge_sort(entries_.get() + from, spare_.get(), to - from, [](const Entry& a, const Entry& b) { return a.head < b.head; });
    for_each_run(from, to, [](const Entry& a, const Entry& b) { return a.head == b.head; }, [&](std::size_t first, std::size_t last) {
      const bool goes_on = (entries_[first].head & 0xff) > head_bytes;
      if (goes_on) order_keys(first, last, depth + head_bytes);
    });
  }
  std::size_t common_bytes(std::size_t from, std::size_t to, std::size_t depth) const {
    const std::string_view first = record_of(entries_[from]).key;
    std::size_t common = first.size();
    for (std::size_t i = from + 1; i < to && common > depth; ++i) {
      const std::string_view key = record_of(entries_[i]).key;
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
    for (std::size_t first = from, last; first < to; first = last) {
      for (last = first + 1; last < to && same(entries_[first], entries_[last]);) ++last;
      if (last - first > 1) fn(first, last);
    }
  }

  FrameBuilder records_;              // as they came
  Owned<Entry[]> entries_, spare_;    // one for each of them; room for as many
  std::size_t count_ = 0, capacity_ = 0;
};

}  // namespace aegis::storage
