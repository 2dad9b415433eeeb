// SPDX-License-Identifier: Apache-2.0
#include "life.hpp"
#include "support/random.hpp"

using namespace aegis_test;
using Keys = std::vector<std::string>;

namespace {

/// One piece of a streamed transaction: 'B' begins, 'C' commits, 'A' aborts, every other letter inserts itself.
void stream(SyncWal& wal, std::uint64_t& timestamp, std::uint64_t id, std::string_view steps) {
  FrameBuilder piece;
  REQUIRE(piece.start_piece(TransactionId{id}).has_value());
  bool commits = false;
  for (const char& step : steps) {
    commits = commits || step == 'C';
    const LogRecordType type = step == 'B' ? LogRecordType::begin : step == 'C' ? LogRecordType::commit : step == 'A' ? LogRecordType::abort : LogRecordType::insert;
    REQUIRE(piece.add(type, TableId{1}, has_key(type) ? std::string_view{&step, 1} : std::string_view{}).has_value());
  }
  REQUIRE(wal.reserve(piece.payload().size()).has_value());
  REQUIRE(wal.append_piece(commits ? Timestamp{++timestamp} : never_committed, piece.payload()).has_value());
}

Keys keys_of(const WalTransaction& transaction) {
  Keys keys;
  TransactionRecords records = transaction.records();
  LogRecord record;
  for (Result<bool> more = records.next(record);; more = records.next(record)) {
    REQUIRE(more.has_value());
    if (!*more) return keys;
    if (has_key(record.type)) keys.emplace_back(record.key);
  }
}

}  // namespace

TEST_CASE("transactions streamed over several frames come back whole, in the order of their commits") {
  TestMedium medium;
  std::uint64_t timestamp = 0;
  {
    auto wal = begin_life(medium);
    timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 1, "Ba");
    stream(*wal, timestamp, 2, "Bx");
    append(*wal, timestamp, "alone");
    stream(*wal, timestamp, 1, "b");
    stream(*wal, timestamp, 2, "yC");
    stream(*wal, timestamp, 1, "cC");
    REQUIRE(wal->sync_to(wal->end()).has_value());
    CHECK(wal->durable_timestamp() == Timestamp{timestamp});
  }
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  auto reader = (*wal)->reader();
  WalTransaction transaction;
  REQUIRE(*reader.next(transaction));
  CHECK(keys_of(transaction) == Keys{"alone"});
  CHECK(transaction.id == TransactionId{0});
  CHECK(transaction.timestamp == Timestamp{timestamp - 2});
  REQUIRE(*reader.next(transaction));
  CHECK(keys_of(transaction) == Keys{"x", "y"});
  CHECK(transaction.id == TransactionId{2});
  CHECK(transaction.timestamp == Timestamp{timestamp - 1});
  REQUIRE(*reader.next(transaction));
  CHECK(keys_of(transaction) == Keys{"a", "b", "c"});
  CHECK(transaction.id == TransactionId{1});
  CHECK(transaction.timestamp == Timestamp{timestamp});
  CHECK_FALSE(*reader.next(transaction));
}

TEST_CASE("D8: whatever lacks its Commit is dropped: aborted, begun again, unfinished, or left by a process that died") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 1, "BaA");
    stream(*wal, timestamp, 2, "Bb");
    stream(*wal, timestamp, 2, "Bc");  // the first 2 never committed
    stream(*wal, timestamp, 2, "C");
    stream(*wal, timestamp, 3, "Bd");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  CHECK(keys_after_reopen(medium) == Keys{"c"});
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 3, "BeC");
    stream(*wal, timestamp, 4, "B");
    stream(*wal, timestamp, 4, "C");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  CHECK(keys_after_reopen(medium) == Keys{"c", "e"});
}

TEST_CASE("a transaction that a dead process began is never finished by another that uses its id") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 3, "Bd");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 3, "C");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  auto reader = (*wal)->reader();
  WalTransaction transaction;
  CHECK(error_of(reader.next(transaction)) == Errc::corrupt_log);
}

TEST_CASE("a piece without its Begin, or with records after its end, is corrupt_log: it never passes for less than it was") {
  for (const std::string_view steps : {"a", "C", "A", "BaCb", "BaAb", "aB", "BaB", "BaCC"}) {
    CAPTURE(std::string(steps));
    TestMedium medium;
    {
      auto wal = begin_life(medium);
      std::uint64_t timestamp = number(wal->durable_timestamp());
      stream(*wal, timestamp, 9, steps);
      REQUIRE(wal->sync_to(wal->end()).has_value());
    }
    auto wal = open_wal(medium);
    REQUIRE(wal.has_value());
    auto reader = (*wal)->reader();
    WalTransaction transaction;
    CHECK(error_of(reader.next(transaction)) == Errc::corrupt_log);
  }
}

TEST_CASE("D23: an unknown record in a streamed piece is an error and wipes nothing") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 9, "Ba");
    const std::byte unknown[] = {std::byte{9}, {}, {}, {}, {}, {}, {}, {}, std::byte{77}};
    REQUIRE(wal->reserve(sizeof unknown).has_value());
    REQUIRE(wal->append_piece(never_committed, unknown).has_value());
    stream(*wal, timestamp, 9, "C");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  auto reader = (*wal)->reader();
  WalTransaction transaction;
  CHECK(error_of(reader.next(transaction)) == Errc::incompatible_format);
}

TEST_CASE("records that are no changes do not belong inside a transaction of one frame") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    FrameBuilder builder;
    REQUIRE(builder.add(LogRecordType::insert, TableId{1}, "k", "v").has_value());
    REQUIRE(builder.add(LogRecordType::begin).has_value());
    REQUIRE(wal->reserve(builder.payload().size()).has_value());
    REQUIRE(wal->append(next(wal->durable_timestamp()), builder.payload()).has_value());
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  auto wal = open_wal(medium);
  auto reader = (*wal)->reader();
  WalTransaction transaction;
  REQUIRE(*reader.next(transaction));
  TransactionRecords records = transaction.records();
  LogRecord record;
  CHECK(*records.next(record));
  CHECK(*records.next(record));
  CHECK(error_of(records.next(record)) == Errc::corrupt_log);
}

TEST_CASE("a streamed transaction that is still open when an Open frame is put in for a far timestamp goes on") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 5, "Ba");
    timestamp += std::uint64_t{3} << 40;
    append(*wal, timestamp, "far");
    stream(*wal, timestamp, 5, "bC");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  CHECK(keys_after_reopen(medium) == Keys{"far", "a", "b"});
}

TEST_CASE("streamed transactions that are open at once are bounded together") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    for (std::uint64_t id = 1; id <= 40; ++id) stream(*wal, timestamp, id, "Babcdefghij");
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  auto wal = open_wal(medium, {.max_payload_bytes = 1000});
  REQUIRE(wal.has_value());
  auto reader = (*wal)->reader();
  WalTransaction transaction;
  CHECK(error_of(reader.next(transaction)) == Errc::too_large);
}

TEST_CASE("opening with a taker gives it every committed transaction and scans as opening alone does") {
  TestMedium medium;
  for (int life = 0; life < 3; ++life) {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    stream(*wal, timestamp, 1, "Ba");
    append(*wal, timestamp, "alone" + std::to_string(life));
    stream(*wal, timestamp, 1, "bC");
    stream(*wal, timestamp, 2, "Bx");  // never committed
    if (life == 1) REQUIRE(wal->append_checkpoint(17, Lsn{}).has_value());
    REQUIRE(wal->sync_to(wal->end()).has_value());
    if (life == 0) REQUIRE(wal->close(Timestamp{timestamp}).has_value());
    if (life == 2) medium.append_raw(bytes_of(Random{5}.bytes(700)));
  }
  Keys keys;
  const auto take = [&](const WalTransaction& transaction) -> Result<void> {
    for (const std::string& key : keys_of(transaction)) keys.push_back(key);
    return {};
  };
  const auto once = SyncWal::open(TestLog{medium}, {.identity = identity}, take);
  const auto alone = open_wal(medium);
  REQUIRE(once.has_value());
  REQUIRE(alone.has_value());
  CHECK(keys == Keys{"alone0", "a", "b", "alone1", "a", "b", "alone2", "a", "b"});
  CHECK(keys == keys_in(**alone));
  const WalScan &found = (*once)->scan(), &expected = (*alone)->scan();
  CHECK(found.cut == expected.cut);
  CHECK(found.last == expected.last);
  CHECK(found.generation == expected.generation);
  CHECK(found.generation == 3);
  CHECK(found.clean == expected.clean);
  CHECK_FALSE(found.clean);
  CHECK(found.checkpoint_number == 17);
  CHECK(found.frames == expected.frames);
  CHECK(found.transactions == expected.transactions);
  CHECK(found.pieces == expected.pieces);
}

TEST_CASE("a taker's error ends the opening, and so does a hole that comes after what it took") {
  TestMedium medium;
  std::uint64_t hole = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    for (const char* key : {"a", "b", "c", "d"}) {
      if (*key == 'c') hole = number(wal->end());
      commit(*wal, timestamp, key);
    }
  }
  int taken = 0;
  CHECK(error_of(SyncWal::open(TestLog{medium}, {.identity = identity}, [&](const WalTransaction&) -> Result<void> {
          return ++taken == 2 ? Result<void>{Error{Errc::no_space, "page"}} : Result<void>{};
        })) == Errc::no_space);
  CHECK(taken == 2);
  medium.bytes[hole + log_frame_header_bytes] ^= std::byte{1};
  taken = 0;
  CHECK(error_of(SyncWal::open(TestLog{medium}, {.identity = identity}, [&](const WalTransaction&) -> Result<void> { return ++taken, Result<void>{}; })) == Errc::corrupt_log);
  CHECK(taken == 2);
  taken = 0;
  const auto salvaged = SyncWal::open(TestLog{medium}, {.identity = identity, .salvage = true}, [&](const WalTransaction&) -> Result<void> { return ++taken, Result<void>{}; });
  REQUIRE(salvaged.has_value());
  CHECK(taken == 2);
  CHECK((*salvaged)->scan().cut == Lsn{hole});
  CHECK((*salvaged)->scan().dropped_bytes == medium.bytes.size() - hole);
}
