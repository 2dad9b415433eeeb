// SPDX-License-Identifier: Apache-2.0
// A version: what a row was until a commit replaced it. One allocation holds the header, the key and the cell (the value,
// or the reference to its overflow chain). Older versions of a key hang below newer ones; nothing here is ever at rest.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

namespace aegis::storage {

enum class Existence : std::uint8_t { absent, present };

/// What a commit replaced, and by what.
struct Replaced {
  Existence existence = Existence::present;  ///< Absent: the commit inserted the row.
  bool overflow = false;                     ///< The cell is a reference to an overflow chain.
  bool deleted = false;                      ///< The commit deleted the row, so a ghost may stand for it in its leaf.
};

class Version {
 public:
  Timestamp from() const { return from_; }    ///< At or below the commit that made this row state.
  Timestamp until() const { return until_; }  ///< The commit that replaced it; snapshots below it may need this version.
  TableId table() const { return table_; }
  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_bytes_}; }
  Bytes cell() const { return {reinterpret_cast<const std::byte*>(this + 1) + key_bytes_, cell_bytes_}; }
  Existence existence() const { return replaced_.existence; }
  bool is_overflow() const { return replaced_.overflow; }
  /// Of a key's newest version: whether the key's last change was a deletion.
  bool deleted() const { return replaced_.deleted; }

  /// Memory that a version takes, its header included.
  static constexpr std::size_t footprint(std::size_t key_bytes, std::size_t cell_bytes) { return sizeof(Version) + key_bytes + cell_bytes; }

 private:
  friend class VersionStore;
  friend class PreparedVersion;

  static Version* make(TableId table, std::string_view key, std::uint64_t hash, std::size_t cell_capacity) {
    void* memory = ::operator new(footprint(key.size(), cell_capacity), std::nothrow);
    if (memory == nullptr) return nullptr;
    Version* version = ::new (memory) Version;
    version->hash_ = hash;
    version->table_ = table;
    version->key_bytes_ = static_cast<std::uint32_t>(key.size());
    version->capacity_ = static_cast<std::uint32_t>(cell_capacity);
    copy_bytes({reinterpret_cast<std::byte*>(version + 1), key.size()}, bytes_of(key));
    return version;
  }
  static void destroy(Version* version) { ::operator delete(version); }
  std::size_t memory() const { return footprint(key_bytes_, capacity_); }

  Version* next_key_ = nullptr;  // of another key in the same bucket; only the newest version of a key is in a bucket
  Version* older_ = nullptr;     // of the same key
  Version* newer_ = nullptr;     // of the same key; the newest names the oldest here
  Version* earlier_ = nullptr;   // neighbours in the shard's order of until
  Version* later_ = nullptr;
  Timestamp from_{}, until_{};
  std::uint64_t hash_ = 0;
  TableId table_{};
  std::uint32_t key_bytes_ = 0, cell_bytes_ = 0, capacity_ = 0;
  Replaced replaced_;
};

/// Memory for one version, taken before the commit section so that saving it there cannot fail. Freed when not used.
class PreparedVersion {
 public:
  PreparedVersion() = default;

  explicit operator bool() const { return version_ != nullptr; }
  /// Bytes of cell that it can take.
  std::size_t capacity() const { return version_ ? version_->capacity_ : 0; }

 private:
  friend class VersionStore;
  struct Free {
    void operator()(Version* version) const { Version::destroy(version); }
  };
  explicit PreparedVersion(Version* version) : version_(version) {}

  Owned<Version, Free> version_;
};

}  // namespace aegis::storage
