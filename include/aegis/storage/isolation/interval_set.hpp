// SPDX-License-Identifier: Apache-2.0
// What a transaction read: keys, and intervals of keys. It never forgets: beyond its limit of bytes, or without memory, it
// merges neighbours, at worst whole tables, at worst everything. A key costs a hash probe, a scan is one interval however
// long it is, and nothing grows by being noted twice. Small memory is kept for the next transaction. One thread at a time.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/isolation/point_set.hpp>
#include <aegis/storage/isolation/policy.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>

namespace aegis::storage {

class IntervalSet {
 public:
  static constexpr std::size_t default_limit_bytes = std::size_t{1} << 20;

  IntervalSet() : IntervalSet(default_limit_bytes) {}
  explicit IntervalSet(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  IntervalSet(const IntervalSet&) = delete;
  IntervalSet& operator=(const IntervalSet&) = delete;

  Result<void> note_point(TableId table, std::string_view key) {
    if (everything_ || in_interval(table, key)) return {};
    const std::uint64_t hash = PointSet::hash_of(table, key);
    if (points_.contains(hash, table, key) || add_point(hash, table, key)) return {};
    coarsen();
    if (!everything_ && !add_point(hash, table, key)) note_everything();
    return {};
  }
  Result<void> note_range(TableId table, const KeyInterval& wanted) {
    if (everything_ || is_empty(wanted) || extend(table, wanted) || add_range(table, wanted)) return {};
    coarsen();
    if (!everything_ && !add_range(table, wanted)) note_everything();
    return {};
  }
  void note_everything() {
    clear();
    everything_ = true;
  }
  void clear() {
    points_.clear();
    count_ = text_used_ = hot_ = 0;
    everything_ = false;
    if (memory() > kept_bytes) release();
  }

  bool empty() const { return !everything_ && points_.size() == 0 && count_ == 0; }
  bool contains(TableId table, std::string_view key) const {
    return everything_ || points_.contains(PointSet::hash_of(table, key), table, key) || in_interval(table, key);
  }
  /// False: it does not contain the key of this PointSet::hash_of.
  bool may_contain(std::uint64_t hash) const { return everything_ || count_ != 0 || points_.may_contain(hash); }
  /// Whether it contains any key of the table.
  bool touches(TableId table) const {
    bool found = everything_;
    for (std::size_t i = 0; i < count_; ++i) found = found || intervals_[i].table == table;
    points_.for_each([&](TableId of, std::string_view) { found = found || of == table; });
    return found;
  }

  std::size_t points() const { return points_.size(); }
  std::size_t intervals() const { return count_; }
  bool is_everything() const { return everything_; }
  std::size_t memory() const { return points_.memory() + room_ * sizeof(Interval) + text_room_; }

 private:
  static constexpr std::size_t kept_bytes = std::size_t{16} << 10;

  struct Bound {
    std::uint32_t at, bytes, room;  // in the text
  };
  struct Interval {
    TableId table;
    bool endless, closed;  // endless: `to` means nothing; closed: `to` is part of it
    Bound from, to;
  };
  struct Noted {  // an interval while the set is made smaller
    TableId table;
    KeyInterval keys;
  };

  static bool is_empty(const KeyInterval& keys) {
    if (!keys.to) return false;
    const auto order = compare_keys(keys.from, *keys.to);
    return order > 0 || (order == 0 && !keys.closed);
  }
  /// The upper end of `a` is below that of `b`.
  static bool ends_before(const KeyInterval& a, const KeyInterval& b) {
    if (!a.to || !b.to) return a.to.has_value();
    const auto order = compare_keys(*a.to, *b.to);
    return order < 0 || (order == 0 && !a.closed && b.closed);
  }
  /// The upper end is not below the key; it may touch the key without containing it.
  static bool reaches(const KeyInterval& keys, std::string_view key) { return !keys.to || compare_keys(*keys.to, key) >= 0; }

  std::string_view text(const Bound& bound) const { return {text_.get() + bound.at, bound.bytes}; }
  KeyInterval keys_of(const Interval& interval) const {
    return {text(interval.from), interval.endless ? std::optional<std::string_view>{} : text(interval.to), interval.closed};
  }
  bool reaches(std::size_t at, TableId table, std::string_view key) const {
    const Interval& interval = intervals_[at];
    return interval.table == table ? interval.endless || compare_keys(text(interval.to), key) >= 0 : interval.table > table;
  }
  std::size_t first_reaching(TableId table, std::string_view key) const {
    if (hot_ < count_ && reaches(hot_, table, key) && (hot_ == 0 || !reaches(hot_ - 1, table, key))) return hot_;
    std::size_t low = 0, high = count_;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (reaches(middle, table, key)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
  bool in_interval(TableId table, std::string_view key) const {
    if (count_ == 0) return false;
    const std::size_t at = first_reaching(table, key);
    if (at == count_ || intervals_[at].table != table) return false;
    const KeyInterval keys = keys_of(intervals_[at]);
    return compare_keys(keys.from, key) <= 0 && (!keys.to || keys.closed || compare_keys(*keys.to, key) > 0);
  }

  bool add_point(std::uint64_t hash, TableId table, std::string_view key) {
    const std::size_t others = memory() - points_.memory();
    return others <= limit_bytes_ && points_.add(hash, table, key, limit_bytes_ - others);
  }
  /// A scan's next step: what is wanted begins where the hot interval ends. False: that is not so, or it is more than that.
  bool extend(TableId table, const KeyInterval& wanted) {
    if (hot_ >= count_ || !wanted.to) return false;
    Interval& hot = intervals_[hot_];
    if (hot.table != table || hot.endless || text(hot.to) != wanted.from) return false;
    if (hot_ + 1 < count_ && intervals_[hot_ + 1].table == table && reaches(wanted, text(intervals_[hot_ + 1].from))) return false;
    if (!set(hot.to, *wanted.to)) return false;
    hot.closed = wanted.closed;
    return true;
  }
  bool add_range(TableId table, const KeyInterval& wanted) {
    const std::size_t first = first_reaching(table, wanted.from);
    std::size_t last = first;  // [first, last) overlap or touch what is wanted
    while (last < count_ && intervals_[last].table == table && reaches(wanted, text(intervals_[last].from))) ++last;
    hot_ = first;
    if (first == last) return insert(first, table, wanted);
    Interval& joined = intervals_[first];
    if (compare_keys(wanted.from, text(joined.from)) < 0 && !set(joined.from, wanted.from)) return false;
    if (const Interval& furthest = intervals_[last - 1]; !ends_before(keys_of(furthest), wanted)) {
      joined.to = furthest.to, joined.endless = furthest.endless, joined.closed = furthest.closed;
    } else {
      if (wanted.to && !set(joined.to, *wanted.to)) return false;
      joined.endless = !wanted.to, joined.closed = wanted.closed;
    }
    if (last == first + 1) return true;
    std::memmove(&intervals_[first + 1], &intervals_[last], (count_ - last) * sizeof(Interval));
    count_ -= last - first - 1;
    return true;
  }
  bool insert(std::size_t at, TableId table, const KeyInterval& wanted) {
    Interval fresh{table, !wanted.to, wanted.closed, {}, {}};
    if (!widen(intervals_, room_, count_, count_ + 1) || !set(fresh.from, wanted.from)) return false;
    if (wanted.to && !set(fresh.to, *wanted.to)) return false;
    std::memmove(&intervals_[at + 1], &intervals_[at], (count_ - at) * sizeof(Interval));
    intervals_[at] = fresh;
    ++count_;
    return true;
  }
  /// In place if there is room; a bound that moves on and on gets more each time.
  bool set(Bound& bound, std::string_view key) {
    if (key.size() > bound.room) {
      const std::size_t room = key.size() > 2 * std::size_t{bound.room} ? key.size() : 2 * std::size_t{bound.room};
      if (!widen(text_, text_room_, text_used_, text_used_ + room)) return false;
      bound.at = static_cast<std::uint32_t>(text_used_), bound.room = static_cast<std::uint32_t>(room);
      text_used_ += room;
    }
    if (!key.empty()) std::memcpy(text_.get() + bound.at, key.data(), key.size());
    bound.bytes = static_cast<std::uint32_t>(key.size());
    return true;
  }
  template <class T>
  bool widen(Owned<T[]>& items, std::size_t& room, std::size_t used, std::size_t needed) {
    if (needed <= room) return true;
    std::size_t wanted = room == 0 ? 256 / sizeof(T) : 2 * room;
    if (wanted < needed) wanted = needed;
    if (memory() + (wanted - room) * sizeof(T) > limit_bytes_ || wanted > ~std::uint32_t{0}) return false;
    Owned<T[]> wider{new (std::nothrow) T[wanted]};
    if (!wider) return false;
    if (used != 0) std::memcpy(wider.get(), items.get(), used * sizeof(T));
    items.swap(wider);
    room = wanted;
    return true;
  }
  void release() {
    points_.release();
    intervals_.reset();
    text_.reset();
    count_ = room_ = text_used_ = text_room_ = hot_ = 0;
  }

  /// Makes intervals of all points and joins neighbours of a table until a quarter of the limit holds them, so that it is
  /// long until the next time.
  void coarsen() {
    const std::size_t all = count_ + points_.size(), enough = limit_bytes_ / 4;
    const Owned<Noted[]> sorted{new (std::nothrow) Noted[all + 1]};
    if (!sorted) return note_everything();
    Noted* to = sorted.get();
    for (std::size_t i = 0; i < count_; ++i) *to++ = Noted{intervals_[i].table, keys_of(intervals_[i])};
    points_.for_each([&](TableId table, std::string_view key) { *to++ = Noted{table, {key, key, true}}; });
    sort(sorted.get(), all, [](const Noted& a, const Noted& b) {
      return a.table != b.table ? a.table < b.table : compare_keys(a.keys.from, b.keys.from) < 0;
    });
    std::size_t kept = join(sorted.get(), all, false);
    for (std::size_t before = all + 1; kept < before && bytes_of(sorted.get(), kept) > enough; kept = join(sorted.get(), kept, true)) before = kept;
    if (bytes_of(sorted.get(), kept) > enough)
      for (std::size_t i = 0; i < kept; ++i) sorted[i].keys = {};  // whole tables
    if (bytes_of(sorted.get(), kept) > enough || !rebuild(sorted.get(), kept)) note_everything();
  }
  static std::size_t bytes_of(const Noted* noted, std::size_t count) {
    std::size_t bytes = count * sizeof(Interval);
    for (std::size_t i = 0; i < count; ++i) bytes += noted[i].keys.from.size() + (noted[i].keys.to ? noted[i].keys.to->size() : 0);
    return bytes;
  }
  /// Joins what overlaps or touches and, if asked, each with its next neighbour; how many remain.
  static std::size_t join(Noted* items, std::size_t count, bool pairs) {
    std::size_t kept = 0;
    bool alone = false;  // the last one kept may take a neighbour
    for (std::size_t i = 0; i < count; ++i) {
      const bool same = kept != 0 && items[kept - 1].table == items[i].table;
      const bool meets = same && reaches(items[kept - 1].keys, items[i].keys.from);
      if (!meets && !(same && pairs && alone)) {
        items[kept++] = items[i];
        alone = true;
        continue;
      }
      alone = alone && meets;
      KeyInterval& into = items[kept - 1].keys;
      if (ends_before(into, items[i].keys)) into.to = items[i].keys.to, into.closed = items[i].keys.closed;
    }
    return kept;
  }
  /// The set is these, and no point; in memory of its size.
  bool rebuild(const Noted* kept, std::size_t count) {
    const std::size_t bytes = bytes_of(kept, count) - count * sizeof(Interval);
    Owned<char[]> text{new (std::nothrow) char[bytes]};
    Owned<Interval[]> intervals{new (std::nothrow) Interval[count]};
    if (!text || !intervals) return false;
    std::uint32_t used = 0;
    const auto copied = [&](std::string_view key) {
      if (!key.empty()) std::memcpy(text.get() + used, key.data(), key.size());
      const auto size = static_cast<std::uint32_t>(key.size());
      used += size;
      return Bound{used - size, size, size};
    };
    for (std::size_t i = 0; i < count; ++i) {
      const KeyInterval& keys = kept[i].keys;
      const Bound from = copied(keys.from);
      intervals[i] = Interval{kept[i].table, !keys.to, keys.closed, from, keys.to ? copied(*keys.to) : Bound{}};
    }
    release();
    points_.clear();
    text_.swap(text);
    intervals_.swap(intervals);
    text_used_ = bytes, text_room_ = bytes, count_ = room_ = count;
    return true;
  }

  PointSet points_;
  Owned<Interval[]> intervals_; // by table and key; they do not overlap or touch
  Owned<char[]> text_;          // of their bounds
  std::size_t count_ = 0, room_ = 0, text_used_ = 0, text_room_ = 0;
  std::size_t hot_ = 0;         // the interval that a scan extends, to be tried first
  std::size_t limit_bytes_;     // bounds memory()
  bool everything_ = false;
};

}  // namespace aegis::storage
