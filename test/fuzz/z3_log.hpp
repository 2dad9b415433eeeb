// SPDX-License-Identifier: Apache-2.0
// Z3: a log of any frames: generations, cuts, stale tails, holes, frames with right checksums and wrong contents. What the
// scan and the reader make of it is compared with a naive walk over the bytes; salvage too. And segment headers.
// Input: mode (1: a segment header follows; 2: salvage; 4: the first generation is 1), then steps that write the log, below.
#pragma once

#include "fuzz/harness.hpp"
#include "wal/test_log.hpp"

#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/wal/reader.hpp>
#include <aegis/storage/wal/scan.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

namespace aegis_fuzz {

struct LogHarness {
  static constexpr const char* name = "z3_log";

  static void run(Bytes bytes) {
    Input input{bytes};
    const std::uint8_t mode = input.byte();
    if ((mode & 1) != 0) return segment_header(input);
    const WalPosition from{Lsn{0}, Timestamp{1000}, (mode & 4) != 0 ? 1u : 0u};
    const Data log = Writer{from}.write(input);
    check(log, from, (mode & 2) != 0);
  }

  static void mutate(Data& data, Dice& dice) {
    if (data.size() > 60 && (data[0] & std::byte{1}) != std::byte{}) {
      if (dice.one_in(4)) return mutate_bytes(data, dice, 4200);
      constexpr std::size_t at[] = {0, 4, 6, 8, 16, 24, 32, 40, 48, 52}, width[] = {4, 2, 2, 8, 8, 8, 8, 8, 4, 1};
      const std::size_t field = dice.below(std::size(at));
      return mutate_field(data, 10 + at[field], width[field], dice);
    }
    if (dice.one_in(3)) return mutate_bytes(data, dice, 4 << 10);
    // One more step somewhere: steps are short, so that it mostly meets the beginning of one.
    Output step;
    step.byte(static_cast<std::uint8_t>(dice.below(16))).put(static_cast<std::uint16_t>(dice.next())).put(static_cast<std::uint16_t>(dice.below(64)));
    const auto place = data.begin() + static_cast<std::ptrdiff_t>(data.empty() ? 0 : 1 + dice.below((data.size() + 4) / 5) * 5 % data.size());
    if (data.size() < (4 << 10)) data.insert(place, step.data.begin(), step.data.end());
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    const auto script = [&](std::uint8_t mode, std::initializer_list<std::array<unsigned, 3>> steps) {
      Output output;
      output.byte(mode);
      for (const auto& [what, a, b] : steps) output.byte(static_cast<std::uint8_t>(what)).put(static_cast<std::uint16_t>(a)).put(static_cast<std::uint16_t>(b));
      all.push_back(output.data);
    };
    script(0, {{6, 0, 0}, {0, 1, 20}, {1, 2, 200}, {13, 0, 0}, {0, 1, 3}, {5, 1, 0}, {2, 1, 40}, {7, 100, 0}, {8, 0, 0}});
    script(4, {{0, 1, 20}, {1, 2, 200}, {13, 0, 0}, {0, 1, 3}, {13, 0, 0}, {6, 1, 0}, {0, 1, 9}});
    script(0, {{6, 0, 0}, {0, 1, 20}, {13, 0, 0}, {0, 1, 30}, {13, 0, 0}, {0, 2, 40}, {12, 90, 7}});
    script(2, {{6, 0, 0}, {0, 1, 20}, {13, 0, 0}, {0, 1, 30}, {13, 0, 0}, {0, 2, 40}, {12, 90, 7}, {6, 1, 0}});
    script(0, {{6, 0, 0}, {4, 1, 5}, {4, 2, 6}, {0, 1, 8}, {4, 1, 9}, {4, 2, 10}, {6, 1, 0}, {4, 1, 17}, {4, 3, 21}});
    script(4, {{0, 1, 300}, {0, 1, 300}, {0, 1, 300}, {11, 128, 0}, {6, 1, 0}, {0, 1, 5}, {15, 0, 0}, {9, 40, 1}});
    script(4, {{0, 1, 20}, {10, 99, 3}, {0, 1, 20}, {10, 17, 20}, {3, 9, 30}});
    std::array<std::byte, SegmentHeader::bytes> header;
    SegmentHeader{.identity = {1, 2}, .first = Lsn{4096}, .sequence = 3, .segment_bytes = 1 << 20, .unit_bytes = 512}.encode(header);
    all.push_back(Output{}.byte(1).byte(1).put(std::uint64_t{3}).put_bytes(Bytes{header}.first(64)).data);
    return all;
  }

 private:
  static constexpr StoreIdentity identity{0x1122, 0x3344};
  static constexpr std::uint32_t max_payload = 4096;
  static constexpr std::size_t longest_log = 24 << 10;
  using Codec = LogFrameCodec<Xxh3Checksum>;

  /// A log as an input tells it: each step is a byte and two numbers of two bytes.
  class Writer {
   public:
    explicit Writer(WalPosition from) : generation_(from.generation), timestamp_(number(from.last)) {}

    Data write(Input& input) {
      for (int left = 300; !input.empty() && left > 0; --left) {
        const std::uint8_t what = input.byte();
        const auto a = input.take<std::uint16_t>(), b = input.take<std::uint16_t>();
        step(what % 16, a, b);
      }
      return std::move(log_);
    }

   private:
    void step(unsigned what, unsigned a, unsigned b) {
      switch (what) {
        case 0:
        case 1:
        case 2:
        case 3: return frame(LogFrameType::transaction, transaction(a, b, what), a % 4);
        case 4: return frame(LogFrameType::piece, piece(a, b), 1);
        case 5: return frame(LogFrameType::checkpoint, Output{}.put(std::uint64_t{a}).put(std::uint64_t{b}).data, 0);
        case 6: return open(a, b);
        case 7: return frame(LogFrameType::pad, Data(a % 700), 0);
        case 8: return frame(LogFrameType::close, Output{}.put(timestamp_).data, 0);
        case 9: return put(at_, Data(a % 600, static_cast<std::byte>(b)));
        case 10: return frame(static_cast<LogFrameType>(a & 0xff), Data(b % 64, std::byte{1}), a >> 8);
        case 11: at_ = at_ * (a % 257) / 256; return;
        case 12:
          if (!log_.empty()) log_[a % log_.size()] ^= static_cast<std::byte>(b | (b == 0 ? 1 : 0));
          return;
        case 13: durable_ = at_; return;
        case 14: generation_ = b; return;
        default: return put(at_, Data(round_up(at_, log_sector_bytes) - at_));
      }
    }
    static Data transaction(unsigned a, unsigned b, unsigned records) {
      FrameBuilder builder;
      for (unsigned i = 0; i <= records; ++i) {
        const std::string key(a % 40 + i, static_cast<char>('a' + i)), value(b % 800, 'v');
        (void)builder.add(i % 3 == 2 ? LogRecordType::erase : i % 3 == 1 ? LogRecordType::update : LogRecordType::insert, TableId{a % 5}, key, value);
      }
      Data payload(builder.payload().begin(), builder.payload().end());
      if (b % 61 == 60 && !payload.empty()) payload[a % payload.size()] ^= std::byte{0x81};
      return payload;
    }
    /// Two bits a record: the order in which they come is any.
    static Data piece(unsigned a, unsigned b) {
      FrameBuilder builder;
      (void)builder.start_piece(TransactionId{a % 4});
      for (unsigned code = b; code != 0; code /= 4) {
        constexpr LogRecordType types[] = {LogRecordType::insert, LogRecordType::begin, LogRecordType::commit, LogRecordType::abort};
        (void)builder.add(types[code % 4], TableId{1}, "key" + std::to_string(code), "v");
      }
      return Data(builder.payload().begin(), builder.payload().end());
    }
    void open(unsigned a, unsigned b) {
      generation_ += 1 + a / 2 % 3;
      timestamp_ += 1 + b % 3 * (a % 2 == 0 ? 1 : unclean_timestamp_gap);
      LogOpenPayload payload{.first = Timestamp{timestamp_ + 1}, .cut = Lsn{b % 8 == 7 ? at_ / 2 : at_}, .version = b % 64 == 63 ? 2 : log_format_version};
      Data bytes(LogOpenPayload::bytes);
      payload.encode(bytes.data());
      if (a % 2 == 1) at_ = round_up(at_, log_sector_bytes);
      frame(LogFrameType::open, bytes, 0);
    }
    void frame(LogFrameType type, const Data& payload, std::uint64_t later) {
      timestamp_ += later;
      const LogFrameHeader header{.type = type, .length = static_cast<std::uint32_t>(payload.size()), .generation = generation_, .timestamp = timestamp_ & (timestamp_span - 1), .durable = Lsn{std::min(durable_, at_)}};
      Data bytes(log_frame_header_bytes);
      Codec{identity}.encode(bytes.data(), Lsn{at_}, header, Codec::payload_checksum(payload));
      bytes.insert(bytes.end(), payload.begin(), payload.end());
      put(at_, bytes);
    }
    void put(std::uint64_t at, const Data& bytes) {
      if (at + bytes.size() > longest_log) return;
      if (log_.size() < at + bytes.size()) log_.resize(at + bytes.size());
      std::copy(bytes.begin(), bytes.end(), log_.begin() + static_cast<std::ptrdiff_t>(at));
      at_ = at + bytes.size();
    }

    Data log_;
    std::uint64_t at_ = 0, durable_ = 0;
    std::uint32_t generation_;
    std::uint64_t timestamp_;
  };

  struct Frame {
    std::uint64_t at = 0;
    LogFrameHeader header{};
    std::uint64_t timestamp = 0;
    Bytes payload{};
    std::uint64_t end() const { return at + header.frame_bytes(); }
  };
  struct Walk {
    std::vector<Frame> frames;
    std::optional<Errc> error;
    std::uint64_t cut = 0;
    bool hole = false;  // given up behind the cut, by salvage
  };
  using Change = std::array<std::string, 3>;
  struct Transaction {
    std::uint64_t timestamp;
    std::vector<Change> changes;
    friend bool operator==(const Transaction&, const Transaction&) = default;
  };

  /// The rules of design: one frame after the other; where none stands, the Open frame of a later life that cut here goes on,
  /// a claim of durability beyond makes a hole, anything else is a torn tail.
  static Walk naive_walk(Bytes log, WalPosition from, bool salvage) {
    Walk walk;
    const Codec codec{identity};
    std::uint64_t at = number(from.lsn), earlier = number(from.last);
    std::uint32_t generation = from.generation;
    const auto proved = [&](std::uint64_t place, std::uint64_t lowest, std::uint64_t highest) -> std::optional<Frame> {
      if (place + log_frame_header_bytes > log.size()) return std::nullopt;
      const LogFrameHeader header = codec.decode(log.data() + place, Lsn{place});
      if (header.generation < lowest || header.generation > highest || header.length > max_payload || place + header.frame_bytes() > log.size()) return std::nullopt;
      const Bytes bytes = log.subspan(place, header.frame_bytes());
      if (!codec.proves(bytes, Lsn{place})) return std::nullopt;
      return Frame{place, header, 0, bytes.subspan(log_frame_header_bytes)};
    };
    const auto of_right_length = [](const Frame& frame) {
      switch (frame.header.type) {
        case LogFrameType::open: return frame.payload.size() == 24;
        case LogFrameType::checkpoint: return frame.payload.size() == 16;
        case LogFrameType::close: return frame.payload.size() == 8;
        case LogFrameType::piece: return frame.payload.size() >= 8;
        default: return true;
      }
    };
    for (;;) {
      std::optional<Frame> found = proved(at, generation, generation);
      if (found && !is_known(found->header.type)) return walk.error = Errc::incompatible_format, walk;
      if (!found) {
        const std::uint64_t highest = log.size() < at ? generation : generation + (log.size() - at) / log_sector_bytes + 1;
        for (std::uint64_t place = at; place < log.size(); ++place) {
          const auto later = proved(place, generation, highest);
          if (!later || !is_known(later->header.type)) continue;
          const bool newer = later->header.type == LogFrameType::open && later->header.generation > generation;
          if (!newer && later->header.durable <= Lsn{at}) continue;
          if (!of_right_length(*later)) return walk.error = Errc::corrupt_log, walk;
          if (newer && !walk.hole && LogOpenPayload::decode(later->payload.data()).cut == Lsn{at}) {
            found = later;
            break;
          }
          if (later->header.durable <= Lsn{at}) continue;
          if (!salvage) return walk.error = Errc::corrupt_log, walk;
          walk.hole = true;
        }
        if (!found || walk.hole) return walk.cut = at, walk;
      }
      if (!of_right_length(*found)) return walk.error = Errc::corrupt_log, walk;
      if (found->header.type == LogFrameType::open) {
        const auto open = LogOpenPayload::decode(found->payload.data());
        if (open.version != log_format_version) return walk.error = Errc::incompatible_format, walk;
        generation = found->header.generation;
        earlier = found->timestamp = number(open.first) - 1;
      } else {
        while ((earlier ^ found->header.timestamp) % timestamp_span != 0 && earlier % timestamp_span != found->header.timestamp) {
          const std::uint64_t low = earlier % timestamp_span;
          earlier += found->header.timestamp > low ? found->header.timestamp - low : timestamp_span - low + found->header.timestamp;
        }
        found->timestamp = earlier;
      }
      at = found->end();
      walk.frames.push_back(*found);
    }
  }

  /// nullopt: records that cannot be, which the reader refuses too.
  static std::optional<std::vector<Transaction>> naive_transactions(const Walk& walk, std::uint32_t generation) {
    std::vector<Transaction> all;
    std::map<std::uint64_t, std::vector<Change>> open;
    for (const Frame& frame : walk.frames) {
      if (frame.header.type == LogFrameType::open && frame.header.generation != generation) open.clear(), generation = frame.header.generation;
      if (frame.header.type != LogFrameType::transaction && frame.header.type != LogFrameType::piece) continue;
      const bool piece = frame.header.type == LogFrameType::piece;
      const std::uint64_t id = piece ? load_le<std::uint64_t>(frame.payload.data()) : 0;
      RecordReader reader{frame.payload.subspan(piece ? 8 : 0)};
      std::vector<Change> changes;
      bool first = true, over = false, committed = false;
      for (LogRecord record;;) {
        const auto more = reader.next(record);
        if (!more) return std::nullopt;
        if (!*more) break;
        if (!piece && !has_key(record.type)) return std::nullopt;
        const Change change{std::to_string(number(record.table)) + (has_value(record.type) ? "+" : "-"), std::string{record.key}, std::string{record.value}};
        if (!piece) changes.push_back(change);
        if (!piece) continue;
        if (over || (record.type == LogRecordType::begin && !first)) return std::nullopt;
        if (record.type == LogRecordType::begin) open[id] = {};
        if (!open.contains(id)) return std::nullopt;
        if (has_key(record.type)) open[id].push_back(change);
        over = record.type == LogRecordType::commit || record.type == LogRecordType::abort;
        committed = record.type == LogRecordType::commit;
        if (committed) changes = open[id];
        if (over) open.erase(id);
        first = false;
      }
      if (!piece || committed) all.push_back({frame.timestamp, changes});
    }
    return all;
  }

  static Result<std::vector<Transaction>> read(aegis_test::TestLog& log, WalPosition from, Lsn end) {
    std::vector<Transaction> all;
    WalReader<aegis_test::TestLog, Xxh3Checksum> reader{log, identity, from, end, max_payload};
    for (WalTransaction transaction;;) {
      AEGIS_TRY(const bool more, reader.next(transaction));
      if (!more) return all;
      Transaction& told = all.emplace_back();
      told.timestamp = number(transaction.timestamp);
      TransactionRecords records = transaction.records();
      for (LogRecord record;;) {
        AEGIS_TRY(const bool another, records.next(record));
        if (!another) break;
        if (has_key(record.type)) told.changes.push_back({std::to_string(number(record.table)) + (has_value(record.type) ? "+" : "-"), std::string{record.key}, std::string{record.value}});
      }
    }
  }

  static void check(const Data& bytes, WalPosition from, bool salvage) {
    aegis_test::TestMedium medium;
    medium.bytes = bytes;
    medium.end = bytes.size();
    aegis_test::TestLog log{medium};
    const Walk naive = naive_walk(bytes, from, salvage);
    const auto scan = scan_log<Xxh3Checksum>(log, identity, from, max_payload, salvage);
    require(medium.largest_read <= 256 << 10, "a scan reads into more memory than the log has bytes");
    require(scan.has_value() == !naive.error, "a log is refused that the naive walk takes, or the other way round");
    if (!scan) return require(scan.error().code() == *naive.error, "a log is refused with another error");
    std::uint64_t transactions = 0, last = number(from.last), checkpoint = 0;
    for (const Frame& frame : naive.frames) {
      transactions += frame.header.type == LogFrameType::transaction ? 1 : 0;
      last = std::max(last, frame.timestamp);
      if (frame.header.type == LogFrameType::checkpoint) checkpoint = std::max(checkpoint, load_le<std::uint64_t>(frame.payload.data()));
    }
    require(scan->cut == Lsn{naive.cut} && scan->frames == naive.frames.size(), "the log is cut elsewhere than the naive walk cuts it");
    require(scan->transactions == transactions && number(scan->last) == last && scan->checkpoint_number == checkpoint, "the scan counts otherwise than the naive walk");
    require((scan->dropped_bytes != 0) == naive.hole, "salvage does not tell what it gives up");
    require(scan->next_timestamp() > scan->last, "a timestamp is used twice");
    if (naive.hole) return;  // what a reader meets there is the salvager's business
    const auto told = read(log, from, scan->cut);
    const auto expected = naive_transactions(naive, from.generation);
    if (!expected) return require(!told && (told.error().code() == Errc::corrupt_log || told.error().code() == Errc::incompatible_format || told.error().code() == Errc::too_large), "broken records are given back, or refused with an odd error");
    if (!told && told.error().code() == Errc::too_large) return;  // pieces beyond the bound
    require(told.has_value(), "a sound log cannot be read");
    require(*told == *expected, "the log gives back other transactions than were written");
  }

  static void segment_header(Input& input) {
    const bool seal = (input.byte() & 1) != 0;
    const auto sequence = input.take<std::uint64_t>();
    std::array<std::byte, SegmentHeader::bytes> bytes{}, again{};
    copy_bytes(bytes, input.bytes(bytes.size()));
    if (seal) store_le(&bytes[4092], static_cast<std::uint32_t>(Crc32cChecksum{}(Bytes{bytes}.first(4092))));
    const auto header = SegmentHeader::decode(bytes, sequence);
    if (!header) return require_one_of(header.error(), {Errc::corrupt_log, Errc::incompatible_format}, "header of a segment");
    require(load_le<std::uint32_t>(&bytes[4092]) == static_cast<std::uint32_t>(Crc32cChecksum{}(Bytes{bytes}.first(4092))), "a segment header with a wrong checksum is taken");
    require(header->sequence == sequence, "a segment is taken under another number");
    header->encode(again);
    require(text_of(Bytes{again}.first(53)) == text_of(Bytes{bytes}.first(53)), "a segment header that was read is written otherwise");
    const SegmentName segment{SegmentRole::wal, sequence};
    require(SegmentName::parse(SegmentRole::wal, segment) == sequence && !SegmentName::parse(SegmentRole::spare, segment), "the name of a segment is not read back");
  }
};

}  // namespace aegis_fuzz
