// SPDX-License-Identifier: Apache-2.0
// An open file of a SimulatedDisk and a mapping of one, as file/policy.hpp wants them. As a real file's, each transfer may
// take several calls of the disk. Handles of an earlier life, and all while the power is off, fail with EIO. Any thread.
#pragma once

#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/file/posix_file.hpp>
#include <aegis/storage/testing/simulated_disk.hpp>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace aegis::storage::testing {

inline Result<void> disk_result(int error, const char* subject, std::uint64_t id = Error::no_id) {
  if (error == 0) return {};
  return Error::os(posix_code(error), error, subject, id);
}

/// One open file, counted: what it takes of the disk stays taken while it is open, name or not.
class SimulatedHandle {
 public:
  SimulatedHandle(SimulatedDisk& disk, std::uint64_t life, FileNumber file) : disk_(&disk), life_(life), file_(file) { ++disk.handles_[file]; }  // mutex held
  SimulatedHandle(SimulatedHandle&& other) noexcept : disk_(std::exchange(other.disk_, nullptr)), life_(other.life_), file_(other.file_) {}
  SimulatedHandle& operator=(SimulatedHandle&& other) noexcept {
    std::swap(disk_, other.disk_);
    std::swap(life_, other.life_);
    std::swap(file_, other.file_);
    return *this;
  }
  ~SimulatedHandle() {
    if (disk_ == nullptr) return;
    disk_->locked([&] {
      if (life_ == disk_->life_ && --disk_->handles_[file_] == 0) disk_->handles_.erase(file_);
    });
  }
  SimulatedDisk& disk() const { return *disk_; }
  std::uint64_t life() const { return life_; }
  FileNumber file() const { return file_; }

 private:
  SimulatedDisk* disk_;  // null: moved from
  std::uint64_t life_;
  FileNumber file_;
};

class SimulatedMapping {
 public:
  SimulatedMapping(SimulatedHandle handle, std::shared_ptr<MappedBytes> mapped) : handle_(std::move(handle)), mapped_(std::move(mapped)) {}
  SimulatedMapping(SimulatedMapping&&) = default;
  SimulatedMapping& operator=(SimulatedMapping&&) = default;
  ~SimulatedMapping() {
    if (!mapped_) return;
    SimulatedDisk& disk = handle_.disk();
    disk.locked([&] {
      if (handle_.life() != disk.life_) return;
      if (disk.powered_) disk.see_stores();
      std::erase(disk.mapped_, mapped_);
    });
  }
  MutableBytes bytes() const { return mapped_->bytes(); }

 private:
  SimulatedHandle handle_;
  std::shared_ptr<MappedBytes> mapped_;  // null: moved from
};

class SimulatedFile {
 public:
  static constexpr std::uint32_t unit = 4096, sector = 512;

  SimulatedFile(SimulatedHandle handle, bool direct, bool read_only) : handle_(std::move(handle)), direct_(direct), read_only_(read_only) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableBytes into) {
    std::size_t done = 0, step = 0;
    do {
      const int error = moved(DiskCall::read, offset + done, into.subspan(done), step, [&](DiskChange& change) {
        const auto& file = content();
        step = offset + done >= file.size ? 0 : step < file.size - (offset + done) ? step : static_cast<std::size_t>(file.size - (offset + done));
        change.length = step;
        file.seen.read(offset + done, into.subspan(done, step));
        return 0;
      });
      AEGIS_TRY(disk_result(error, "read of a file at offset", offset + done));
      done += step;
    } while (done < into.size() && step != 0 && done % alignment() == 0);  // a direct read cannot go on from the middle of a sector
    return done;
  }
  Result<void> write_at(std::uint64_t offset, Bytes from) {
    if (read_only_) return disk_result(EBADF, "write of a file at offset", offset);
    for (std::size_t done = 0, step = 0; done < from.size(); done += step) {
      const int error = moved(DiskCall::write, offset + done, from.subspan(done), step, [&](DiskChange& change) {
        const Bytes part = from.subspan(done, step);
        change.bytes = std::make_shared<const std::vector<std::byte>>(part.begin(), part.end());
        for (const auto& mapped : disk().mapped_)
          if (mapped->file() == handle_.file()) mapped->show(offset + done, *change.bytes);
        return 0;
      });
      AEGIS_TRY(disk_result(error, "write of a file at offset", offset + done));
    }
    return {};
  }
  Result<void> write_durable_at(std::uint64_t offset, Bytes from) {
    AEGIS_TRY(write_at(offset, from));
    return changed({.call = DiskCall::sync_data, .offset = offset, .length = from.size()}, "sync of a file's data");
  }
  Result<void> sync_data() { return changed({.call = DiskCall::sync_data}, "sync of a file's data"); }
  Result<void> sync_all() { return changed({.call = DiskCall::sync_all}, "sync of a file"); }
  Result<std::uint64_t> size() {
    std::uint64_t size = 0;
    AEGIS_TRY(changed({.call = DiskCall::size}, "size of a file", [&](DiskChange&) { return size = content().size, 0; }));
    return size;
  }
  Result<void> truncate(std::uint64_t size) { return changed({.call = DiskCall::truncate, .length = size}, "new size of a file"); }
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) {
    return changed({.call = DiskCall::allocate, .offset = offset, .length = length}, "allocation of a file's room at offset");
  }
  Result<void> punch(std::uint64_t offset, std::uint64_t length) {
    return changed({.call = DiskCall::punch, .offset = offset, .length = length}, "giving back of a file's room at offset");
  }
  Result<void> drop_cache() { return changed({.call = DiskCall::drop_cache}, "dropping of a file's cache"); }
  std::uint32_t unit_bytes() const { return unit; }
  std::uint32_t alignment() const { return direct_ ? sector : 1; }
  bool direct() const { return direct_; }
  Result<SimulatedMapping> map(std::uint64_t offset, std::size_t length) {
    std::shared_ptr<MappedBytes> mapped;
    std::unique_ptr<SimulatedHandle> handle;
    AEGIS_TRY(changed({.call = DiskCall::map, .offset = offset, .length = length}, "mapping of a file", [&](DiskChange&) {
      if (direct_ || length == 0 || !disk().traits_.mapping) return EOPNOTSUPP;
      if (offset > content().size || length > content().size - offset) return EINVAL;
      mapped = std::make_shared<MappedBytes>(handle_.file(), offset, length);
      std::vector<std::byte> bytes(length);
      content().seen.read(offset, bytes);
      mapped->show(offset, bytes);
      disk().mapped_.push_back(mapped);
      handle = std::make_unique<SimulatedHandle>(disk(), handle_.life(), handle_.file());
      return 0;
    }));
    return SimulatedMapping{std::move(*handle), std::move(mapped)};
  }

 private:
  SimulatedDisk& disk() const { return handle_.disk(); }
  const SimulatedMedium::File& content() const { return disk().medium_.files.at(handle_.file()); }

  template <class Effect>
  Result<void> changed(DiskChange change, const char* subject, Effect&& effect) {
    if (read_only_ && changes.contains(change.call)) return disk_result(EBADF, subject, change.offset);
    change.file = handle_.file();
    return disk().locked([&] { return disk_result(disk().call(handle_.life(), std::move(change), effect), subject); });
  }
  Result<void> changed(DiskChange change, const char* subject) {
    return changed(std::move(change), subject, [](DiskChange&) { return 0; });
  }
  /// One transfer; `step` is how much of `bytes` it moves.
  template <class Effect>
  int moved(DiskCall kind, std::uint64_t offset, Bytes bytes, std::size_t& step, Effect&& effect) {
    if (direct_ && (offset % sector != 0 || bytes.size() % sector != 0 || reinterpret_cast<std::uintptr_t>(bytes.data()) % sector != 0)) return EINVAL;
    return disk().locked([&] {
      step = disk().transfer(kind, bytes.size());
      return disk().call(handle_.life(), {.call = kind, .file = handle_.file(), .offset = offset, .length = step}, effect);
    });
  }

  SimulatedHandle handle_;
  bool direct_, read_only_;
};

static_assert(FileHandle<SimulatedFile>);

}  // namespace aegis::storage::testing
