// SPDX-License-Identifier: Apache-2.0
// The operating system as seen by backends and logs. Every file call of the library goes through such an object, so
// that a simulated disk can stand under the very code that ships. Errors carry the errno and what it was about.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/core/result.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::storage {

struct OpenFlags {
  bool create = false;     ///< Make the file when it is absent; its mode is 0600.
  bool exclusive = false;  ///< With create: fail with already_open when it exists.
  bool direct = false;     ///< Bypass the page cache where the file system can; see File::direct().
  bool read_only = false;
  bool alone = false;      ///< Fail with already_open while a File opened so has it, by whatever name: a hard link elsewhere.
};

/// What a backend may need to know of the file system under a directory.
struct Space {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
};

/// An open regular file. Closing is its destructor. Any thread may read and write disjoint ranges at once.
///  1. read_at fills the buffer, short only at the end of the file; 0 there. EINTR and short transfers are handled inside.
///  2. write_at writes all of it or fails; it may extend the file. no_space for ENOSPC, EDQUOT and EFBIG.
///  3. sync_data and sync_all make the content durable (sync_all also size and times). After a failure nothing is known.
///  4. unit_bytes is max(physical sector, 512): what the device replaces whole. alignment() is what direct() wants of
///     offsets, lengths and memory; 1 when the file is not direct.
///  5. allocate reserves room durably only together with a later sync_all; punch gives room back and reads as zeros.
///  6. map gives a shared mapping of bytes that were written before; it fails where direct() holds.
template <class F>
concept FileHandle =
    Movable<F> &&
    requires(F file, const F constant, std::uint64_t offset, MutableBytes into, Bytes from) {
      { file.read_at(offset, into) } -> std::same_as<Result<std::size_t>>;
      { file.write_at(offset, from) } -> std::same_as<Result<void>>;
      { file.sync_data() } -> std::same_as<Result<void>>;
      { file.sync_all() } -> std::same_as<Result<void>>;
      { file.size() } -> std::same_as<Result<std::uint64_t>>;
      { file.truncate(offset) } -> std::same_as<Result<void>>;
      { file.allocate(offset, offset) } -> std::same_as<Result<void>>;
      { file.punch(offset, offset) } -> std::same_as<Result<void>>;
      { file.drop_cache() } -> std::same_as<Result<void>>;
      { constant.unit_bytes() } -> std::same_as<std::uint32_t>;
      { constant.alignment() } -> std::same_as<std::uint32_t>;
      { constant.direct() } -> std::same_as<bool>;
      file.map(offset, std::size_t{});
    };

/// An open directory; names are single components of [a-z0-9._-], at most 64 bytes, never made from user strings.
///  1. Nothing outside the directory is ever opened: no symbolic link is followed, nothing but regular files is accepted.
///  2. open of an absent file without create is io with ENOENT; exists() tells beforehand.
///  3. rename replaces; rename, unlink and creation are durable only after sync().
///  4. lock takes the directory for this process by an exclusive advisory lock on a file that is never removed; a second
///     taker, in this process or another, gets already_open with the holder's process id in found(). Freed when dropped.
template <class D, class F>
concept DirectoryHandle =
    Movable<D> && FileHandle<F> &&
    requires(D directory, std::string_view name, OpenFlags flags) {
      { directory.open(name, flags) } -> std::same_as<Result<F>>;
      { directory.exists(name) } -> std::same_as<Result<bool>>;
      { directory.list() } -> std::same_as<Result<std::vector<std::string>>>;
      { directory.rename(name, name) } -> std::same_as<Result<void>>;
      { directory.unlink(name) } -> std::same_as<Result<void>>;
      { directory.sync() } -> std::same_as<Result<void>>;
      { directory.space() } -> std::same_as<Result<Space>>;
      directory.lock(name);
    };

/// FilePolicy: a copyable handle on a file system (empty for the real one).
///  1. open_directory opens a path; with create it makes the last component (mode 0700), whose parent must exist.
///  2. entropy gives unpredictable bits for ids.
template <class P>
concept FilePolicy =
    Copyable<P> &&
    DirectoryHandle<typename P::Directory, typename P::File> &&
    requires(P files, std::string_view path) {
      { files.open_directory(path, true) } -> std::same_as<Result<typename P::Directory>>;
      { files.entropy() } -> std::same_as<std::uint64_t>;
      typename P::Lock;     // what Directory::lock gives: Result<Lock>, movable
      typename P::Mapping;  // what File::map gives: Result<Mapping>, movable, with bytes() -> MutableBytes, empty after a fork()
    };

}  // namespace aegis::storage
