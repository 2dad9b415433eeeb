// SPDX-License-Identifier: Apache-2.0
// A regular file of a POSIX system and a mapping of it, as file/policy.hpp wants them. EINTR and short transfers are
// dealt with here; a failed sync is reported once and never retried. Disjoint ranges from any number of threads; a child that
// fork() made may read, and gets already_open for all else.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/file/process_mark.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace aegis::storage {

/// What an errno means to a caller; what it does not name is io.
constexpr Errc posix_code(int os_error) {
  switch (os_error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Errc::no_space;
    case ENOMEM: return Errc::out_of_memory;
    case EROFS:
    case EACCES:
    case EPERM:
    case EBADF: return Errc::read_only;  // the descriptors are ours and open: EBADF is a write to one opened read only
    case EEXIST: return Errc::already_open;
    default: return Errc::io;
  }
}

/// The error of the system call that just failed.
inline Error posix_error(const char* subject, std::uint64_t id = Error::no_id) { return Error::os(posix_code(errno), errno, subject, id); }

/// Owns one descriptor.
class PosixDescriptor {
 public:
  /// Takes `fd` over and moves it above the standard streams, where a stray print would land in a data file.
  explicit PosixDescriptor(int fd = -1) : fd_(fd) {
    if (fd_ < 0 || fd_ > 2) return;
    const int moved = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
    const int kept_errno = errno;
    ::close(fd_);
    errno = kept_errno;
    fd_ = moved;
  }
  PosixDescriptor(PosixDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  PosixDescriptor& operator=(PosixDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~PosixDescriptor() {
    if (fd_ >= 0) ::close(fd_);  // nothing can be lost here: what matters was synced, and that reported its errors
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;  // -1: none
};

/// A shared, writable mapping; unmapped when dropped. It outlives the File it came from. Empty in a child that fork() made.
class PosixMapping {
 public:
  explicit PosixMapping(MutableBytes bytes) : bytes_(bytes) {}
  PosixMapping(PosixMapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})), process_(std::move(other.process_)) {}
  PosixMapping& operator=(PosixMapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(process_, other.process_);
    return *this;
  }
  ~PosixMapping() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  }

  MutableBytes bytes() const { return process_.is_here() ? bytes_ : MutableBytes{}; }

 private:
  MutableBytes bytes_;  // empty: none
  ProcessMark process_;
};

class PosixFile {
 public:
  /// 4096: disks of 512-byte logical sectors often replace 4096 (512e), hypervisors do not tell, and the page cache
  /// writes whole pages; a smaller unit would let a torn write harm neighbours that were already durable.
  static constexpr std::uint32_t unit = 4096;

  PosixFile(PosixDescriptor descriptor, bool want_direct) : descriptor_(std::move(descriptor)) {
    if (want_direct) alignment_ = make_direct(descriptor_.get());
  }

  Result<std::size_t> read_at(std::uint64_t offset, MutableBytes into) {
    std::size_t done = 0;
    while (done < into.size()) {
      const ::ssize_t got = ::pread(descriptor_.get(), into.data() + done, into.size() - done, static_cast<::off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return posix_error("read of a file at offset", offset + done);
      done += static_cast<std::size_t>(got);
      if (got == 0 || done % alignment_ != 0) break;  // the file's end; a direct read cannot go on from the middle of a sector
    }
    return done;
  }

  Result<void> write_at(std::uint64_t offset, Bytes from) {
    AEGIS_TRY(process_.check());
    for (std::size_t done = 0; done < from.size();) {
      const ::ssize_t put = ::pwrite(descriptor_.get(), from.data() + done, from.size() - done, static_cast<::off_t>(offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return posix_error("write of a file at offset", offset + done);
      if (put == 0) return Error::os(Errc::io, EIO, "write of a file at offset", offset + done);
      done += static_cast<std::size_t>(put);
    }
    return {};
  }

  /// write_at and sync_data of those bytes in one call, which a direct file on a device with FUA does in one command.
  Result<void> write_durable_at(std::uint64_t offset, Bytes from) {
    AEGIS_TRY(process_.check());
    for (std::size_t done = 0; done < from.size();) {
      const ::iovec piece{const_cast<std::byte*>(from.data()) + done, from.size() - done};
      const ::ssize_t put = ::pwritev2(descriptor_.get(), &piece, 1, static_cast<::off_t>(offset + done), RWF_DSYNC);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        AEGIS_TRY(write_at(offset + done, from.subspan(done)));
        return sync_data();
      }
      if (put < 0) return posix_error("write of a file at offset", offset + done);
      if (put == 0) return Error::os(Errc::io, EIO, "write of a file at offset", offset + done);
      done += static_cast<std::size_t>(put);
    }
    return {};
  }

  Result<void> sync_data() { return checked([&] { return ::fdatasync(descriptor_.get()); }, "sync of a file's data"); }
  Result<void> sync_all() { return checked([&] { return ::fsync(descriptor_.get()); }, "sync of a file"); }

  Result<std::uint64_t> size() {
    struct ::stat about;
    if (::fstat(descriptor_.get(), &about) != 0) return posix_error("size of a file");
    return static_cast<std::uint64_t>(about.st_size);
  }

  Result<void> truncate(std::uint64_t size) {
    return checked([&] { return ::ftruncate(descriptor_.get(), static_cast<::off_t>(size)); }, "new size of a file", size);
  }

  /// Grows the file when the range ends beyond it; what is written already stays.
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return {};
    const auto done = checked([&] { return ::fallocate(descriptor_.get(), 0, static_cast<::off_t>(offset), static_cast<::off_t>(length)); },
                              "allocation of a file's room at offset", offset);
    if (done || (done.error().os_error() != EOPNOTSUPP && done.error().os_error() != ENOSYS)) return done;
    return fill_beyond_end(offset + length);
  }

  Result<void> punch(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return {};
    return checked(
        [&] {
          return ::fallocate(descriptor_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<::off_t>(offset), static_cast<::off_t>(length));
        },
        "giving back of a file's room at offset", offset);
  }

  /// Forgets the clean cached pages, so that the next read tells what the device holds. Dirty pages stay: sync_all first.
  Result<void> drop_cache() {
    const int failed = ::posix_fadvise(descriptor_.get(), 0, 0, POSIX_FADV_DONTNEED);
    if (failed != 0) return Error::os(Errc::io, failed, "dropping of a file's cache");
    return {};
  }

  std::uint32_t unit_bytes() const { return unit; }
  std::uint32_t alignment() const { return alignment_; }
  bool direct() const { return alignment_ != 1; }

  /// Refused on file systems not known to overwrite written bytes in place: there a store into the mapping may need
  /// room, and a full disk would be a SIGBUS. The pages are read ahead in the background.
  Result<PosixMapping> map(std::uint64_t offset, std::size_t length) {
    AEGIS_TRY(process_.check());
    if (direct() || length == 0 || !overwrites_in_place()) return Error::os(Errc::io, EOPNOTSUPP, "mapping of a file");
    AEGIS_TRY(const std::uint64_t bytes, size());
    if (offset > bytes || length > bytes - offset) return Error{Errc::invalid_argument, "mapping beyond a file's end at offset", offset};
    void* const at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), static_cast<::off_t>(offset));
    if (at == MAP_FAILED) return posix_error("mapping of a file");
    ::madvise(at, length, MADV_WILLNEED);  // advice: a refusal costs time only
    return PosixMapping{MutableBytes{static_cast<std::byte*>(at), length}};
  }

 private:
  /// What changes the file, or takes the report of a failed write that is for its owner.
  template <class Call>
  Result<void> checked(Call&& call, const char* subject, std::uint64_t id = Error::no_id) const {
    AEGIS_TRY(process_.check());
    for (;;) {
      if (call() == 0) return {};
      if (errno != EINTR) return posix_error(subject, id);
    }
  }

  /// Turns the page cache off for this descriptor. What direct I/O wants of offsets, lengths and memory, or 1 when the
  /// file system cannot, or wants more than a unit. Done after the open, so that no file is created by a failed open.
  static std::uint32_t make_direct(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) return 1;
    std::uint32_t alignment = unit;
#ifdef STATX_DIOALIGN
    struct ::statx about{};
    if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0 && (about.stx_mask & STATX_DIOALIGN) != 0) {
      const std::uint32_t memory = about.stx_dio_mem_align, offset = about.stx_dio_offset_align;
      alignment = offset == 0 ? 0 : (memory > offset ? memory : offset);  // 0: this file cannot
    }
#endif
    if (alignment > 1 && alignment <= unit && unit % alignment == 0) return alignment;
    ::fcntl(fd, F_SETFL, flags);
    return 1;
  }

  bool overwrites_in_place() const {
    struct ::statfs about;
    if (::fstatfs(descriptor_.get(), &about) != 0) return false;
    constexpr std::uint64_t ext = 0xEF53, xfs = 0x58465342, tmpfs = 0x01021994;
    const auto type = static_cast<std::uint64_t>(about.f_type);
    return type == ext || type == xfs || type == tmpfs;
  }

  /// For file systems without fallocate: those have no holes either, so only what lies beyond the end lacks room.
  Result<void> fill_beyond_end(std::uint64_t until) {
    alignas(unit) static constexpr std::byte zeros[4 * unit]{};
    AEGIS_TRY(std::uint64_t at, size());
    while (at < until) {
      const std::size_t step = until - at < sizeof zeros ? static_cast<std::size_t>(until - at) : sizeof zeros;
      AEGIS_TRY(write_at(at, Bytes{zeros, step}));
      at += step;
    }
    return {};
  }

  PosixDescriptor descriptor_;
  ProcessMark process_;          // that opened it
  std::uint32_t alignment_ = 1;  // above 1 exactly while the descriptor has O_DIRECT
};

static_assert(FileHandle<PosixFile>);

}  // namespace aegis::storage
