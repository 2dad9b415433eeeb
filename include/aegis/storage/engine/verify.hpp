// SPDX-License-Identifier: Apache-2.0
// Looks at everything: block 0, the log behind the checkpoint, what the backend stands on, every stored block; then every page
// of every table, their order, fences and long values, and that each page is used exactly once or free. Readers go on all the
// while, commits in the first part; in the second, which looks at pages, they wait.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/catalog_rows.hpp>
#include <aegis/storage/engine/checkpoint.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <array>
#include <cstdint>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace aegis::storage {

/// How far it is. Blocks are read twice at most: once as they are stored, once as pages.
struct VerifyProgress {
  std::uint64_t blocks = 0, blocks_in_all = 0;  ///< Stored blocks read again.
  std::uint64_t pages = 0, pages_in_all = 0;    ///< Afterwards: pages of tables and long values looked at.
};

struct VerifyReport {
  std::uint64_t tables = 0, rows = 0, ghosts = 0;
  std::uint64_t pages = 0;                ///< Visited: free-space maps, trees, long values.
  std::uint64_t free_pages = 0;
  std::uint64_t blocks = 0;               ///< Stored, read again and proven; block 0 too.
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

  Verifier(Parts& parts, Checkpointer<Chosen>& checkpointer) : parts_(parts), checkpointer_(checkpointer) {}

  /// tell(const VerifyProgress&). An error only when it could not be done; damage is in the report.
  template <class Tell>
  Result<VerifyReport> run(Tell&& tell) {
    AEGIS_TRY(checkpointer_.run_between([&] { return check_foundations(); }));
    AEGIS_TRY(check_blocks(tell));
    typename Parts::Token token = parts_.pool->section().enter();
    const std::uint64_t pages = parts_.pool->page_count();
    if (highest_block_ >= pages) damaged(Error{Errc::corrupt_block, "block beyond the last page, block", highest_block_});
    seen_.reset(new (std::nothrow) bool[pages]{});
    if (!seen_) return Error{Errc::out_of_memory, "verification of pages", pages};
    progress_.pages_in_all = parts_.allocator->used_pages();
    seen_count_ = pages;
    for (std::uint64_t page = 1; page < pages; ++page)
      if (Parts::Allocator::is_map_page(PageId{page})) check_map_page(PageId{page});
    AEGIS_TRY(walk(parts_.catalog, tell));
    const auto listed = for_each_catalog_row(parts_, token, [&](std::string_view, const CatalogRow& row) {
      ++report_.tables;
      return walk({row.id, row.root}, tell);
    });
    if (!listed && listed.error().code() == Errc::out_of_memory) return listed.error();
    if (!listed) damaged(listed.error());
    account();
    tell(progress_);
    return std::move(report_);
  }

 private:
  static constexpr std::uint64_t tell_every = 1024;

  // What the tree's walk reports to.
  template <class Tell>
  struct Walk {
    bool visited(PageId page) {
      const bool first = verifier.visited(page);
      if (first && verifier.progress_.pages % tell_every == 0) tell(std::as_const(verifier.progress_));
      return first;
    }
    void damaged(Error problem) { verifier.damaged(problem); }

    Verifier& verifier;
    Tell& tell;
  };

  void damaged(Error problem) {
    ++report_.problem_count;
    if (report_.problems.size() < 100) report_.problems.push_back(problem);
  }
  bool visited(PageId page) {
    if (number(page) >= seen_count_) return damaged(Error{Errc::corrupt_page, "id beyond the last page", number(page)}), false;
    if (seen_[number(page)]) return false;
    seen_[number(page)] = true;
    ++report_.pages;
    ++progress_.pages;
    if (!parts_.allocator->in_use(page)) damaged(Error{Errc::corrupt_page, "page that is used but marked free", number(page)});
    return true;
  }
  /// Block 0 is what the last checkpoint wrote, the log goes on from there, the backend knows where everything is.
  Result<void> check_foundations() {
    std::array<std::byte, meta_bytes> stored{};
    const auto size = parts_.backend.read(meta_block, stored);
    if (!size) damaged(size.error());
    else if (const auto meta = Meta::decode(Bytes{stored}.first(*size)); !meta) damaged(meta.error());
    else if (meta->checkpoint_number != parts_.meta.checkpoint_number || meta->checkpoint != parts_.meta.checkpoint || meta->catalog_root != parts_.meta.catalog_root)
      damaged(Error{Errc::corrupt_block, "block 0 of another checkpoint; block", 0});
    AEGIS_TRY(note(parts_.wal->check(parts_.meta.checkpoint)));
    if constexpr (CheckableBackend<typename Parts::Backend>) AEGIS_TRY(parts_.backend.check([&](const Error& problem) { damaged(problem); }));
    return {};
  }
  /// Every block that is stored, with its checksum and id. A block that is replaced meanwhile is read as it is then.
  template <class Tell>
  Result<void> check_blocks(Tell& tell) {
    progress_.blocks_in_all = parts_.backend.stats().blocks;
    Result<void> done;
    const auto listed = parts_.backend.for_each([&](BlockId id, std::size_t) {
      if (!done) return;
      if (number(id) > highest_block_) highest_block_ = number(id);
      if (id != meta_block) done = check_block(PageId{number(id)});
      ++report_.blocks;
      if (++progress_.blocks % tell_every == 0) tell(progress_);
    });
    AEGIS_TRY(done);
    AEGIS_TRY(note(listed));
    tell(progress_);
    return {};
  }
  Result<void> check_block(PageId page) {
    const auto stored = parts_.pool->check(page);
    if (!stored && stored.error().code() == Errc::block_not_found) return {};  // erased meanwhile
    return note(stored);
  }
  void check_map_page(PageId page) {
    (void)visited(page);
    const auto read = parts_.pool->read(page, [&](const typename Parts::Pool::PageType& map) {
      const auto bits = map.at(0);
      return map.type() == PageType::free && bits && bits->size() == Parts::Pool::PageType::max_tuple_bytes;
    });
    if (!read) damaged(read.error());
    else if (!*read) damaged(Error{Errc::corrupt_page, "free map page", number(page)});
  }
  template <class Tell>
  Result<void> walk(TableRoot root, Tell& tell) {
    Walk<Tell> walk{*this, tell};
    const auto counts = parts_.tree->verify(root, walk);
    if (!counts) return note(counts.error());
    report_.rows += root.table == catalog_table ? 0 : counts->rows;
    report_.ghosts += counts->ghosts;
    return {};
  }
  /// Want of memory says nothing of the store.
  Result<void> note(const Result<void>& done) {
    if (done) return {};
    if (done.error().code() == Errc::out_of_memory) return done;
    damaged(done.error());
    return {};
  }
  void account() {
    for (std::uint64_t page = 1; page < seen_count_; ++page) {
      const bool used = parts_.allocator->in_use(PageId{page});
      if (!used) ++report_.free_pages;
      if (used && !seen_[page]) damaged(Error{Errc::corrupt_page, "page that nothing names but is not free", page});
    }
  }

  Parts& parts_;
  Checkpointer<Chosen>& checkpointer_;
  Owned<bool[]> seen_;
  std::uint64_t seen_count_ = 0;
  std::uint64_t highest_block_ = 0;
  VerifyProgress progress_;
  VerifyReport report_;
};

}  // namespace aegis::storage
