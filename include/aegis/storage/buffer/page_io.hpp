// SPDX-License-Identifier: Apache-2.0
// A page between memory and backend: block encoding out, block decoding and validation in. Any number of threads.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/block/block.hpp>
#include <aegis/storage/page/page.hpp>

#include <cstddef>
#include <utility>

namespace aegis::storage {

template <BackendPolicy Backend, CodecPolicy Codec, ChecksumPolicy Checksum, CipherPolicy Cipher, std::size_t PageSize>
class PageIo {
 public:
  using PageBlock = Block<Codec, Checksum, Cipher>;

  /// An uncompressed page is read to where it stays; everything else needs scratch to be read.
  static constexpr bool reads_in_place = PageBlock::decodes_in_place;

  PageIo(Backend& backend, PageBlock block) : backend_(&backend), block_(std::move(block)) {}

  /// What load() and store() need.
  std::size_t scratch_bytes() const {
    if constexpr (reads_in_place) return block_.scratch_bytes(PageSize);
    return std::max(block_.scratch_bytes(PageSize), stored_limit + PageBlock::decode_scratch_bytes(PageSize));
  }

  /// The page as it was stored, proven. After an error its bytes are unspecified.
  Result<void> load(PageId id, Page<PageSize>& page, MutableBytes scratch) const {
    const MutableBytes image = page.bytes(), room = reads_in_place ? image : scratch.first(stored_limit);
    const Result<std::size_t> read = backend_->read(block_of(id), room);
    if (!read) {
      if (read.error().code() == Errc::too_large) return Error{Errc::corrupt_block, "length of block", number(id)};
      return read.error();
    }
    MutableBytes rest;
    if constexpr (!reads_in_place) rest = scratch.subspan(stored_limit);
    const Result<void> proven = prove(id, room.first(*read), page, rest);
    if constexpr (LocatingBackend<Backend>)
      if (!proven) return backend_->located(proven.error(), block_of(id));
    return proven;
  }

  /// The page of these bytes at rest, which the page's own memory may begin with where pages are read in place.
  Result<void> prove(PageId id, Bytes stored, Page<PageSize>& page, MutableBytes scratch) const {
    AEGIS_TRY(const BlockHeader header, block_.decode(block_of(id), stored, page.bytes(), scratch));
    if (static_cast<unsigned>(header.type) != static_cast<unsigned>(page.type())) return Error{Errc::corrupt_page, "type of page", number(id)};
    return page.validate(id);
  }

  /// Writes `image`, a private copy; its header room is filled.
  Result<void> store(PageId id, Page<PageSize>& image, MutableBytes scratch) const {
    const Bytes block = block_.encode(block_of(id), static_cast<BlockType>(image.type()), image.bytes(), scratch);
    if (block.empty()) return Error{Errc::invalid_argument, "cipher refused page", number(id)};
    return backend_->write(block_of(id), block);
  }

 private:
  static constexpr std::size_t stored_limit = PageSize + Cipher::overhead;

  Backend* backend_;
  [[no_unique_address]] PageBlock block_;
};

}  // namespace aegis::storage
