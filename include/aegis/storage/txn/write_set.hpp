// SPDX-License-Identifier: Apache-2.0
// The private writes of one transaction, ordered by (table, key), with savepoints. Memory comes from an arena that is kept
// for the next transaction. Ascending inserts cost O(1). One thread at a time. Entries and what they view stay valid until
// the same key is written again, rollback_to or clear.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <boost/intrusive/set.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

namespace aegis::storage {

enum class WriteKind : std::uint8_t { put, insert, update, erase };

/// Memory that is given back all at once; addresses never move.
class WriteArena {
 public:
  struct Position {
    void* chunk = nullptr;
    std::size_t used = 0;
  };

  WriteArena() = default;
  WriteArena(const WriteArena&) = delete;
  WriteArena& operator=(const WriteArena&) = delete;
  ~WriteArena() {
    while (last_ != nullptr) pop();
  }

  /// nullptr when memory is out. Aligned for any entry.
  void* allocate(std::size_t bytes) {
    bytes = (bytes + alignment - 1) & ~(alignment - 1);
    if ((last_ == nullptr || last_->size - used_ < bytes) && !grow(bytes)) return nullptr;
    void* const memory = reinterpret_cast<std::byte*>(last_ + 1) + used_;
    used_ += bytes;
    return memory;
  }
  Position position() const { return {last_, used_}; }
  /// Gives back all that was allocated since `position` was asked for; the first chunk is kept.
  void rewind(Position position) {
    while (last_ != position.chunk && last_->previous != nullptr) pop();
    used_ = last_ == position.chunk ? position.used : 0;
  }
  void clear() {
    if (last_ == nullptr) return;
    rewind({});
    if (last_->size > largest_chunk) pop();  // one huge value is no reason to keep its memory
  }
  std::size_t memory() const { return memory_; }

 private:
  static constexpr std::size_t alignment = alignof(std::max_align_t);
  static constexpr std::size_t first_chunk = 4096, largest_chunk = 256 * 1024;

  struct alignas(alignment) Chunk {
    Chunk* previous;
    std::size_t size;  // bytes after this header
  };

  bool grow(std::size_t bytes) {
    const std::size_t wanted = last_ == nullptr ? first_chunk : std::min(2 * (last_->size + sizeof(Chunk)), largest_chunk);
    const std::size_t size = std::max(wanted - sizeof(Chunk), bytes);
    void* const memory = ::operator new(sizeof(Chunk) + size, std::nothrow);
    if (memory == nullptr) return false;
    last_ = ::new (memory) Chunk{last_, size};
    memory_ += sizeof(Chunk) + size;
    used_ = 0;
    return true;
  }
  void pop() {
    Chunk* const chunk = last_;
    last_ = chunk->previous;
    memory_ -= sizeof(Chunk) + chunk->size;
    ::operator delete(chunk);
  }

  Chunk* last_ = nullptr;   // the chunk being filled; all before it are full
  std::size_t used_ = 0;    // bytes of last_ that are taken
  std::size_t memory_ = 0;  // of all chunks
};

/// One key that the transaction changes: its newest write.
class WriteEntry : public boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>, boost::intrusive::optimize_size<true>> {
 public:
  TableId table() const { return table_; }
  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_bytes_}; }
  WriteKind kind() const { return newest_->kind; }
  bool present() const { return newest_->kind != WriteKind::erase; }       ///< The row exists once this is committed.
  std::string_view value() const { return {newest_->data, newest_->size}; }  ///< Empty for an erase.
  std::uint64_t sequence() const { return newest_->sequence; }

  PageId leaf{};  ///< Where the key, or one near it, was seen last; 0: nowhere. The transaction's to set.

 private:
  template <class>
  friend class BasicWriteSet;

  struct Write {
    Write* previous_of_key;  // what a rollback brings back
    Write* previous;         // of the whole set
    WriteEntry* entry;
    std::uint64_t sequence;
    char* data;
    std::size_t size, capacity;
    WriteKind kind;
  };

  Write* newest_ = nullptr;
  TableId table_{};
  std::uint32_t key_bytes_ = 0;
};

/// Arena: where entries come from; WriteArena says what it must have. Tests give one whose memory ends.
template <class Arena>
class BasicWriteSet {
 public:
  explicit BasicWriteSet(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  BasicWriteSet(const BasicWriteSet&) = delete;
  BasicWriteSet& operator=(const BasicWriteSet&) = delete;

  /// The key's newest write becomes this one. too_large: the set would exceed its limit; out_of_memory. After either the
  /// set is as before. `value` is ignored for an erase.
  Result<WriteEntry*> write(TableId table, std::string_view key, WriteKind kind, std::string_view value) {
    if (kind == WriteKind::erase) value = {};
    typename Set::insert_commit_data place;
    WriteEntry* const known = find_or_place(table, key, place);
    if (known != nullptr && known->newest_->sequence > marked_) return overwrite(*known, kind, value);
    const std::size_t cost = sizeof(Write) + value.size() + (known == nullptr ? sizeof(WriteEntry) + key.size() : 0);
    if (cost > limit_bytes_ - std::min(bytes_, limit_bytes_)) return too_large(cost);
    const typename Arena::Position before = arena_.position();
    WriteEntry* entry = known != nullptr ? known : make_entry(table, key);
    Write* const write = entry == nullptr ? nullptr : make_write(*entry, kind, value);
    if (write == nullptr) {
      if (before.chunk != nullptr) arena_.rewind(before);
      return Error{Errc::out_of_memory, "write set", cost};
    }
    if (known == nullptr) set_.insert_commit(*entry, place), ++size_;
    entry->newest_ = newest_ = write;
    bytes_ += cost;
    return entry;
  }

  const WriteEntry* find(TableId table, std::string_view key) const { return const_cast<BasicWriteSet*>(this)->find(table, key); }
  WriteEntry* find(TableId table, std::string_view key) {
    const auto at = set_.find(Key{table, key}, Order{});
    return at == set_.end() ? nullptr : &*at;
  }

  // Steps within one table; nullptr: there is none.
  const WriteEntry* first(TableId table) const { return at_or_after(table, {}); }
  const WriteEntry* last(TableId table) const { return before(set_.upper_bound(table, TableOrder{}), table); }
  const WriteEntry* at_or_after(TableId table, std::string_view key) const { return in_table(set_.lower_bound(Key{table, key}, Order{}), table); }
  const WriteEntry* after(TableId table, std::string_view key) const { return in_table(set_.upper_bound(Key{table, key}, Order{}), table); }
  const WriteEntry* at_or_before(TableId table, std::string_view key) const { return before(set_.upper_bound(Key{table, key}, Order{}), table); }
  const WriteEntry* before(TableId table, std::string_view key) const { return before(set_.lower_bound(Key{table, key}, Order{}), table); }
  const WriteEntry* next(const WriteEntry& entry) const { return in_table(std::next(set_.iterator_to(entry)), entry.table()); }
  const WriteEntry* previous(const WriteEntry& entry) const { return before(set_.iterator_to(entry), entry.table()); }

  /// Calls fn(WriteEntry&) for every key, by table and key.
  template <class Fn>
  void for_each(Fn&& fn) {
    for (WriteEntry& entry : set_) fn(entry);
  }
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (const WriteEntry& entry : set_) fn(entry);
  }
  /// The same with fn(TableId, key), as isolation policies want it.
  template <class Fn>
  void for_each_key(Fn&& fn) const {
    for (const WriteEntry& entry : set_) fn(entry.table(), entry.key());
  }

  /// A savepoint's number, which rises from one to the next until clear(). Savepoints nest; one outlives the rollbacks to it
  /// and to later ones. They count against the limit: too_large, out_of_memory.
  Result<std::uint64_t> mark() {
    if (sizeof(Mark) > limit_bytes_ - std::min(bytes_, limit_bytes_)) return too_large(sizeof(Mark));
    void* const memory = arena_.allocate(sizeof(Mark));
    if (memory == nullptr) return Error{Errc::out_of_memory, "savepoint"};
    newest_mark_ = ::new (memory) Mark{newest_mark_, ++marks_made_, sequence_, arena_.position()};
    bytes_ += sizeof(Mark);
    marked_ = sequence_;
    return newest_mark_->number;
  }
  /// Takes back every write since that savepoint, and every later savepoint, with their memory. False if there is none of
  /// that number, or not any more. O(what it takes back).
  bool rollback_to(std::uint64_t number) {
    const Mark* mark = newest_mark_;
    while (mark != nullptr && mark->number > number) mark = mark->previous;
    if (mark == nullptr || mark->number != number) return false;
    for (; newest_mark_ != mark; newest_mark_ = newest_mark_->previous) bytes_ -= sizeof(Mark);
    take_back_after(mark->sequence);
    marked_ = mark->sequence;
    arena_.rewind(mark->end);
    return true;
  }
  void clear() {
    set_.clear();
    arena_.clear();
    newest_ = nullptr;
    newest_mark_ = nullptr;
    size_ = bytes_ = 0;
    sequence_ = marked_ = marks_made_ = 0;
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }                        ///< Keys.
  std::size_t bytes() const { return bytes_; }                      ///< What counts against the limit: keys, values, chains.
  std::size_t limit_bytes() const { return limit_bytes_; }
  std::size_t arena_bytes() const { return arena_.memory(); }
  std::uint64_t sequence() const { return sequence_; }              ///< Rises with every write.

 private:
  using Write = WriteEntry::Write;
  struct Mark {
    const Mark* previous;
    std::uint64_t number;
    std::uint64_t sequence;      // of the newest write before it
    typename Arena::Position end;    // of the arena, itself included
  };
  struct Key {
    TableId table;
    std::string_view key;
  };
  struct Order {
    static Key key_of(const WriteEntry& entry) { return {entry.table(), entry.key()}; }
    static Key key_of(const Key& key) { return key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      const Key left = key_of(a), right = key_of(b);
      return left.table != right.table ? left.table < right.table : compare_keys(left.key, right.key) < 0;
    }
  };
  struct TableOrder {
    bool operator()(const WriteEntry& entry, TableId table) const { return entry.table() < table; }
    bool operator()(TableId table, const WriteEntry& entry) const { return table < entry.table(); }
  };
  struct EntryOrder {
    bool operator()(const WriteEntry& a, const WriteEntry& b) const { return Order{}(a, b); }
  };
  using Set = boost::intrusive::set<WriteEntry, boost::intrusive::compare<EntryOrder>, boost::intrusive::constant_time_size<false>>;

  static std::size_t cost_of(const Write& write) { return sizeof(Write) + write.size; }

  Error too_large(std::size_t cost) const { return Error::mismatch(Errc::too_large, "write set of a transaction", limit_bytes_, bytes_ + cost); }

  // The entry of the key, or nullptr and the place for it. A key above all others is placed without a search.
  WriteEntry* find_or_place(TableId table, std::string_view key, typename Set::insert_commit_data& place) {
    const auto [at, fresh] = set_.insert_check(set_.end(), Key{table, key}, Order{}, place);
    return fresh ? nullptr : &*at;
  }

  void take_back_after(std::uint64_t sequence) {
    while (newest_ != nullptr && newest_->sequence > sequence) {
      const Write& write = *newest_;
      WriteEntry& entry = *write.entry;
      bytes_ -= cost_of(write);
      newest_ = write.previous;
      entry.newest_ = write.previous_of_key;
      if (entry.newest_ != nullptr) continue;
      bytes_ -= sizeof(WriteEntry) + entry.key_bytes_;
      set_.erase(set_.iterator_to(entry));
      --size_;
    }
  }

  // No mark stands between the key's newest write and this one, so nothing can bring the old value back.
  Result<WriteEntry*> overwrite(WriteEntry& entry, WriteKind kind, std::string_view value) {
    Write& write = *entry.newest_;
    if (value.size() > write.size && value.size() - write.size > limit_bytes_ - std::min(bytes_, limit_bytes_)) return too_large(value.size() - write.size);
    if (value.size() > write.capacity) {
      // Doubling keeps what growing values leave behind in the arena below twice the last one.
      const std::size_t capacity = std::max(value.size(), 2 * write.capacity);
      char* const data = static_cast<char*>(arena_.allocate(capacity));
      if (data == nullptr) return Error{Errc::out_of_memory, "write set", capacity};
      write.data = data;
      write.capacity = capacity;
    }
    if (!value.empty()) std::memmove(write.data, value.data(), value.size());  // the value may view the one it replaces
    bytes_ = bytes_ - write.size + value.size();
    write.size = value.size();
    write.kind = kind;
    write.sequence = ++sequence_;
    return &entry;
  }

  WriteEntry* make_entry(TableId table, std::string_view key) {
    void* const memory = arena_.allocate(sizeof(WriteEntry) + key.size());
    if (memory == nullptr) return nullptr;
    WriteEntry* const entry = ::new (memory) WriteEntry;
    entry->table_ = table;
    entry->key_bytes_ = static_cast<std::uint32_t>(key.size());
    copy_bytes({reinterpret_cast<std::byte*>(entry + 1), key.size()}, bytes_of(key));
    return entry;
  }
  Write* make_write(WriteEntry& entry, WriteKind kind, std::string_view value) {
    void* const memory = arena_.allocate(sizeof(Write) + value.size());
    if (memory == nullptr) return nullptr;
    char* const data = static_cast<char*>(memory) + sizeof(Write);
    if (!value.empty()) std::memcpy(data, value.data(), value.size());
    return ::new (memory) Write{entry.newest_, newest_, &entry, ++sequence_, data, value.size(), value.size(), kind};
  }

  const WriteEntry* in_table(typename Set::const_iterator at, TableId table) const { return at == set_.end() || at->table() != table ? nullptr : &*at; }
  const WriteEntry* before(typename Set::const_iterator at, TableId table) const { return at == set_.begin() ? nullptr : in_table(--at, table); }

  Arena arena_;
  Set set_;                     // one entry a key; every entry has a newest write
  Write* newest_ = nullptr;     // all writes, newest first
  const Mark* newest_mark_ = nullptr;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;       // sum of the costs of all entries, writes and savepoints
  std::size_t limit_bytes_;
  std::uint64_t sequence_ = 0;  // of the newest write
  std::uint64_t marked_ = 0;    // writes up to here belong to a savepoint and are never overwritten
  std::uint64_t marks_made_ = 0;
};

using WriteSet = BasicWriteSet<WriteArena>;

}  // namespace aegis::storage
