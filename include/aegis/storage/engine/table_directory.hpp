// SPDX-License-Identifier: Apache-2.0
// The open engine's tables by name and by id. Look-ups take no lock: entries are only added, and live until the end.
#pragma once

#include <aegis/storage/engine/table_info.hpp>

#include <array>
#include <new>

namespace aegis::storage {

class TableDirectory {
 public:
  TableDirectory() = default;
  TableDirectory(const TableDirectory&) = delete;
  TableDirectory& operator=(const TableDirectory&) = delete;
  ~TableDirectory() {
    for (auto& bucket : by_id_)
      for (TableInfo* info = bucket.load(std::memory_order_relaxed); info != nullptr;) {
        TableInfo* const next = info->next_by_id;
        info->~TableInfo();
        ::operator delete(static_cast<void*>(info));
        info = next;
      }
  }

  /// Any thread. A dropped table is found until its last page is freed; look at its state.
  TableInfo* find(std::string_view name) const {
    for (TableInfo* info = name_bucket(name).load(std::memory_order_acquire); info != nullptr; info = info->next_by_name)
      if (info->name == name && !info->gone.load(std::memory_order_acquire)) return info;
    return nullptr;
  }
  TableInfo* find(TableId id) const {
    for (TableInfo* info = id_bucket(id).load(std::memory_order_acquire); info != nullptr; info = info->next_by_id)
      if (info->root.table == id) return info;
    return nullptr;
  }

  /// One thread at a time.
  Result<TableInfo*> add(std::string_view name, TableRoot root, TableState state) {
    void* const memory = ::operator new(sizeof(TableInfo) + name.size(), std::nothrow);
    if (memory == nullptr) return Error{Errc::out_of_memory, "table", number(root.table)};
    auto* const info = new (memory) TableInfo{};
    auto* const text = reinterpret_cast<char*>(info + 1);
    copy_bytes({reinterpret_cast<std::byte*>(text), name.size()}, bytes_of(name));
    info->root = root;
    info->state.store(state, std::memory_order_relaxed);
    info->name = {text, name.size()};
    push(name_bucket(name), info, &TableInfo::next_by_name);
    push(id_bucket(root.table), info, &TableInfo::next_by_id);
    return info;
  }

  /// fn(TableInfo&) for each that is not gone, in no order.
  template <class Fn>
  void for_each(Fn&& fn) const {
    for (const auto& bucket : by_id_)
      for (TableInfo* info = bucket.load(std::memory_order_acquire); info != nullptr; info = info->next_by_id)
        if (!info->gone.load(std::memory_order_acquire)) fn(*info);
  }

 private:
  static constexpr std::size_t buckets = 256;
  using Bucket = std::atomic<TableInfo*>;

  static void push(Bucket& bucket, TableInfo* info, TableInfo* TableInfo::*next) {
    info->*next = bucket.load(std::memory_order_relaxed);
    bucket.store(info, std::memory_order_release);
  }
  template <class Self>
  static auto& name_bucket_of(Self& self, std::string_view name) {
    std::uint32_t hash = 2166136261;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
    return self.by_name_[hash % buckets];
  }
  Bucket& name_bucket(std::string_view name) { return name_bucket_of(*this, name); }
  const Bucket& name_bucket(std::string_view name) const { return name_bucket_of(*this, name); }
  Bucket& id_bucket(TableId id) { return by_id_[number(id) % buckets]; }
  const Bucket& id_bucket(TableId id) const { return by_id_[number(id) % buckets]; }

  std::array<Bucket, buckets> by_name_{};
  std::array<Bucket, buckets> by_id_{};
};

}  // namespace aegis::storage
