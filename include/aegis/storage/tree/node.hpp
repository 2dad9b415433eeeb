// SPDX-License-Identifier: Apache-2.0
// A tree node read from a page. Slot 0 holds the two fence keys; the rows follow in key order, without the prefix that
// the fences share, their first four bytes repeated in the slot as head. A node covers the keys from its low fence up to,
// not including, its high fence. Reading is pure and safe on any bytes, also torn ones; answers may then be nonsense.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/limits.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace aegis::storage {

struct Fences {
  std::string_view low;   ///< First key covered; empty is below every other key.
  std::string_view high;  ///< First key not covered; meaningful with has_high.
  bool has_high = false;  ///< False: covers everything from `low` on.

  /// What every key in between begins with.
  std::size_t prefix_bytes() const {
    if (!has_high) return 0;
    std::size_t shared = 0;
    while (shared < low.size() && shared < high.size() && low[shared] == high[shared]) ++shared;
    return shared;
  }
  friend bool operator==(const Fences&, const Fences&) = default;
};

/// Where a descent goes: to the leaf of a key, to the leaf of the keys just below it, or to the last leaf.
struct LeafPosition {
  enum class Side : std::uint8_t { at, below, last };

  std::string_view key;
  Side side = Side::at;

  static LeafPosition at(std::string_view key) { return {key, Side::at}; }
  static LeafPosition below(std::string_view key) { return {key, Side::below}; }
  static LeafPosition first() { return {{}, Side::at}; }
  static LeafPosition last() { return {{}, Side::last}; }

  bool within(const Fences& fences) const {
    switch (side) {
      case Side::at: return compare_keys(fences.low, key) <= 0 && (!fences.has_high || compare_keys(key, fences.high) < 0);
      case Side::below: return compare_keys(fences.low, key) < 0 && (!fences.has_high || compare_keys(key, fences.high) <= 0);
      case Side::last: return !fences.has_high;
    }
    return false;
  }
};

/// The first four bytes of a suffix as a number that orders like them; shorter ones are filled with zeros.
inline std::uint32_t key_head(std::string_view suffix) {
  if (suffix.size() >= 4) return load_be<std::uint32_t>(bytes_of(suffix).data());
  std::uint32_t head = 0;
  for (std::size_t i = 0; i < suffix.size(); ++i) head |= std::uint32_t{static_cast<unsigned char>(suffix[i])} << (24 - 8 * i);
  return head;
}

/// The shortest key s with below < s <= above; a beginning of `above`. Needs below < above.
inline std::string_view shortest_separator(std::string_view below, std::string_view above) {
  std::size_t shared = 0;
  while (shared < below.size() && shared < above.size() && below[shared] == above[shared]) ++shared;
  return above.substr(0, shared + 1);
}

template <std::size_t Size>
class NodeView {
 public:
  struct Found {
    std::size_t row;  ///< The first row not below the key.
    bool exact;       ///< That row is the key.
  };

  explicit NodeView(const Page<Size>& page) : page_(page) {}

  bool is_leaf() const { return page_.type() == PageType::data && page_.level() == 0; }
  bool is_inner() const { return page_.type() == PageType::index && page_.level() > 0; }
  const Page<Size>& page() const { return page_; }

  std::size_t rows() const {
    const std::size_t slots = page_.slot_count();
    return slots == 0 ? 0 : (slots < Page<Size>::max_slots ? slots : Page<Size>::max_slots) - 1;
  }
  std::optional<Bytes> tuple(std::size_t row) const { return page_.at(row + 1); }

  Maybe<Fences> fences() const {
    const auto tuple = page_.at(0);
    if (!tuple || tuple->size() < fence_header_bytes) return std::nullopt;
    const std::size_t low = load_length(tuple->data()), high = load_length(tuple->data() + 2);
    if (fence_header_bytes + low + high > tuple->size()) return std::nullopt;
    const std::string_view text = text_of(*tuple).substr(fence_header_bytes);
    return Fences{text.substr(0, low), text.substr(low, high), std::to_integer<int>((*tuple)[4]) != 0};
  }

  /// The head in a row's slot. Needs row < max_slots - 1, which rows() sees to.
  std::uint32_t head(std::size_t row) const { return load_le<std::uint32_t>(page_.bytes().data() + PageLayout::slots + (row + 1) * page_slot_bytes); }
  /// A row's key without the node's prefix.
  std::optional<std::string_view> suffix(std::size_t row) const {
    const auto bytes = tuple(row);
    if (!bytes) return std::nullopt;
    if (is_leaf()) return LeafCell::suffix_of(*bytes);
    if (bytes->size() < child_bytes) return std::nullopt;
    return text_of(bytes->subspan(child_bytes));
  }
  Maybe<LeafCell> cell(std::size_t row) const {
    const auto bytes = tuple(row);
    return bytes ? LeafCell::decode(*bytes) : std::nullopt;
  }

  /// Children are numbered from 0; child i + 1 covers the keys from row i's on.
  std::size_t children() const { return rows() + 1; }
  Maybe<PageId> child(std::size_t index) const {
    if (index == 0) return PageId{page_.link()};
    const auto bytes = tuple(index - 1);
    if (!bytes || bytes->size() < child_bytes) return std::nullopt;
    return PageId{load_le<std::uint64_t>(bytes->data())};
  }
  /// Needs a position within the fences.
  std::size_t child_index(const LeafPosition& position) const {
    if (position.side == LeafPosition::Side::last) return rows();
    const Found found = search(position.key);
    return found.row + (found.exact && position.side == LeafPosition::Side::at ? 1 : 0);
  }

  /// Needs a key within the fences, or the high fence itself: it has the node's prefix then.
  Found search(std::string_view key) const {
    const std::size_t prefix = page_.prefix_bytes();
    if (key.size() < prefix) return {0, false};
    const std::string_view wanted = key.substr(prefix);
    const std::uint32_t wanted_head = key_head(wanted);
    const std::size_t count = rows();
    std::size_t low = lower_bound(wanted_head, count);
    if (low == count || head(low) != wanted_head) return {low, false};
    std::size_t high = low + 1;
    if (high < count && head(high) == wanted_head) high = wanted_head == ~std::uint32_t{0} ? count : lower_bound(wanted_head + 1, count);
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      const auto found = suffix(middle);
      if (!found) return {0, false};
      const auto order = compare_keys(*found, wanted);
      if (order == 0) return {middle, true};
      if (order < 0)
        low = middle + 1;
      else
        high = middle;
    }
    return {low, false};
  }

  /// Puts a row's whole key together in `buffer`, which has room for max_key_bytes(Size). Nullopt on broken bytes.
  std::optional<std::string_view> key(std::size_t row, char* buffer) const {
    const auto all = fences();
    const auto tail = suffix(row);
    const std::size_t prefix = page_.prefix_bytes();
    if (!all || !tail || prefix > all->low.size() || prefix + tail->size() > max_key_bytes(Size)) return std::nullopt;
    if (prefix != 0) std::memcpy(buffer, all->low.data(), prefix);
    if (!tail->empty()) std::memcpy(buffer + prefix, tail->data(), tail->size());
    return std::string_view{buffer, prefix + tail->size()};
  }

  /// Fences, rows and whole keys can be taken apart without looking again. Linear.
  bool decodable() const;
  /// Besides, heads match, rows are in order, the prefix is the fences'. Linear; what a page's own
  /// validate() cannot know.
  bool well_formed() const;

 private:
  std::size_t lower_bound(std::uint32_t wanted, std::size_t count) const {
    std::size_t base = 0;
    for (; count > 1; count -= count / 2) base += head(base + count / 2 - 1) < wanted ? count / 2 : 0;
    return base + (count == 1 && head(base) < wanted ? 1 : 0);
  }

  const Page<Size>& page_;
};

template <std::size_t Size>
bool NodeView<Size>::decodable() const {
  const auto all = fences();
  const bool leaf = is_leaf();
  const std::size_t prefix = page_.prefix_bytes();
  if ((!leaf && !is_inner()) || !all || prefix > all->low.size() || prefix > max_key_bytes(Size)) return false;
  const std::size_t longest = max_key_bytes(Size) - prefix;
  for (std::size_t i = 0, count = rows(); i < count; ++i) {
    const auto bytes = tuple(i);
    if (!bytes) return false;
    if (leaf) {
      const auto row = LeafCell::decode(*bytes);
      if (!row || row->suffix.size() > longest) return false;
    } else if (bytes->size() < child_bytes || bytes->size() - child_bytes > longest) {
      return false;
    }
  }
  return true;
}

template <std::size_t Size>
bool NodeView<Size>::well_formed() const {
  if (!decodable()) return false;
  const auto all = fences();
  if (all->low.size() > max_key_bytes(Size) || all->high.size() > max_key_bytes(Size)) return false;
  if (all->has_high && compare_keys(all->low, all->high) >= 0) return false;
  const std::size_t prefix = page_.prefix_bytes();
  if (prefix != all->prefix_bytes()) return false;
  std::size_t ghosts = 0;
  std::optional<std::string_view> before;
  for (std::size_t i = 0, count = rows(); i < count; ++i) {
    const auto now = suffix(i);
    if (!now || head(i) != key_head(*now)) return false;
    if (before && compare_keys(*before, *now) >= 0) return false;
    if (is_leaf() && cell(i)->value.kind == RowKind::ghost) ++ghosts;
    before = now;
  }
  const std::string_view low = all->low.substr(prefix), high = all->has_high ? all->high.substr(prefix) : std::string_view{};
  if (rows() > 0 && (compare_keys(low, *suffix(0)) > 0 || (all->has_high && compare_keys(*before, high) >= 0))) return false;
  return ghosts == page_.ghost_count();
}

}  // namespace aegis::storage
