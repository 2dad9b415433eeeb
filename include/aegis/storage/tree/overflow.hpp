// SPDX-License-Identifier: Apache-2.0
// Values too long for a leaf: a chain of overflow pages, each one tuple, numbered in its head, linked to the next.
// A chain never changes once it stands; replacing the value writes another chain and frees this one, whose pages keep
// their bytes until the allocator releases them. Reading from any thread, one page at a time.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/limits.hpp>
#include <aegis/storage/tree/value_buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

namespace aegis::storage {

template <class Pool, class Allocator>
class OverflowChains {
 public:
  using PageType = typename Pool::PageType;
  using Token = typename Pool::Token;
  static constexpr std::size_t payload_bytes = PageType::max_tuple_bytes;

  OverflowChains(Pool& pool, Allocator& allocator) : pool_(pool), allocator_(allocator) {}

  static constexpr std::uint64_t pages_for(std::uint64_t bytes) { return (bytes + payload_bytes - 1) / payload_bytes; }

  /// corrupt_page when the chain is not what the reference says, which a reader without a row to check again must take
  /// for damage unless its snapshot was revoked. On failure `out` holds nothing of use.
  Result<void> read(TableId table, OverflowRef ref, ValueBuffer& out) {
    AEGIS_TRY(check(ref));
    AEGIS_TRY(out.resize(static_cast<std::size_t>(ref.bytes)));
    return walk(table, ref, [&](PageId, std::size_t offset, Bytes part) { copy_bytes(out.bytes().subspan(offset), part); }, [](PageId) { return Result<void>{}; });
  }

  /// A new chain, or nothing at all: no_space, pool_exhausted, out_of_memory, io.
  Result<OverflowRef> write(Token& token, TableId table, std::string_view value) {
    const std::size_t count = static_cast<std::size_t>(pages_for(value.size()));
    Owned<PageId[]> ids{new (std::nothrow) PageId[count]};
    if (!ids) return Error{Errc::out_of_memory, "page list of a value of bytes", value.size()};
    std::size_t allocated = 0;
    const Result<void> done = write_pages(token, table, value, {ids.get(), count}, allocated);
    if (done) return OverflowRef{ids[0], value.size()};
    for (std::size_t i = 0; i < allocated; ++i) forget(token, ids[i]);
    return done.error();
  }

  /// Gives the pages back; their bytes stay until the allocator releases them. On an error the rest stays allocated.
  Result<void> free(Token& token, TableId table, OverflowRef ref, Timestamp timestamp) {
    AEGIS_TRY(check(ref));
    return walk(table, ref, [](PageId, std::size_t, Bytes) {}, [&](PageId page) { return allocator_.free(token, page, timestamp); });
  }

  /// visit(PageId) -> Result<void> for every page, in order, after it was checked.
  template <class Visit>
  Result<void> for_each(TableId table, OverflowRef ref, Visit&& visit) {
    AEGIS_TRY(check(ref));
    return walk(table, ref, [](PageId, std::size_t, Bytes) {}, visit);
  }

 private:
  struct Link {
    bool good = false;
    PageId next{};
  };

  // Bounds what follows by the store, not by bytes that may be damaged.
  Result<void> check(OverflowRef ref) const {
    if (ref.bytes > max_value_bytes || pages_for(ref.bytes) > pool_.page_count()) return Error{Errc::corrupt_page, "overflow reference to page", number(ref.first)};
    return {};
  }

  template <class Take, class After>
  Result<void> walk(TableId table, OverflowRef ref, Take&& take, After&& after) {
    PageId at = ref.first;
    std::uint32_t ordinal = 0;
    for (std::size_t offset = 0; offset < ref.bytes; ++ordinal) {
      const std::size_t part = std::min(payload_bytes, static_cast<std::size_t>(ref.bytes) - offset);
      AEGIS_TRY(const Link link, pool_.read(at, [&](const PageType& page) {
        const auto tuple = page.at(0);
        if (page.type() != chain_type || page.owner() != table || page.head(0) != ordinal || !tuple || tuple->size() != part) return Link{};
        take(at, offset, *tuple);
        return Link{true, PageId{page.link()}};
      }));
      offset += part;
      if (!link.good || (offset == ref.bytes) != (link.next == PageId{})) return Error{Errc::corrupt_page, "overflow page", number(at)};
      AEGIS_TRY(after(at));
      at = link.next;
    }
    return {};
  }

  Result<void> write_pages(Token& token, TableId table, std::string_view value, std::span<PageId> ids, std::size_t& allocated) {
    for (PageId& id : ids) {
      AEGIS_TRY(id, allocator_.allocate(token));
      ++allocated;
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      AEGIS_TRY(auto handle, pool_.create(token, ids[i]));
      PageType& page = handle.page();
      page.format(chain_type, table);
      page.set_link(i + 1 < ids.size() ? number(ids[i + 1]) : 0);
      const bool placed = page.insert_at(0, static_cast<std::uint32_t>(i), bytes_of(value.substr(i * payload_bytes, payload_bytes)));
      AEGIS_ASSERT(placed);
    }
    return {};
  }

  // A page that nobody else has seen.
  void forget(Token& token, PageId page) {
    pool_.discard(token, page);
    (void)allocator_.free(token, page, never_committed);
  }

  static constexpr storage::PageType chain_type = storage::PageType::overflow;

  Pool& pool_;
  Allocator& allocator_;
};

}  // namespace aegis::storage
