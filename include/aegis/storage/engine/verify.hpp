// SPDX-License-Identifier: Apache-2.0
// Looks at everything: every page of every table, their order and fences, that each page is used exactly once or free,
// and that what is stored of each page can be read back. Commits wait while it runs; readers go on.
#pragma once

#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/catalog_rows.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <cstdint>
#include <new>
#include <string>
#include <vector>

namespace aegis::storage {

struct VerifyReport {
  std::uint64_t tables = 0, rows = 0, ghosts = 0;
  std::uint64_t pages = 0;                ///< Visited: free-space maps, trees, long values.
  std::uint64_t free_pages = 0;
  std::uint64_t problem_count = 0;
  std::vector<Error> problems;            ///< The first hundred.

  bool ok() const { return problem_count == 0; }
  /// A line a problem.
  std::string message() const {
    std::string text;
    for (const Error& problem : problems) text.append(problem.message()).append("\n");
    return text;
  }
};

template <class Chosen>
class Verifier {
 public:
  using Parts = storage::Parts<Chosen>;

  explicit Verifier(Parts& parts) : parts_(parts) {}

  /// An error only when it could not be done; damage is in the report.
  Result<VerifyReport> run() {
    typename Parts::Token token = parts_.pool->section().enter();
    const std::uint64_t pages = parts_.pool->page_count();
    seen_.reset(new (std::nothrow) bool[pages]{});
    if (!seen_) return Error{Errc::out_of_memory, "verification of pages", pages};
    seen_count_ = pages;
    for (std::uint64_t page = 1; page < pages; ++page)
      if (Parts::Allocator::is_map_page(PageId{page})) visited(PageId{page});
    walk(parts_.catalog);
    const auto listed = for_each_catalog_row(parts_, token, [&](std::string_view, const CatalogRow& row) {
      ++report_.tables;
      walk({row.id, row.root});
      return Result<void>{};
    });
    if (!listed) damaged(listed.error());
    account();
    return std::move(report_);
  }

  // What the tree's walk reports to.

  bool visited(PageId page) {
    if (number(page) >= seen_count_) return damaged(Error{Errc::corrupt_page, "id beyond the last page", number(page)}), false;
    if (seen_[number(page)]) return false;
    seen_[number(page)] = true;
    ++report_.pages;
    if (!parts_.allocator->in_use(page)) damaged(Error{Errc::corrupt_page, "page that is used but marked free", number(page)});
    check_stored(page);
    return true;
  }
  void damaged(Error problem) {
    ++report_.problem_count;
    if (report_.problems.size() < 100) report_.problems.push_back(problem);
  }

 private:
  void walk(TableRoot root) {
    const auto counts = parts_.tree->verify(root, *this);
    if (!counts) return damaged(counts.error());
    report_.rows += root.table == catalog_table ? 0 : counts->rows;
    report_.ghosts += counts->ghosts;
  }
  /// The stored block of a page that was never written yet is absent; that is no damage.
  void check_stored(PageId page) {
    const auto stored = parts_.pool->check(page);
    if (!stored && stored.error().code() != Errc::block_not_found) damaged(stored.error());
  }
  void account() {
    for (std::uint64_t page = 1; page < seen_count_; ++page) {
      const bool used = parts_.allocator->in_use(PageId{page});
      if (!used) ++report_.free_pages;
      if (used && !seen_[page]) damaged(Error{Errc::corrupt_page, "page that nothing names but is not free", page});
    }
  }

  Parts& parts_;
  Owned<bool[]> seen_;
  std::uint64_t seen_count_ = 0;
  VerifyReport report_;
};

}  // namespace aegis::storage
