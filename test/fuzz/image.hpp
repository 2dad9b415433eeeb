// SPDX-License-Identifier: Apache-2.0
// The files of a store as a value: put on a simulated disk, taken from one, packed into the few bytes of an input, and made
// right again, checksum by checksum from the pages up to the superblock, after somebody changed what they vouch for.
#pragma once

#include "fuzz/harness.hpp"

#include <aegis/storage/backend/extent.hpp>
#include <aegis/storage/block/format.hpp>
#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/testing/simulated_files.hpp>
#include <aegis/storage/wal/format.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

namespace aegis_fuzz {

namespace testing = aegis::storage::testing;
using testing::SimulatedDisk, testing::SimulatedMedium;
using SimulatedBackend = ExtentBackend<testing::SimulatedFiles>;

/// Name -> content. Large contents leave their memory to later ones: most of an input's time went to the page faults of
/// fresh mappings.
class Image : public std::map<std::string, Data> {
 public:
  Image() = default;
  Image(Image&&) = default;
  Image& operator=(Image&&) = delete;
  ~Image() {
    for (auto& [name, content] : *this)
      if (content.capacity() >= 512 << 10 && shelf().size() < 3) shelf().push_back(std::move(content));
  }

  Data& make(const std::string& file, std::size_t size) {
    Data& content = (*this)[file];
    if (size >= 512 << 10 && content.capacity() < size && !shelf().empty()) {
      content = std::move(shelf().back());
      shelf().pop_back();
    }
    content.assign(size, std::byte{});
    return content;
  }

 private:
  static std::vector<Data>& shelf() {
    static std::vector<Data> all;
    return all;
  }
};

/// The first byte from `at` on that is not zero, or the end.
inline std::size_t end_of_zeros(Bytes bytes, std::size_t at) {
  static constexpr std::array<std::byte, 4096> zeros{};
  for (const std::size_t step : {std::size_t{4096}, std::size_t{64}})
    while (bytes.size() - at >= step && std::memcmp(bytes.data() + at, zeros.data(), step) == 0) at += step;
  while (at < bytes.size() && bytes[at] == std::byte{}) ++at;
  return at;
}

inline constexpr std::size_t longest_file = 6 << 20, most_files = 12;

inline SimulatedMedium medium_of(const Image& image) {
  SimulatedMedium medium;
  SimulatedMedium::Directory& directory = medium.directories["store"];
  directory.durable = true;
  for (const auto& [name, content] : image) {
    const testing::FileNumber number = medium.files.size() + 1;
    SimulatedMedium::File& file = medium.files[number];
    file.durable.allocate(0, content.size());
    for (std::size_t at = 0; (at = end_of_zeros(content, at)) < content.size();) {
      const std::size_t end = std::min<std::size_t>(at / 4096 * 4096 + 4096, content.size());
      file.durable.write(at, Bytes{content}.subspan(at, end - at));
      at = end;
    }
    file.seen = file.durable;
    file.durable_size = file.size = content.size();
    directory.names[name] = directory.durable_names[name] = number;
  }
  return medium;
}
inline Image image_of(const SimulatedMedium& medium) {
  Image image;
  for (const auto& [name, number] : medium.directories.at("store").names) {
    const SimulatedMedium::File& file = medium.files.at(number);
    Data& content = image[name];
    content.resize(file.size);
    file.seen.read(0, content);
  }
  return image;
}

/// Input: files 1; of each: length of the name 1, name, size 4, then pieces that are not zeros: distance from the end of the
/// last one 4, length 2, bytes; a piece without bytes is the last.
inline Data packed(const Image& image) {
  Output output;
  output.byte(static_cast<std::uint8_t>(image.size()));
  for (const auto& [name, content] : image) {
    output.byte(static_cast<std::uint8_t>(name.size())).put_text(name).put(static_cast<std::uint32_t>(content.size()));
    std::size_t done = 0, at = 0;
    while ((at = end_of_zeros(content, at)) < content.size()) {
      std::size_t end = at + 1, last = at;  // `last` is no zero; nine zeros are worth a piece of their own
      for (; end < content.size() && end - at < 60'000 && end - last < 9; ++end)
        if (content[end] != std::byte{}) last = end;
      end = last + 1;
      output.put(static_cast<std::uint32_t>(at - done)).put(static_cast<std::uint16_t>(end - at)).put_bytes(Bytes{content}.subspan(at, end - at));
      done = at = end;
    }
    output.put(std::uint32_t{0}).put(std::uint16_t{0});
  }
  return output.data;
}
inline Image unpacked(Input& input) {
  Image image;
  for (std::size_t files = input.byte() % (most_files + 1); files != 0 && !input.empty(); --files) {
    const std::string name = input.text(input.byte());
    Data& content = image.make(name, input.take<std::uint32_t>() % (longest_file + 1));
    for (std::size_t at = 0; !input.empty();) {
      at += input.take<std::uint32_t>();
      const Bytes piece = input.bytes(input.take<std::uint16_t>());
      if (piece.empty()) break;
      if (at >= content.size()) continue;
      const Bytes fitting = piece.first(std::min(piece.size(), content.size() - at));
      copy_bytes(MutableBytes{content}.subspan(at), fitting);
      at += fitting.size();
    }
  }
  return image;
}

/// A data file taken at its word, nothing checked but that places lie in it.
class DataFile {
 public:
  struct Place {
    std::size_t offset = 0, bytes = 0;
    std::uint64_t id = 0;  ///< Of a block.
  };

  explicit DataFile(Data& file) : file_(file) {
    for (unsigned slot = 0; slot < Superblock::slots; ++slot) {
      const std::size_t at = Superblock::slot_offset(slot);
      if (at + Superblock::slot_bytes > file_.size() || load_le<std::uint32_t>(&file_[at]) != Superblock::magic) continue;
      if (newest_ == none || load_le<std::uint64_t>(&file_[at + 16]) > load_le<std::uint64_t>(&file_[newest_ + 16])) newest_ = at;
    }
    if (newest_ != none) walk(false);
  }

  std::size_t superblock() const { return newest_; }
  const std::vector<Place>& nodes() const { return nodes_; }
  const std::vector<Place>& blocks() const { return blocks_; }
  static constexpr std::size_t none = ~std::size_t{0};

  /// Pages, block 0, map blocks, superblocks: whatever one names is sealed before it.
  void seal() {
    if (newest_ == none) return;
    walk(true);
    for (unsigned slot = 0; slot < Superblock::slots; ++slot) {
      const std::size_t at = Superblock::slot_offset(slot);
      if (at + Superblock::slot_bytes > file_.size()) return;
      if (at != newest_ && load_le<std::uint64_t>(&file_[at + 16]) == load_le<std::uint64_t>(&file_[newest_ + 16])) std::memcpy(&file_[at], &file_[newest_], Superblock::slot_bytes);
      if (load_le<std::uint32_t>(&file_[at]) == Superblock::magic) store_le(&file_[at + 508], Extent::checksum_of(Bytes{file_}.subspan(at, 508)));
    }
  }

 private:
  void walk(bool sealing) {
    nodes_.clear();
    blocks_.clear();
    grain_ = load_le<std::uint32_t>(&file_[newest_ + 8]) / 8;
    const unsigned height = load_le<std::uint8_t>(&file_[newest_ + 6]);
    if (height != 0 && height <= map_max_height) entry(newest_ + 24, height - 1, 0, true, sealing);
  }
  /// The entry at `at` of the file names a map block of that level, or a block.
  void entry(std::size_t at, unsigned level, std::uint64_t id, bool is_node, bool sealing) {
    const Extent extent = Extent::load(&file_[at]);
    if (!extent.present() || grain_ == 0 || extent.grain() >= Extent::grain_limit) return;
    const std::uint64_t offset = extent.grain() * grain_;
    if (offset >= file_.size() || extent.bytes > file_.size() - offset || nodes_.size() + blocks_.size() > 3000) return;
    const Place place{static_cast<std::size_t>(offset), extent.bytes, id};
    if (is_node) {
      if (extent.bytes != map_block_bytes) return;
      for (const Place& node : nodes_)
        if (node.offset == place.offset) return;
      nodes_.push_back(place);
      for (std::size_t i = 0; i < map_fanout; ++i) entry(place.offset + i * Extent::stored_bytes, level - 1, id + (std::uint64_t{i} << 8 * level), level != 0, sealing);
    } else {
      blocks_.push_back(place);
      if (sealing) seal_block(place);
    }
    if (sealing) store_le(&file_[at + 12], Extent::checksum_of(Bytes{file_}.subspan(place.offset, place.bytes)));
  }
  void seal_block(const Place& place) {
    std::byte* const at = &file_[place.offset];
    if (place.id == 0 && place.bytes == 512) {
      store_le(at + 12, std::uint32_t{0});
      store_le(at + 12, Extent::checksum_of(Bytes{at, 512}));
    } else if (place.bytes >= block_header_bytes && load_le<std::uint8_t>(at + BlockHeader::checksum_kind_at) == static_cast<std::uint8_t>(ChecksumKind::xxh3)) {
      Output head;
      head.put_bytes(Bytes{at, 32}).put(Xxh3Checksum{}(Bytes{at + 40, place.bytes - 40}));
      store_le(at + BlockHeader::checksum_at, Xxh3Checksum{}(head.data));
    }
  }

  Data& file_;
  std::size_t newest_ = none, grain_ = 0;  // offset of the superblock that counts
  std::vector<Place> nodes_, blocks_;
};

/// A log segment taken at its word. Frames are found one after the other by their headers; the mask is the segment's own.
class SegmentFile {
 public:
  using Codec = LogFrameCodec<Xxh3Checksum>;
  struct Frame {
    std::size_t offset = 0;
    LogFrameHeader header{};
  };

  explicit SegmentFile(Data& file) : file_(file) {
    if (file_.size() < SegmentHeader::bytes) return;
    for (std::size_t at = SegmentHeader::bytes; at + log_frame_header_bytes <= file_.size() && frames_.size() < 500;) {
      const LogFrameHeader header = codec().decode(&file_[at], lsn_of(at));
      if (!is_known(header.type) || header.length > file_.size() - at - log_frame_header_bytes || load_le<std::uint64_t>(&file_[at]) == 0) {
        at = (at / log_sector_bytes + 1) * log_sector_bytes;  // an Open frame may stand at the next unit
        continue;
      }
      frames_.push_back({at, header});
      at += header.frame_bytes();
    }
  }
  const std::vector<Frame>& frames() const { return frames_; }
  void seal_header() {
    if (file_.size() >= SegmentHeader::bytes) store_le(&file_[4092], Extent::checksum_of(Bytes{file_}.first(4092)));
  }
  void seal(const Frame& frame) {
    const Bytes payload = Bytes{file_}.subspan(frame.offset + log_frame_header_bytes, std::min<std::size_t>(frame.header.length, file_.size() - frame.offset - log_frame_header_bytes));
    codec().encode(&file_[frame.offset], lsn_of(frame.offset), frame.header, Codec::payload_checksum(payload));
  }

 private:
  Codec codec() const { return Codec{{load_le<std::uint64_t>(&file_[8]), load_le<std::uint64_t>(&file_[16])}}; }
  Lsn lsn_of(std::size_t at) const { return Lsn{load_le<std::uint64_t>(&file_[24]) + (at - SegmentHeader::bytes)}; }

  Data& file_;
  std::vector<Frame> frames_;
};

}  // namespace aegis_fuzz
