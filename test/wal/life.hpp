// SPDX-License-Identifier: Apache-2.0
// Short words for tests of the Wal: open one life of a log, commit in it, and read back what a later life finds.
#pragma once

#include "test_log.hpp"

#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/wal/wal.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

namespace aegis_test {

inline constexpr StoreIdentity identity{0x1122334455667788, 0x99aabbccddeeff00};

using SyncWal = Wal<TestLog, Xxh3Checksum, SyncDurability>;
using AsyncWal = Wal<TestLog, Xxh3Checksum, AsyncDurability>;

template <class W = SyncWal>
Result<Owned<W>> open_wal(TestMedium& medium, WalOptions options = {}) {
  options.identity = identity;
  return W::open(TestLog{medium}, options);
}

/// Opened and ready for appends.
template <class W = SyncWal>
Owned<W> begin_life(TestMedium& medium, WalOptions options = {}) {
  auto wal = open_wal<W>(medium, options);
  REQUIRE_MESSAGE(wal.has_value(), wal.error().message());
  REQUIRE((*wal)->begin_generation((*wal)->scan().next_timestamp()).has_value());
  return *std::move(wal);
}

inline FrameBuilder insert_of(std::string_view key, std::string_view value = "v") {
  FrameBuilder builder;
  REQUIRE(builder.add(LogRecordType::insert, TableId{1}, key, value).has_value());
  return builder;
}

/// Appends without waiting. The timestamp is the next one that `timestamp` holds, which is raised.
template <class W>
Lsn append(W& wal, std::uint64_t& timestamp, std::string_view key, std::string_view value = "v") {
  const FrameBuilder builder = insert_of(key, value);
  REQUIRE(wal.reserve(builder.payload().size()).has_value());
  const Result<Lsn> end = wal.append(Timestamp{++timestamp}, builder.payload());
  REQUIRE_MESSAGE(end.has_value(), end.error().message());
  return *end;
}

template <class W>
Lsn commit(W& wal, std::uint64_t& timestamp, std::string_view key, std::string_view value = "v") {
  const Lsn end = append(wal, timestamp, key, value);
  REQUIRE(wal.wait(end).has_value());
  return end;
}

/// The keys of all committed transactions, in order; every transaction is checked to begin, to change and to commit.
template <class W>
std::vector<std::string> keys_in(W& wal, WalPosition from = {}) {
  std::vector<std::string> keys;
  auto reader = wal.reader(from);
  WalTransaction transaction;
  Timestamp before{};
  while (true) {
    const Result<bool> more = reader.next(transaction);
    REQUIRE_MESSAGE(more.has_value(), more.error().message());
    if (!*more) return keys;
    CHECK(transaction.timestamp > before);
    before = transaction.timestamp;
    TransactionRecords records = transaction.records();
    LogRecord record;
    std::vector<LogRecordType> types;
    while (true) {
      const Result<bool> next = records.next(record);
      REQUIRE(next.has_value());
      if (!*next) break;
      types.push_back(record.type);
      if (has_key(record.type)) keys.emplace_back(record.key);
    }
    REQUIRE(types.size() >= 2);
    CHECK(types.front() == LogRecordType::begin);
    CHECK(types.back() == LogRecordType::commit);
  }
}

inline std::vector<std::string> keys_after_reopen(TestMedium& medium, WalPosition from = {}) {
  auto wal = open_wal(medium, {.from = from});
  REQUIRE_MESSAGE(wal.has_value(), wal.error().message());
  return keys_in(**wal, from);
}

template <class T>
Errc error_of(const Result<T>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().code();
}

}  // namespace aegis_test
