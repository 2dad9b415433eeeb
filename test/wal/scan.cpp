// SPDX-License-Identifier: Apache-2.0
#include "life.hpp"
#include "support/random.hpp"

using namespace aegis_test;
using Keys = std::vector<std::string>;

TEST_CASE("D1: a torn tail of garbage, whatever its length, never hides a later commit") {
  for (std::size_t length = 1; length <= 200; ++length) {
    TestMedium medium;
    std::uint64_t timestamp = 0;
    {
      auto wal = begin_life(medium);
      timestamp = number(wal->durable_timestamp());
      commit(*wal, timestamp, "a");
    }
    medium.crash();
    medium.append_raw(bytes_of(Random{length}.bytes(length)));
    {
      auto wal = begin_life(medium);
      CHECK(keys_in(*open_wal(medium).value()) == Keys{"a"});
      timestamp = number(wal->durable_timestamp());
      commit(*wal, timestamp, "b");
    }
    medium.crash();
    REQUIRE(keys_after_reopen(medium) == Keys{"a", "b"});
  }
}

TEST_CASE("a tail torn at any byte is cut before the first frame that is not whole") {
  TestMedium whole;
  std::vector<Lsn> ends;
  std::uint64_t durable = 0;
  {
    auto wal = begin_life(whole);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "durable");
    durable = number(wal->durable());
    for (const char* key : {"x", "yy", "zzz"}) ends.push_back(append(*wal, timestamp, key, std::string(100, *key)));
    REQUIRE(wal->sync_to(ends.back()).has_value());
  }
  const std::vector<std::byte> bytes = whole.bytes;
  for (std::uint64_t length = durable; length <= bytes.size(); ++length) {
    TestMedium torn;
    torn.bytes.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    torn.bytes.resize(bytes.size());
    Keys expected{"durable"};
    const char* names[] = {"x", "yy", "zzz"};
    for (std::size_t i = 0; i < 3; ++i)
      if (number(ends[i]) <= length) expected.emplace_back(names[i]);
    auto wal = begin_life(torn);
    REQUIRE(wal->scan().clean == false);
    REQUIRE(keys_in(*wal) == expected);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "later");
    expected.emplace_back("later");
    REQUIRE(keys_after_reopen(torn) == expected);
  }
}

TEST_CASE("D4: any flipped byte before durable bytes is corrupt_log with the LSN of its frame, and nothing is lost silently") {
  TestMedium medium;
  std::vector<std::uint64_t> starts{0};
  std::uint64_t last_claim = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    for (int i = 0; i < 4; ++i) {
      last_claim = number(wal->durable());
      commit(*wal, timestamp, "key" + std::to_string(i), std::string(40, 'v'));
    }
  }
  const Keys all{"key0", "key1", "key2", "key3"};
  for (std::uint64_t at = 0; at < last_claim; ++at) {
    medium.flip(at);
    const auto opened = open_wal(medium);
    REQUIRE(error_of(opened) == Errc::corrupt_log);
    REQUIRE(opened.error().id() <= at);
    REQUIRE(at - opened.error().id() < 512);
    medium.flip(at);
  }
  REQUIRE(keys_after_reopen(medium) == all);
}

TEST_CASE("damage in the last synced batch alone looks like a torn tail, as documented") {
  TestMedium medium;
  std::uint64_t claim = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "kept");
    claim = number(wal->durable());
    commit(*wal, timestamp, "rotten");
  }
  medium.flip(claim + 30);
  CHECK(keys_after_reopen(medium) == Keys{"kept"});
}

TEST_CASE("a hole is found by a frame anywhere behind it, not only at a unit's start") {
  TestMedium medium;
  std::uint64_t first_batch = 0, second_batch = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    first_batch = number(wal->durable());
    commit(*wal, timestamp, "first");
    second_batch = number(wal->durable());
    append(*wal, timestamp, "second", std::string(1000, 's'));
    const Lsn end = append(*wal, timestamp, "third");
    REQUIRE(wal->wait(end).has_value());
  }
  medium.flip(first_batch);   // the hole
  medium.flip(second_batch);  // the only frame at a unit's start behind it; "third" begins in the middle of a unit
  const auto opened = open_wal(medium);
  CHECK(error_of(opened) == Errc::corrupt_log);
  CHECK(opened.error().id() == first_batch);
}

TEST_CASE("after a clean close, damage to any frame before the mark is corrupt_log, and the end is known to be clean") {
  TestMedium medium;
  std::uint64_t close_at = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "a");
    close_at = number(wal->durable());
    REQUIRE(wal->close(Timestamp{timestamp + 5}).has_value());
  }
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  CHECK((*wal)->scan().clean);
  CHECK((*wal)->scan().next_timestamp() == next((*wal)->scan().last));
  for (std::uint64_t at = 0; at < close_at; ++at) {
    medium.flip(at);
    REQUIRE(error_of(open_wal(medium)) == Errc::corrupt_log);
    medium.flip(at);
  }
  medium.append_raw(bytes_of(Random{1}.bytes(300)));
  CHECK(open_wal(medium).value()->scan().clean);
}

TEST_CASE("an unclean end raises the timestamp beyond everything the lost tail can have used") {
  TestMedium medium;
  std::uint64_t timestamp = 0;
  {
    auto wal = begin_life(medium);
    timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "a");
  }
  medium.crash();
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  CHECK((*wal)->scan().last == Timestamp{timestamp});
  CHECK(number((*wal)->scan().next_timestamp()) == timestamp + (std::uint64_t{1} << 40));
  CHECK(error_of((*wal)->begin_generation(Timestamp{timestamp})) == Errc::invalid_argument);
}

TEST_CASE("a life that committed nothing still uses its timestamps up") {
  TestMedium medium;
  Timestamp before{};
  for (int life = 0; life < 5; ++life) {
    auto wal = open_wal(medium);
    REQUIRE(wal.has_value());
    const Timestamp first = (*wal)->scan().next_timestamp();
    CHECK(first > before);
    CHECK(number(first) == (life == 0 ? 1 : number(before) - 1 + (std::uint64_t{1} << 40)));
    REQUIRE((*wal)->begin_generation(first).has_value());
    before = first;
  }
}

TEST_CASE("recycled and cut bytes never come back over twenty lives") {
  const std::uint64_t seed = aegis_test::seed(20);
  INFO(replay(seed, "wal_scan"));
  for (std::uint64_t round = 0; round < 20; ++round) {
    Random random{seed + round};
    TestMedium medium;
    Keys acknowledged;
    std::vector<std::string> unsynced;
    for (int life = 0; life < 20; ++life) {
      auto wal = begin_life(medium);
      REQUIRE(wal->scan().generation == static_cast<std::uint32_t>(life));
      // What an earlier life had in flight is whole or gone, in order, and what was acknowledged is there.
      const Keys found = keys_in(*wal);
      REQUIRE(found.size() >= acknowledged.size());
      REQUIRE(Keys(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(acknowledged.size())) == acknowledged);
      REQUIRE(found.size() - acknowledged.size() <= unsynced.size());
      for (std::size_t i = acknowledged.size(); i < found.size(); ++i) REQUIRE(found[i] == unsynced[i - acknowledged.size()]);
      acknowledged = found;
      unsynced.clear();
      std::uint64_t timestamp = number(wal->durable_timestamp());
      const std::uint64_t commits = random.below(5);
      for (std::uint64_t i = 0; i < commits; ++i) {
        const std::string key = std::to_string(life) + "." + std::to_string(i);
        commit(*wal, timestamp, key, std::string(random.below(700), 'c'));
        acknowledged.push_back(key);
      }
      const std::uint64_t durable = number(wal->durable());
      const std::uint64_t pending = random.below(4);
      for (std::uint64_t i = 0; i < pending; ++i) {
        unsynced.push_back(std::to_string(life) + ".lost" + std::to_string(i));
        append(*wal, timestamp, unsynced.back(), std::string(random.below(700), 'u'));
      }
      if (pending > 0) REQUIRE(wal->sync_to(wal->end()).has_value());
      // A crash in that last sync: each sector reached the medium or holds what stood there before.
      wal.reset();
      for (std::uint64_t sector = durable; sector < medium.bytes.size(); sector += 512)
        if (random.one_in(3)) std::memset(medium.bytes.data() + sector, static_cast<int>(random.below(2) * 0x5a), std::min<std::size_t>(512, medium.bytes.size() - sector));
    }
  }
}

TEST_CASE("a whole frame of an earlier life, left behind a cut at the very place where the stream goes on, is not believed") {
  TestMedium medium;
  std::uint64_t torn = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    torn = number(wal->durable());
    append(*wal, timestamp, "torn", std::string(200, 't'));
    REQUIRE(wal->mark().has_value());
    append(*wal, timestamp, "stale", std::string(200, 's'));
    REQUIRE(wal->mark().has_value());
    append(*wal, timestamp, "stale too", std::string(200, 's'));
    REQUIRE(wal->sync_to(wal->end()).has_value());
  }
  medium.flip(torn + 40);
  {
    auto wal = begin_life(medium);  // its Open frame fills the torn frame's unit; "stale" stands right behind it
    CHECK(keys_in(*wal).empty());
    CHECK(number(wal->end()) == torn + 512);
  }
  CHECK(keys_after_reopen(medium).empty());
  {
    auto wal = begin_life(medium);
    CHECK(number(wal->end()) == torn + 1024);  // the second Open replaced "stale"
  }
  CHECK(keys_after_reopen(medium).empty());
  CHECK(keys_after_reopen(medium, {.lsn = Lsn{torn + 1024}, .last = Timestamp{}, .generation = 3}).empty());
}

TEST_CASE("an I/O error while scanning is neither an end nor a hole") {
  TestMedium medium;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "a");
  }
  medium.unreadable = true;
  CHECK(error_of(open_wal(medium)) == Errc::io);
}

TEST_CASE("a log that begins after the checkpoint's LSN is corrupt_log, one that ends before it goes on there") {
  TestMedium medium;
  medium.begin = 4096;
  medium.bytes.resize(4096);
  CHECK(error_of(open_wal(medium)) == Errc::corrupt_log);
  medium.begin = 0;
  const WalPosition from{Lsn{9000}, Timestamp{77}, 12};
  {
    auto wal = begin_life(medium, {.from = from});
    CHECK(wal->scan().cut == Lsn{9000});
    CHECK(wal->scan().generation == 12);
    CHECK(number(wal->durable()) == 9216 + 512);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    CHECK(timestamp >= 77);
    commit(*wal, timestamp, "beyond");
  }
  CHECK(keys_after_reopen(medium, from) == Keys{"beyond"});
}

TEST_CASE("salvage takes a hole as the end, says what it gave up and uses no generation or timestamp again") {
  TestMedium medium;
  std::uint64_t hole = 0;
  {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "kept");
    hole = number(wal->durable());
    commit(*wal, timestamp, "damaged");
  }
  for (int life = 0; life < 3; ++life) {
    auto wal = begin_life(medium);
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "later" + std::to_string(life));
  }
  medium.flip(hole + 3);
  REQUIRE(error_of(open_wal(medium)) == Errc::corrupt_log);
  {
    auto wal = begin_life(medium, {.salvage = true});
    CHECK(wal->scan().cut == Lsn{hole});
    CHECK(wal->scan().dropped_bytes == medium.bytes.size() - hole);
    CHECK(wal->scan().generation == 4);
    CHECK(number(wal->scan().next_timestamp()) - number(wal->scan().last) == 4 * (std::uint64_t{1} << 40));
    std::uint64_t timestamp = number(wal->durable_timestamp());
    commit(*wal, timestamp, "after salvage");
  }
  CHECK(keys_after_reopen(medium) == Keys{"kept", "after salvage"});
}

TEST_CASE("a hostile length allocates nothing: memory follows bytes that the log holds") {
  TestMedium medium(512, std::uint64_t{1} << 30);
  std::uint64_t end = 0;
  {
    auto wal = begin_life(medium);
    end = number(wal->end());
  }
  // A header that claims half a gigabyte, in a log that holds a few sectors.
  std::vector<std::byte> hostile(1024);
  LogFrameCodec<Xxh3Checksum>{identity}.encode(hostile.data(), Lsn{end}, {LogFrameType::transaction, 1u << 29, 1, 5, Lsn{0}}, 0);
  medium.append_raw(hostile);
  auto wal = open_wal(medium);
  REQUIRE(wal.has_value());
  CHECK((*wal)->scan().cut == Lsn{end});
  CHECK(medium.largest_read <= 256 << 10);
}

TEST_CASE("D23: a proved frame of an unknown type is incompatible_format, for every byte from 0 to 255") {
  TestMedium start;
  std::uint64_t end = 0;
  {
    auto wal = begin_life(start);
    end = number(wal->end());
  }
  for (unsigned type = 0; type < 256; ++type) {
    TestMedium medium;
    medium.bytes = start.bytes;
    medium.end = end;
    std::vector<std::byte> frame(log_frame_header_bytes + 8);
    const auto checksum = LogFrameCodec<Xxh3Checksum>::payload_checksum(Bytes{frame}.subspan(24));
    LogFrameCodec<Xxh3Checksum>{identity}.encode(frame.data(), Lsn{end}, {static_cast<LogFrameType>(type), 8, 1, 5, Lsn{0}}, checksum);
    medium.append_raw(frame);
    const auto opened = open_wal(medium);
    if (type == 3 || type == 16) {  // a checkpoint and an open of eight bytes are too short
      CHECK(error_of(opened) == Errc::corrupt_log);
    } else if (is_known(static_cast<LogFrameType>(type))) {
      CHECK(opened.has_value());
    } else {
      CHECK(error_of(opened) == Errc::incompatible_format);
      CHECK(opened.error().id() == type);
    }
  }
}

TEST_CASE("a log format of another version is incompatible_format and names both") {
  TestMedium medium;
  std::vector<std::byte> frame(log_frame_header_bytes + LogOpenPayload::bytes);
  LogOpenPayload open{Timestamp{1}, Lsn{0}};
  open.version = 2;
  open.encode(frame.data() + 24);
  LogFrameCodec<Xxh3Checksum>{identity}.encode(frame.data(), Lsn{0}, {LogFrameType::open, 24, 1, 1, Lsn{0}}, LogFrameCodec<Xxh3Checksum>::payload_checksum(Bytes{frame}.subspan(24)));
  medium.append_raw(frame);
  const auto opened = open_wal(medium);
  CHECK(error_of(opened) == Errc::incompatible_format);
  CHECK(opened.error().expected() == 1);
  CHECK(opened.error().found() == 2);
}

TEST_CASE("random bytes in place of a log are an empty log, never a crash") {
  const std::uint64_t seed = aegis_test::seed(3);
  INFO(replay(seed, "wal_scan"));
  Random random{seed};
  for (int round = 0; round < 50; ++round) {
    TestMedium medium;
    medium.append_raw(bytes_of(random.bytes(random.below(20000))));
    auto wal = open_wal(medium);
    REQUIRE(wal.has_value());
    CHECK((*wal)->scan().frames == 0);
    CHECK((*wal)->scan().cut == Lsn{0});
  }
}
