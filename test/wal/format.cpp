// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/wal/format.hpp>

#include <aegis/storage/checksum/xxh3.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace aegis::storage;

namespace {

constexpr StoreIdentity identity{0x0123456789abcdef, 0xfedcba9876543210};
constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15;

void put(std::vector<std::byte>& bytes, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

std::uint64_t finalise(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// The header as format.hpp's table says, written down byte by byte.
std::vector<std::byte> by_table(std::uint64_t lsn, std::uint32_t length, std::uint8_t type, std::uint32_t generation, std::uint64_t low40,
                                std::uint32_t distance, Bytes payload) {
  std::vector<std::byte> fields;
  put(fields, length, 4);
  put(fields, type, 1);
  put(fields, generation, 3);
  put(fields, low40, 5);
  put(fields, distance, 3);
  const std::uint64_t key = finalise(identity.store ^ finalise(identity.lineage + golden_ratio));
  const std::uint64_t first = finalise(key + lsn * golden_ratio), second = finalise(first + golden_ratio), third = finalise(first + 2 * golden_ratio);

  std::vector<std::byte> block = fields;
  for (const std::uint64_t value : {lsn, identity.store, identity.lineage, Xxh3Checksum{}(payload)}) put(block, value, 8);
  std::vector<std::byte> header;
  put(header, Xxh3Checksum{}(block) ^ third, 8);
  std::vector<std::byte> mask;
  put(mask, first, 8);
  put(mask, second, 8);
  for (std::size_t i = 0; i < 16; ++i) header.push_back(fields[i] ^ mask[i]);
  return header;
}

using Codec = LogFrameCodec<Xxh3Checksum>;

std::vector<std::byte> encoded(Lsn lsn, LogFrameHeader header, Bytes payload) {
  std::vector<std::byte> frame(log_frame_header_bytes);
  header.length = static_cast<std::uint32_t>(payload.size());
  Codec{identity}.encode(frame.data(), lsn, header, Codec::payload_checksum(payload));
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

}  // namespace

TEST_CASE("a log frame stands in the bytes that its table describes") {
  const std::string text = "the payload";
  const Lsn lsn{0x12345};
  const LogFrameHeader header{.type = LogFrameType::transaction, .generation = 0xabcdef, .timestamp = 0x77'0102030405, .durable = Lsn{0x12000}};
  const std::vector<std::byte> frame = encoded(lsn, header, bytes_of(text));
  const std::vector<std::byte> expected = by_table(0x12345, 11, 1, 0xabcdef, 0x0102030405, 0x12345 / 512 - 0x12000 / 512, bytes_of(text));
  CHECK(std::vector<std::byte>(frame.begin(), frame.begin() + 24) == expected);
  const LogFrameHeader read = Codec{identity}.decode(frame.data(), lsn);
  CHECK(read.type == header.type);
  CHECK(read.length == 11);
  CHECK(read.generation == 0xabcdef);
  CHECK(read.timestamp == 0x0102030405);
  CHECK(read.durable == Lsn{0x12000});
}

TEST_CASE("the payloads of open and checkpoint stand in the bytes that their table describes") {
  std::byte open[LogOpenPayload::bytes], checkpoint[LogCheckpointPayload::bytes];
  LogOpenPayload{Timestamp{0x1122334455667788}, Lsn{0x99}}.encode(open);
  LogCheckpointPayload{7, Lsn{0x1000}}.encode(checkpoint);
  std::vector<std::byte> expected;
  put(expected, 0x1122334455667788, 8);
  put(expected, 0x99, 8);
  put(expected, 1, 4);
  put(expected, 0, 4);
  CHECK(std::memcmp(open, expected.data(), sizeof open) == 0);
  expected.clear();
  put(expected, 7, 8);
  put(expected, 0x1000, 8);
  CHECK(std::memcmp(checkpoint, expected.data(), sizeof checkpoint) == 0);
}

TEST_CASE("a log frame is no frame at another LSN, in another store, in another lineage, or with any bit flipped") {
  const std::string text = "payload of this frame";
  const Lsn lsn{4096};
  std::vector<std::byte> frame = encoded(lsn, {.type = LogFrameType::transaction, .generation = 3, .timestamp = 9, .durable = Lsn{512}}, bytes_of(text));
  CHECK(Codec{identity}.proves(frame, lsn));
  CHECK_FALSE(Codec{identity}.proves(frame, lsn + 512));
  CHECK_FALSE(Codec{{identity.store + 1, identity.lineage}}.proves(frame, lsn));
  CHECK_FALSE(Codec{{identity.store, identity.lineage + 1}}.proves(frame, lsn));
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    frame[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    CHECK_FALSE(Codec{identity}.proves(frame, lsn));
    frame[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
}

TEST_CASE("a frame never claims more durability than there was, however far back that is") {
  const Codec codec{identity};
  std::byte header[log_frame_header_bytes];
  for (const std::uint64_t durable : {std::uint64_t{0}, std::uint64_t{512}, std::uint64_t{1} << 32, (std::uint64_t{1} << 34) - 512, std::uint64_t{1} << 34}) {
    const Lsn lsn{(std::uint64_t{1} << 34) + 100};
    codec.encode(header, lsn, {.type = LogFrameType::pad, .length = 0, .generation = 1, .timestamp = 0, .durable = Lsn{durable}}, 0);
    const Lsn claimed = codec.decode(header, lsn).durable;
    CHECK(claimed <= Lsn{durable});
    if (number(lsn) - durable < (std::uint64_t{1} << 24) * 512 - 1024) CHECK(claimed == Lsn{durable});
  }
}

TEST_CASE("a timestamp is restored from its low 40 bits, across their overflow too") {
  const std::uint64_t low_mask = (std::uint64_t{1} << 40) - 1;
  for (const std::uint64_t earlier : {std::uint64_t{0}, low_mask - 1, low_mask, std::uint64_t{0x123456789abcdef0}})
    for (const std::uint64_t step : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{5}, low_mask})
      CHECK(restore_timestamp(Timestamp{earlier}, (earlier + step) & low_mask) == Timestamp{earlier + step});
}

TEST_CASE("of all 256 frame type bytes exactly those of the table are known") {
  for (unsigned byte = 0; byte < 256; ++byte)
    CHECK(is_known(static_cast<LogFrameType>(byte)) == (byte == 1 || byte == 2 || byte == 3 || byte == 16 || byte == 17 || byte == 18));
}
