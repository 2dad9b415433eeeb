// SPDX-License-Identifier: Apache-2.0
// Pages of a damaged store and which of them are in use: trees are walked from their roots around what cannot be read, and
// the free-space maps are asked about the rest. Memory: one bit a page, and a page a level. One thread.
#pragma once

#include <aegis/storage/block/block.hpp>
#include <aegis/storage/buffer/page_allocator.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/parts.hpp>
#include <aegis/storage/engine/salvage_blocks.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/tree/overflow.hpp>

#include <cstdint>
#include <new>
#include <optional>
#include <string>

namespace aegis::storage {

template <class Chosen, FilePolicy Files>
class DamagedPages {
 public:
  using Parts = storage::Parts<Chosen>;
  static constexpr std::size_t page_bytes = Parts::page_bytes;
  using PageOf = Page<page_bytes>;
  using View = NodeView<page_bytes>;

  DamagedPages(DamagedBlocks<Files>& blocks, SalvageReport& report) : blocks_(blocks), report_(report) {}

  /// `highest`: no page has a higher id.
  Result<void> open(std::uint64_t highest) {
    if (highest >= ~std::uint64_t{0} / 2) return Error{Errc::out_of_memory, "pages up to", highest};
    count_ = highest + 1;
    reached_.reset(new (std::nothrow) std::uint8_t[count_ / 8 + 1]{});
    map_page_.reset(new (std::nothrow) PageOf);
    stored_.reset(new (std::nothrow) std::byte[stored_limit + scratch_bytes]);
    if (!reached_ || !map_page_ || !stored_) return Error{Errc::out_of_memory, "pages", count_};
    return {};
  }
  std::uint64_t count() const { return count_; }

  Result<void> load(PageId id, PageOf& page) {
    AEGIS_TRY(const std::size_t size, blocks_.read(block_of(id), {stored_.get(), stored_limit}));
    return decode(id, {stored_.get(), size}, page);
  }
  /// As PageIo::load proves it. `stored` is not the page's own bytes.
  Result<void> decode(PageId id, Bytes stored, PageOf& page) {
    AEGIS_TRY(const BlockHeader header, block_.decode(block_of(id), stored, page.bytes(), {stored_.get() + stored_limit, scratch_bytes}));
    if (static_cast<unsigned>(header.type) != static_cast<unsigned>(page.type())) return Error{Errc::corrupt_page, "type of page", number(id)};
    return page.validate(id);
  }

  /// Marks all pages of a tree, and reports what of it cannot be read. fn(const View&) -> Result<void> for each leaf in order.
  /// False: pages of it may not be marked.
  template <class Fn>
  Result<bool> walk(TableRoot root, Fn&& fn) {
    complete_ = true;
    AEGIS_TRY(node(root.table, root.root, max_tree_levels, Fences{}, fn));
    return complete_;
  }
  bool is_reached(PageId id) const { return number(id) < count_ && (reached_[number(id) / 8] >> (number(id) % 8) & 1) != 0; }

  /// What the free-space map says, if it can be read.
  std::optional<bool> in_use(PageId id) {
    using Allocator = typename Parts::Allocator;
    if (number(id) == 0) return true;
    const std::uint64_t bit = (number(id) - 1) % Allocator::pages_per_map;
    const PageId map{number(id) - bit};
    if (map != map_id_) {
      map_id_ = map;
      map_readable_ = static_cast<bool>(load(map, *map_page_)) && map_page_->type() == PageType::free;
    }
    const auto bits = map_page_->at(0);
    if (!map_readable_ || !bits || bits->size() != PageOf::max_tuple_bytes) return std::nullopt;
    return (std::to_integer<unsigned>((*bits)[bit / 8]) >> bit % 8 & 1) != 0;
  }

  /// load(PageId, PageOf&) -> Result<void>. corrupt_page when the chain is not what the reference says.
  template <class Load>
  Result<void> long_value(TableId table, OverflowRef ref, ValueBuffer& out, PageOf& page, Load&& load) {
    constexpr std::size_t payload = PageOf::max_tuple_bytes;
    if (ref.bytes > max_value_bytes || (ref.bytes + payload - 1) / payload > count_) return Error{Errc::corrupt_page, "overflow reference to page", number(ref.first)};
    AEGIS_TRY(out.resize(static_cast<std::size_t>(ref.bytes)));
    PageId at = ref.first;
    std::uint32_t ordinal = 0;
    for (std::size_t offset = 0; offset < ref.bytes; ++ordinal) {
      const std::size_t part = std::min(payload, static_cast<std::size_t>(ref.bytes) - offset);
      AEGIS_TRY(load(at, page));
      const auto tuple = page.at(0);
      const bool fits = page.type() == PageType::overflow && page.owner() == table && page.head(0) == ordinal && tuple && tuple->size() == part;
      if (!fits || (offset + part == ref.bytes) != (page.link() == 0)) return Error{Errc::corrupt_page, "overflow page", number(at)};
      copy_bytes(out.bytes().subspan(offset), *tuple);
      offset += part;
      at = PageId{page.link()};
    }
    return {};
  }

 private:
  using PageBlock = Block<typename Parts::Codec, typename Parts::Checksum, typename Parts::Cipher>;
  static constexpr std::size_t stored_limit = page_bytes + Parts::Cipher::overhead;
  static constexpr std::size_t scratch_bytes = PageBlock::decode_scratch_bytes(page_bytes);

  struct Level {
    PageOf page;
    char low[max_key_bytes(page_bytes)], high[max_key_bytes(page_bytes)];
  };

  void mark(PageId id) { reached_[number(id) / 8] = static_cast<std::uint8_t>(reached_[number(id) / 8] | 1u << number(id) % 8); }
  void lose(TableId table, PageId id, const Fences& range, const Error& why, bool has_children) {
    report_.damaged(why);
    ++report_.lost_range_count;
    if (report_.lost_ranges.size() < 100) report_.lost_ranges.push_back({table, std::string{range.low}, std::string{range.high}, range.has_high, number(id)});
    if (has_children) complete_ = false;
  }
  template <class Fn>
  Result<void> node(TableId table, PageId id, std::size_t level, const Fences& expected, Fn& fn) {
    const auto broken = [&](const char* what) { return lose(table, id, expected, Error{Errc::corrupt_page, what, number(id)}, level != 0), Result<void>{}; };
    if (number(id) == 0 || number(id) >= count_) return broken("id beyond the last page");
    if (is_reached(id)) return broken("page reached twice, page");
    const Owned<Level> here{new (std::nothrow) Level};
    if (!here) return Error{Errc::out_of_memory, "page to salvage", number(id)};
    if (const auto loaded = load(id, here->page); !loaded) {
      if (loaded.error().code() == Errc::out_of_memory) return loaded.error();
      mark(id);
      return lose(table, id, expected, loaded.error(), level != 0), Result<void>{};
    }
    const View view{here->page};
    if (here->page.owner() != table) return broken("owner of page");
    if (!view.well_formed()) return broken("rows of tree page");
    if (level != max_tree_levels ? here->page.level() != level : here->page.level() >= max_tree_levels) return broken("level of page");
    if (*view.fences() != expected) report_.damaged(Error{Errc::corrupt_page, "fences of page", number(id)});
    mark(id);
    if (view.is_leaf()) return fn(view);
    for (std::size_t i = 0; i < view.children(); ++i) {
      Fences part = *view.fences();
      if (i > 0) part.low = *view.key(i - 1, here->low);
      if (i < view.rows()) part.high = *view.key(i, here->high), part.has_high = true;
      AEGIS_TRY(node(table, *view.child(i), here->page.level() - std::size_t{1}, part, fn));
    }
    return {};
  }

  DamagedBlocks<Files>& blocks_;
  SalvageReport& report_;
  PageBlock block_;
  std::uint64_t count_ = 0;
  Owned<std::uint8_t[]> reached_;   // a bit a page: a walk came to it, and it is what it should be
  Owned<PageOf> map_page_;          // of the last free-space map asked for
  PageId map_id_{};
  bool map_readable_ = false;
  bool complete_ = true;            // of the running walk
  Owned<std::byte[]> stored_;       // a block, and what decoding needs
};

}  // namespace aegis::storage
