// SPDX-License-Identifier: Apache-2.0
// The bytes of log frames, and nothing about when they are written. All numbers are little endian.
// A frame counts only at the LSN and in the store for which it was written: both, and the lineage, are mixed into its
// checksum, so a copied, moved or recycled frame is no frame. Values, usable from any thread.
#pragma once

#include <aegis/storage/checksum/policy.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace aegis::storage {

// Frame:       offset  bytes
//   checksum        0      8   see LogFrameCodec::checksum
//   length          8      4   of the payload                                    \.
//   type           12      1   LogFrameType                                       | masked: these two words are XORed
//   generation     13      3   raised by every open that may append               | with two numbers drawn from the
//   timestamp      16      5   low 40 bits; see restore_timestamp                 | LSN and the identity
//   distance       21      3   from LSN / 512 back to durable LSN / 512          /
//   payload        24
//
// The mask keeps the look-ahead for a hole linear: neither users' bytes nor old frames at other LSNs look like headers.
// Payloads:
//   transaction    records (record.hpp); the frame's header is its Begin and its end the Commit
//   piece          transaction id (8), records with their own Begin, Commit and Abort
//   checkpoint     number (8), cut LSN (8)
//   open           first timestamp (8), LSN at which the stream was cut (8), format version (4), zero (4)
//   pad            zeros up to the unit's end
//   close          last timestamp (8)
enum class LogFrameType : std::uint8_t { transaction = 1, piece = 2, checkpoint = 3, open = 16, pad = 17, close = 18 };

constexpr bool is_known(LogFrameType type) {
  return (type >= LogFrameType::transaction && type <= LogFrameType::checkpoint) || (type >= LogFrameType::open && type <= LogFrameType::close);
}

inline constexpr std::size_t log_frame_header_bytes = 24;
inline constexpr std::size_t log_sector_bytes = 512;  ///< What durable LSNs are counted in; divides every unit.
inline constexpr std::uint32_t log_format_version = 1;
inline constexpr std::uint32_t max_log_generation = (1u << 24) - 1;
inline constexpr std::uint64_t timestamp_span = std::uint64_t{1} << 40;   ///< One frame's timestamp may be at most so far after the one before.
inline constexpr std::uint64_t unclean_timestamp_gap = timestamp_span;   ///< After an unclean end the next timestamp is the last replayed one plus this.

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

struct LogFrameHeader {
  LogFrameType type{};
  std::uint32_t length = 0;       ///< Of the payload.
  std::uint32_t generation = 0;
  std::uint64_t timestamp = 0;    ///< Low 40 bits.
  Lsn durable{};                  ///< Everything below was durable when the frame was appended; never overstated.

  constexpr std::uint64_t frame_bytes() const { return log_frame_header_bytes + length; }
};

/// The timestamp of a frame after one of `earlier`, less than timestamp_span later. An Open frame counts as first - 1.
constexpr Timestamp restore_timestamp(Timestamp earlier, std::uint64_t low) {
  return Timestamp{number(earlier) + ((low - number(earlier)) & (timestamp_span - 1))};
}

/// splitmix64's finaliser (Steele, Lea, Flood 2014).
constexpr std::uint64_t mix_bits(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

template <ChecksumPolicy Checksum>
class LogFrameCodec {
  static_assert(Checksum::kind != ChecksumKind::none, "a log needs a checksum: without one a torn frame looks whole");

 public:
  explicit LogFrameCodec(StoreIdentity identity) : identity_(identity), key_(mix_bits(identity.store ^ mix_bits(identity.lineage + golden_ratio))) {}

  static std::uint64_t payload_checksum(Bytes payload) { return Checksum{}(payload); }

  /// Writes the 24 bytes of a header whose payload has this checksum. `header.durable` is rounded down to a sector.
  void encode(std::byte* at, Lsn lsn, const LogFrameHeader& header, std::uint64_t payload_checksum) const {
    const Words words{header.length | std::uint64_t{number_of(header.type)} << 32 | std::uint64_t{header.generation} << 40,
                      (header.timestamp & (timestamp_span - 1)) | distance(lsn, header.durable) << 40};
    const Mask mask = mask_at(lsn);
    store_le(at, checksum(words, lsn, payload_checksum, mask));
    store_le(at + 8, words.first ^ mask.first);
    store_le(at + 16, words.second ^ mask.second);
  }

  /// What the 24 bytes claim; nothing is proved before `proves` says so, and any byte string gives some header.
  LogFrameHeader decode(const std::byte* at, Lsn lsn) const {
    const Words words = words_at(at, mask_at(lsn));
    const std::uint64_t back = words.second >> 40, sector = number(lsn) / log_sector_bytes;
    return {.type = static_cast<LogFrameType>((words.first >> 32) & 0xff),
            .length = static_cast<std::uint32_t>(words.first),
            .generation = static_cast<std::uint32_t>(words.first >> 40),
            .timestamp = words.second & (timestamp_span - 1),
            .durable = Lsn{back == no_claim || back > sector ? 0 : (sector - back) * log_sector_bytes}};
  }

  /// True when `frame` (header and whole payload) was written at this LSN of this store.
  bool proves(Bytes frame, Lsn lsn) const {
    const Mask mask = mask_at(lsn);
    return load_le<std::uint64_t>(frame.data()) ==
           checksum(words_at(frame.data(), mask), lsn, payload_checksum(frame.subspan(log_frame_header_bytes)), mask);
  }

 private:
  struct Words {
    std::uint64_t first, second;
  };
  struct Mask {
    std::uint64_t first, second, third;
  };
  static constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15;
  static constexpr std::uint64_t no_claim = (1u << 24) - 1;

  static constexpr std::uint8_t number_of(LogFrameType type) { return static_cast<std::uint8_t>(type); }
  static constexpr std::uint64_t distance(Lsn lsn, Lsn durable) {
    const std::uint64_t back = number(lsn) / log_sector_bytes - number(durable) / log_sector_bytes;
    return back < no_claim ? back : no_claim;
  }

  Mask mask_at(Lsn lsn) const {
    const std::uint64_t first = mix_bits(key_ + number(lsn) * golden_ratio);
    return {first, mix_bits(first + golden_ratio), mix_bits(first + 2 * golden_ratio)};
  }
  static Words words_at(const std::byte* at, const Mask& mask) {
    return {load_le<std::uint64_t>(at + 8) ^ mask.first, load_le<std::uint64_t>(at + 16) ^ mask.second};
  }

  /// Over the unmasked header, LSN, store, lineage and the payload's own checksum, which is thus drawn outside of any lock.
  std::uint64_t checksum(const Words& words, Lsn lsn, std::uint64_t payload_checksum, const Mask& mask) const {
    std::array<std::byte, 48> block;
    store_le(block.data(), words.first);
    store_le(block.data() + 8, words.second);
    store_le(block.data() + 16, number(lsn));
    store_le(block.data() + 24, identity_.store);
    store_le(block.data() + 32, identity_.lineage);
    store_le(block.data() + 40, payload_checksum);
    return Checksum{}(block) ^ mask.third;
  }

  StoreIdentity identity_;
  std::uint64_t key_;  // of the masks
};

struct LogOpenPayload {
  static constexpr std::size_t bytes = 24;
  Timestamp first{};
  Lsn cut{};
  std::uint32_t version = log_format_version;

  void encode(std::byte* at) const {
    store_le(at, number(first));
    store_le(at + 8, number(cut));
    store_le(at + 16, version);
    store_le(at + 20, std::uint32_t{0});
  }
  static LogOpenPayload decode(const std::byte* at) {
    return {Timestamp{load_le<std::uint64_t>(at)}, Lsn{load_le<std::uint64_t>(at + 8)}, load_le<std::uint32_t>(at + 16)};
  }
};

struct LogCheckpointPayload {
  static constexpr std::size_t bytes = 16;
  std::uint64_t number = 0;
  Lsn cut{};

  void encode(std::byte* at) const {
    store_le(at, number);
    store_le(at + 8, aegis::storage::number(cut));
  }
  static LogCheckpointPayload decode(const std::byte* at) { return {load_le<std::uint64_t>(at), Lsn{load_le<std::uint64_t>(at + 8)}}; }
};

}  // namespace aegis::storage
