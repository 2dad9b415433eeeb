// SPDX-License-Identifier: Apache-2.0
// A file system in memory that dies at a chosen call and then loses what was not synced: any subset of sectors, any
// subset of directory changes. It also sees whether a unit was written again that a sync had made durable. One thread.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>

#include "support/random.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis_test {

namespace storage = aegis::storage;

class CrashDisk {
 public:
  static constexpr std::size_t sector = 512, unit = 4096;

  struct Inode {
    std::vector<std::byte> now, durable;
    std::vector<bool> claimed;  // units whose content some sync made durable since the file's first unit changed
  };
  using Link = std::shared_ptr<Inode>;
  using Names = std::map<std::string, Link, std::less<>>;
  struct Change {
    std::string from, to;  // rename; an empty `from` links `inode`, an empty `to` unlinks
    Link inode;
  };

  bool direct_works = true, mapping_works = true;
  std::uint64_t room_bytes = ~std::uint64_t{0};
  std::uint64_t calls = 0, die_at = 0;  // counted: calls that change something
  bool dead = false, fail_next = false, overwrote_durable = false;
  Names now, durable;
  std::vector<Change> pending;

  /// Called first by every change: nullopt, or the error to give. A call that dies may still have had its effect.
  std::optional<storage::Error> refuse(bool& has_effect) {
    has_effect = false;
    if (dead) return storage::Error::os(storage::Errc::io, EIO, "dead disk");
    if (std::exchange(fail_next, false)) return storage::Error::os(storage::Errc::io, EIO, "failing disk");
    if (++calls != die_at) return std::nullopt;
    dead = has_effect = true;
    return storage::Error::os(storage::Errc::io, EIO, "dying disk");
  }

  void change(Change made) {
    apply(now, made);
    pending.push_back(std::move(made));
  }
  static void apply(Names& names, const Change& change) {
    if (change.from.empty()) {
      names[change.to] = change.inode;
    } else if (const auto found = names.find(change.from); found != names.end()) {
      const Link inode = found->second;
      names.erase(found);
      if (!change.to.empty()) names[change.to] = inode;
    }
  }
  void sync_names() {
    durable = now;
    pending.clear();
  }
  void sync(Inode& inode) {
    const auto differs = [&](std::size_t u) {
      const std::size_t at = u * unit, end = std::min(at + unit, inode.now.size());
      return end > inode.durable.size() || std::memcmp(&inode.now[at], &inode.durable[at], end - at) != 0;
    };
    const std::size_t units = (inode.now.size() + unit - 1) / unit;
    if (units == 0) return;
    const bool renewed = differs(0);
    if (renewed) inode.claimed.clear();
    inode.claimed.resize(units);
    for (std::size_t u = 1; u < units && !renewed; ++u) {
      if (!differs(u)) continue;
      overwrote_durable = overwrote_durable || inode.claimed[u];
      inode.claimed[u] = true;
    }
    inode.durable = inode.now;
  }

  /// What is not durable goes, or stays, by the sector and by the name.
  void power_cut(Random& random) {
    for (const Change& change : pending)
      if (random.one_in(2)) apply(durable, change);
    pending.clear();
    for (auto& [name, inode] : durable) {
      std::vector<std::byte> left = random.one_in(2) ? inode->now : inode->durable;
      left.resize(random.one_in(2) ? inode->now.size() : inode->durable.size());
      for (std::size_t at = 0; at < left.size(); at += sector) {
        const std::vector<std::byte>& source = random.one_in(2) ? inode->now : inode->durable;
        if (at < source.size()) std::memcpy(&left[at], &source[at], std::min(sector, std::min(source.size(), left.size()) - at));
      }
      inode->now = inode->durable = left;
    }
    now = durable;
  }
  void revive() {
    dead = fail_next = false;
    die_at = 0;
  }
  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [name, inode] : now) sum += inode->now.size();
    return sum;
  }
};

class CrashMapping {
 public:
  CrashMapping(CrashDisk::Link inode, storage::MutableBytes bytes) : inode_(std::move(inode)), bytes_(bytes) {}
  storage::MutableBytes bytes() const { return bytes_; }

 private:
  CrashDisk::Link inode_;
  storage::MutableBytes bytes_;
};

class CrashFile {
 public:
  CrashFile(CrashDisk* disk, CrashDisk::Link inode, bool direct) : disk_(disk), inode_(std::move(inode)), direct_(direct) {}

  storage::Result<std::size_t> read_at(std::uint64_t offset, storage::MutableBytes into) {
    if (!fits(offset, into.data(), into.size())) return storage::Error::os(storage::Errc::io, EINVAL, "direct read");
    if (offset >= inode_->now.size()) return std::size_t{0};
    const std::size_t got = std::min(into.size(), static_cast<std::size_t>(inode_->now.size() - offset));
    std::memcpy(into.data(), &inode_->now[offset], got);
    return got;
  }
  storage::Result<void> write_at(std::uint64_t offset, storage::Bytes from) {
    if (!fits(offset, from.data(), from.size())) return storage::Error::os(storage::Errc::io, EINVAL, "direct write");
    return change([&] { return grow(offset + from.size()); }, [&] { storage::copy_bytes(storage::MutableBytes{inode_->now}.subspan(offset), from); });
  }
  storage::Result<void> sync_data() {
    return change(Nothing{}, [&] { disk_->sync(*inode_); });
  }
  storage::Result<void> sync_all() { return sync_data(); }
  storage::Result<std::uint64_t> size() { return std::uint64_t{inode_->now.size()}; }
  storage::Result<void> truncate(std::uint64_t size) {
    return change(Nothing{}, [&] { inode_->now.resize(size); });
  }
  storage::Result<void> allocate(std::uint64_t offset, std::uint64_t length) {
    return change([&] { return grow(offset + length); }, [] {});
  }
  storage::Result<void> punch(std::uint64_t, std::uint64_t) { return {}; }
  storage::Result<void> drop_cache() { return {}; }
  std::uint32_t unit_bytes() const { return CrashDisk::unit; }
  std::uint32_t alignment() const { return direct_ ? CrashDisk::sector : 1; }
  bool direct() const { return direct_; }
  storage::Result<CrashMapping> map(std::uint64_t offset, std::size_t length) {
    if (direct_ || !disk_->mapping_works || offset + length > inode_->now.size()) return storage::Errc::io;
    return CrashMapping{inode_, storage::MutableBytes{inode_->now}.subspan(offset, length)};
  }

 private:
  struct Nothing {
    storage::Result<void> operator()() const { return {}; }
  };
  template <class Prepare, class Effect>
  storage::Result<void> change(Prepare&& prepare, Effect&& effect) {
    bool has_effect = false;
    const auto refused = disk_->refuse(has_effect);
    if (refused && !has_effect) return *refused;
    AEGIS_TRY(prepare());
    effect();
    if (refused) return *refused;
    return {};
  }
  storage::Result<void> grow(std::uint64_t size) {
    if (size <= inode_->now.size()) return {};
    if (disk_->used() - inode_->now.size() + size > disk_->room_bytes) return storage::Error::os(storage::Errc::no_space, ENOSPC, "full disk");
    inode_->now.resize(size);
    return {};
  }
  bool fits(std::uint64_t offset, const std::byte* at, std::size_t size) const {
    return !direct_ || (offset % CrashDisk::sector == 0 && size % CrashDisk::sector == 0 && reinterpret_cast<std::uintptr_t>(at) % CrashDisk::sector == 0);
  }

  CrashDisk* disk_;
  CrashDisk::Link inode_;
  bool direct_;
};

class CrashDirectory {
 public:
  struct Lock {};
  explicit CrashDirectory(CrashDisk* disk) : disk_(disk) {}

  storage::Result<CrashFile> open(std::string_view name, storage::OpenFlags flags) {
    const auto found = disk_->now.find(name);
    if (found != disk_->now.end() && flags.create && flags.exclusive) return storage::Errc::already_open;
    if (found != disk_->now.end()) return CrashFile{disk_, found->second, flags.direct && disk_->direct_works};
    if (!flags.create) return storage::Error::os(storage::Errc::io, ENOENT, "file");
    const auto inode = std::make_shared<CrashDisk::Inode>();
    AEGIS_TRY(change({.from = "", .to = std::string{name}, .inode = inode}));
    return CrashFile{disk_, inode, flags.direct && disk_->direct_works};
  }
  storage::Result<bool> exists(std::string_view name) { return disk_->now.contains(name); }
  storage::Result<std::vector<std::string>> list() {
    std::vector<std::string> names;
    for (const auto& [name, inode] : disk_->now) names.push_back(name);
    return names;
  }
  storage::Result<void> rename(std::string_view from, std::string_view to) {
    if (!disk_->now.contains(from)) return storage::Error::os(storage::Errc::io, ENOENT, "file");
    return change({.from = std::string{from}, .to = std::string{to}, .inode = nullptr});
  }
  storage::Result<void> unlink(std::string_view name) {
    if (!disk_->now.contains(name)) return storage::Error::os(storage::Errc::io, ENOENT, "file");
    return change({.from = std::string{name}, .to = "", .inode = nullptr});
  }
  storage::Result<void> sync() {
    bool has_effect = false;
    const auto refused = disk_->refuse(has_effect);
    if (refused && !has_effect) return *refused;
    disk_->sync_names();
    if (refused) return *refused;
    return {};
  }
  storage::Result<storage::Space> space() { return storage::Space{}; }
  storage::Result<Lock> lock(std::string_view) { return Lock{}; }

 private:
  storage::Result<void> change(CrashDisk::Change made) {
    bool has_effect = false;
    const auto refused = disk_->refuse(has_effect);
    if (!refused || has_effect) disk_->change(std::move(made));
    if (refused) return *refused;
    return {};
  }

  CrashDisk* disk_;
};

struct CrashFiles {
  using File = CrashFile;
  using Directory = CrashDirectory;
  using Lock = CrashDirectory::Lock;
  using Mapping = CrashMapping;

  storage::Result<CrashDirectory> open_directory(std::string_view, bool) { return CrashDirectory{disk}; }
  std::uint64_t entropy() { return 4; }

  CrashDisk* disk;
};

static_assert(storage::FilePolicy<CrashFiles>);

}  // namespace aegis_test
