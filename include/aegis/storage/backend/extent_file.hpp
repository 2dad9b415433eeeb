// SPDX-License-Identifier: Apache-2.0
// The data file as extents and superblocks: offsets, alignment, checksums. It decides nothing about what is where.
// Any thread, for disjoint extents.
#pragma once

#include <aegis/storage/backend/aligned_buffers.hpp>
#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/backend/extent_read_ahead.hpp>
#include <aegis/storage/backend/free_space.hpp>
#include <aegis/storage/file/policy.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentFile {
 public:
  using File = typename Files::File;

  ExtentFile(File file, ExtentGeometry geometry) : file_(std::move(file)), geometry_(geometry) {}

  const ExtentGeometry& geometry() const { return geometry_; }
  AlignedBuffers& buffers() { return buffers_; }

  /// The extent's bytes, verified. `into` has at least extent.bytes; what lies behind them there is arbitrary afterwards.
  /// corrupt_block, naming `subject` and `id`, when the bytes are not those that were written.
  Result<void> read(const Extent& extent, MutableBytes into, const char* subject, std::uint64_t id) {
    const std::uint64_t alignment = file_.alignment();
    const std::uint64_t offset = geometry_.offset(extent);
    const std::uint64_t begin = offset / alignment * alignment;
    const std::uint64_t end = (offset + extent.bytes + alignment - 1) / alignment * alignment;
    const auto length = static_cast<std::size_t>(end - begin);
    if (begin == offset && length <= into.size() && AlignedBuffers::is_aligned(into.data(), alignment)) {
      AEGIS_TRY(const std::size_t got, read_sectors(begin, into.first(length)));
      return verify(extent, into.first(std::min<std::size_t>(got, extent.bytes)), subject, id);
    }
    const AlignedBuffers::Buffer bounce = buffers_.take(length);
    if (!bounce) return Error{Errc::out_of_memory, subject, id};
    AEGIS_TRY(const std::size_t got, read_sectors(begin, bounce.bytes().first(length)));
    const auto head = static_cast<std::size_t>(offset - begin);
    const Bytes content = bounce.bytes().first(std::min<std::size_t>(got, head + extent.bytes)).subspan(std::min(got, head));
    AEGIS_TRY(verify(extent, content, subject, id));
    copy_bytes(into, content);
    return {};
  }

  /// What is read from now on is what the file holds now.
  void forget_read_ahead() { ahead_.drop(0, ~std::uint64_t{0}); }

  /// Writes whole units from the start of `run`; `content` is aligned memory and a multiple of the unit.
  Result<void> write_run(const UnitRun& run, Bytes content) {
    const std::uint64_t begin = run.first * geometry_.unit_bytes;
    const Result<void> done = file_.write_at(begin, content);
    ahead_.drop(begin, content.size());
    return done ? done : Result<void>{done.error().at(StoreFile::data, begin)};
  }
  /// The same from any memory and of any length, padded with zeros.
  Result<void> write_padded(const UnitRun& run, Bytes content) {
    const std::size_t length = std::size_t{geometry_.units(content.size())} * geometry_.unit_bytes;
    const AlignedBuffers::Buffer bounce = buffers_.take(length);
    if (!bounce) return Error{Errc::out_of_memory, "buffer for a write"};
    copy_bytes(bounce.bytes(), content);
    std::memset(bounce.bytes().data() + content.size(), 0, length - content.size());
    return write_run(run, bounce.bytes().first(length));
  }

  /// Both slots of its generation; durable with the next sync.
  Result<void> write_superblock(const Superblock& block) {
    const AlignedBuffers::Buffer image = buffers_.take(Superblock::slot_bytes);
    if (!image) return Error{Errc::out_of_memory, "superblock"};
    block.encode(image.bytes().template first<Superblock::slot_bytes>());
    const unsigned slot = Superblock::first_slot(block.generation);
    AEGIS_TRY(file_.write_at(Superblock::slot_offset(slot), image.bytes().first(Superblock::slot_bytes)));
    return file_.write_at(Superblock::slot_offset(slot + 1), image.bytes().first(Superblock::slot_bytes));
  }
  Result<Superblock> superblock_in(unsigned slot) {
    const AlignedBuffers::Buffer image = buffers_.take(Superblock::slot_bytes);
    if (!image) return Error{Errc::out_of_memory, "superblock"};
    AEGIS_TRY(const std::size_t got, file_.read_at(Superblock::slot_offset(slot), image.bytes().first(Superblock::slot_bytes)));
    if (got != Superblock::slot_bytes) return Error{Errc::corrupt_block, "superblock in slot", slot}.at(StoreFile::data, Superblock::slot_offset(slot));
    return Superblock::decode(Bytes{image.bytes()}.template first<Superblock::slot_bytes>(), slot);
  }
  /// A power cut between the two writes of a superblock leaves one copy of it, so does a sector that cannot be read: writes the
  /// other again, durably.
  Result<void> mend_superblocks(const Superblock& published) {
    const unsigned first = Superblock::first_slot(published.generation);
    bool mended = false;
    for (unsigned slot = first; slot < first + 2; ++slot) {
      const Result<Superblock> found = superblock_in(slot);
      if (found && *found == published) continue;
      if (!found && found.error().code() == Errc::out_of_memory) return found.error();
      const AlignedBuffers::Buffer image = buffers_.take(Superblock::slot_bytes);
      if (!image) return Error{Errc::out_of_memory, "superblock"};
      published.encode(image.bytes().template first<Superblock::slot_bytes>());
      AEGIS_TRY(file_.write_at(Superblock::slot_offset(slot), image.bytes().first(Superblock::slot_bytes)));
      mended = true;
    }
    return mended ? sync(false) : Result<void>{};
  }
  /// The newest intact one. corrupt_block when there is none, or when equal generations differ; incompatible_format when one is of
  /// another version. A slot that cannot be read is made up for by its twin, since a generation is published in both; else io.
  static Result<Superblock> read_superblock(File& file, AlignedBuffers& buffers) {
    const AlignedBuffers::Buffer image = buffers.take(Superblock::slot_bytes);
    if (!image) return Error{Errc::out_of_memory, "superblock"};
    Result<Superblock> newest = Error{Errc::corrupt_block, "no valid superblock"}.at(StoreFile::data);
    Result<void> unreadable[Superblock::slots];
    bool intact[Superblock::slots] = {};
    for (unsigned slot = 0; slot < Superblock::slots; ++slot) {
      const Result<std::size_t> got = file.read_at(Superblock::slot_offset(slot), image.bytes().first(Superblock::slot_bytes));
      if (!got && got.error().code() != Errc::io) return got.error();
      if (!got) unreadable[slot] = got.error().at(StoreFile::data, Superblock::slot_offset(slot));
      if (!got || *got != Superblock::slot_bytes) continue;
      const Result<Superblock> found = Superblock::decode(Bytes{image.bytes()}.template first<Superblock::slot_bytes>(), slot);
      if (!found && found.error().code() == Errc::incompatible_format) return found;  // intact, of another version, and maybe the newest
      if (!found) continue;
      intact[slot] = true;
      if (newest && newest->generation == found->generation && !(*newest == *found))
        return Error{Errc::corrupt_block, "superblocks of one generation that differ, generation", found->generation};
      if (!newest || newest->generation < found->generation) newest = found;
    }
    for (unsigned slot = 0; slot < Superblock::slots; ++slot)
      if (!unreadable[slot] && !intact[slot ^ 1u]) return unreadable[slot].error();
    return newest;
  }

  /// A failed one is final: what was written before may never reach the disk, whatever a later one says. engine_failed then.
  Result<void> sync(bool size_changed) {
    if (sync_failed()) return Error{Errc::engine_failed, "data file"};
    const Result<void> done = size_changed ? file_.sync_all() : file_.sync_data();
    if (done) return done;
    sync_failed_.store(true, std::memory_order_release);
    const bool full = done.error().code() == Errc::no_space;  // no clean want of room: the pages are lost
    return Error::os(full ? Errc::engine_failed : done.error().code(), done.error().os_error(), "sync of the data file");
  }
  bool sync_failed() const { return sync_failed_.load(std::memory_order_acquire); }
  Result<std::uint64_t> size() { return file_.size(); }
  Result<void> allocate_steps(std::size_t first, std::size_t count) {
    return file_.allocate(first * ExtentGeometry::step_bytes, count * ExtentGeometry::step_bytes);
  }
  Result<void> punch_step(std::size_t step) { return file_.punch(step * ExtentGeometry::step_bytes, ExtentGeometry::step_bytes); }
  Result<void> truncate_to(std::uint64_t units) { return file_.truncate(units * geometry_.unit_bytes); }

 private:
  Result<std::size_t> read_sectors(std::uint64_t begin, MutableBytes into) {
    if (const Maybe<std::size_t> got = ahead_.read(file_, begin, into)) return *got;
    const Result<std::size_t> got = file_.read_at(begin, into);
    return got ? got : Result<std::size_t>{got.error().at(StoreFile::data, begin)};
  }
  Result<void> verify(const Extent& extent, Bytes content, const char* subject, std::uint64_t id) const {
    const std::uint64_t offset = geometry_.offset(extent);
    if (content.size() != extent.bytes) return Error::mismatch(Errc::corrupt_block, subject, extent.bytes, content.size(), id).at(StoreFile::data, offset);
    if (const std::uint32_t found = Extent::checksum_of(content); found != extent.checksum)
      return Error::mismatch(Errc::corrupt_block, subject, extent.checksum, found, id).at(StoreFile::data, offset);
    return {};
  }

  File file_;
  const ExtentGeometry geometry_;
  AlignedBuffers buffers_;
  ExtentReadAhead<File> ahead_{buffers_};
  std::atomic<bool> sync_failed_{false};  // never cleared
};

}  // namespace aegis::storage
