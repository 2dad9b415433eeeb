// SPDX-License-Identifier: Apache-2.0
// A directory of a POSIX system and the lock on it, as file/policy.hpp wants them. The directory is opened once; all
// else is reached from its descriptor by single, checked names, never through a symbolic link. Any thread; a child that fork()
// made may look and read, and gets already_open for all else.
#pragma once

#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/file/posix_file.hpp>
#include <aegis/storage/file/process_mark.hpp>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace aegis::storage {

/// Holds a directory for this process; dropped, or dead, it gives the directory free. Its file stays.
class PosixLock {
 public:
  explicit PosixLock(PosixDescriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  PosixDescriptor descriptor_;
};

/// A file name that was checked: [a-z0-9._-], 1 to 64 characters, not "." and not "..".
class PosixName {
 public:
  static Result<PosixName> from(std::string_view name) {
    if (!is_valid(name)) return Error{Errc::invalid_argument, "file name"};
    PosixName made;
    std::memcpy(made.text_, name.data(), name.size());
    return made;
  }
  static constexpr bool is_valid(std::string_view name) {
    if (name.empty() || name.size() > longest || name == "." || name == "..") return false;
    for (const char c : name)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')) return false;
    return true;
  }
  const char* c_str() const { return text_; }

 private:
  static constexpr std::size_t longest = 64;
  char text_[longest + 1]{};
};

class PosixDirectory {
 public:
  /// The last component is made when absent and `create` is set, durably; a path is the user's, so links in it are followed.
  static Result<PosixDirectory> open_path(std::string_view path, bool create) {
    const std::string terminated{path.empty() ? std::string_view{"."} : path};
    if (terminated.find('\0') != std::string::npos) return Error{Errc::invalid_argument, "directory path"};
    const bool made = create && ::mkdir(terminated.c_str(), 0700) == 0;
    if (create && !made && errno != EEXIST) return path_error("making of a directory");
    PosixDirectory directory{PosixDescriptor{retried([&] { return ::open(terminated.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); })}};
    if (!directory.descriptor_) return path_error("opening of a directory");
    if (!create) return directory;
    // One that is there may be of a process that died before this sync. A parent that cannot be opened was not written by us.
    const PosixDescriptor parent{retried([&] { return ::openat(directory.descriptor_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC); })};
    if (!parent && !made && (errno == EACCES || errno == EPERM)) return directory;
    if (!parent || retried([&] { return ::fsync(parent.get()); }) != 0) return posix_error("sync of a directory's parent");
    return directory;
  }

  /// Another handle on the same directory, wherever its path leads by now.
  Result<PosixDirectory> again() const {
    PosixDirectory directory{PosixDescriptor{retried([&] { return ::openat(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); })}};
    if (!directory.descriptor_) return posix_error("opening of a directory");
    return directory;
  }

  Result<PosixFile> open(std::string_view name, OpenFlags flags) {
    if (!flags.read_only) AEGIS_TRY(process_.check());
    AEGIS_TRY(PosixDescriptor descriptor, open_regular(name, flags));
    if (flags.alone) AEGIS_TRY(take_alone(descriptor.get()));
    return PosixFile{std::move(descriptor), flags.direct};
  }

  /// Whether the name is taken, by whatever.
  Result<bool> exists(std::string_view name) {
    AEGIS_TRY(const PosixName checked, PosixName::from(name));
    struct ::stat about;
    if (::fstatat(descriptor_.get(), checked.c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0) return true;
    if (errno == ENOENT) return false;
    return posix_error("looking for a file");
  }

  /// The valid names in no particular order; others are none of ours.
  Result<std::vector<std::string>> list() {
    const int fd = retried([&] { return ::openat(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return posix_error("listing of a directory");
    const Stream stream{::fdopendir(fd)};
    if (stream.at == nullptr) {
      const Error error = posix_error("listing of a directory");
      ::close(fd);
      return error;
    }
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const ::dirent* const entry = ::readdir(stream.at);
      if (entry == nullptr) break;
      if (PosixName::is_valid(entry->d_name)) names.emplace_back(entry->d_name);
    }
    const int failed = errno;
    if (failed != 0) return Error::os(posix_code(failed), failed, "listing of a directory");
    return names;
  }

  Result<void> rename(std::string_view from, std::string_view to) {
    AEGIS_TRY(const PosixName source, PosixName::from(from));
    AEGIS_TRY(const PosixName target, PosixName::from(to));
    AEGIS_TRY(process_.check());
    if (::renameat(descriptor_.get(), source.c_str(), descriptor_.get(), target.c_str()) != 0) return posix_error("renaming of a file");
    return {};
  }

  Result<void> unlink(std::string_view name) {
    AEGIS_TRY(const PosixName checked, PosixName::from(name));
    AEGIS_TRY(process_.check());
    if (::unlinkat(descriptor_.get(), checked.c_str(), 0) != 0) return posix_error("removal of a file");
    return {};
  }

  Result<void> sync() {
    AEGIS_TRY(process_.check());
    if (retried([&] { return ::fsync(descriptor_.get()); }) != 0) return posix_error("sync of a directory");
    return {};
  }

  Result<Space> space() {
    struct ::statvfs about;
    if (retried([&] { return ::fstatvfs(descriptor_.get(), &about); }) != 0) return posix_error("free space of a directory");
    return Space{.free_bytes = std::uint64_t{about.f_bavail} * about.f_frsize, .total_bytes = std::uint64_t{about.f_blocks} * about.f_frsize};
  }

  /// Locks of open file descriptions (else flock), never POSIX record locks: those are granted twice to one process and
  /// lost when any descriptor of the file is closed. The holder's process id stands in the file, for the message only.
  Result<PosixLock> lock(std::string_view name) {
    auto opened = open_regular(name, {.create = true});
    if (!opened && opened.error().os_error() == EROFS) return lock_on_read_only_media(name);
    AEGIS_TRY(PosixDescriptor descriptor, std::move(opened));
    struct ::flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    int taken = retried([&] { return ::fcntl(descriptor.get(), F_OFD_SETLK, &whole); });
    if (taken != 0 && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
      taken = retried([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); });
    const auto self = static_cast<std::uint64_t>(::getpid());
    if (taken != 0 && (errno == EAGAIN || errno == EACCES || errno == EWOULDBLOCK))
      return Error::mismatch(Errc::already_open, "lock of a directory, by process id", self, holder(descriptor.get()));
    if (taken != 0) return posix_error("lock of a directory");
    const std::string text = std::to_string(self) + "\n";
    if (retried([&] { return ::ftruncate(descriptor.get(), 0); }) != 0 || retried([&] { return ::pwrite(descriptor.get(), text.data(), text.size(), 0); }) < 0) {
      if (posix_code(errno) != Errc::no_space) return posix_error("lock of a directory");  // a full disk must not keep a store shut
    }
    return PosixLock{std::move(descriptor)};
  }

 private:
  struct Stream {
    ::DIR* at;
    ~Stream() {
      if (at != nullptr) ::closedir(at);
    }
  };

  explicit PosixDirectory(PosixDescriptor descriptor) : descriptor_(std::move(descriptor)) {}

  /// A path that leads nowhere is the caller's mistake, not the device's.
  static Error path_error(const char* subject) {
    if (errno != ENOTDIR && errno != ENOENT && errno != ENAMETOOLONG && errno != ELOOP) return posix_error(subject);
    return Error::os(Errc::invalid_argument, errno, "path of a directory, which must be there or new in one that is there");
  }

  template <class Call>
  static int retried(Call&& call) {
    int result;
    do result = static_cast<int>(call());
    while (result < 0 && errno == EINTR);
    return result;
  }

  /// For readers, where nobody can write; flock alone is exclusive on a descriptor that cannot write.
  Result<PosixLock> lock_on_read_only_media(std::string_view name) const {
    AEGIS_TRY(PosixDescriptor descriptor, open_regular(name, {.read_only = true}));
    if (retried([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); }) == 0) return PosixLock{std::move(descriptor)};
    if (errno != EWOULDBLOCK) return posix_error("lock of a directory");
    return Error::mismatch(Errc::already_open, "lock of a directory, by process id", static_cast<std::uint64_t>(::getpid()), holder(descriptor.get()));
  }

  Result<PosixDescriptor> open_regular(std::string_view name, OpenFlags flags) const {
    AEGIS_TRY(const PosixName checked, PosixName::from(name));
    int mode = (flags.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    if (flags.create) mode |= O_CREAT | (flags.exclusive ? O_EXCL : 0);
    PosixDescriptor descriptor{retried([&] { return open_beneath(checked.c_str(), mode); })};
    if (!descriptor) return posix_error("opening of a file");
    struct ::stat about;
    if (::fstat(descriptor.get(), &about) != 0) return posix_error("opening of a file");
    if (!S_ISREG(about.st_mode)) return Error::os(Errc::io, EINVAL, "opening of what is not a regular file");
    return descriptor;
  }

  /// By flock, which readers and writers can take alike; it goes with the descriptor.
  static Result<void> take_alone(int fd) {
    if (retried([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0) return {};
    if (errno == EWOULDBLOCK) return Error{Errc::already_open, "file, by this name or another link to it"};
    return posix_error("lock of a file");
  }

  /// openat2 where the kernel has it; without it O_NOFOLLOW and the checked single name say the same.
  int open_beneath(const char* name, int flags) const {
    ::open_how how{};
    how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags));
    how.mode = (flags & O_CREAT) != 0 ? 0600 : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const long opened = ::syscall(SYS_openat2, descriptor_.get(), name, &how, sizeof how);
    if (opened >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN)) return static_cast<int>(opened);
    return ::openat(descriptor_.get(), name, flags, 0600);
  }

  /// What the lock's holder wrote into its file; 0 when it has not yet.
  static std::uint64_t holder(int fd) {
    char text[24];
    const int got = retried([&] { return ::pread(fd, text, sizeof text, 0); });
    std::uint64_t pid = 0;
    for (int i = 0; i < got && text[i] >= '0' && text[i] <= '9'; ++i) pid = pid * 10 + static_cast<std::uint64_t>(text[i] - '0');
    return pid;
  }

  PosixDescriptor descriptor_;
  ProcessMark process_;  // that opened it
};

static_assert(DirectoryHandle<PosixDirectory, PosixFile>);

}  // namespace aegis::storage
