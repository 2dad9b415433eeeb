// SPDX-License-Identifier: Apache-2.0
// What a salvage brought home, and what it did not. ok(): everything that was ever committed is in the new store.
#pragma once

#include <aegis/storage/core/error.hpp>
#include <aegis/storage/core/ids.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::storage {

/// Rows of one table of the damaged store, by where they went.
struct SalvagedTable {
  TableId id{};
  std::string source;            ///< Its name there; empty: not known.
  std::string target;            ///< Its name in the new store: that name, or lost+found-<id>.
  std::uint64_t rows = 0;        ///< Written to `target` from pages. What the log changed afterwards is not counted.
  std::uint64_t unproven = 0;    ///< Written to lost+found-<id>.unproven: perhaps replaced or erased since.
  std::uint64_t lost_values = 0; ///< Rows left out: parts of their long values cannot be read.
};

/// Keys of which nothing can be said: what stood there cannot be read.
struct LostRange {
  TableId table{};
  std::string from, to;          ///< From `from` up to, not including, `to`.
  bool has_to = false;           ///< False: to the last key.
  std::uint64_t page = 0;        ///< The page that cannot be read.
};

struct SalvageReport {
  bool older_checkpoint = false; ///< The pages are those of the one before the newest. The log goes back to it, or all is unproven.
  bool lost_map = false;         ///< Where blocks stand is not known, or not of all: they were looked for in the whole file.
  bool lost_meta = false;        ///< Block 0 cannot be read.
  bool lost_catalog = false;     ///< Names of tables may be missing.
  std::vector<SalvagedTable> tables;
  std::uint64_t blocks = 0;             ///< Read and proven.
  std::uint64_t unreadable_blocks = 0;
  std::uint64_t freed_leaves = 0;       ///< Intact, but of pages that were free: left out.
  std::uint64_t unproven_leaves = 0;
  std::uint64_t log_transactions = 0;   ///< Committed ones found in the log and applied.
  std::uint64_t log_broken = 0;         ///< Of those, not applied: whole, but not understood.
  std::uint64_t log_undecided = 0;      ///< Intact, behind a torn end: never acknowledged, not applied.
  std::uint64_t log_holes = 0, log_lost_bytes = 0;  ///< Parts of the log before its end that cannot be read.
  bool log_lost = false;                ///< None of it can be read.
  std::uint64_t lost_range_count = 0;
  std::vector<LostRange> lost_ranges;   ///< The first hundred.
  std::uint64_t problem_count = 0;
  std::vector<Error> problems;          ///< The first hundred.

  bool ok() const {
    return problem_count == 0 && lost_range_count == 0 && unreadable_blocks == 0 && !older_checkpoint && !lost_map && !lost_meta && !lost_catalog && !log_lost && log_holes == 0 &&
           log_broken == 0;
  }
  void damaged(const Error& problem) {
    ++problem_count;
    if (problems.size() < 100) problems.push_back(problem);
  }
  /// A line for everything that is not as it should be, then a line a table.
  std::string message() const;
};

inline std::string SalvageReport::message() const {
  std::string text;
  const auto line = [&](std::string_view said) { text.append(said).append("\n"); };
  const auto count = [](std::uint64_t value) { return std::to_string(value); };
  for (const Error& problem : problems) line(problem.message());
  if (problem_count > problems.size()) line("and " + count(problem_count - problems.size()) + " more problems");
  if (older_checkpoint) line("the newest checkpoint cannot be read: the pages are those of the one before");
  if (lost_map) line("the map of blocks cannot be read: blocks were looked for in the whole file, and what was found may be old");
  if (lost_meta) line("block 0 cannot be read");
  if (lost_catalog) line("the catalog cannot be read whole: tables without a name are called lost+found-<id>");
  for (const LostRange& range : lost_ranges) {
    const std::string to = range.has_to ? " to \"" + range.to + "\"" : " on";
    line("lost: keys of table " + count(number(range.table)) + " from \"" + range.from + "\"" + to + ", page " + count(range.page));
  }
  if (lost_range_count > lost_ranges.size()) line("and " + count(lost_range_count - lost_ranges.size()) + " more lost ranges");
  if (log_lost) line("the log cannot be read: commits after the checkpoint are lost");
  if (log_holes != 0) line("the log has " + count(log_holes) + " holes, " + count(log_lost_bytes) + " bytes; commits in them are lost, those behind them were applied");
  if (log_broken != 0) line(count(log_broken) + " transactions of the log could not be applied");
  if (log_undecided != 0) line(count(log_undecided) + " transactions behind the torn end of the log were never acknowledged and not applied");
  for (const SalvagedTable& table : tables) {
    std::string said = "table " + count(number(table.id)) + (table.source.empty() ? std::string{} : " \"" + table.source + "\"") + ": " + count(table.rows) + " rows";
    if (table.unproven != 0) said += ", " + count(table.unproven) + " more in lost+found-" + count(number(table.id)) + ".unproven";
    if (table.lost_values != 0) said += ", " + count(table.lost_values) + " rows with unreadable values left out";
    line(said);
  }
  line(count(blocks) + " blocks read, " + count(unreadable_blocks) + " unreadable, " + count(log_transactions) + " transactions applied from the log");
  return text;
}

}  // namespace aegis::storage
