// SPDX-License-Identifier: Apache-2.0
// One leaf, copied whole and validated, to walk without a latch while others change the original. Everything it hands
// out lies in the copy and stays until the next copy. One thread at a time.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/node.hpp>

#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

namespace aegis::storage {

template <std::size_t PageSize>
class LeafCopy {
 public:
  bool loaded() const { return loaded_; }
  std::size_t size() const { return loaded_ ? view().rows() : 0; }
  /// The rows [begin_row(), end_row()) lie on the asked side of the position that the copy was made for. A leaf reached
  /// by going on from another may, after a merge, begin with rows that were passed already: these do not count.
  std::size_t begin_row() const { return begin_; }
  std::size_t end_row() const { return end_; }
  std::size_t ghosts() const { return loaded_ ? page_.ghost_count() : 0; }
  /// No row of the leaf was changed by a later commit.
  Timestamp newest() const { return page_.newest(); }

  /// All keys of the table from `low` up to, not including, `high` are here.
  std::string_view low() const { return fences().low; }
  std::string_view high() const { return fences().high; }
  bool is_first() const { return fences().low.empty(); }
  bool is_last() const { return !fences().has_high; }

  /// A row; its key in a buffer that the next call of row() or key() overwrites.
  struct Row {
    std::string_view key;
    StoredValue value;
  };
  Row row(std::size_t index) {
    const LeafCell cell = decoded(index);
    copy_bytes({reinterpret_cast<std::byte*>(key_) + prefix_, cell.suffix.size()}, bytes_of(cell.suffix));
    return {{key_, prefix_ + cell.suffix.size()}, cell.value};
  }
  std::string_view key(std::size_t index) { return row(index).key; }
  StoredValue value(std::size_t index) const { return decoded(index).value; }

  /// The first row at or behind the key, size() if there is none. Any key.
  std::size_t lower_bound(std::string_view key) const {
    if (!loaded_) return 0;
    const Fences range = fences();
    if (compare_keys(key, range.low) <= 0) return 0;
    if (range.has_high && compare_keys(key, range.high) >= 0) return size();
    return view().search(key).row;
  }
  Maybe<std::size_t> find(std::string_view key) const {
    if (!loaded_ || !LeafPosition::at(key).within(fences())) return std::nullopt;
    const auto found = view().search(key);
    if (!found.exact) return std::nullopt;
    return found.row;
  }

  void clear() {
    loaded_ = false;
    begin_ = end_ = 0;
  }

  // For the tree that fills it.

  Page<PageSize>& page() { return page_; }
  bool accept(PageId id, const LeafPosition& position) {
    id_ = id;
    loaded_ = view().is_leaf() && view().decodable();
    if (loaded_) {
      prefix_ = page_.prefix_bytes();
      copy_bytes({reinterpret_cast<std::byte*>(key_), prefix_}, bytes_of(fences().low.substr(0, prefix_)));
    }
    begin_ = loaded_ && position.side == LeafPosition::Side::at ? lower_bound(position.key) : 0;
    end_ = loaded_ && position.side == LeafPosition::Side::below ? lower_bound(position.key) : size();
    return loaded_;
  }
  /// `position` may point into this copy; the answer does not, and stays until the next call.
  LeafPosition keep(const LeafPosition& position) {
    clear();
    const std::size_t bytes = position.key.size() < sizeof position_ ? position.key.size() : sizeof position_;
    if (bytes != 0) std::memmove(position_, position.key.data(), bytes);
    return {{position_, bytes}, position.side};
  }

 private:
  NodeView<PageSize> view() const { return NodeView<PageSize>{page_}; }
  LeafCell decoded(std::size_t index) const {
    const auto cell = view().cell(index);
    AEGIS_ASSERT(cell.has_value());
    return *cell;
  }
  Fences fences() const {
    AEGIS_ASSERT(loaded_);
    return *view().fences();
  }

  Page<PageSize> page_;  // every row can be decoded while loaded_
  PageId id_{};
  bool loaded_ = false;
  std::size_t begin_ = 0, end_ = 0;  // begin_ <= end_ <= size()
  std::size_t prefix_ = 0;  // of key_, the same for every row
  char key_[max_key_bytes(PageSize)];
  char position_[max_key_bytes(PageSize) + 1];  // one more than a key, so that a longer one keeps its order when cut
};

}  // namespace aegis::storage
