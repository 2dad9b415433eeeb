// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/wal/record.hpp>

#include "support/random.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace aegis::storage;

TEST_CASE("records come back as they were added") {
  FrameBuilder builder;
  const std::string large(300, 'x');
  REQUIRE(builder.add(LogRecordType::begin).has_value());
  REQUIRE(builder.add(LogRecordType::insert, TableId{0}, "", "").has_value());
  REQUIRE(builder.add(LogRecordType::update, TableId{0xffffffff}, "key", large).has_value());
  REQUIRE(builder.add(LogRecordType::erase, TableId{128}, large).has_value());
  REQUIRE(builder.add(LogRecordType::commit).has_value());
  RecordReader reader{builder.payload()};
  LogRecord record;
  CHECK(*reader.next(record));
  CHECK(record.type == LogRecordType::begin);
  CHECK(*reader.next(record));
  CHECK((record.type == LogRecordType::insert && record.table == TableId{0} && record.key.empty() && record.value.empty()));
  CHECK(*reader.next(record));
  CHECK((record.type == LogRecordType::update && record.table == TableId{0xffffffff} && record.key == "key" && record.value == large));
  CHECK(*reader.next(record));
  CHECK((record.type == LogRecordType::erase && record.table == TableId{128} && record.key == large));
  CHECK(*reader.next(record));
  CHECK(record.type == LogRecordType::commit);
  CHECK_FALSE(*reader.next(record));
}

TEST_CASE("a record stands in the bytes that its table describes") {
  FrameBuilder builder;
  REQUIRE(builder.add(LogRecordType::insert, TableId{300}, "ab", "c").has_value());
  REQUIRE(builder.add(LogRecordType::erase, TableId{1}, "d").has_value());
  CHECK(text_of(builder.payload()) == std::string("\x04\xac\x02\x02" "ab" "\x01" "c" "\x06\x01\x01" "d", 12));
}

TEST_CASE("D23: an unknown record type is an error, for every byte from 0 to 255, and never passes for Begin") {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::byte payload[] = {static_cast<std::byte>(byte), std::byte{1}, std::byte{0}, std::byte{0}};
    RecordReader reader{payload};
    LogRecord record;
    const Result<bool> read = reader.next(record);
    if (byte >= 1 && byte <= 6) {
      REQUIRE(read.has_value());
      CHECK(static_cast<unsigned>(record.type) == byte);
    } else {
      REQUIRE_FALSE(read.has_value());
      CHECK(read.error().code() == Errc::incompatible_format);
      CHECK(read.error().id() == byte);
    }
  }
}

TEST_CASE("any bytes decode to records inside the payload or to an error") {
  const std::uint64_t seed = aegis_test::seed(11);
  INFO(aegis_test::replay(seed, "wal_record"));
  aegis_test::Random random{seed};
  std::uint64_t errors = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = random.bytes(random.below(40));
    if (!bytes.empty()) bytes[0] = static_cast<char>(1 + random.below(6));
    RecordReader reader{bytes_of(bytes)};
    LogRecord record;
    while (true) {
      const Result<bool> more = reader.next(record);
      if (!more) ++errors;
      if (!more || !*more) break;
      for (const std::string_view part : {record.key, record.value}) {
        if (part.empty()) continue;
        REQUIRE(part.data() >= bytes.data());
        REQUIRE(part.data() + part.size() <= bytes.data() + bytes.size());
      }
    }
  }
  CHECK(errors > 1000);
}

TEST_CASE("a record cut short anywhere is corrupt_log") {
  FrameBuilder builder;
  REQUIRE(builder.add(LogRecordType::insert, TableId{1000}, "some key", "some value").has_value());
  for (std::size_t size = 1; size < builder.payload().size(); ++size) {
    RecordReader reader{builder.payload().first(size)};
    LogRecord record;
    const Result<bool> read = reader.next(record);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code() == Errc::corrupt_log);
  }
}

TEST_CASE("a varint above 32 bits or longer than five bytes is corrupt_log") {
  for (const std::string& text : {std::string("\x06\xff\xff\xff\xff\x1f\x00", 7), std::string("\x06\x80\x80\x80\x80\x80\x00\x00", 8)}) {
    RecordReader reader{bytes_of(text)};
    LogRecord record;
    const Result<bool> read = reader.next(record);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code() == Errc::corrupt_log);
  }
}

TEST_CASE("adding within a reservation moves no memory, and a cleared builder keeps its room") {
  FrameBuilder builder;
  REQUIRE(builder.reserve(10000).has_value());
  const std::size_t room = builder.memory_bytes();
  REQUIRE(builder.add(LogRecordType::insert, TableId{1}, "k", std::string(9000, 'v')).has_value());
  CHECK(builder.memory_bytes() == room);
  builder.clear();
  CHECK(builder.empty());
  CHECK(builder.memory_bytes() == room);
}

TEST_CASE("a builder takes no record type that is none") {
  FrameBuilder builder;
  CHECK(builder.add(static_cast<LogRecordType>(0)).error().code() == Errc::invalid_argument);
  CHECK(builder.add(LogRecordType::checkpoint).error().code() == Errc::invalid_argument);
  CHECK(builder.empty());
}

TEST_CASE("a payload never grows beyond a gigabyte, however its memory grew") {
  FrameBuilder builder;
  const std::string third(std::size_t{300} << 20, 'v');
  for (int i = 0; i < 3; ++i) REQUIRE(builder.add(LogRecordType::insert, TableId{1}, "key", third));
  REQUIRE(builder.add(LogRecordType::insert, TableId{1}, "key", "little"));
  const std::size_t before = builder.payload().size();
  const auto refused = builder.add(LogRecordType::insert, TableId{1}, "key", third);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::too_large);
  CHECK(builder.payload().size() == before);
  CHECK(builder.memory_bytes() <= std::size_t{1} << 30);
}
