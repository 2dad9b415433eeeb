// SPDX-License-Identifier: Apache-2.0
// One open segment file: a link of the log's chain, or a written spare that waits to become one. Every byte of it was
// written and synced before it is used, so that no later write of it needs room. Not synchronised but for sync().
#pragma once

#include <aegis/storage/core/assert.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/segment.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace aegis::storage {

/// Memory that direct I/O accepts, not set to anything; empty when there was none.
class AlignedBuffer {
 public:
  static constexpr std::size_t alignment = 4096;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size)
      : bytes_(static_cast<std::byte*>(::operator new(size, std::align_val_t{alignment}, std::nothrow))), size_(bytes_ ? size : 0) {}
  MutableBytes bytes() { return {bytes_.get(), size_}; }
  explicit operator bool() const { return bytes_ != nullptr; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t{alignment}); }
  };
  Owned<std::byte, Free> bytes_;
  std::size_t size_ = 0;
};

template <FilePolicy Files>
class SegmentFile {
 public:
  using File = typename Files::File;
  using Directory = typename Files::Directory;

  static constexpr std::uint64_t smallest_bytes = 2 * SegmentHeader::bytes;

  SegmentFile(File file, std::uint64_t id, std::uint64_t size) : file_(std::move(file)), id_(id), size_(size) {}

  /// Opens what stands there already; the size is checked by whoever knows what it has to be.
  static Result<Owned<SegmentFile>> open(Directory& directory, SegmentRole role, std::uint64_t id, bool direct) {
    AEGIS_TRY(File file, directory.open(SegmentName{role, id}, {.direct = direct}));
    AEGIS_TRY(const std::uint64_t size, file.size());
    return wrapped(std::move(file), id, size);
  }

  /// Makes a file of `size` zeros, written and durable, under its fresh name.
  static Result<Owned<SegmentFile>> make(Directory& directory, std::uint64_t id, std::uint64_t size, bool direct) {
    AEGIS_TRY(File file, directory.open(SegmentName{SegmentRole::fresh, id}, {.create = true, .exclusive = true, .direct = direct}));
    AEGIS_TRY(file.allocate(0, size));
    AlignedBuffer zeros{size < fill_bytes ? static_cast<std::size_t>(size) : fill_bytes};
    if (!zeros) return Error{Errc::out_of_memory, "making of a log segment"};
    std::memset(zeros.bytes().data(), 0, zeros.bytes().size());
    for (std::uint64_t at = 0; at < size;) {
      const std::size_t step = size - at < zeros.bytes().size() ? static_cast<std::size_t>(size - at) : zeros.bytes().size();
      AEGIS_TRY(file.write_at(at, zeros.bytes().first(step)));
      at += step;
    }
    AEGIS_TRY(file.sync_all());
    return wrapped(std::move(file), id, size);
  }

  /// Decides how this file is written in this life, before it is; again changes nothing. A mapping that fails does no harm.
  void prepare(bool process_durable) {
    method_ = file_.direct() ? WriteMethod::direct : WriteMethod::buffered;
    if (!process_durable || file_.direct()) return;
    if (!mapping_) {
      if (auto made = file_.map(SegmentHeader::bytes, static_cast<std::size_t>(capacity()))) mapping_.emplace(std::move(*made));
    }
    if (mapping_) method_ = WriteMethod::mapped;
  }

  Result<SegmentHeader> read_header(std::uint64_t sequence) {
    AlignedBuffer buffer{SegmentHeader::bytes};
    if (!buffer) return Error{Errc::out_of_memory, "opening of log segment", sequence};
    const Result<std::size_t> got = file_.read_at(0, buffer.bytes());
    if (!got) return got.error().at(StoreFile::wal, 0, sequence);
    if (*got != SegmentHeader::bytes) return Error{Errc::corrupt_log, "header of log segment", sequence}.at(StoreFile::wal, 0, sequence);
    const Result<SegmentHeader> header = SegmentHeader::decode(buffer.bytes().template first<SegmentHeader::bytes>(), sequence);
    if (!header) return header.error().at(StoreFile::wal, 0, sequence);
    if (header->segment_bytes != size_)
      return Error::mismatch(Errc::corrupt_log, "size of log segment", header->segment_bytes, size_, sequence).at(StoreFile::wal, Error::no_offset, sequence);
    return header;
  }

  /// Takes a place in the chain; the header is durable on return. `buffer` holds a header's bytes.
  Result<void> become(SegmentHeader header, MutableBytes buffer) {
    header.segment_bytes = size_;
    header.method = method_;
    header.encode(buffer.first<SegmentHeader::bytes>());
    AEGIS_TRY(file_.write_at(0, buffer.first(SegmentHeader::bytes)));
    AEGIS_TRY(file_.sync_data());
    adopt(header);
    return {};
  }
  void adopt(const SegmentHeader& header) {
    id_ = header.sequence;
    first_ = header.first;
    written_as_ = header.method;
    limit_ = first_ + capacity();
  }

  /// Bytes of [first, limit); `bounce` serves sources that direct I/O cannot take. The segment's own method.
  Result<void> write(Lsn at, Bytes from, MutableBytes bounce) {
    AEGIS_ASSERT(at >= first_ && from.size() <= limit_ - at);
    if (method_ == WriteMethod::mapped) {
      const MutableBytes mapped = mapping_->bytes();
      if (mapped.empty()) return Error{Errc::already_open, "log of the process before fork()"};
      copy_bytes(mapped.subspan(static_cast<std::size_t>(at - first_)), from);
      return {};
    }
    if (method_ == WriteMethod::buffered) return file_.write_at(offset_of(at), from);
    if (is_aligned(from.data())) return write_durable(offset_of(at), from);
    while (!from.empty()) {
      const std::size_t step = from.size() < bounce.size() ? from.size() : bounce.size();
      copy_bytes(bounce, from.first(step));
      AEGIS_TRY(write_durable(offset_of(at), bounce.first(step)));
      at = at + step;
      from = from.subspan(step);
    }
    return {};
  }

  /// All of `into`, which lies within [first, limit); fewer bytes in the file than that is corrupt_log.
  Result<void> read(Lsn at, MutableBytes into, MutableBytes bounce) {
    while (!into.empty()) {
      const std::uint64_t offset = offset_of(at);
      const std::size_t skip = static_cast<std::size_t>(offset % file_.alignment());
      const bool in_place = skip == 0 && into.size() % file_.alignment() == 0 && is_aligned(into.data());
      const std::size_t room = in_place ? into.size() : bounce.size() - skip;
      const std::size_t step = into.size() < room ? into.size() : room;
      const MutableBytes target = in_place ? into : bounce.first(rounded_up(skip + step, file_.alignment()));
      const Result<std::size_t> got = file_.read_at(offset - skip, target);
      if (!got) return located(got.error(), at);
      if (*got < skip + step) return located(Error{Errc::corrupt_log, "size of log segment", id_}, at);
      if (!in_place) copy_bytes(into, target.subspan(skip, step));
      at = at + step;
      into = into.subspan(step);
    }
    return {};
  }

  Result<void> sync() { return file_.sync_data(); }

  /// Makes durable what a dead process left in the page cache and forgets the rest of it, so that what is read next is
  /// what a power cut would leave: pages of a sync that failed in a former life look clean and are not on the disk.
  Result<void> settle() { return file_.sync_all(); }
  Result<void> forget_cache() { return file_.drop_cache(); }

  /// With the place in this file where the LSN's byte is.
  Error located(const Error& error, Lsn at) const { return error.at(StoreFile::wal, offset_of(at), id_); }

  std::uint64_t id() const { return id_; }
  void set_id(std::uint64_t id) { id_ = id; }
  std::uint64_t size_bytes() const { return size_; }
  std::uint64_t capacity() const { return size_ - SegmentHeader::bytes; }
  Lsn first() const { return first_; }
  Lsn limit() const { return limit_; }
  void end_at(Lsn limit) { limit_ = limit; }
  void end_at_capacity() { limit_ = first_ + capacity(); }
  bool durable_writes() const { return method_ == WriteMethod::direct; }
  /// Whether the payload that it holds was written as prepare() decided to write.
  bool can_go_on() const { return written_as_ == method_; }

 private:
  static constexpr std::size_t fill_bytes = std::size_t{1} << 20;

  static Result<Owned<SegmentFile>> wrapped(File file, std::uint64_t id, std::uint64_t size) {
    Owned<SegmentFile> made{new (std::nothrow) SegmentFile{std::move(file), id, size}};
    if (!made) return Error{Errc::out_of_memory, "opening of a log segment"};
    return made;
  }

  static constexpr std::size_t rounded_up(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

  Result<void> write_durable(std::uint64_t offset, Bytes from) {
    if constexpr (requires { file_.write_durable_at(offset, from); }) {
      return file_.write_durable_at(offset, from);
    } else {
      AEGIS_TRY(file_.write_at(offset, from));
      return file_.sync_data();
    }
  }

  bool is_aligned(const std::byte* at) const { return reinterpret_cast<std::uintptr_t>(at) % file_.alignment() == 0; }
  std::uint64_t offset_of(Lsn at) const { return SegmentHeader::bytes + (at - first_); }

  File file_;
  Maybe<typename Files::Mapping> mapping_;  // of the payload; never while the file is direct
  std::uint64_t id_;                                // sequence number in the chain, or the spare's own number
  std::uint64_t size_;                              // of the file, never changes
  Lsn first_{};
  Lsn limit_{};                                     // first_ + capacity(), or less where a cut moved on to a successor
  WriteMethod method_ = WriteMethod::buffered;      // how it is written in this life
  WriteMethod written_as_ = WriteMethod::buffered;  // what its header says
};

}  // namespace aegis::storage
