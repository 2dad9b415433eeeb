// SPDX-License-Identifier: Apache-2.0
// Blocks in memory by generation: every id has a chain of images, newest first, and an image lives as long as some
// needed generation sees it. This is the published state kept apart, which makes a memory disk able to crash.
// Not synchronised; MemoryMedium is.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <span>

namespace aegis::storage {

/// What a block was from `generation` on. Made by prepare(), then owned by MemoryBlocks.
struct MemoryImage {
  std::uint64_t generation;
  MemoryImage* older;
  std::size_t size;
  bool present;  // false: the block was erased

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
  Bytes bytes() const { return {reinterpret_cast<const std::byte*>(this + 1), size}; }

  /// nullptr when memory is out.
  static MemoryImage* prepare(Bytes content, bool present) {
    void* room = std::malloc(sizeof(MemoryImage) + content.size());
    if (room == nullptr) return nullptr;
    auto* image = new (room) MemoryImage{0, nullptr, content.size(), present};
    copy_bytes({image->data(), content.size()}, content);
    return image;
  }
  static void discard(MemoryImage* image) { std::free(image); }
};

class MemoryBlocks {
 public:
  static constexpr std::uint64_t newest = std::numeric_limits<std::uint64_t>::max();

  MemoryBlocks() = default;
  MemoryBlocks(const MemoryBlocks&) = delete;
  MemoryBlocks& operator=(const MemoryBlocks&) = delete;
  ~MemoryBlocks() {
    for (std::size_t i = 0; i < bucket_count_; ++i)
      while (Entry* entry = buckets_[i]) {
        buckets_[i] = entry->next;
        while (MemoryImage* image = entry->newest) {
          entry->newest = image->older;
          MemoryImage::discard(image);
        }
        delete entry;
      }
    std::free(buckets_);
  }

  /// The image that `generation` sees, or nullptr when the block is absent there.
  const MemoryImage* find(BlockId id, std::uint64_t generation) const {
    const Entry* entry = lookup(id);
    return entry == nullptr ? nullptr : seen(entry, generation);
  }

  /// Takes `image` as what the block is from `generation` on, in any case. out_of_memory leaves all as it was.
  Result<void> put(BlockId id, MemoryImage* image, std::uint64_t generation) {
    Entry* entry = lookup(id);
    if (entry == nullptr) entry = insert(id);
    if (entry == nullptr) {
      MemoryImage::discard(image);
      return Error{Errc::out_of_memory, "table of blocks", number(id)};
    }
    uncount(entry);
    image->generation = generation;
    image->older = entry->newest;
    used_bytes_ += image->size;
    entry->newest = image;
    if (image->older != nullptr && image->older->generation == generation) drop(&image->older);
    count(entry);
    note_changed(entry);
    return {};
  }

  /// Drops every image that neither the newest state nor one of `needed` sees. Costs what changed, not what is stored.
  void prune(std::span<const std::uint64_t> needed, std::uint64_t published) {
    walk_changed([&](Entry* entry) {
      MemoryImage* newer = entry->newest;
      for (MemoryImage** at = &newer->older; *at != nullptr;) {
        if (wanted(needed, (*at)->generation, newer->generation)) {
          newer = *at;
          at = &newer->older;
        } else {
          drop(at);
        }
      }
      return entry->newest->older != nullptr || entry->newest->generation > published;
    });
  }

  /// Back to the state of `published`: everything after it is gone.
  void revert(std::uint64_t published) {
    walk_changed([&](Entry* entry) {
      uncount(entry);
      while (entry->newest != nullptr && entry->newest->generation > published) drop(&entry->newest);
      while (entry->newest != nullptr && entry->newest->older != nullptr) drop(&entry->newest->older);
      if (entry->newest != nullptr) count(entry);
      return false;
    });
  }

  template <class Fn>
  void for_each(std::uint64_t generation, Fn&& fn) const {
    for (std::size_t i = 0; i < bucket_count_; ++i)
      for (const Entry* entry = buckets_[i]; entry != nullptr; entry = entry->next)
        if (const MemoryImage* image = seen(entry, generation)) fn(entry->id, image->size);
  }

  std::uint64_t blocks() const { return blocks_; }              ///< Present in the newest state.
  std::uint64_t stored_bytes() const { return stored_bytes_; }  ///< Their lengths.
  std::uint64_t used_bytes() const { return used_bytes_; }      ///< Lengths of all images.
  std::uint64_t table_bytes() const { return bucket_count_ * sizeof(Entry*) + entries_ * sizeof(Entry); }
  std::size_t entries() const { return entries_; }

 private:
  struct Entry {
    BlockId id;
    Entry* next = nullptr;          // in the bucket
    Entry* next_changed = nullptr;  // in the list of entries with more than their published image
    MemoryImage* newest = nullptr;
    bool changed = false;
  };

  static const MemoryImage* seen(const Entry* entry, std::uint64_t generation) {
    const MemoryImage* image = entry->newest;
    while (image != nullptr && image->generation > generation) image = image->older;
    return image != nullptr && image->present ? image : nullptr;
  }
  static bool wanted(std::span<const std::uint64_t> needed, std::uint64_t from, std::uint64_t until) {
    for (const std::uint64_t generation : needed)
      if (from <= generation && generation < until) return true;
    return false;
  }
  std::size_t bucket(BlockId id) const { return static_cast<std::size_t>((number(id) * 0x9e3779b97f4a7c15) >> 20) & (bucket_count_ - 1); }
  Entry* lookup(BlockId id) const {
    if (bucket_count_ == 0) return nullptr;
    Entry* entry = buckets_[bucket(id)];
    while (entry != nullptr && entry->id != id) entry = entry->next;
    return entry;
  }
  Entry* insert(BlockId id) {
    if (entries_ >= bucket_count_ && !grow() && bucket_count_ == 0) return nullptr;
    auto* entry = new (std::nothrow) Entry{.id = id};
    if (entry == nullptr) return nullptr;
    Entry*& head = buckets_[bucket(id)];
    entry->next = head;
    head = entry;
    ++entries_;
    return entry;
  }
  bool grow() {
    const std::size_t wider = bucket_count_ == 0 ? 64 : bucket_count_ * 2;
    auto** fresh = static_cast<Entry**>(std::calloc(wider, sizeof(Entry*)));
    if (fresh == nullptr) return false;
    Entry** old = buckets_;
    const std::size_t old_count = bucket_count_;
    buckets_ = fresh;
    bucket_count_ = wider;
    for (std::size_t i = 0; i < old_count; ++i)
      while (Entry* entry = old[i]) {
        old[i] = entry->next;
        Entry*& head = buckets_[bucket(entry->id)];
        entry->next = head;
        head = entry;
      }
    std::free(old);
    return true;
  }
  void remove(Entry* entry) {
    Entry** at = &buckets_[bucket(entry->id)];
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    --entries_;
    delete entry;
  }

  void drop(MemoryImage** at) {
    MemoryImage* image = *at;
    *at = image->older;
    used_bytes_ -= image->size;
    MemoryImage::discard(image);
  }
  void count(const Entry* entry) {
    if (!entry->newest->present) return;
    ++blocks_;
    stored_bytes_ += entry->newest->size;
  }
  void uncount(const Entry* entry) {
    if (entry->newest == nullptr || !entry->newest->present) return;
    --blocks_;
    stored_bytes_ -= entry->newest->size;
  }
  void note_changed(Entry* entry) {
    if (entry->changed) return;
    entry->changed = true;
    entry->next_changed = changed_;
    changed_ = entry;
  }
  /// `still_changed(entry)` after it did its work; entries without any present image left are removed.
  template <class Fn>
  void walk_changed(Fn&& still_changed) {
    for (Entry** at = &changed_; *at != nullptr;) {
      Entry* entry = *at;
      if (still_changed(entry)) {
        at = &entry->next_changed;
        continue;
      }
      *at = entry->next_changed;
      entry->changed = false;
      if (entry->newest == nullptr) {
        remove(entry);
      } else if (!entry->newest->present) {
        drop(&entry->newest);
        remove(entry);
      }
    }
  }

  Entry** buckets_ = nullptr;      // bucket_count_ chains; a power of two, or none yet
  std::size_t bucket_count_ = 0;
  std::size_t entries_ = 0;
  Entry* changed_ = nullptr;       // every entry whose chain is not exactly one published, present image
  std::uint64_t blocks_ = 0;
  std::uint64_t stored_bytes_ = 0;
  std::uint64_t used_bytes_ = 0;
};

}  // namespace aegis::storage
