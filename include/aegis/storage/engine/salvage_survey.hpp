// SPDX-License-Identifier: Apache-2.0
// What there is of a damaged store, before any of it is copied: block 0, every block that the map names or that stands in the
// file without it, the log, the tables and the pages that their trees reach. Reads only. One thread.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/engine/salvage_blocks.hpp>
#include <aegis/storage/engine/salvage_frames.hpp>
#include <aegis/storage/engine/salvage_log.hpp>
#include <aegis/storage/engine/salvage_pages.hpp>
#include <aegis/storage/engine/salvage_report.hpp>
#include <aegis/storage/engine/salvage_tables.hpp>

#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>
#include <vector>

namespace aegis::storage {

template <class Chosen, FilePolicy Files>
class SalvageSurvey {
 public:
  using Directory = typename Files::Directory;
  using Blocks = DamagedBlocks<Files>;
  using Pages = DamagedPages<Chosen, Files>;
  using PageOf = typename Pages::PageOf;
  using View = typename Pages::View;
  using Tables = SalvagedTables<BasicEngine<Chosen>>;
  using Known = typename Tables::Known;
  using Frames = LogSalvage<Files, typename Parts<Chosen>::LogChecksum>;

  static constexpr std::uint64_t in_map = ~std::uint64_t{0};

  /// A leaf or a part of a long value that may be old, and where it stands: in the file, or under its id in the map.
  struct Unproven {
    PageId id{};
    std::uint64_t offset = in_map;
    std::uint32_t length = 0;
    bool is_leaf = false;
    Timestamp newest{};
  };

  SalvageSurvey(Directory directory, Tables& tables, SalvageReport& report)
      : directory_(std::move(directory)), report_(report), tables_(tables), blocks_(report), pages_(blocks_, report), log_(directory_, report), frames_(log_, report) {}

  /// Fills the tables, and the report with what is lost already. corrupt_block when there is nothing; incompatible_format.
  Result<void> run() {
    AEGIS_TRY(blocks_.open(directory_));
    page_.reset(new (std::nothrow) PageOf);
    if (!page_) return Error{Errc::out_of_memory, "page to salvage"};
    AEGIS_TRY(read_meta());
    if (meta_) AEGIS_TRY(open_log());
    AEGIS_TRY(open_pages());
    if (!meta_) AEGIS_TRY(open_log());  // only what was found may say whose log it is
    if (!blocks_.has_file() && log_.empty()) return Error{Errc::corrupt_block, "neither a data file nor a log"};
    return find_tables();
  }

  Blocks& blocks() { return blocks_; }
  Pages& pages() { return pages_; }
  Frames& frames() { return frames_; }
  bool has_meta() const { return meta_.has_value(); }  ///< Block 0 of the checkpoint that was taken was read.
  /// Whether the pages that the map names, with the log behind them, are current: there is a map, and no newer checkpoint of
  /// which the log tells a part only.
  bool is_current() const { return is_current_; }
  std::vector<Unproven>& unproven() { return found_; }
  Result<void> load(const Unproven& found, PageOf& page) {
    if (found.offset == in_map) return pages_.load(found.id, page);
    std::byte stored[block_header_bytes + block_payload_limit_bytes];
    return pages_.decode(found.id, blocks_.read_window(found.offset, {stored, found.length}), page);
  }

 private:
  Result<void> read_meta() {
    std::array<std::byte, meta_bytes> stored{};
    const auto size = blocks_.read(meta_block, stored);
    const auto meta = size ? Meta::decode(Bytes{stored}.first(*size)) : Result<Meta>{size.error()};
    if (meta) {
      AEGIS_TRY(meta->fingerprint.accept(Parts<Chosen>::fingerprint()));
      meta_ = *meta;
      return {};
    }
    report_.lost_meta = true;
    is_current_ = blocks_.has_map() && !report_.older_checkpoint;  // where the log would have to begin is not known
    if (size || size.error().code() != Errc::block_not_found || blocks_.map_is_whole()) report_.damaged(meta.error());
    return {};
  }
  Result<void> open_pages() {
    std::uint64_t highest = meta_ && meta_->page_count != 0 ? meta_->page_count - 1 : 0;
    AEGIS_TRY(blocks_.for_each([&](BlockId id) -> Result<void> {
      if (number(id) > highest) highest = number(id);
      return {};
    }));
    if (!blocks_.map_is_whole() || !is_current_) AEGIS_TRY(look_through(highest));
    return pages_.open(highest);
  }
  /// Finds every block in the file that the map says nothing of or, when it is not current, that may be newer than it.
  Result<void> look_through(std::uint64_t& highest) {
    AEGIS_TRY(pages_.open(0));
    return blocks_.look_through([&](std::uint64_t offset, Bytes bytes) -> std::size_t {
      if (load_le<std::uint32_t>(bytes.data()) != BlockHeader::magic || bytes.size() < block_header_bytes) return look_for_meta(bytes);
      const PageId id{load_le<std::uint64_t>(bytes.data() + BlockHeader::id_at)};
      const std::uint64_t length = std::uint64_t{block_header_bytes} + load_le<std::uint32_t>(bytes.data() + BlockHeader::stored_bytes_at);
      if (length > bytes.size() || !pages_.decode(id, bytes.first(static_cast<std::size_t>(length)), *page_)) return 0;
      const auto known = blocks_.find(number(id));
      const bool is_other = !is_current_ && !blocks_.is_at(offset, known) && may_be_newer(*page_);
      if (known.state != Blocks::Found::State::unknown && !is_other) return static_cast<std::size_t>(length);
      ++report_.blocks;
      const bool is_leaf = page_->type() == PageType::data;
      if (is_leaf || page_->type() == PageType::overflow) found_.push_back({id, offset, static_cast<std::uint32_t>(length), is_leaf, page_->newest()});
      if (number(id) > highest) highest = number(id);
      return static_cast<std::size_t>(length);
    });
  }
  /// Than the checkpoint that was taken. Parts of long values do not tell how old they are.
  bool may_be_newer(const PageOf& page) const { return !meta_ || page.type() == PageType::overflow || page.newest() > meta_->checkpoint.last; }
  /// Without a map an old block 0 still tells whose log it is.
  std::size_t look_for_meta(Bytes bytes) {
    if (bytes.size() < meta_bytes || load_le<std::uint64_t>(bytes.data()) != Meta::magic) return 0;
    const auto meta = Meta::decode(bytes.first(meta_bytes));
    if (!meta) return 0;
    if (!identity_ || meta->checkpoint_number > newest_number_) identity_ = meta->identity, newest_number_ = meta->checkpoint_number;
    return meta_bytes;
  }

  Result<void> open_log() {
    if (meta_) identity_ = meta_->identity;
    AEGIS_TRY(log_.open(identity_));
    AEGIS_TRY(frames_.survey(meta_ ? std::optional<WalPosition>{meta_->checkpoint} : std::nullopt, !is_current_));
    if (!meta_) return {};
    if (!meta_->log_created) report_.log_lost = false;  // it never had one
    if (frames_.checkpoint_number() > meta_->checkpoint_number) report_.older_checkpoint = true;
    if (report_.older_checkpoint) AEGIS_TRY(frames_.for_each([](const SalvagedFrame&) { return Result<void>{}; }));  // counts the holes
    const bool is_whole = !report_.log_lost && report_.log_holes == 0;
    is_current_ = is_whole || !report_.older_checkpoint;
    if (is_whole && frames_.checkpoint_number() == meta_->checkpoint_number) report_.older_checkpoint = false;  // the log knows of no other
    return {};
  }

  /// From the catalog's tree, from leaves that it does not reach, and from what the log says that happened since.
  Result<void> find_tables() {
    const auto learn = [&](const View& leaf) { return learn_tables(leaf); };
    bool whole = false;
    if (meta_) AEGIS_TRY(whole, pages_.walk({catalog_table, meta_->catalog_root}, learn));
    if (!whole) {
      AEGIS_TRY(blocks_.for_each([&](BlockId id) -> Result<void> {
        const PageId page{number(id)};
        if (number(id) == 0 || pages_.is_reached(page) || !is_leaf_of(page) || page_->owner() != catalog_table) return {};
        return pages_.in_use(page).value_or(true) ? learn(View{*page_}) : Result<void>{};
      }));
    }
    if (!whole || !is_current_) {
      sort(found_.data(), found_.size(), [](const Unproven& a, const Unproven& b) { return a.newest < b.newest; });
      for (const Unproven& leaf : found_)
        if (leaf.is_leaf && load(leaf, *page_) && page_->owner() == catalog_table && (!whole || may_be_newer(*page_))) AEGIS_TRY(learn(View{*page_}));
    }
    report_.lost_catalog = !whole || report_.lost_range_count != 0;
    AEGIS_TRY(frames_.for_each([&](const SalvagedFrame& frame) { return learn_from_log(frame); }));
    std::vector<TableRoot> roots;
    for (const Known& table : tables_.all()) {
      const bool is_mapped = blocks_.has_map() && (is_current_ || !meta_ || number(table.id) < meta_->next_table);
      if (is_mapped && table.state == TableState::open && table.root != PageId{}) roots.push_back({table.id, table.root});
    }
    for (const TableRoot& root : roots) AEGIS_TRY(tables_.at(root.table).whole, pages_.walk(root, [](const View&) { return Result<void>{}; }));
    return {};
  }
  Result<void> learn_tables(const View& leaf) {
    if (!leaf.is_leaf() || !leaf.well_formed()) return report_.damaged(Error{Errc::corrupt_page, "rows of a leaf of the catalog"}), Result<void>{};
    char name[max_key_bytes(Pages::page_bytes)];
    for (std::size_t row = 0; row < leaf.rows(); ++row) {
      const auto cell = leaf.cell(row);
      const auto key = leaf.key(row, name);
      if (!cell || !key || cell->value.kind != RowKind::in_place) continue;
      const auto decoded = CatalogRow::decode(cell->value.bytes);
      if (decoded) tables_.learn(*key, *decoded);
      else report_.damaged(decoded.error());
    }
    return {};
  }
  Result<void> learn_from_log(const SalvagedFrame& frame) {
    RecordReader records{frame.payload, frame.lsn};
    for (LogRecord record;;) {
      const auto more = records.next(record);
      if (!more || !*more) return {};
      if (!has_value(record.type) || record.table != catalog_table) continue;
      if (const auto row = CatalogRow::decode(record.value)) tables_.learn(record.key, *row);
    }
  }
  bool is_leaf_of(PageId id) { return pages_.load(id, *page_) && page_->type() == PageType::data; }

  Directory directory_;
  SalvageReport& report_;
  Tables& tables_;
  Blocks blocks_;
  Pages pages_;
  DamagedLog<Files> log_;
  Frames frames_;
  std::optional<Meta> meta_;              // block 0 of the checkpoint that was taken
  bool is_current_ = false;               // of the map
  std::optional<StoreIdentity> identity_;
  std::uint64_t newest_number_ = 0;       // of the block 0 that identity_ is from, without a map
  std::vector<Unproven> found_;           // 40 bytes for each block that may be old
  Owned<PageOf> page_;
};

}  // namespace aegis::storage
