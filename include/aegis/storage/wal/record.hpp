// SPDX-License-Identifier: Apache-2.0
// What a transaction did, as records inside a frame's payload. FrameBuilder writes them, RecordReader reads them back and
// takes any bytes: it never leaves the payload, and what it does not know is an error, never something else.
// Both belong to one thread at a time.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>

namespace aegis::storage {

// Record:  type (1); for insert, update and erase: table (varint), key length (varint), key;
//          for insert and update: value length (varint), value.
// A varint is a number below 2^32, seven bits a byte, the lowest first, the top bit set in all but the last.
/// Checkpoint stands in a frame of its own; the others are records of a payload.
enum class LogRecordType : std::uint8_t { begin = 1, commit = 2, abort = 3, insert = 4, update = 5, erase = 6, checkpoint = 7 };

constexpr bool has_key(LogRecordType type) { return type >= LogRecordType::insert && type <= LogRecordType::erase; }
constexpr bool has_value(LogRecordType type) { return type == LogRecordType::insert || type == LogRecordType::update; }
constexpr bool is_known(LogRecordType type) { return type >= LogRecordType::begin && type <= LogRecordType::erase; }

struct LogRecord {
  LogRecordType type{};
  TableId table{};
  std::string_view key{}, value{};  ///< Views of the payload.
  Bytes encoded{};                  ///< The whole record, where it was read from a payload.
};

inline constexpr std::size_t max_varint_bytes = 5;

constexpr std::size_t varint_bytes(std::uint64_t value) {
  std::size_t count = 1;
  for (; value >= 0x80; value >>= 7) ++count;
  return count;
}

class FrameBuilder {
 public:
  FrameBuilder() = default;
  FrameBuilder(FrameBuilder&& other) noexcept { swap(other); }
  FrameBuilder& operator=(FrameBuilder&& other) noexcept {
    swap(other);
    return *this;
  }
  ~FrameBuilder() { std::free(data_); }

  static constexpr std::size_t record_bytes(LogRecordType type, TableId table, std::string_view key, std::string_view value) {
    return 1 + (has_key(type) ? varint_bytes(number(table)) + varint_bytes(key.size()) + key.size() : 0) +
           (has_value(type) ? varint_bytes(value.size()) + value.size() : 0);
  }

  /// Room for so many more payload bytes, so that adding them cannot fail. out_of_memory or too_large; nothing is lost then.
  Result<void> reserve(std::size_t more) {
    if (more <= capacity_ - size_) return {};
    if (more > max_payload_bytes - size_) return Error{Errc::too_large, "log frame"};
    std::size_t wanted = capacity_ < 256 ? 256 : capacity_ + capacity_ / 2;
    if (wanted < size_ + more) wanted = size_ + more;
    if (wanted > max_payload_bytes) wanted = max_payload_bytes;
    void* moved = std::realloc(data_, wanted);
    if (moved == nullptr) return Error{Errc::out_of_memory, "log frame"};
    data_ = static_cast<std::byte*>(moved);
    capacity_ = wanted;
    return {};
  }

  /// Begin, commit and abort take neither table nor key; erase takes no value.
  Result<void> add(LogRecordType type, TableId table = {}, std::string_view key = {}, std::string_view value = {}) {
    if (!is_known(type)) return Error{Errc::invalid_argument, "log record type", static_cast<std::uint64_t>(type)};
    if (key.size() > max_payload_bytes || value.size() > max_payload_bytes) return Error{Errc::too_large, "log record"};
    AEGIS_TRY(reserve(record_bytes(type, table, key, value)));
    data_[size_++] = static_cast<std::byte>(type);
    if (!has_key(type)) return {};
    put_varint(number(table));
    put_text(key);
    if (has_value(type)) put_text(value);
    return {};
  }

  /// Makes this one piece of a transaction that is streamed over several frames; forgets what was added before.
  Result<void> start_piece(TransactionId id) {
    clear();
    AEGIS_TRY(reserve(sizeof id));
    store_le(data_, number(id));
    size_ = sizeof id;
    return {};
  }

  Bytes payload() const { return {data_, size_}; }
  bool empty() const { return size_ == 0; }
  void clear() { size_ = 0; }  // keeps its memory
  std::size_t memory_bytes() const { return capacity_; }

 private:
  static constexpr std::size_t max_payload_bytes = std::size_t{1} << 30;

  void put_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) data_[size_++] = static_cast<std::byte>(value | 0x80);
    data_[size_++] = static_cast<std::byte>(value);
  }
  void put_text(std::string_view text) {
    put_varint(text.size());
    copy_bytes({data_ + size_, text.size()}, bytes_of(text));
    size_ += text.size();
  }
  void swap(FrameBuilder& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  std::byte* data_ = nullptr;  // malloc'ed, capacity_ bytes
  std::size_t size_ = 0, capacity_ = 0;
};

class RecordReader {
 public:
  /// `lsn` is only named in errors.
  explicit RecordReader(Bytes payload, Lsn lsn = {}) : rest_(payload), lsn_(lsn) {}

  /// False at the end. incompatible_format for a type that is not known, corrupt_log for a record that leaves the payload.
  Result<bool> next(LogRecord& record) {
    if (rest_.empty()) return false;
    const Bytes begin = rest_;
    record = {.type = static_cast<LogRecordType>(rest_[0])};
    if (!is_known(record.type)) return Error{Errc::incompatible_format, "log record type", static_cast<std::uint64_t>(rest_[0])};
    rest_ = rest_.subspan(1);
    std::uint32_t table = 0;
    const bool whole = !has_key(record.type) || (take_varint(table) && take_text(record.key) && (!has_value(record.type) || take_text(record.value)));
    if (!whole) return Error{Errc::corrupt_log, "record in the frame at LSN", number(lsn_)};
    record.table = TableId{table};
    record.encoded = begin.first(begin.size() - rest_.size());
    return true;
  }

 private:
  bool take_varint(std::uint32_t& value) {
    std::uint64_t read = 0;
    for (std::size_t i = 0; i < max_varint_bytes && i < rest_.size(); ++i) {
      const auto part = static_cast<std::uint64_t>(rest_[i]);
      read |= (part & 0x7f) << (7 * i);
      if (part >= 0x80) continue;
      rest_ = rest_.subspan(i + 1);
      value = static_cast<std::uint32_t>(read);
      return read <= std::numeric_limits<std::uint32_t>::max();
    }
    return false;
  }
  bool take_text(std::string_view& text) {
    std::uint32_t size = 0;
    if (!take_varint(size) || size > rest_.size()) return false;
    text = text_of(rest_.first(size));
    rest_ = rest_.subspan(size);
    return true;
  }

  Bytes rest_;  // not read yet; every record before it was whole
  Lsn lsn_;
};

}  // namespace aegis::storage
