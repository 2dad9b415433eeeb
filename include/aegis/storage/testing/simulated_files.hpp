// SPDX-License-Identifier: Apache-2.0
// The files of a SimulatedDisk as a FilePolicy: ExtentBackend<SimulatedFiles> is the backend that ships, with its log, on a
// disk that can fail. Open one by ExtentBackend<SimulatedFiles>::open(SimulatedFiles{disk}, {.directory = "store"}) and hand
// it to Engine::open. The disk outlives all handles. Any thread.
#pragma once

#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/file/posix_directory.hpp>
#include <aegis/storage/testing/simulated_disk.hpp>
#include <aegis/storage/testing/simulated_file.hpp>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

namespace aegis::storage::testing {

class SimulatedLock {
 public:
  SimulatedLock(SimulatedHandle handle, std::string name) : handle_(std::move(handle)), name_(std::move(name)) {}
  SimulatedLock(SimulatedLock&& other) noexcept : handle_(std::move(other.handle_)), name_(std::exchange(other.name_, {})) {}
  SimulatedLock& operator=(SimulatedLock&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(name_, other.name_);
    return *this;
  }
  ~SimulatedLock() {
    if (name_.empty()) return;
    SimulatedDisk& disk = handle_.disk();
    disk.locked([&] {
      if (handle_.life() == disk.life_) disk.locks_.erase(name_);
    });
  }

 private:
  SimulatedHandle handle_;
  std::string name_;  // directory/name; empty: moved from
};

class SimulatedDirectory {
 public:
  SimulatedDirectory(SimulatedDisk& disk, std::uint64_t life, std::string path) : disk_(&disk), life_(life), path_(std::move(path)) {}

  Result<SimulatedFile> open(std::string_view name, OpenFlags flags) {
    return disk_->locked([&]() -> Result<SimulatedFile> {
      AEGIS_TRY(SimulatedHandle handle, opened(name, flags));
      return SimulatedFile{std::move(handle), flags.direct && disk_->traits_.direct, flags.read_only};
    });
  }
  Result<bool> exists(std::string_view name) {
    bool found = false;
    AEGIS_TRY(called({.call = DiskCall::exists, .name = std::string{name}}, "looking for a file", [&] { return found = names().contains(name), 0; }));
    return found;
  }
  Result<std::vector<std::string>> list() {
    std::vector<std::string> found;
    AEGIS_TRY(called({.call = DiskCall::list}, "listing of a directory", [&] {
      for (const auto& [name, file] : names()) found.push_back(name);
      return 0;
    }));
    return found;
  }
  Result<void> rename(std::string_view from, std::string_view to) {
    if (!PosixName::is_valid(to)) return Error{Errc::invalid_argument, "file name"};
    const auto look = [&] { return names().contains(from) ? 0 : ENOENT; };
    return called({.call = DiskCall::rename, .name = std::string{from}, .to = std::string{to}}, "renaming of a file", look);
  }
  Result<void> unlink(std::string_view name) {
    return called({.call = DiskCall::unlink, .name = std::string{name}}, "removal of a file", [&] { return names().contains(name) ? 0 : ENOENT; });
  }
  Result<void> sync() {
    return called({.call = DiskCall::sync_directory}, "sync of a directory", [] { return 0; });
  }
  Result<Space> space() {
    Space space;
    AEGIS_TRY(called({.call = DiskCall::space}, "free space of a directory", [&] {
      const std::uint64_t used = disk_->room_taken(), all = disk_->traits_.capacity_bytes;
      space = {.free_bytes = used < all ? all - used : 0, .total_bytes = all};
      return 0;
    }));
    return space;
  }
  Result<SimulatedLock> lock(std::string_view name) {
    return disk_->locked([&]() -> Result<SimulatedLock> {
      AEGIS_TRY(SimulatedHandle handle, opened(name, {.create = true}));
      const std::string full = path_ + "/" + std::string{name};
      const auto take = [&](DiskChange&) { return disk_->locks_.insert(full).second ? 0 : EAGAIN; };
      const int error = disk_->call(life_, change({.call = DiskCall::lock, .name = std::string{name}}), take);
      const auto self = static_cast<std::uint64_t>(::getpid());
      if (error == EAGAIN) return Error::mismatch(Errc::already_open, "lock of a directory, by process id", self, self);
      AEGIS_TRY(disk_result(error, "lock of a directory"));
      return SimulatedLock{std::move(handle), full};
    });
  }

 private:
  DiskChange change(DiskChange change) const {
    change.directory = path_;
    return change;
  }
  const SimulatedMedium::Names& names() const { return disk_->medium_.directories.find(path_)->second.names; }

  template <class Effect>
  Result<void> called(DiskChange wanted, const char* subject, Effect&& effect) {
    if (!wanted.name.empty() && !PosixName::is_valid(wanted.name)) return Error{Errc::invalid_argument, "file name"};
    return disk_->locked([&] { return disk_result(disk_->call(life_, change(std::move(wanted)), [&](DiskChange&) { return effect(); }), subject); });
  }

  /// With the mutex held.
  Result<SimulatedHandle> opened(std::string_view name, OpenFlags flags) {
    if (!PosixName::is_valid(name)) return Error{Errc::invalid_argument, "file name"};
    if (!disk_->is_alive(life_)) return disk_result(EIO, "opening of a file").error();
    const auto found = names().find(name);
    const bool is_there = found != names().end();
    const FileNumber file = is_there ? found->second : disk_->next_file_;
    const DiskCall kind = is_there || !flags.create ? DiskCall::open : DiskCall::create;
    const int error = disk_->call(life_, change({.call = kind, .file = file, .name = std::string{name}}), [&](DiskChange&) {
      if (kind == DiskCall::create) ++disk_->next_file_;
      if (is_there && flags.create && flags.exclusive) return EEXIST;
      return is_there || flags.create ? 0 : ENOENT;
    });
    AEGIS_TRY(disk_result(error, "opening of a file"));
    return SimulatedHandle{*disk_, life_, file};
  }

  SimulatedDisk* disk_;
  std::uint64_t life_;
  std::string path_;
};

static_assert(DirectoryHandle<SimulatedDirectory, SimulatedFile>);

struct SimulatedFiles {
  using File = SimulatedFile;
  using Directory = SimulatedDirectory;
  using Lock = SimulatedLock;
  using Mapping = SimulatedMapping;

  explicit SimulatedFiles(SimulatedDisk& on) : disk(&on) {}

  /// Any path is a directory of its own; parents are not asked for.
  Result<SimulatedDirectory> open_directory(std::string_view path, bool create) {
    const std::string name{path};
    return disk->locked([&]() -> Result<SimulatedDirectory> {
      const std::uint64_t life = disk->life_;
      const bool is_there = disk->medium_.directories.contains(name);
      if (create && !is_there) AEGIS_TRY(disk_result(disk->call(life, {.call = DiskCall::make_directory, .directory = name}), "making of a directory"));
      const auto look = [&](DiskChange&) { return is_there || create ? 0 : ENOENT; };
      AEGIS_TRY(disk_result(disk->call(life, {.call = DiskCall::open_directory, .directory = name}, look), "opening of a directory"));
      if (create) AEGIS_TRY(disk_result(disk->call(life, {.call = DiskCall::sync_directory, .directory = name, .name = ".."}), "sync of a directory's parent"));
      return SimulatedDirectory{*disk, life, name};
    });
  }
  /// The same for the same seed, whatever happened before.
  std::uint64_t entropy() {
    return disk->locked([&] { return disk->entropy_.next(); });
  }

  SimulatedDisk* disk;
};

static_assert(FilePolicy<SimulatedFiles>);

}  // namespace aegis::storage::testing
