// SPDX-License-Identifier: Apache-2.0
// B+trees over a buffer pool: a table's rows in key order, the newest version of each. Knows page timestamps and ghosts,
// not versions. Reading: any thread, nothing is latched or pinned on return; whoever reads holds a snapshot, which keeps
// freed pages from being used again under it. Changing: inside the commit section, one page structure step at a time.
// There is one BTree for all tables of a store.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/descent.hpp>
#include <aegis/storage/tree/destroy.hpp>
#include <aegis/storage/tree/leaf_copy.hpp>
#include <aegis/storage/tree/limits.hpp>
#include <aegis/storage/tree/merge.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/tree/node_edit.hpp>
#include <aegis/storage/tree/overflow.hpp>
#include <aegis/storage/tree/split.hpp>
#include <aegis/storage/tree/value_buffer.hpp>
#include <aegis/storage/tree/verify.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace aegis::storage {

/// What a point read found, and the newest commit that changed its leaf: not after the reader's snapshot means that no
/// older version needs to be looked for.
struct RowRead {
  RowKind kind = RowKind::absent;
  Timestamp page_newest = never_committed;
  PageId leaf{};  ///< Where it is, or would be.

  bool present() const { return kind == RowKind::in_place || kind == RowKind::overflow; }
};

/// What a row takes in its leaf, without its value: enough to prepare for replacing it.
struct RowShape {
  RowKind kind = RowKind::absent;
  std::size_t stored_bytes = 0;  ///< Of a StoredValue: the value in place, or an overflow reference.
  PageId leaf{};                 ///< Where it is, or would be.

  bool present() const { return kind == RowKind::in_place || kind == RowKind::overflow; }
};

struct PurgeResult {
  std::size_t removed = 0;
  std::size_t left = 0;  ///< Ghosts that something still needs.
};

/// For writes whose replaced rows nobody saves.
struct SaveNothing {
  void operator()(const StoredValue&) const noexcept {}
};

template <class Pool, class Allocator>
class BTree {
 public:
  using PageType = typename Pool::PageType;
  using Token = typename Pool::Token;
  using Pin = typename decltype(std::declval<Pool&>().pin(PageId{}))::value_type;
  static constexpr std::size_t page_bytes = PageType::size_bytes;
  static constexpr std::size_t key_limit = max_key_bytes(page_bytes);
  using Leaf = LeafCopy<page_bytes>;

  /// The leaf of one put(), kept for the next: rows that come in key order find it without looking for it. While it holds one
  /// nothing but such a put may enter pool or tree, and it ends before the stay in the section.
  class Run {
   public:
    Run() = default;
    void release() { leaf_.reset(); }

   private:
    friend BTree;
    Maybe<typename decltype(std::declval<Pool&>().exclusive(std::declval<Token&>(), PageId{}))::value_type> leaf_;
  };

  BTree(Pool& pool, Allocator& allocator)
      : pool_(pool),
        allocator_(allocator),
        descent_(pool),
        chains_(pool, allocator),
        split_(pool, allocator),
        merge_(pool, allocator),
        destroy_(pool, allocator, chains_, merge_),
        verify_(pool, chains_) {}
  BTree(const BTree&) = delete;
  BTree& operator=(const BTree&) = delete;

  /// too_large, naming the limit and what was given.
  static Result<void> check_key(std::string_view key);
  static Result<void> check_value(std::string_view value);

  // Reading.

  /// Copies the value into `out` (empty unless present). Allocates only if `out` is too small. A key beyond the limit is absent.
  Result<RowRead> get(TableRoot root, std::string_view key, ValueBuffer& out);
  /// What get() would find, without the value. Of a long value only its reference is looked at.
  /// `hint`: the leaf that an earlier read of this or a neighbouring key told, or 0.
  Result<RowShape> shape(TableRoot root, std::string_view key, PageId hint = {});
  /// The leaf of a position, whole, its rows beyond the position marked off. `position` may point into `out`. On failure
  /// `out` is empty.
  Result<void> copy_leaf(TableRoot root, const LeafPosition& position, Leaf& out);
  /// The same for whoever is in the commit section.
  Result<void> copy_leaf(Token& token, TableRoot root, const LeafPosition& position, Leaf& out);
  /// What lies behind or before the keys of `leaf`: rows [begin_row(), end_row()). False, and `leaf` unchanged, when that
  /// is nothing.
  Result<bool> next_leaf(TableRoot root, Leaf& leaf);
  Result<bool> previous_leaf(TableRoot root, Leaf& leaf);
  /// The value of an overflow row, from a LeafCopy or a saved version. If its pages may have been released meanwhile (a
  /// revoked snapshot), the caller finds out afterwards; then neither value nor corrupt_page means anything.
  Result<void> read_overflow(TableId table, OverflowRef ref, ValueBuffer& out) { return chains_.read(table, ref, out); }
  /// Brings the pages to a key's leaf into the pool. Which leaf that is may change at once.
  Result<PageId> touch(TableRoot root, std::string_view key) {
    return descent_.visit(root, LeafPosition::at(cut(key)), [](const PageType&, PageId id) { return id; });
  }

  // Changing. Whatever fails leaves every tree as it was, and well-formed.

  /// A tree without rows.
  Result<PageId> create(Token& token, TableId table);
  /// The same in a page that the caller allocated.
  Result<void> create_at(Token& token, TableRoot root);
  /// Tells the next pin or change where its leaf probably is: a page that touch() or shape() answered under a snapshot that
  /// is still held. It is checked, so a wrong one costs time only.
  void expect_leaf(Token&, TableRoot root, PageId leaf) {
    last_table_ = root.table;
    last_leaf_ = leaf;
  }
  /// Keeps a key's leaf in memory. Splits and merges may make it another key's leaf.
  Result<Pin> pin_leaf(Token& token, TableRoot root, std::string_view key);
  /// The row as it is stored. The bytes stay until the next call on this tree in this section.
  Result<StoredValue> current(Token& token, TableRoot root, std::string_view key);

  /// Inserts or replaces. save(const StoredValue&) is called exactly once, after all that can fail on the way to the
  /// change and before it, under the leaf's latch, with what the row was; its bytes last for the call. It must not
  /// enter pool or tree. The page's newest timestamp becomes `timestamp` if that is later. An error after save() was
  /// called says only that pages of a replaced long value could not be given back.
  template <class Save = SaveNothing>
  Result<void> put(Token& token, TableRoot root, std::string_view key, std::string_view value, Timestamp timestamp, Save&& save = {}) {
    Run run;
    return put(run, token, root, key, value, timestamp, save);
  }
  /// The same as one of many.
  template <class Save = SaveNothing>
  Result<void> put(Run& run, Token& token, TableRoot root, std::string_view key, std::string_view value, Timestamp timestamp, Save&& save = {});
  /// Removes the row or makes it a ghost. False: it was absent or a ghost; save is not called. Otherwise as put().
  template <class Save = SaveNothing>
  Result<bool> erase(Token& token, TableRoot root, std::string_view key, bool leave_ghost, Timestamp timestamp, Save&& save = {});
  /// Removes the key's ghost and merges an under-full leaf. True if there was one. Freed pages are released when no
  /// snapshot below `timestamp` is left: for work outside a commit that is the one after the newest published.
  Result<bool> purge(Token& token, TableRoot root, std::string_view key, Timestamp timestamp) {
    AEGIS_TRY(const PurgeResult done, purge_rows(token, root, key, timestamp, [&](std::string_view ghost) { return ghost == key; }));
    return done.removed > 0;
  }
  /// Removes the ghosts of the key's leaf for which may_go(std::string_view key) holds; it is called under the leaf's
  /// latch and must not enter pool or tree.
  template <class MayGo>
  Result<PurgeResult> purge_leaf(Token& token, TableRoot root, std::string_view key, Timestamp timestamp, MayGo&& may_go) {
    return purge_rows(token, root, key, timestamp, may_go);
  }
  /// Frees about `quantum` pages of a tree that nobody reads any more; true when none, not even the root, is left. The
  /// tree stays well-formed in between, so a later call, also after recovery, goes on. A long value goes in one piece.
  Result<bool> destroy_some(Token& token, TableRoot root, std::size_t quantum, Timestamp timestamp) {
    forget_leaf();
    return destroy_.some(token, root, quantum, timestamp);
  }

  /// Walks everything that a root reaches; needs the commit section, or nobody who writes. `report` has
  /// bool visited(PageId), called once a page, false if it knows the page already, and void damaged(Error).
  template <class Report>
  Result<TreeCounts> verify(TableRoot root, Report&& report) {
    return verify_.walk(root, report);
  }

 private:
  using View = NodeView<page_bytes>;

  // A row in its leaf, as read from one state of the page.
  struct Hit {
    PageId leaf{};
    RowKind kind = RowKind::absent;
    Timestamp newest = never_committed;
    std::size_t bytes = 0;
    OverflowRef overflow{};
  };

  // A key too long to exist, cut so that it still descends to where it would be.
  static std::string_view cut(std::string_view key) { return key.substr(0, key_limit + 1); }

  Result<Hit> read_row(TableRoot root, std::string_view key, MutableBytes out, PageId hint = {});
  template <class Visit>
  Result<void> copy_visited(const LeafPosition& position, Leaf& out, Visit&& visit);
  Result<void> go_to_leaf(Run& run, Token& token, TableRoot root, std::string_view key);
  Result<PageId> leaf_of(TableRoot root, std::string_view key);
  template <class Save>
  Result<StoredValue> place(Run& run, Token& token, TableRoot root, std::string_view key, StoredValue value, Timestamp timestamp, Save& save);
  template <class MayGo>
  Result<PurgeResult> purge_rows(Token& token, TableRoot root, std::string_view key, Timestamp timestamp, MayGo&& may_go);
  void shrink(Token& token, TableRoot root, std::string_view key, Timestamp timestamp);
  void forget_leaf() { last_leaf_ = PageId{}; }
  static bool worth_merging(const PageType& page) {
    const std::size_t rows = View{page}.rows();
    return is_under_full(page) && (rows < 8 || rows % 8 == 0);
  }

  Pool& pool_;
  Allocator& allocator_;
  Descent<Pool> descent_;
  OverflowChains<Pool, Allocator> chains_;

  // The rest belongs to the holder of the commit section.
  TreeSplit<Pool, Allocator> split_;
  TreeMerge<Pool, Allocator> merge_;
  TreeDestroy<Pool, Allocator> destroy_;
  TreeVerify<Pool, Allocator> verify_;
  TableId last_table_{};
  PageId last_leaf_{};  // where the last change went: the next is often beside it; 0 = unknown. Never a freed page.
  std::byte row_[max_row_bytes(page_bytes)];    // a row on its way into a leaf
  std::byte saved_[max_row_bytes(page_bytes)];  // what current() or place() found
};

}  // namespace aegis::storage

#include <aegis/storage/tree/btree_read.hpp>
#include <aegis/storage/tree/btree_write.hpp>
