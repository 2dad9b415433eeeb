// SPDX-License-Identifier: Apache-2.0
// A slotted page: tuples of any bytes, found by slot. One implementation for heap tuples (slots stay) and for tree
// nodes (slots are kept in order). Reading is safe on any bytes, also while another thread changes them: what comes back
// may then be nonsense, but never lies outside the page. Changing needs exclusive access and a page that validates.
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/page/format.hpp>
#include <aegis/storage/page/validate.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace aegis::storage {

/// Bytes handed to a changing call must not lie in the page itself.
template <std::size_t Size>
class Page {
  static_assert(Size >= 4096 && Size <= 65536 && (Size & (Size - 1)) == 0, "a page has 4, 8, 16, 32 or 64 KiB");

 public:
  static constexpr std::size_t size_bytes = Size;
  static constexpr std::size_t max_slots = (Size - PageLayout::slots) / page_slot_bytes;
  static constexpr std::size_t max_tuple_bytes = Size - PageLayout::slots - page_slot_bytes;  ///< What an empty page takes.

  /// Makes it an empty page; every header field is set.
  void format(PageType type, TableId owner, std::uint8_t level = 0) {
    std::memset(bytes_, 0, PageLayout::slots);
    bytes_[PageLayout::type] = static_cast<std::byte>(type);
    bytes_[PageLayout::level] = static_cast<std::byte>(level);
    set32(PageLayout::owner, number(owner));
    set32(PageLayout::heap_begin, Size);
  }

  PageType type() const { return static_cast<PageType>(bytes_[PageLayout::type]); }
  std::uint8_t level() const { return static_cast<std::uint8_t>(bytes_[PageLayout::level]); }
  TableId owner() const { return TableId{get32(PageLayout::owner)}; }
  std::uint16_t slot_count() const { return get16(PageLayout::slot_count); }
  std::uint16_t ghost_count() const { return get16(PageLayout::ghost_count); }
  std::uint16_t prefix_bytes() const { return get16(PageLayout::prefix_bytes); }
  std::uint64_t link() const { return load_le<std::uint64_t>(bytes_ + PageLayout::link); }
  Timestamp newest() const { return Timestamp{load_le<std::uint64_t>(bytes_ + PageLayout::newest)}; }

  void add_ghosts(int change) { set16(PageLayout::ghost_count, static_cast<std::uint16_t>(ghost_count() + change)); }
  void set_prefix_bytes(std::uint16_t bytes) { set16(PageLayout::prefix_bytes, bytes); }
  void set_link(std::uint64_t link) { store_le<std::uint64_t>(bytes_ + PageLayout::link, link); }
  void set_newest(Timestamp timestamp) { store_le<std::uint64_t>(bytes_ + PageLayout::newest, number(timestamp)); }

  /// What one insert may use, its slot included, after the page was compacted.
  std::size_t free_bytes() const { return gap_bytes() + get32(PageLayout::reclaimable); }

  /// The tuple of a slot; nullopt for a free slot and for one that does not exist or points out of the page.
  std::optional<Bytes> read(std::size_t slot) const {
    const auto found = locate(slot);
    if (!found) return std::nullopt;
    return Bytes{bytes_ + found->offset, found->length};
  }
  std::optional<Bytes> at(std::size_t i) const { return read(i); }
  std::uint32_t head(std::size_t i) const { return i < max_slots ? static_cast<std::uint32_t>(slot_word(i)) : 0; }
  /// The room of an existing tuple, to change it in place; empty when there is no such tuple.
  MutableBytes mutable_at(std::size_t i) {
    const auto found = locate(i);
    if (!found) return {};
    return {bytes_ + found->offset, found->length};
  }
  void set_head(std::size_t i, std::uint32_t head) { store_le(bytes_ + PageLayout::slots + i * page_slot_bytes, head); }

  // Heap use: a tuple keeps its slot for life, the slot of an erased one is used again.

  /// The new tuple's slot; nullopt: it does not fit now, nothing changed; too_large: it never will.
  Result<std::optional<std::uint16_t>> insert(Bytes tuple) {
    if (tuple.size() > max_tuple_bytes) return Error{Errc::too_large, "tuple of bytes", tuple.size()};
    const std::size_t count = slot_count();
    std::size_t slot = 0;
    while (slot < count && slot_word(slot) != 0) ++slot;
    if (tuple.size() + (slot == count ? page_slot_bytes : 0) > free_bytes()) return std::optional<std::uint16_t>{};
    if (slot == count) open_slot(slot, tuple.size());
    place(slot, 0, tuple);
    return std::optional{static_cast<std::uint16_t>(slot)};
  }
  /// Grows or shrinks in place. False: it does not fit now, nothing changed. too_large, or invalid_argument for a free or bad slot.
  Result<bool> update(std::uint16_t slot, Bytes tuple) {
    if (tuple.size() > max_tuple_bytes) return Error{Errc::too_large, "tuple of bytes", tuple.size()};
    if (!locate(slot)) return Error{Errc::invalid_argument, "page slot", slot};
    return replace_at(slot, tuple);
  }
  /// Frees slot and bytes. invalid_argument for a free or bad slot.
  Result<void> erase(std::uint16_t slot) {
    if (!locate(slot)) return Error{Errc::invalid_argument, "page slot", slot};
    give_back(slot);
    std::size_t count = slot_count();
    while (count > 0 && slot_word(count - 1) == 0) --count;
    set16(PageLayout::slot_count, static_cast<std::uint16_t>(count));
    return {};
  }

  // Ordered use: slots shift, none is ever free. Do not mix with heap use on one page.

  /// False: it does not fit, nothing changed. `at` is at most slot_count().
  bool insert_at(std::size_t at, std::uint32_t head, Bytes tuple) {
    AEGIS_ASSERT(at <= slot_count());
    if (tuple.size() + page_slot_bytes > free_bytes()) return false;
    open_slot(at, tuple.size());
    place(at, head, tuple);
    return true;
  }
  /// Another tuple under the same slot and head. False: it does not fit, nothing changed.
  bool replace_at(std::size_t at, Bytes tuple) {
    const auto old = locate(at);
    AEGIS_ASSERT(old.has_value());
    if (tuple.size() > free_bytes() + old->length) return false;
    const std::uint32_t kept = head(at);
    if (tuple.size() <= old->length && !tuple.empty()) {
      std::memcpy(bytes_ + old->offset, tuple.data(), tuple.size());
      set32(PageLayout::reclaimable, get32(PageLayout::reclaimable) + static_cast<std::uint32_t>(old->length - tuple.size()));
      set_slot(at, kept, old->offset, tuple.size());
      return true;
    }
    give_back(at);
    place(at, kept, tuple);
    return true;
  }
  void remove_at(std::size_t at) {
    AEGIS_ASSERT(at < slot_count());
    give_back(at);
    const std::size_t behind = slot_count() - at - 1;
    std::byte* slot = bytes_ + PageLayout::slots + at * page_slot_bytes;
    std::memmove(slot, slot + page_slot_bytes, behind * page_slot_bytes);
    set16(PageLayout::slot_count, static_cast<std::uint16_t>(slot_count() - 1));
  }

  /// Makes all free room one piece. Slots keep their numbers.
  void compact() {
    alignas(64) std::byte old[Size];
    std::size_t heap = get32(PageLayout::heap_begin);
    std::memcpy(old + heap, bytes_ + heap, Size - heap);
    heap = Size;
    for (std::size_t i = 0, count = slot_count(); i < count; ++i) {
      const auto found = locate(i);
      if (!found || found->length == 0) continue;
      heap -= found->length;
      std::memcpy(bytes_ + heap, old + found->offset, found->length);
      set_slot(i, head(i), heap, found->length);
    }
    set32(PageLayout::heap_begin, static_cast<std::uint32_t>(heap));
    set32(PageLayout::reclaimable, 0);
  }

  /// Proves that every offset lies in bounds and no two tuples overlap; corrupt_page otherwise. Tuple bytes are not its business.
  Result<void> validate(PageId id) const { return validate_page(bytes(), id); }

  std::span<std::byte, Size> bytes() { return std::span<std::byte, Size>{bytes_}; }
  std::span<const std::byte, Size> bytes() const { return std::span<const std::byte, Size>{bytes_}; }

  /// The whole page into `to` (Size bytes), with its free gap as zeros: deleted data is not written again and compresses to nothing.
  void copy_image(std::byte* to) const {
    const std::size_t low = PageLayout::slots + slot_count() * page_slot_bytes, high = low + gap_bytes();
    AEGIS_ASSERT(high <= Size);
    std::memcpy(to, bytes_, low);
    std::memset(to + low, 0, high - low);
    std::memcpy(to + high, bytes_ + high, Size - high);
  }

 private:
  struct Place {
    std::size_t offset, length;
  };

  std::uint16_t get16(std::size_t at) const { return load_le<std::uint16_t>(bytes_ + at); }
  std::uint32_t get32(std::size_t at) const { return load_le<std::uint32_t>(bytes_ + at); }
  void set16(std::size_t at, std::uint16_t value) { store_le(bytes_ + at, value); }
  void set32(std::size_t at, std::uint32_t value) { store_le(bytes_ + at, value); }

  // One relaxed load, so that what was checked is what is used, whatever another thread writes meanwhile.
  std::uint64_t slot_word(std::size_t i) const {
    auto* at = const_cast<std::byte*>(bytes_ + PageLayout::slots + i * page_slot_bytes);
    const std::uint64_t word = std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(at)).load(std::memory_order_relaxed);
    return std::endian::native == std::endian::little ? word : swap_bytes(word);
  }
  void set_slot(std::size_t i, std::uint32_t head, std::size_t offset, std::size_t length) {
    store_le<std::uint64_t>(bytes_ + PageLayout::slots + i * page_slot_bytes, head | std::uint64_t{offset} << 32 | std::uint64_t{length} << 48);
  }
  std::optional<Place> locate(std::size_t i) const {
    if (i >= slot_count() || i >= max_slots) return std::nullopt;
    const std::uint64_t word = slot_word(i);
    const Place place{static_cast<std::size_t>(word >> 32 & 0xffff), static_cast<std::size_t>(word >> 48)};
    if (place.offset < PageLayout::slots || place.offset + place.length > Size) return std::nullopt;
    return place;
  }

  std::size_t gap_bytes() const {
    const std::size_t low = PageLayout::slots + slot_count() * page_slot_bytes, high = get32(PageLayout::heap_begin);
    return high > low ? high - low : 0;
  }
  // Shifts the slots from `at` up by one. There is room for the slot and `tuple_bytes`, perhaps only after compaction.
  void open_slot(std::size_t at, std::size_t tuple_bytes) {
    if (gap_bytes() < page_slot_bytes + tuple_bytes) compact();
    std::byte* slot = bytes_ + PageLayout::slots + at * page_slot_bytes;
    std::memmove(slot + page_slot_bytes, slot, (slot_count() - at) * page_slot_bytes);
    std::memset(slot, 0, page_slot_bytes);
    set16(PageLayout::slot_count, static_cast<std::uint16_t>(slot_count() + 1));
  }
  // Fills a free slot; the room was checked.
  void place(std::size_t at, std::uint32_t head, Bytes tuple) {
    if (tuple.empty()) return set_slot(at, head, PageLayout::slots, 0);
    if (gap_bytes() < tuple.size()) compact();
    const std::size_t heap = get32(PageLayout::heap_begin) - tuple.size();
    std::memcpy(bytes_ + heap, tuple.data(), tuple.size());
    set32(PageLayout::heap_begin, static_cast<std::uint32_t>(heap));
    set_slot(at, head, heap, tuple.size());
  }
  // Frees a slot and its bytes, the slot stays where it is.
  void give_back(std::size_t at) {
    const auto old = locate(at);
    AEGIS_ASSERT(old.has_value());
    set_slot(at, 0, 0, 0);
    if (old->length == 0) return;
    const std::size_t heap = get32(PageLayout::heap_begin);
    if (old->offset == heap)
      set32(PageLayout::heap_begin, static_cast<std::uint32_t>(heap + old->length));
    else
      set32(PageLayout::reclaimable, get32(PageLayout::reclaimable) + static_cast<std::uint32_t>(old->length));
  }

  alignas(64) std::byte bytes_[Size];  // laid out as page/format.hpp says; sum of tuples + reclaimable == Size - heap begin
};

static_assert(std::is_standard_layout_v<Page<8192>> && std::is_trivially_copyable_v<Page<8192>> && sizeof(Page<8192>) == 8192);

}  // namespace aegis::storage
