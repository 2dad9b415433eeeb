// SPDX-License-Identifier: Apache-2.0
// The blocks of a data file of which anything may be broken, read around what is. What the map names and its checksum
// proves is of the checkpoint that was taken; what is found by looking through the file may be older. Never writes. Memory:
// one map block a level and a window of the file. One thread.
#pragma once

#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/backend/extent_format.hpp>
#include <aegis/storage/block/format.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/engine/salvage_report.hpp>
#include <aegis/storage/file/policy.hpp>

#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class DamagedBlocks {
 public:
  using Directory = typename Files::Directory;
  using File = typename Files::File;
  static constexpr std::size_t max_block_bytes = ExtentGeometry::step_bytes;

  explicit DamagedBlocks(SalvageReport& report) : report_(report) {}

  /// Takes the newest checkpoint whose map can be read from its root. Without any, nothing is known() and find() finds nothing.
  Result<void> open(Directory& directory) {
    nodes_.reset(new (std::nothrow) Node[map_max_height]);
    if (!nodes_) return Error{Errc::out_of_memory, "map blocks"};
    AEGIS_TRY(const bool there, directory.exists("data"));
    if (!there) return lose(Error{Errc::corrupt_block, "missing data file"});
    auto opened = directory.open("data", {.read_only = true});
    if (!opened) return opened.error();
    file_.emplace(std::move(*opened));
    AEGIS_TRY(size_, file_->size());
    return choose_superblock();
  }

  struct Found {
    enum class State : std::uint8_t { absent, found, unknown } state = State::unknown;  ///< unknown: a map block is unreadable.
    Extent extent{};
  };
  Found find(std::uint64_t id) {
    if (!has_map_) return {};
    if (super_.height == 0 || (super_.height < map_max_height && id >> (8 * super_.height) != 0)) return {Found::State::absent, {}};
    Extent at = super_.root;
    for (unsigned level = super_.height - 1u;; --level) {
      const Node* const node = load(at, level);
      if (node == nullptr) return {};
      at = node->entry(static_cast<std::size_t>(id >> (8 * level)) & (map_fanout - 1));
      if (!at.present()) return {Found::State::absent, {}};
      if (level == 0) return {Found::State::found, at};
    }
  }
  bool is_at(std::uint64_t offset, const Found& found) const {
    return found.state == Found::State::found && geometry_.offset(found.extent) == offset;
  }
  /// The stored bytes. block_not_found, also when the map does not say; corrupt_block, io.
  Result<std::size_t> read(BlockId id, MutableBytes into) {
    const Found found = find(number(id));
    if (found.state != Found::State::found) return Error{Errc::block_not_found, "block", number(id)};
    if (found.extent.bytes > into.size()) return Error::mismatch(Errc::corrupt_block, "length of block", into.size(), found.extent.bytes, number(id));
    AEGIS_TRY(read_extent(found.extent, into.first(found.extent.bytes), "extent of block", number(id)));
    return std::size_t{found.extent.bytes};
  }
  /// fn(BlockId) -> Result<void>, ascending, for each block that readable map blocks name.
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    if (!has_map_ || super_.height == 0) return {};
    return walk(super_.root, super_.height - 1u, 0, fn);
  }
  /// Looks for blocks at every place where one may begin. fn(std::uint64_t offset, Bytes from_there) -> how many of these
  /// bytes are a block and need not be looked at again.
  template <class Fn>
  Result<void> look_through(Fn&& fn) {
    if (!file_) return {};
    std::size_t room = window_bytes + longest_bytes;  // no constant: clang 19 takes a constant nothrow allocation of a MiB for a failed one
    const Owned<std::byte[]> window{new (std::nothrow) std::byte[room]};
    if (!window) return Error{Errc::out_of_memory, "window of the data file"};
    std::uint64_t skip_to = Superblock::region_bytes;
    for (std::uint64_t begin = skip_to / window_bytes * window_bytes; begin < size_; begin += window_bytes) {
      const MutableBytes bytes = read_window(begin, {window.get(), room});
      for (std::size_t at = 0; at < window_bytes && at + smallest_grain <= bytes.size(); at += smallest_grain) {
        if (begin + at < skip_to || load_le<std::uint32_t>(bytes.data() + at) == 0) continue;
        const std::size_t length = fn(begin + at, Bytes{bytes.subspan(at)});
        if (length != 0) skip_to = begin + at + length;
      }
    }
    return {};
  }
  /// Bytes anywhere in the file; what cannot be read of them is zeros. Shorter at its end.
  MutableBytes read_window(std::uint64_t offset, MutableBytes into) {
    if (offset >= size_) return {};
    if (into.size() > size_ - offset) into = into.first(static_cast<std::size_t>(size_ - offset));
    if (const auto got = file_->read_at(offset, into)) return into.first(*got);
    constexpr std::size_t step = 4096;
    for (std::size_t at = 0; at < into.size(); at += step) {
      const MutableBytes part = into.subspan(at, std::min(step, into.size() - at));
      const auto got = file_->read_at(offset + at, part);
      std::memset(part.data() + (got ? *got : 0), 0, part.size() - (got ? *got : 0));
    }
    return into;
  }

  bool has_map() const { return has_map_; }
  bool has_file() const { return file_.has_value(); }
  bool map_is_whole() const { return has_map_ && !map_damaged_; }

 private:
  static constexpr std::size_t window_bytes = std::size_t{1} << 20;
  static constexpr std::size_t longest_bytes = block_header_bytes + block_payload_limit_bytes;
  static constexpr std::size_t smallest_grain = 512 / ExtentGeometry::grains_per_unit;

  struct Node {
    Extent extent{};
    bool readable = false;
    std::byte bytes[map_block_bytes];

    Extent entry(std::size_t index) const { return Extent::load(bytes + index * Extent::stored_bytes); }
  };

  Result<void> lose(const Error& error) {
    report_.damaged(error);
    report_.lost_map = true;
    return {};
  }

  Result<void> choose_superblock() {
    std::array<Superblock, Superblock::slots> intact;
    std::size_t count = 0;
    bool damaged = false;
    for (unsigned slot = 0; slot < Superblock::slots; ++slot) {
      std::array<std::byte, Superblock::slot_bytes> image{};
      read_window(Superblock::slot_offset(slot), image);
      const auto decoded = Superblock::decode(image, slot);
      if (decoded) intact[count++] = *decoded;
      const bool empty = load_le<std::uint64_t>(image.data()) == 0;  // not yet written in a store that was never synced
      if (!decoded && !(empty && slot >= 2 && count > 0 && intact[0].generation == 0)) report_.damaged(decoded.error()), damaged = true;
    }
    sort(intact.data(), count, [](const Superblock& a, const Superblock& b) { return a.generation > b.generation; });
    for (std::size_t i = 0; i < count; ++i) {
      if (i != 0 && intact[i].generation == super_.generation) continue;
      super_ = intact[i];
      geometry_ = ExtentGeometry{super_.unit_bytes};
      has_map_ = super_.height == 0 || load(super_.root, super_.height - 1u) != nullptr;
      report_.older_checkpoint = super_.generation != intact[0].generation || (damaged && lacks_pair(intact, count));
      if (has_map_) return {};
    }
    report_.older_checkpoint = false;
    return lose(Error{Errc::corrupt_block, "no checkpoint can be read from the data file"});
  }
  /// Whether both superblocks of the generation before or after the newest intact one are gone: it may have been newer.
  static bool lacks_pair(const std::array<Superblock, Superblock::slots>& intact, std::size_t count) {
    for (std::size_t i = 1; i < count; ++i)
      if (intact[i].generation % 2 != intact[0].generation % 2) return false;
    return intact[0].generation != 0;
  }

  Result<void> read_extent(const Extent& extent, MutableBytes into, const char* subject, std::uint64_t id) {
    const std::uint64_t offset = geometry_.offset(extent);
    if (offset > size_ || extent.bytes > size_ - offset) return Error{Errc::corrupt_block, subject, id};
    AEGIS_TRY(const std::size_t got, file_->read_at(offset, into));
    if (!extent.holds(into.first(got))) return Error{Errc::corrupt_block, subject, id};
    return {};
  }
  /// Null when it cannot be read, which is told once in a row.
  const Node* load(const Extent& extent, unsigned level) {
    Node& node = nodes_[level];
    if (node.extent == extent) return node.readable ? &node : nullptr;
    node.extent = extent;
    node.readable = false;
    const std::uint64_t offset = geometry_.offset(extent);
    Result<void> done = Error{Errc::corrupt_block, "length of the map block at offset", offset};
    if (extent.bytes == map_block_bytes) done = read_extent(extent, node.bytes, "map block at offset", offset);
    for (std::size_t i = 0; done && i < map_fanout; ++i)
      if (!node.entry(i).is_canonical()) done = Error{Errc::corrupt_block, "entry of the map block at offset", offset};
    node.readable = static_cast<bool>(done);
    if (done) return &node;
    report_.damaged(done.error());
    report_.lost_map = map_damaged_ = true;
    return nullptr;
  }
  template <class Fn>
  Result<void> walk(const Extent& extent, unsigned level, std::uint64_t first, Fn& fn) {
    for (std::size_t i = 0; i < map_fanout; ++i) {
      const Node* const node = load(extent, level);  // fn may have looked elsewhere
      if (node == nullptr) return {};
      const Extent entry = node->entry(i);
      if (!entry.present()) continue;
      const std::uint64_t id = first + (static_cast<std::uint64_t>(i) << (8 * level));
      if (level != 0) AEGIS_TRY(walk(entry, level - 1, id, fn));
      else AEGIS_TRY(fn(BlockId{id}));
    }
    return {};
  }

  SalvageReport& report_;
  std::optional<File> file_;
  std::uint64_t size_ = 0;
  Superblock super_{};
  ExtentGeometry geometry_{};
  bool has_map_ = false, map_damaged_ = false;
  Owned<Node[]> nodes_;  // the last one read of each level
};

}  // namespace aegis::storage
