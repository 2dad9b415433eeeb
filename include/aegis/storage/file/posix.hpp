// SPDX-License-Identifier: Apache-2.0
// The file system of a POSIX (Linux) machine as a FilePolicy. Every system call of the library on a file is made in
// this folder. Empty, copyable, any thread.
#pragma once

#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/file/posix_directory.hpp>
#include <aegis/storage/file/posix_file.hpp>

#include <cstdint>
#include <string_view>

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

namespace aegis::storage {

struct PosixFiles {
  using File = PosixFile;
  using Directory = PosixDirectory;
  using Lock = PosixLock;
  using Mapping = PosixMapping;

  Result<PosixDirectory> open_directory(std::string_view path, bool create) const { return PosixDirectory::open_path(path, create); }

  /// From the kernel; should it have none, from clock and process id, which still makes collisions unlikely.
  std::uint64_t entropy() const {
    std::uint64_t bits = 0;
    if (::getrandom(&bits, sizeof bits, 0) == static_cast<::ssize_t>(sizeof bits)) return bits;
    struct ::timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    bits = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
    bits = (bits ^ (static_cast<std::uint64_t>(::getpid()) << 40)) * 0x9e3779b97f4a7c15;
    return bits ^ (bits >> 29);
  }
};

static_assert(FilePolicy<PosixFiles>);

}  // namespace aegis::storage
