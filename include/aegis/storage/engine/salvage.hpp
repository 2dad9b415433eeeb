// SPDX-License-Identifier: Apache-2.0
// Copies what can be read of a damaged LocalBackend store into a new one, and says what cannot. The damaged store is never
// written. What stands under a table's own name was committed and, as of the checkpoint that was read and the log behind it,
// current; what may be old is kept apart (see salvage). For tools: not in the umbrella header.
#pragma once

#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/engine/salvage_report.hpp>
#include <aegis/storage/engine/salvage_survey.hpp>
#include <aegis/storage/engine/salvage_tables.hpp>
#include <aegis/storage/engine/salvage_target.hpp>
#include <aegis/storage/file/posix.hpp>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aegis::storage {

template <class Chosen, FilePolicy Files>
class Salvage {
 public:
  using Engine = BasicEngine<Chosen>;
  using Directory = typename Files::Directory;

  Salvage(Directory directory, Engine& into)
      : tables_(into), target_(into), survey_(std::move(directory), tables_, report_) {}

  Result<SalvageReport> run() {
    AEGIS_TRY(const std::vector<std::string> present, target_.engine().tables());
    if (!present.empty()) return Error{Errc::invalid_argument, "store to salvage into: it has tables already, that is", present.size()};
    AEGIS_TRY(survey_.run());
    page_.reset(new (std::nothrow) PageOf);
    if (!page_) return Error{Errc::out_of_memory, "page to salvage"};
    AEGIS_TRY(copy_pages());
    AEGIS_TRY(copy_unproven());
    AEGIS_TRY(replay());
    AEGIS_TRY(target_.commit());
    for (auto& table : tables_.all()) {
      if (table.named && table.state == TableState::open && survey_.is_current()) AEGIS_TRY(tables_.target(table, true));  // empty ones too
      if (!table.proven && !table.unproven) continue;
      table.counts.id = table.id;
      table.counts.source = table.name;
      table.counts.target = tables_.target_name(table, table.proven.has_value());
      report_.tables.push_back(std::move(table.counts));
    }
    return std::move(report_);
  }

 private:
  using Survey = SalvageSurvey<Chosen, Files>;
  using Pages = typename Survey::Pages;
  using PageOf = typename Survey::PageOf;
  using View = typename Survey::View;
  using Known = typename Survey::Known;
  using Unproven = typename Survey::Unproven;

  Result<void> copy_pages() {
    return survey_.blocks().for_each([&](BlockId id) -> Result<void> {
      if (id == meta_block) return {};
      const PageId page{number(id)};
      const auto loaded = survey_.pages().load(page, *page_);
      if (!loaded && loaded.error().code() == Errc::out_of_memory) return loaded;
      if (!loaded) {
        ++report_.unreadable_blocks;
        if (!survey_.pages().is_reached(page)) report_.damaged(loaded.error());  // else it was told already
        return {};
      }
      ++report_.blocks;
      if (page_->type() != PageType::data || page_->owner() == catalog_table) return {};
      const Known* const known = tables_.find(page_->owner());
      if (known != nullptr && known->state != TableState::open) return {};
      const bool reached = survey_.pages().is_reached(page), all_reached = known != nullptr ? known->whole : !report_.lost_catalog;
      const auto used = reached ? std::optional<bool>{true} : all_reached ? std::optional<bool>{false} : survey_.pages().in_use(page);
      if (!used || (*used && !survey_.is_current())) {
        survey_.unproven().push_back({page, Survey::in_map, 0, true, page_->newest()});
        return {};
      }
      if (!*used) return ++report_.freed_leaves, Result<void>{};
      if (page_->newest() > newest_) newest_ = page_->newest();
      return copy_leaf(View{*page_}, nullptr);
    });
  }
  /// Older leaves first, each in place of all that its range held: so the newest that can be read decides.
  Result<void> copy_unproven() {
    auto& all = survey_.unproven();
    sort(all.data(), all.size(), [](const Unproven& a, const Unproven& b) { return a.newest < b.newest || (a.newest == b.newest && a.offset < b.offset); });
    for (const Unproven& found : all) {
      if (!found.is_leaf || !survey_.load(found, *page_) || page_->owner() == catalog_table) continue;
      const Known* const known = tables_.find(page_->owner());
      if (known != nullptr && known->state != TableState::open) continue;
      ++report_.unproven_leaves;
      AEGIS_TRY(copy_leaf(View{*page_}, &found));
    }
    return {};
  }

  /// `unproven`: where it stands, if it may be old.
  Result<void> copy_leaf(const View& leaf, const Unproven* unproven) {
    const bool is_proven = unproven == nullptr;
    if (!leaf.is_leaf() || !leaf.well_formed()) return report_.damaged(Error{Errc::corrupt_page, "rows of a leaf of table", number(leaf.page().owner())}), Result<void>{};
    Known& table = tables_.at(leaf.page().owner());
    AEGIS_TRY(const auto target, tables_.target(table, is_proven));
    const Fences fences = *leaf.fences();
    if (!is_proven) {
      KeyRange range{.from = fences.low};
      if (fences.has_high) range.to = fences.high;
      AEGIS_TRY(target_.erase(target, range));
    }
    char key[max_key_bytes(Pages::page_bytes)];
    for (std::size_t row = 0; row < leaf.rows(); ++row) {
      const StoredValue value = leaf.cell(row)->value;
      if (!value.present()) continue;
      std::string_view bytes = value.bytes;
      if (value.kind == RowKind::overflow) {
        AEGIS_TRY(const bool readable, read_long_value(table, value.overflow(), unproven));
        if (!readable) continue;
        bytes = value_.view();
      }
      const Result<void> done = target_.put(target, *leaf.key(row, key), bytes);
      AEGIS_TRY(count(done, table, is_proven ? table.counts.rows : table.counts.unproven));
    }
    return {};
  }
  /// A row that is too large for a transaction of the new store is counted as lost.
  Result<void> count(const Result<void>& put, Known& table, std::uint64_t& rows) {
    ++(put ? rows : table.counts.lost_values);
    if (!put && put.error().code() != Errc::too_large) return put;
    if (!put) report_.damaged(put.error());
    return {};
  }
  Result<bool> read_long_value(Known& table, OverflowRef ref, const Unproven* leaf) {
    const Owned<PageOf> page{new (std::nothrow) PageOf};
    if (!page) return Error{Errc::out_of_memory, "page of a long value"};
    const auto load = [&](PageId id, PageOf& into) { return leaf == nullptr ? survey_.pages().load(id, into) : load_part(id, *leaf, into); };
    const auto read = survey_.pages().long_value(table.id, ref, value_, *page, load);
    if (read) return true;
    if (read.error().code() == Errc::out_of_memory) return read.error();
    ++table.counts.lost_values;
    report_.damaged(read.error());
    return false;
  }
  /// A part of a chain that may be old: taken where it stands once. What a leaf of the map names is what the map has, though
  /// another may stand in the file.
  Result<void> load_part(PageId id, const Unproven& leaf, PageOf& page) {
    const bool is_mapped = static_cast<bool>(survey_.pages().load(id, page));
    if (is_mapped && leaf.offset == Survey::in_map) return {};
    const Unproven* only = nullptr;
    for (const Unproven& found : survey_.unproven()) {
      if (found.id != id || found.offset == Survey::in_map) continue;
      if (is_mapped || only != nullptr) return Error{Errc::corrupt_page, "several old versions of overflow page", number(id)};
      only = &found;
    }
    if (is_mapped) return {};
    if (only == nullptr) return Error{Errc::corrupt_page, "overflow page", number(id)};
    return survey_.load(*only, page);
  }

  Result<void> replay() {
    return survey_.frames().for_each([&](const SalvagedFrame& frame) -> Result<void> {
      if (!survey_.has_meta() && survey_.is_current() && timestamp_of(frame) <= newest_) return {};  // the pages have it
      RecordReader check{frame.payload, frame.lsn};
      for (LogRecord record;;) {
        const auto more = check.next(record);
        if (more && !*more) break;
        if (more && has_key(record.type)) continue;
        ++report_.log_broken;
        report_.damaged(more ? Error{Errc::corrupt_log, "record inside the transaction at LSN", number(frame.lsn)} : more.error());
        return {};
      }
      ++report_.log_transactions;
      RecordReader records{frame.payload, frame.lsn};
      for (LogRecord record;;) {
        AEGIS_TRY(const bool more, records.next(record));
        if (!more) return {};
        AEGIS_TRY(apply(record));
      }
    });
  }
  /// Nearest to the newest in the pages, when the log does not say in which life it was.
  Timestamp timestamp_of(const SalvagedFrame& frame) const {
    if (frame.whole_timestamp) return frame.timestamp;
    const std::uint64_t half = timestamp_span / 2;
    return restore_timestamp(Timestamp{number(newest_) > half ? number(newest_) - half : 0}, number(frame.timestamp));
  }
  Result<void> apply(const LogRecord& record) {
    if (record.table == catalog_table) return {};
    const Known* const known = tables_.find(record.table);
    if (known == nullptr ? !report_.lost_catalog && report_.log_holes == 0 : known->state != TableState::open) return {};  // dropped later on
    Known& table = tables_.at(record.table);
    AEGIS_TRY(const auto target, tables_.target(table, survey_.is_current()));
    if (!has_value(record.type)) return target_.erase(target, record.key);
    std::uint64_t uncounted = 0;
    return count(target_.put(target, record.key, record.value), table, uncounted);
  }

  SalvageReport report_;
  typename Survey::Tables tables_;
  SalvageTarget<Engine> target_;
  Survey survey_;
  Owned<PageOf> page_;
  ValueBuffer value_;
  Timestamp newest_{};  // commit in the pages that were copied as proven
};

/// Copies the store in `damaged` into `into`, a new one without tables, whose page size, codec, checksum and cipher must be
/// those of the damaged one (else incompatible_format). already_open while an engine has the damaged store; of its files only
/// the lock, if there is one, is touched.
///  1. Under a table's own name stand rows that the published map names, that their checksums prove, and whose pages are in
///     use: reached from the table's root, or marked used where an inner page cannot be read. Pages that are free, or whose
///     table was dropped, are never copied: erased rows do not come back that way.
///  2. Of a table whose catalog row cannot be read, such rows go to lost+found-<id>; so do those of a table that was being
///     dropped or loaded, for that stands in the same row.
///  3. What may be old goes to lost+found-<id>.unproven: leaves for which neither the tree nor the free-space map can be read,
///     and blocks that were found by looking through the file because map or superblocks cannot be read. Of several versions
///     of a range the newest decides; if that one cannot be read, replaced and erased rows may be among them. When an older
///     checkpoint had to be taken and the log does not go back to it without a hole, all rows may be old: none are then under
///     a table's own name, and the leaves of that checkpoint are joined by newer ones that stand in the file.
///  4. A row is copied whole or not at all. Values of which a part cannot be read, or of point 3 has several versions that do
///     not tell which is meant, are counted; rows in pages that cannot be read are told as lost ranges of keys.
///  5. Committed transactions of the log are applied whole, in order, also those behind a hole, which is reported; not those
///     behind a torn end, which nobody was told of. So behind a hole the rows are those of a state that never was.
///  6. Without any map nothing is known to be current: all rows and the log go to lost+found-<id>.unproven, as the log does
///     where point 3 sends all rows.
/// Memory: a bit a page, 40 bytes for each block of point 3, the longest value and the longest frame. Interrupted, it leaves a
/// new store with a part of the rows: use it only when this returned. Errors are of the new store, or out_of_memory.
template <class Chosen, FilePolicy Files = PosixFiles>
Result<SalvageReport> salvage(std::string_view damaged, BasicEngine<Chosen>& into, Files files = {}) {
  AEGIS_TRY(auto directory, files.open_directory(damaged, false));
  AEGIS_TRY(const bool is_lockable, directory.exists("lock"));
  std::optional<typename Files::Lock> lock;
  if (is_lockable) {
    auto taken = directory.lock("lock");
    if (!taken && taken.error().os_error() != EROFS) return taken.error();  // on such a file system nobody writes
    if (taken) lock.emplace(std::move(*taken));
  }
  const Owned<Salvage<Chosen, Files>> run{new (std::nothrow) Salvage<Chosen, Files>{std::move(directory), into}};
  if (!run) return Error{Errc::out_of_memory, "salvage"};
  return run->run();
}

}  // namespace aegis::storage
