// SPDX-License-Identifier: Apache-2.0
// A set of (table, key) with copies of the keys: one hash probe to add or to find. Memory is asked for in doubling steps
// within a bound that each call gives; a refusal changes nothing. Emptied in constant time. One thread at a time.
#pragma once

#include <aegis/storage/core/hash.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

namespace aegis::storage {

class PointSet {
 public:
  static std::uint64_t hash_of(TableId table, std::string_view key) { return hash_of_key(number(table), key); }

  bool contains(std::uint64_t hash, TableId table, std::string_view key) const { return size_ != 0 && is_used(*slot_of(hash, table, key)); }
  /// False: no key of this hash is in it.
  bool may_contain(std::uint64_t hash) const {
    if (size_ == 0) return false;
    for (std::size_t at = hash & (slot_count_ - 1); is_used(slots_[at]); at = (at + 1) & (slot_count_ - 1))
      if (slots_[at].hash == hash) return true;
    return false;
  }
  /// A key that it does not contain. False: it would take more than `limit_bytes`, or memory is out.
  bool add(std::uint64_t hash, TableId table, std::string_view key, std::size_t limit_bytes) {
    if (4 * (size_ + 1) > 3 * slot_count_ && !widen_slots(limit_bytes)) return false;
    const Header header{table, static_cast<std::uint32_t>(key.size())};
    if (!reserve_text(text_used_ + sizeof header + key.size(), limit_bytes)) return false;
    *slot_of(hash, table, key) = Slot{hash, epoch_, static_cast<std::uint32_t>(text_used_)};
    std::memcpy(text_.get() + text_used_, &header, sizeof header);
    if (!key.empty()) std::memcpy(text_.get() + text_used_ + sizeof header, key.data(), key.size());
    text_used_ += sizeof header + key.size();
    ++size_;
    return true;
  }
  /// fn(TableId, key), in no order.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (std::size_t i = 0; size_ != 0 && i < slot_count_; ++i)
      if (is_used(slots_[i])) fn(header_of(slots_[i]).table, key_of(slots_[i]));
  }

  /// Keeps its memory.
  void clear() {
    size_ = text_used_ = 0;
    if (++epoch_ != 0) return;
    release();
    epoch_ = 1;
  }
  void release() {
    slots_.reset();
    text_.reset();
    size_ = slot_count_ = text_used_ = text_room_ = 0;
  }

  std::size_t size() const { return size_; }
  std::size_t memory() const { return slot_count_ * sizeof(Slot) + text_room_; }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t epoch = 0;  // free unless it is epoch_
    std::uint32_t text = 0;   // where in the text its Header is, and the key behind it
  };
  struct Header {
    TableId table;
    std::uint32_t bytes;
  };

  bool is_used(const Slot& slot) const { return slot.epoch == epoch_; }
  Header header_of(const Slot& slot) const {
    Header header;
    std::memcpy(&header, text_.get() + slot.text, sizeof header);
    return header;
  }
  std::string_view key_of(const Slot& slot) const { return {text_.get() + slot.text + sizeof(Header), header_of(slot).bytes}; }
  /// The key's slot, or the free one where it belongs.
  Slot* slot_of(std::uint64_t hash, TableId table, std::string_view key) const {
    for (std::size_t at = hash & (slot_count_ - 1);; at = (at + 1) & (slot_count_ - 1)) {
      Slot& slot = slots_[at];
      if (!is_used(slot) || (slot.hash == hash && header_of(slot).table == table && key_of(slot) == key)) return &slot;
    }
  }

  bool widen_slots(std::size_t limit_bytes) {
    const std::size_t count = slot_count_ == 0 ? 16 : 2 * slot_count_;
    if (memory() + (count - slot_count_) * sizeof(Slot) > limit_bytes) return false;
    Owned<Slot[]> wider{new (std::nothrow) Slot[count]};
    if (!wider) return false;
    for (std::size_t i = 0; i < slot_count_; ++i) {
      if (!is_used(slots_[i])) continue;
      std::size_t at = slots_[i].hash & (count - 1);
      while (is_used(wider[at])) at = (at + 1) & (count - 1);
      wider[at] = slots_[i];
    }
    slots_.swap(wider);
    slot_count_ = count;
    return true;
  }
  bool reserve_text(std::size_t needed, std::size_t limit_bytes) {
    if (needed <= text_room_) return true;
    std::size_t room = text_room_ == 0 ? 256 : 2 * text_room_;
    if (room < needed) room = needed;
    if (memory() + room - text_room_ > limit_bytes || room > ~std::uint32_t{0}) return false;
    Owned<char[]> wider{new (std::nothrow) char[room]};
    if (!wider) return false;
    if (text_used_ != 0) std::memcpy(wider.get(), text_.get(), text_used_);
    text_.swap(wider);
    text_room_ = room;
    return true;
  }

  Owned<Slot[]> slots_;         // open addressing, at most three quarters in use
  Owned<char[]> text_;
  std::size_t slot_count_ = 0;  // a power of two, or 0
  std::size_t size_ = 0, text_used_ = 0, text_room_ = 0;
  std::uint32_t epoch_ = 1;     // never 0; raised to empty all slots at once
};

}  // namespace aegis::storage
