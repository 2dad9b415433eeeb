// SPDX-License-Identifier: Apache-2.0
// What can go wrong, as a value: which error, of what, where, and what to do. Small and trivially copyable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace aegis::storage {

enum class Errc : std::uint8_t {
  block_not_found,
  table_not_found,
  key_not_found,
  key_exists,
  conflict,
  deadlock,
  lock_timeout,
  corrupt_block,
  corrupt_page,
  corrupt_log,
  incompatible_format,
  already_open,
  busy,
  read_only,
  no_space,
  io,
  out_of_memory,
  pool_exhausted,
  too_large,
  transaction_closed,
  snapshot_too_old,
  commit_undecided,
  engine_failed,
  invalid_argument,
};

constexpr std::string_view name_of(Errc code);

/// True when the same transaction, run again from its start, may succeed.
constexpr bool is_retryable(Errc code) {
  return code == Errc::conflict || code == Errc::deadlock || code == Errc::lock_timeout || code == Errc::snapshot_too_old;
}

/// Up to eight characters in a number, so that an Error can say "lz4" without owning a string.
constexpr std::uint64_t short_name(std::string_view text) {
  std::uint64_t packed = 0;
  for (std::size_t i = 0; i < text.size() && i < 8; ++i) packed |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  return packed;
}

/// The files of a store in which something may be wrong.
enum class StoreFile : std::uint8_t { none, data, wal };

class Error {
 public:
  static constexpr std::uint64_t no_id = ~std::uint64_t{0};
  static constexpr std::uint64_t no_offset = ~std::uint64_t{0};

  constexpr Error(Errc code, const char* subject = "", std::uint64_t id = no_id) : id_(id), subject_(subject), code_(code) {}

  /// An operating system call failed: `os_error` is its errno, `subject` what it was about.
  static constexpr Error os(Errc code, int os_error, const char* subject, std::uint64_t id = no_id) {
    Error error{code, subject, id};
    error.os_error_ = static_cast<std::int16_t>(os_error);
    return error;
  }
  /// Two values that had to be equal. With incompatible_format `expected` is this program's and `found` the store's.
  static constexpr Error mismatch(Errc code, const char* subject, std::uint64_t expected, std::uint64_t found, std::uint64_t id = no_id) {
    Error error{code, subject, id};
    error.values_ = Values::numbers;
    error.expected_ = expected;
    error.found_ = found;
    return error;
  }
  /// Two names that had to be equal; names longer than eight characters are cut.
  static constexpr Error mismatch(Errc code, const char* subject, std::string_view expected, std::string_view found) {
    return named_mismatch(code, subject, short_name(expected), short_name(found));
  }
  /// The same with names that are packed by short_name() already.
  static constexpr Error named_mismatch(Errc code, const char* subject, std::uint64_t expected, std::uint64_t found, std::uint64_t id = no_id) {
    Error error = mismatch(code, subject, expected, found, id);
    error.values_ = Values::names;
    return error;
  }

  /// A file of one store among those of another: ids of the store that is opened, and of the one it belongs to.
  static constexpr Error foreign(const char* subject, std::uint64_t expected, std::uint64_t found, std::uint64_t id = no_id) {
    Error error = mismatch(Errc::incompatible_format, subject, expected, found, id);
    error.values_ = Values::owners;
    return error;
  }

  /// The same error, with where it is: the file, the offset in it, and of a segment of the log its number. A place that was told
  /// before, nearer to where it happened, stays.
  constexpr Error at(StoreFile file, std::uint64_t offset = no_offset, std::uint64_t file_number = 0) const {
    Error placed = *this;
    if (file_ != StoreFile::none || file_number >> 32 != 0) return placed;
    placed.file_ = file;
    placed.offset_ = offset;
    placed.file_number_ = static_cast<std::uint32_t>(file_number);
    return placed;
  }

  constexpr Errc code() const { return code_; }
  constexpr int os_error() const { return os_error_; }
  constexpr std::uint64_t id() const { return id_; }
  constexpr std::string_view subject() const { return subject_; }
  constexpr std::uint64_t expected() const { return expected_; }
  constexpr std::uint64_t found() const { return found_; }
  constexpr StoreFile file() const { return file_; }
  constexpr std::uint64_t offset() const { return offset_; }            ///< In file(), or no_offset.
  constexpr std::uint64_t file_number() const { return file_number_; }  ///< Of a segment of the log.

  /// What happened, to what, and what to do about it. Allocates; never on a hot path.
  std::string message() const;

 private:
  enum class Values : std::uint8_t { none, numbers, names, owners };

  static std::string shown(Values kind, std::uint64_t value);
  std::string file_name() const;
  void say_who_has_what(std::string& said, std::string_view advice) const;

  std::uint64_t id_;                // of the block, page, table, file, LSN ... that `subject_` names
  std::uint64_t expected_ = 0;      // meaningful unless values_ is none
  std::uint64_t found_ = 0;
  const char* subject_;             // a literal
  std::uint64_t offset_ = no_offset;
  std::uint32_t file_number_ = 0;
  std::int16_t os_error_ = 0;       // an errno, or 0; Linux has none above 133
  Errc code_;
  Values values_ : 4 = Values::none;
  StoreFile file_ : 4 = StoreFile::none;
};

static_assert(std::is_trivially_copyable_v<Error> && sizeof(Error) <= 48);

struct ErrcText {
  std::string_view name, meaning, advice;
};

constexpr ErrcText text_of(Errc code) {
  switch (code) {
    case Errc::block_not_found: return {"block_not_found", "no block has this id", "check the id; a store that names it is damaged, run verify()"};
    case Errc::table_not_found: return {"table_not_found", "there is no such table", "create it with table(name)"};
    case Errc::key_not_found: return {"key_not_found", "the key is absent", "use put() or insert() to create it"};
    case Errc::key_exists: return {"key_exists", "the key is present already", "use put() or update() to replace it"};
    case Errc::conflict: return {"conflict", "another transaction committed a change that this one depends on", "abort and run the transaction again"};
    case Errc::deadlock: return {"deadlock", "waiting would close a circle of waiting transactions", "abort and run the transaction again"};
    case Errc::lock_timeout: return {"lock_timeout", "another transaction held the lock for too long", "abort and run the transaction again, or raise lock_timeout"};
    case Errc::corrupt_block: return {"corrupt_block", "the stored bytes are not what was written", "restore a backup; other data stays readable"};
    case Errc::corrupt_page: return {"corrupt_page", "the page's structure is broken", "restore a backup; verify() lists every damaged page"};
    case Errc::corrupt_log: return {"corrupt_log", "the log is damaged before bytes that were durable", "restore a backup, or salvage what is readable"};
    case Errc::incompatible_format: return {"incompatible_format", "the store was written with another layout", "open it with the policies and library version that made it"};
    case Errc::already_open: return {"already_open", "another engine has this store open", "close it first; a store has one process at a time"};
    case Errc::busy: return {"busy", "something still uses this", "finish open transactions and cursors, then try again"};
    case Errc::read_only: return {"read_only", "this cannot be written", "open it with write permission"};
    case Errc::no_space: return {"no_space", "the disk or its quota is full", "free space, then run the transaction again"};
    case Errc::io: return {"io", "the operating system reported an error", "look at the device and the system's log"};
    case Errc::out_of_memory: return {"out_of_memory", "memory could not be allocated", "lower the limits in the options, or give the process more"};
    case Errc::pool_exhausted: return {"pool_exhausted", "every frame of the buffer pool is held", "release page handles, or raise pool_bytes"};
    case Errc::too_large: return {"too_large", "this exceeds a documented limit", "make it smaller, or raise the limit where an option exists"};
    case Errc::transaction_closed: return {"transaction_closed", "the transaction has ended", "begin another one"};
    case Errc::snapshot_too_old: return {"snapshot_too_old", "the versions this snapshot needs were given up for memory", "begin again, or raise version_bytes"};
    case Errc::commit_undecided: return {"commit_undecided", "the commit may or may not survive; reopening decides it", "close the engine and open it again"};
    case Errc::engine_failed: return {"engine_failed", "an earlier failure stopped this store from being written", "close it and open it again"};
    case Errc::invalid_argument: return {"invalid_argument", "this value cannot be used here", "see the documentation of the call"};
  }
  return {"unknown", "an error of an unknown kind", "report it"};
}

constexpr std::string_view name_of(Errc code) { return text_of(code).name; }

inline std::string Error::shown(Values kind, std::uint64_t value) {
  if (kind != Values::names) return std::to_string(value);
  std::string text;
  for (; value != 0; value >>= 8) text.push_back(static_cast<char>(value & 0xff));
  return text;
}

/// As the store's directory has it; the formats are in backend/ and log/.
inline std::string Error::file_name() const {
  if (file_ == StoreFile::data) return "data";
  std::string digits;
  for (int shift = 60; shift >= 0; shift -= 4) digits.push_back("0123456789abcdef"[std::uint64_t{file_number_} >> shift & 15]);
  return "wal-" + digits + ".log";
}

inline void Error::say_who_has_what(std::string& said, std::string_view advice) const {
  const bool foreign = values_ == Values::owners;
  said.append(foreign ? ": the file has " : ": the store has ").append(shown(values_, found_));
  said.append(foreign ? ", this store " : ", this program ").append(shown(values_, expected_));
  said.append("; ").append(foreign ? "keep the data file and the log of one store together" : advice);
}

inline std::string Error::message() const {
  const ErrcText text = text_of(code_);
  std::string said{text.name};
  if (*subject_ != '\0') said.append(": ").append(subject_);
  if (id_ != no_id) said.append(*subject_ == '\0' ? ": " : " ").append(std::to_string(id_));
  if (file_ != StoreFile::none) said.append(", in file ").append(file_name());
  if (file_ != StoreFile::none && offset_ != no_offset) said.append(" at offset ").append(std::to_string(offset_));
  if (code_ == Errc::incompatible_format && values_ != Values::none) {
    say_who_has_what(said, text.advice);
    return said;
  }
  said.append(": ").append(text.meaning);
  if (values_ != Values::none) said.append(" (expected ").append(shown(values_, expected_)).append(", found ").append(shown(values_, found_)).append(")");
  if (os_error_ != 0) said.append(" (").append(std::strerror(os_error_)).append(")");
  return said.append("; ").append(text.advice);
}

}  // namespace aegis::storage
