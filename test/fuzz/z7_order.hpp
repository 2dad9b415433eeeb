// SPDX-License-Identifier: Apache-2.0
// Z7: the order of keys, their heads, separators and ranges, varints and log records, rows and references as bytes: each
// against a plain model of its own. Input: what to do, then keys (length 1, bytes) or bytes to decode.
#pragma once

#include "fuzz/harness.hpp"

#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/node.hpp>
#include <aegis/storage/wal/record.hpp>

#include <algorithm>
#include <memory>
#include <optional>

namespace aegis_fuzz {

struct OrderHarness {
  static constexpr const char* name = "z7_order";

  static void run(Bytes bytes) {
    Input input{bytes};
    switch (input.byte() % 4) {
      case 0: return keys(input);
      case 1: return records(input.bytes(input.left()));
      case 2: return built_records(input);
      default: return cells(input.bytes(input.left()));
    }
  }

  static void mutate(Data& data, Dice& dice) {
    mutate_bytes(data, dice, 4 << 10);
    if (dice.one_in(8)) data[0] = static_cast<std::byte>(dice.next());
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    Output keys;
    keys.byte(0);
    for (const std::string_view key : {std::string_view{""}, std::string_view{"a"}, std::string_view{"ab"}, std::string_view{"abc\0", 4}, std::string_view{"abcde"}, std::string_view{"\xff"},
                                       std::string_view{"\xff\xff\xff\xff\xff"}, std::string_view{"user:000017"}, std::string_view{"user:000018"}, std::string_view{"\0\0\0\0", 4}})
      keys.byte(static_cast<std::uint8_t>(key.size())).put_text(key);
    all.push_back(keys.data);
    FrameBuilder builder;
    (void)builder.add(LogRecordType::insert, TableId{1}, "key", "value");
    (void)builder.add(LogRecordType::update, TableId{300}, std::string(200, 'k'), std::string(130, 'v'));
    (void)builder.add(LogRecordType::erase, TableId{0xffffffff}, "", "");
    (void)builder.add(LogRecordType::commit);
    all.push_back(Output{}.byte(1).put_bytes(builder.payload()).data);
    all.push_back(Output{}.byte(1).put_text(std::string_view{"\x06\xff\xff\xff\xff\x1f\x00", 7}).data);  // a table beyond 32 bits
    all.push_back(Output{}.byte(2).put_text("\4\1\0\0\0\5\0key12\3\0abc\6\7\0\0\0\2\0zz").data);
    all.push_back(Output{}.byte(3).put_text(std::string_view{"\0\3\0keyvalue", 11}).data);
    all.push_back(Output{}.byte(3).put_text(std::string_view{"\2\1\0k", 4}).put(std::uint64_t{12}).put(std::uint64_t{100000}).data);
    return all;
  }

 private:
  using Key = std::vector<unsigned char>;
  static int sign(std::strong_ordering order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }
  static int naive_compare(std::string_view a, std::string_view b) {
    const Key x(a.begin(), a.end()), y(b.begin(), b.end());
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end()) ? -1 : std::lexicographical_compare(y.begin(), y.end(), x.begin(), x.end()) ? 1 : 0;
  }

  static void keys(Input& input) {
    std::vector<std::unique_ptr<char[]>> owned;  // exactly as long as the key
    std::vector<std::string_view> keys;
    while (!input.empty() && keys.size() < 24) {
      const std::string text = input.text(input.byte());
      owned.push_back(std::make_unique<char[]>(text.size()));
      std::copy(text.begin(), text.end(), owned.back().get());
      keys.emplace_back(owned.back().get(), text.size());
    }
    for (const auto a : keys)
      for (const auto b : keys) pair(a, b);
    std::sort(keys.begin(), keys.end(), [](auto a, auto b) { return compare_keys(a, b) < 0; });
    for (std::size_t i = 1; i < keys.size(); ++i) require(naive_compare(keys[i - 1], keys[i]) <= 0, "keys sorted by compare_keys are out of order");
  }
  static void pair(std::string_view a, std::string_view b) {
    const int order = naive_compare(a, b);
    require(sign(compare_keys(a, b)) == order, "compare_keys is not the order of unsigned bytes");
    require(order == 0 || (key_head(a) <= key_head(b)) == (order < 0) || key_head(a) == key_head(b), "key heads order otherwise than their keys");
    const Fences fences{a, b, true};
    const std::size_t prefix = fences.prefix_bytes();
    if (order < 0) {
      require(a.substr(0, prefix) == b.substr(0, prefix), "fences do not share their prefix");
      require(prefix == a.size() || prefix == b.size() || a[prefix] != b[prefix], "fences share a longer prefix");
      const std::string_view separator = shortest_separator(a, b);
      require(naive_compare(a, separator) < 0 && naive_compare(separator, b) <= 0, "a separator does not separate");
      require(separator == b.substr(0, separator.size()), "a separator is no beginning of the key above");
      require(separator.empty() || naive_compare(a, separator.substr(0, separator.size() - 1)) >= 0, "a separator is longer than needed");
    }
    require(LeafPosition::at(b).within({a, {}, false}) == (order <= 0), "a position at a key is judged wrongly");
    require(LeafPosition::below(b).within({a, {}, false}) == (order < 0), "a position below a key is judged wrongly");
    require(LeafPosition::at(a).within({{}, b, true}) == (order < 0), "a position at a key is judged wrongly");
    require(LeafPosition::below(a).within({{}, b, true}) == (order <= 0 && !a.empty()), "a position below a key is judged wrongly");
  }

  static std::optional<std::uint32_t> naive_varint(Bytes bytes, std::size_t& at) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      if (at == bytes.size()) return std::nullopt;
      const auto byte = static_cast<std::uint64_t>(bytes[at++]);
      value += (byte % 128) << shift;
      if (byte < 128) return value <= 0xffffffff ? std::optional{static_cast<std::uint32_t>(value)} : std::nullopt;
    }
    return std::nullopt;
  }
  static std::optional<std::string> naive_text(Bytes bytes, std::size_t& at) {
    const auto size = naive_varint(bytes, at);
    if (!size || *size > bytes.size() - at) return std::nullopt;
    at += *size;
    return std::string{text_of(bytes.subspan(at - *size, *size))};
  }

  static void records(Bytes bytes) {
    const auto exact = std::make_unique<std::byte[]>(bytes.size());
    copy_bytes({exact.get(), bytes.size()}, bytes);
    const Bytes payload{exact.get(), bytes.size()};
    RecordReader reader{payload, Lsn{5}};
    FrameBuilder again;
    std::size_t at = 0;
    for (LogRecord record;;) {
      const auto more = reader.next(record);
      if (at == payload.size()) return require(more.has_value() && !*more, "the records' end is not seen");
      const auto type = static_cast<std::uint8_t>(payload[at++]);
      const bool keyed = type >= 4 && type <= 6, valued = type == 4 || type == 5;
      std::optional<std::uint32_t> table = 0;
      std::optional<std::string> key = "", value = "";
      if (keyed) table = naive_varint(payload, at);
      if (keyed && table) key = naive_text(payload, at);
      if (valued && table && key) value = naive_text(payload, at);
      const bool sound = type >= 1 && type <= 6 && table && key && value;
      require(more.has_value() == sound, "a record is taken that is none, or refused though it is one");
      if (!sound) return require(more.error().code() == (type >= 1 && type <= 6 ? Errc::corrupt_log : Errc::incompatible_format), "a broken record: another error");
      require(*more && number(record.table) == *table && record.key == *key && record.value == *value, "a record is read as another one");
      round_trip(record);
    }
  }
  static void round_trip(const LogRecord& record) {
    FrameBuilder builder;
    require(builder.add(record.type, record.table, record.key, record.value).has_value(), "a record that was read cannot be written");
    require(builder.payload().size() == FrameBuilder::record_bytes(record.type, record.table, record.key, record.value), "record_bytes() is not what a record takes");
    RecordReader reader{builder.payload()};
    LogRecord again, none;
    require(reader.next(again).value_or(false) && again.type == record.type && again.table == record.table && again.key == record.key && again.value == record.value, "a record is read as another one");
    const auto end = reader.next(none);
    require(end.has_value() && !*end, "a record is followed by nothing, and yet");
  }
  static void built_records(Input& input) {
    while (!input.empty()) {
      const auto type = static_cast<LogRecordType>(1 + input.byte() % 6);
      const TableId table{has_key(type) ? input.take<std::uint32_t>() : 0};
      const std::string key = has_key(type) ? input.text(input.take<std::uint16_t>()) : "";
      const std::string value = has_value(type) ? input.text(input.take<std::uint16_t>()) : "";
      round_trip({type, table, key, value});
    }
  }

  static void cells(Bytes bytes) {
    const auto exact = std::make_unique<std::byte[]>(bytes.size());
    copy_bytes({exact.get(), bytes.size()}, bytes);
    const auto cell = LeafCell::decode({exact.get(), bytes.size()});
    const auto at = [&](std::size_t i) { return static_cast<std::size_t>(bytes[i]); };
    const std::size_t suffix = bytes.size() < 3 ? 0 : at(1) + 256 * at(2), flags = bytes.empty() ? 0 : at(0);
    const std::size_t rest = bytes.size() < 3 + suffix ? 0 : bytes.size() - 3 - suffix;
    const bool sound = bytes.size() >= 3 + suffix && (flags == 0 || (flags == 1 && rest == 0) || (flags == 2 && rest == 16));
    require(cell.has_value() == sound, "a row is taken that is none, or refused though it is one");
    if (!cell) return;
    require(cell->suffix == text_of(bytes.subspan(3, suffix)) && cell->value.bytes == text_of(bytes.subspan(3 + suffix)), "a row is read as another one");
    require(cell->value.kind == (flags == 1 ? RowKind::ghost : flags == 2 ? RowKind::overflow : RowKind::in_place), "a row is read as one of another kind");
    const auto again = std::make_unique<std::byte[]>(cell->tuple_bytes());
    require(text_of(cell->encode(again.get())) == text_of(bytes), "a row that was read is written otherwise");
    if (cell->value.kind != RowKind::overflow) return;
    std::byte reference[OverflowRef::encoded_bytes];
    cell->value.overflow().encode(reference);
    require(text_of(reference) == cell->value.bytes, "an overflow reference is written otherwise than it was read");
  }
};

}  // namespace aegis_fuzz
