// SPDX-License-Identifier: Apache-2.0
// What a simulated disk holds: of every file and directory what is durable, what programs see, and the changes between the
// two, in order. It is a value: copied, kept, and brought forward again change by change. Not synchronised.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/testing/fault_plan.hpp>
#include <aegis/storage/testing/simulated_content.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace aegis::storage::testing {

using FileNumber = std::uint64_t;  ///< As an inode's; 0 is none, and no number is used twice.

/// One change of a disk, of which a history is made.
struct DiskChange {
  DiskCall call{};
  FileNumber file = 0;
  std::string directory{}, name{}, to{};  ///< Of changes of names; sync_directory of ".." makes the directory's own name durable.
  std::uint64_t offset = 0, length = 0;   ///< sync_data of a range makes no more than that durable. truncate: the new size is `length`.
  std::shared_ptr<const std::vector<std::byte>> bytes{};
  bool failed = false;                    ///< A sync that failed: what it was to make durable never will be.
};

class SimulatedMedium {
 public:
  struct PendingBytes {
    enum class What : std::uint8_t { write, clear, allocate, size };
    std::uint64_t order;  ///< Over the whole disk.
    What what;
    std::uint64_t offset, length;  ///< size: the new one is `length`.
    std::shared_ptr<const std::vector<std::byte>> bytes;
  };
  struct File {
    SimulatedContent durable, seen;
    std::uint64_t durable_size = 0, size = 0;
    std::vector<PendingBytes> pending;
  };
  using Names = std::map<std::string, FileNumber, std::less<>>;
  struct PendingName {
    std::uint64_t order;
    std::string from, to;  ///< A rename; no `from`: `file` was made; no `to`: removed.
    FileNumber file;       ///< Of a rename: 0, or the file's number where a failed sync lost the name `from`.
  };
  struct Directory {
    bool durable = false;  ///< Its own name in its parent.
    Names durable_names{}, names{};
    std::vector<PendingName> pending{};
  };

  std::map<FileNumber, File> files;
  std::map<std::string, Directory, std::less<>> directories;
  std::uint64_t changes = 0;  ///< Ever made.

  /// Brings the medium forward. A history applied to a copy of where it began gives the same medium again.
  void apply(const DiskChange& change) {
    ++changes;
    switch (change.call) {
      case DiskCall::make_directory: directories.try_emplace(change.directory); return;
      case DiskCall::create:
        files.try_emplace(change.file);
        return rename(change.directory, {.order = changes, .from = {}, .to = change.name, .file = change.file});
      case DiskCall::rename: return rename(change.directory, {.order = changes, .from = change.name, .to = change.to, .file = 0});
      case DiskCall::unlink: return rename(change.directory, {.order = changes, .from = change.name, .to = {}, .file = 0});
      case DiskCall::sync_directory: return sync_names(change);
      case DiskCall::sync_data:
      case DiskCall::sync_all: return sync(files[change.file], change);
      case DiskCall::drop_cache: return drop_cache(files[change.file]);
      default: return change_bytes(files[change.file], change);
    }
  }

  static void apply(SimulatedContent& content, const PendingBytes& pending) {
    switch (pending.what) {
      case PendingBytes::What::write: return content.write(pending.offset, *pending.bytes);
      case PendingBytes::What::clear: return content.clear(pending.offset, pending.length);
      case PendingBytes::What::allocate: return content.allocate(pending.offset, pending.length);
      case PendingBytes::What::size: return;
    }
  }
  static void apply(Names& names, const PendingName& change) {
    FileNumber file = change.file;
    if (const auto found = names.find(change.from); found != names.end()) {
      if (file == 0) file = found->second;
      names.erase(found);
    }
    if (file != 0 && !change.to.empty()) names[change.to] = file;
  }

 private:
  using What = PendingBytes::What;

  void rename(const std::string& directory, PendingName change) {
    Directory& place = directories[directory];
    if (const auto found = place.names.find(change.from); found != place.names.end() && !change.to.empty()) {
      const Names synced = names_if_synced(place);
      const auto kept = synced.find(change.from);
      if (kept == synced.end() || kept->second != found->second) change.file = found->second;
    }
    apply(place.names, change);
    place.pending.push_back(std::move(change));
  }
  static Names names_if_synced(const Directory& place) {
    Names names = place.durable_names;
    for (const PendingName& pending : place.pending) apply(names, pending);
    return names;
  }
  /// One that failed is told of where its names are lost: they stay visible, and no later one makes them durable.
  void sync_names(const DiskChange& change) {
    Directory& place = directories[change.directory];
    if (change.name == "..") {
      place.durable = place.durable || !change.failed;
      return;
    }
    if (!change.failed) place.durable_names = names_if_synced(place);
    place.pending.clear();
  }

  void change_bytes(File& file, const DiskChange& change) {
    switch (change.call) {
      case DiskCall::write:
      case DiskCall::store:
        pend(file, {changes, What::write, change.offset, change.length, change.bytes});
        if (change.offset + change.length > file.size) resize(file, change.offset + change.length);
        return;
      case DiskCall::truncate:
        if (change.length < file.size) pend(file, {changes, What::clear, change.length, file.size - change.length, nullptr});
        return resize(file, change.length);
      case DiskCall::allocate:
        pend(file, {changes, What::allocate, change.offset, change.length, nullptr});
        if (change.offset + change.length > file.size) resize(file, change.offset + change.length);
        return;
      case DiskCall::punch: return pend(file, {changes, What::clear, change.offset, change.length, nullptr});
      default: return;
    }
  }
  void pend(File& file, PendingBytes pending) {
    apply(file.seen, pending);
    file.pending.push_back(std::move(pending));
  }
  void resize(File& file, std::uint64_t size) {
    file.size = size;
    file.pending.push_back({changes, What::size, 0, size, nullptr});
  }

  /// sync_data is as little as the file policy promises: content, but neither size nor allocation. A sync that failed is as
  /// file systems make it (Rebello et al., ATC'20): its bytes turn clean, stay visible until the cache is dropped, and no
  /// later sync writes them.
  static void sync(File& file, const DiskChange& change) {
    if (change.call == DiskCall::sync_all && !change.failed) {
      for (const PendingBytes& pending : file.pending) apply(file.durable, pending);
      file.durable_size = file.size;
      file.pending.clear();
      return;
    }
    std::erase_if(file.pending, [&](const PendingBytes& pending) {
      const bool in_range = change.length == 0 || (pending.offset < change.offset + change.length && change.offset < pending.offset + pending.length);
      if (!in_range || (pending.what != What::write && pending.what != What::clear)) return false;
      if (!change.failed) apply(file.durable, pending);
      return true;
    });
  }
  static void drop_cache(File& file) {
    file.seen = file.durable;
    for (const PendingBytes& pending : file.pending) apply(file.seen, pending);
  }
};

}  // namespace aegis::storage::testing
