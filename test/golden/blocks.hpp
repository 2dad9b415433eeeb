// SPDX-License-Identifier: Apache-2.0
// Blocks of format version 1, written out from the table in block/format.hpp; the checksums come from other
// implementations than ours (zlib, a bit-wise CRC-32C, the XXH3 of libxxhash). Bytes here never change: a store that
// was written once is read for ever.
#pragma once

#include <aegis/storage/core/bytes.hpp>

namespace aegis_test::golden {

using namespace std::string_view_literals;

//                                            magic  version     type   codec  kind   cipher
inline constexpr auto index_block_xxh3 = "AEGB" "\x01\x00" "\x02" "\x00" "\x03" "\x00"
    "\x00\x00"                          // flags
    "\x00\x00\x00\x00"                  // key id
    "\x08\x07\x06\x05\x04\x03\x02\x01"  // block id 0x0102030405060708
    "\x0c\x00\x00\x00"                  // raw bytes
    "\x0c\x00\x00\x00"                  // stored bytes
    "\xb0\x55\x30\xcc\x33\xbc\x23\x43"  // checksum
    "\x00\x00\x00\x00\x00\x00\x00\x00"  // reserved
    "aegis-storag"sv;

inline constexpr auto data_block_crc32c = "AEGB" "\x01\x00" "\x01" "\x00" "\x02" "\x00"
    "\x00\x00" "\x00\x00\x00\x00"
    "\x2a\x00\x00\x00\x00\x00\x00\x00"  // block id 42
    "\x0c\x00\x00\x00" "\x0c\x00\x00\x00"
    "\x13\x92\x67\xd1\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00"
    "aegis-storag"sv;

inline constexpr auto log_block_crc32 = "AEGB" "\x01\x00" "\x06" "\x00" "\x01" "\x00"
    "\x00\x00" "\x00\x00\x00\x00"
    "\x2a\x00\x00\x00\x00\x00\x00\x00"  // block id 42
    "\x0c\x00\x00\x00" "\x0c\x00\x00\x00"
    "\x27\xc7\xa6\xf4\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00"
    "aegis-storag"sv;

inline constexpr auto meta_block_unchecked = "AEGB" "\x01\x00" "\x05" "\x00" "\x00" "\x00"
    "\x00\x00" "\x00\x00\x00\x00"
    "\x2a\x00\x00\x00\x00\x00\x00\x00"  // block id 42
    "\x0c\x00\x00\x00" "\x0c\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00"
    "aegis-storag"sv;

inline constexpr auto empty_free_block_xxh3 = "AEGB" "\x01\x00" "\x04" "\x00" "\x03" "\x00"
    "\x00\x00" "\x00\x00\x00\x00"
    "\x07\x00\x00\x00\x00\x00\x00\x00"  // block id 7
    "\x00\x00\x00\x00" "\x00\x00\x00\x00"
    "\x13\x6b\x84\x38\x6f\x4b\xb2\x8c"
    "\x00\x00\x00\x00\x00\x00\x00\x00"sv;

/// 64 times 'a' in eleven bytes of LZ4: other encoders may choose others, every decoder reads these.
inline constexpr auto data_block_lz4_xxh3 = "AEGB" "\x01\x00" "\x01" "\x01" "\x03" "\x00"
    "\x00\x00" "\x00\x00\x00\x00"
    "\x09\x00\x00\x00\x00\x00\x00\x00"  // block id 9
    "\x40\x00\x00\x00" "\x0b\x00\x00\x00"
    "\x2f\xce\x4f\x08\x74\xee\xf4\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x1f" "a" "\x01\x00" "\x27" "\x50" "aaaaa"sv;

}  // namespace aegis_test::golden
