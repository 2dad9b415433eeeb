// SPDX-License-Identifier: Apache-2.0
// Which pages are in use: one bit a page, in map pages inside the page space, mirrored in memory for the search. A freed
// page is free in the map at once and so in every checkpoint, but withheld in memory until no snapshot can still read
// it; then its id may be given out again and its block erased. Changing calls in the section; figures from any thread.
#pragma once

#include <aegis/storage/buffer/free_map.hpp>
#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/page/page.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace aegis::storage {

/// Page 0 is not the allocator's. Page 1 and every pages_per_map-th after it is a map page, for itself and its successors.
template <class Pool>
class PageAllocator {
  using PageOf = typename Pool::PageType;

 public:
  using Token = typename Pool::Token;
  static constexpr std::uint64_t pages_per_map = std::uint64_t{PageOf::max_tuple_bytes} * 8;
  static constexpr PageId first_map_page{1};

  explicit PageAllocator(Pool& pool) : pool_(&pool) {}

  /// Of an existing store: reads every map page below page_count(). A pool with fewer than two pages is a new store.
  Result<void> load() {
    for (std::uint64_t map = 0; 1 + map * pages_per_map < pool_->page_count(); ++map) {
      AEGIS_TRY(maps_.grow(map + 1));
      FreeMap& into = maps_[map];
      AEGIS_TRY(const bool whole, pool_->read(map_page(map), [&](const PageOf& page) {
        const auto bits = page.at(0);
        if (!bits || bits->size() != bitmap_bytes || page.type() != PageType::free) return false;
        into.load(*bits);
        return true;
      }));
      if (!whole || !into.is_used(0) || into.used_from(pages_in(map)) != 0) return Error{Errc::corrupt_page, "free map page", number(map_page(map))};
      used_.fetch_add(into.used(), std::memory_order_relaxed);
    }
    return {};
  }

  /// The lowest free page, or a new one at the end. The caller makes it with Pool::create. After an error nothing changed.
  Result<PageId> allocate(Token& token) {
    for (; search_ < maps_.size(); ++search_) {
      const auto found = maps_[search_].find_free(pages_in(search_));
      if (!found) continue;
      AEGIS_TRY(set_used(token, search_, *found, true));
      maps_[search_].cancel_erase(*found);
      return page_of(search_, *found);
    }
    AEGIS_TRY(const std::uint64_t page, extend(token));
    const std::uint64_t map = (page - 1) / pages_per_map;
    if (const Result<void> marked = set_used(token, map, (page - 1) % pages_per_map, true); !marked) {
      pool_->set_page_count(token, page);
      return marked.error();
    }
    search_ = map;
    return PageId{page};
  }

  /// Of a page that no structure names any more, as of `at`. Its frame may serve old readers until release().
  /// invalid_argument for a page that is not in use; after an error nothing changed.
  Result<void> free(Token& token, PageId page, Timestamp at) {
    if (number(page) == 0 || !in_use(page) || is_map_page(page)) return Error{Errc::invalid_argument, "free of page", number(page)};
    AEGIS_TRY(withheld_.reserve(1));
    const std::uint64_t map = (number(page) - 1) / pages_per_map, bit = (number(page) - 1) % pages_per_map;
    AEGIS_TRY(set_used(token, map, bit, false));
    maps_[map].withhold(bit, true);
    withheld_.push({page, at});
    return {};
  }

  /// So many calls of free() need no memory. For whoever changes pages first and could not take that back.
  Result<void> expect_frees(std::uint64_t count) { return withheld_.reserve(count); }

  /// Pages freed at or before `oldest_needed` may be given out again; their frames are dropped unwritten, and their
  /// blocks erased in the current epoch.
  void release(Token& token, Timestamp oldest_needed) {
    while (!withheld_.empty() && withheld_.front().at <= oldest_needed) {
      const PageId freed = withheld_.pop().page;
      pool_->discard(token, freed);
      const std::uint64_t page = number(freed) - 1;
      maps_[page / pages_per_map].release(page % pages_per_map);
      search_ = std::min(search_, page / pages_per_map);
    }
  }

  /// At begin_epoch: the erases of the epoch that ends, for its checkpoint. They are issued after write_epoch().
  /// A failed checkpoint gives them back. At most one epoch's erases are out.
  void take_erases(Token&) {
    for (std::uint64_t map = 0; map < maps_.size(); ++map) maps_[map].take_erases();
  }
  /// fn(PageId) -> Result<void> for every page taken; the checkpoint's thread alone. The first error ends it.
  template <class Fn>
  Result<void> for_each_taken_erase(Fn&& fn) {
    for (std::uint64_t map = 0, maps = maps_.size(); map < maps; ++map)
      AEGIS_TRY(maps_[map].for_each_taken([&](std::uint64_t bit) { return fn(page_of(map, bit)); }));
    return {};
  }
  /// After an abandoned checkpoint: its erases belong to the current epoch, except for pages in use again.
  void give_back_erases(Token&) {
    for (std::uint64_t map = 0; map < maps_.size(); ++map) maps_[map].give_back_erases();
  }

  /// In use: named by the map, as the next checkpoint will have it. In the section, or while nothing changes.
  bool in_use(PageId page) const {
    if (number(page) == 0 || number(page) >= pool_->page_count()) return number(page) == 0;
    const std::uint64_t map = (number(page) - 1) / pages_per_map;
    return map < maps_.size() && maps_[map].is_used((number(page) - 1) % pages_per_map);
  }
  /// fn(PageId) for every page below page_count() that is not in use, withheld ones too. Like in_use().
  template <class Fn>
  void for_each_free(Fn&& fn) const {
    for (std::uint64_t map = 0; map < maps_.size(); ++map)
      for (std::uint64_t bit = 0, end = pages_in(map); bit < end; ++bit)
        if (!maps_[map].is_used(bit)) fn(page_of(map, bit));
  }
  static constexpr bool is_map_page(PageId page) { return number(page) >= 1 && (number(page) - 1) % pages_per_map == 0; }

  std::uint64_t used_pages() const { return used_.load(std::memory_order_relaxed); }  ///< Map pages too; page 0 not.
  std::uint64_t withheld() const { return withheld_.size(); }
  std::uint64_t free_pages() const {  ///< Could be given out now without growing.
    const std::uint64_t pages = pool_->page_count(), taken = used_pages() + withheld() + 1;
    return pages > taken ? pages - taken : 0;
  }

 private:
  static constexpr std::size_t bitmap_bytes = PageOf::max_tuple_bytes;
  using FreeMap = storage::FreeMap<bitmap_bytes>;

  static constexpr PageId map_page(std::uint64_t map) { return PageId{1 + map * pages_per_map}; }
  static constexpr PageId page_of(std::uint64_t map, std::uint64_t bit) { return PageId{1 + map * pages_per_map + bit}; }
  std::uint64_t pages_in(std::uint64_t map) const {
    const std::uint64_t begin = 1 + map * pages_per_map, end = pool_->page_count();
    return end <= begin ? 0 : std::min(end - begin, pages_per_map);
  }

  // Page and mirror together, or neither.
  Result<void> set_used(Token& token, std::uint64_t map, std::uint64_t bit, bool used) {
    AEGIS_TRY(auto handle, pool_->exclusive(token, map_page(map)));
    const MutableBytes bits = handle.page().mutable_at(0);
    if (bits.size() != bitmap_bytes) return Error{Errc::corrupt_page, "free map page", number(map_page(map))};
    const std::byte mask{static_cast<unsigned char>(1u << bit % 8)};
    bits[bit / 8] = used ? bits[bit / 8] | mask : bits[bit / 8] & ~mask;
    maps_[map].set_used(bit, used);
    if (used) used_.fetch_add(1, std::memory_order_relaxed);
    else used_.fetch_sub(1, std::memory_order_relaxed);
    return {};
  }
  // One more page at the end, after a map page where one is due. The page's number.
  Result<std::uint64_t> extend(Token& token) {
    const std::uint64_t before = std::max<std::uint64_t>(pool_->page_count(), 1);
    if (!is_map_page(PageId{before})) {
      pool_->set_page_count(token, before + 1);
      return before;
    }
    const std::uint64_t map = (before - 1) / pages_per_map;
    AEGIS_TRY(maps_.grow(map + 1));
    pool_->set_page_count(token, before + 1);
    if (const Result<void> made = make_map(token, map); !made) {
      pool_->set_page_count(token, before);
      return made.error();
    }
    pool_->set_page_count(token, before + 2);
    return before + 1;
  }
  Result<void> make_map(Token& token, std::uint64_t map) {
    {
      AEGIS_TRY(auto handle, pool_->create(token, map_page(map)));
      handle.page().format(PageType::free, catalog_table);
      static constexpr std::byte zeros[bitmap_bytes] = {};
      const bool placed = handle.page().insert_at(0, 0, zeros);
      AEGIS_ASSERT(placed);
    }
    return set_used(token, map, 0, true);
  }

  Pool* pool_;
  FreeMaps<bitmap_bytes> maps_;        // mirrors of the map pages, in order
  std::uint64_t search_ = 0;           // no earlier map has a free page
  Withheld withheld_;                  // in the order of their timestamps
  std::atomic<std::uint64_t> used_{0}; // bits set in all maps
};

}  // namespace aegis::storage
