// SPDX-License-Identifier: Apache-2.0
// Z5: a whole directory, packed as image.hpp says. It is opened, scanned, verified, written, closed and opened again: right
// data or typed errors, never more. A store that verify() calls sound can be scanned to the last row, takes a change,
// and shows exactly that after the next opening.
#pragma once

#include "fuzz/harness.hpp"
#include "fuzz/image.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <optional>

namespace aegis_fuzz {

using FuzzEngine = Engine<SimulatedBackend, PageSize<4096>>;
using TableRows = std::map<std::string, std::string>;
using StoreState = std::map<std::string, TableRows>;

inline EngineOptions fuzz_options() {
  return {.pool_bytes = 16 * 4096, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .version_bytes = 1 << 20, .max_transactions = 8, .maintenance_thread = false};
}
inline Result<FuzzEngine> open_engine(SimulatedDisk& disk) {
  AEGIS_TRY(auto backend, SimulatedBackend::open(testing::SimulatedFiles{disk}, {.directory = "store"}));
  return FuzzEngine::open(std::move(backend), fuzz_options());
}
/// Every row of every table. Bounded, for a hostile tree may show more rows than it has; and in any order, when somebody
/// made its checksums right: a scan proves that rows can be read, verify() that they are where they belong.
inline Result<StoreState> state_of(FuzzEngine& engine, bool sound = true) {
  StoreState state;
  AEGIS_TRY(const auto names, engine.tables());
  auto reader = engine.snapshot();
  for (const std::string& name : names) {
    AEGIS_TRY(const auto table, engine.table(name));
    TableRows& rows = state[name];
    auto cursor = reader.scan(table);
    std::string before;
    for (std::size_t left = 20'000; cursor.valid(); cursor.next()) {
      require(left-- > 0, "a scan does not end");
      require(!sound || rows.empty() || before < cursor.key(), "a scan shows rows out of order");
      before = std::string{cursor.key()};
      rows.emplace(cursor.key(), cursor.value());
    }
    AEGIS_TRY(cursor.status());
  }
  return state;
}

struct DirectoryHarness {
  static constexpr const char* name = "z5_directory";
  static constexpr bool fragile = true;

  static void run(Bytes bytes) {
    Input input{bytes};
    const Image image = unpacked(input);
    for (const auto& [file, content] : image)
      if (!PosixName::is_valid(file)) return;  // no file of such a name is ever looked at
    SimulatedDisk disk{{}, medium_of(image)};
    std::optional<StoreState> expected;
    bool sound = false;
    {
      auto engine = open_engine(disk);
      if (!engine) return require_typed(engine.error(), "opening");
      const auto report = engine->verify();
      if (!report) return require_typed(report.error(), "verification");
      for (const Error& problem : report->problems)
        if (problem.code() != Errc::invalid_argument) require_typed(problem, "a problem that verify() tells");
      sound = report->ok();
      const auto state = state_of(*engine, sound);
      if (!state) require_typed(state.error(), "scan");
      require(state.has_value() || !sound, state ? "" : "verify() finds no fault in a store that cannot be read: " + state.error().message());
      if (state) expected = *state;
      write(*engine, expected, sound);
      const auto closed = engine->close();
      if (!closed) require_typed(closed.error(), "closing");
      require(closed.has_value() || !sound, closed ? "" : "a sound store cannot be closed: " + closed.error().message());
    }
    auto again = open_engine(disk);
    if (!again) {
      require_typed(again.error(), "second opening");
      return require(!sound, "a sound store that was closed is refused: " + again.error().message());
    }
    const auto state = state_of(*again, sound);
    if (!state) require_typed(state.error(), "scan after the second opening");
    if (!sound) return;
    require(state.has_value() && *state == *expected, "a sound store shows other rows after it was closed and opened");
    const auto report = again->verify();
    require(report.has_value() && report->ok(), report ? "a sound store is damaged by a change: " + report->message() : report.error().message());
  }

  static void mutate(Data& data, Dice& dice) {
    if (dice.one_in(64)) return mutate_bytes(data, dice);
    Input input{data};
    Image image = unpacked(input);
    if (image.empty()) return mutate_bytes(data, dice);
    for (std::uint64_t left = dice.one_in(4) ? 2 : 1; left != 0; --left) change(image, dice);
    data = packed(image);
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    for (int kind = 0; kind < 6; ++kind) {
      SimulatedDisk disk;
      if (auto engine = open_engine(disk)) fill(*engine, kind);
      disk.kill_process();
      Image image = image_of(disk.medium());
      forget_garbage(image["data"]);
      all.push_back(packed(image));
    }
    return all;
  }

 private:
  static void require_typed(const Error& error, const char* of) {
    require_one_of(error, {Errc::corrupt_block, Errc::corrupt_page, Errc::corrupt_log, Errc::incompatible_format, Errc::block_not_found, Errc::engine_failed, Errc::commit_undecided, Errc::too_large,
                           Errc::no_space, Errc::table_not_found, Errc::busy}, of);  // busy: spares of a larger log, and no store
  }

  static void write(FuzzEngine& engine, std::optional<StoreState>& expected, bool sound) {
    const std::string table_name = expected && !expected->empty() ? expected->begin()->first : "new";
    const auto table = engine.table(table_name);
    if (!table) return require_typed(table.error(), "table"), require(!sound, "a sound store takes no table");
    TableRows rows = expected ? (*expected)[table_name] : TableRows{};
    auto txn = engine.begin();
    for (int i = 0; i < 3; ++i) {
      const std::string key = "fuzz" + std::to_string(i), value(i == 2 ? 6000 : 20, 'f');
      const auto put = txn.put(*table, key, value);
      if (!put) return require_typed(put.error(), "put"), require(!sound, "a sound store takes no row");
      rows[key] = value;
    }
    for (int left = 40; !rows.empty() && left > 0; --left) {  // leaves become under-full
      const std::string first = rows.begin()->first;
      const auto erased = txn.erase(*table, first);
      if (!erased) return require_typed(erased.error(), "erase"), require(!sound, "a sound store lets no row go");
      rows.erase(first);
    }
    const auto committed = txn.commit();
    if (!committed) return require_typed(committed.error(), "commit"), require(!sound, "a sound store takes no commit: " + committed.error().message());
    if (!expected) return;
    (*expected)[table_name] = rows;
    if (expected->size() < 2) return;
    const std::string last = expected->rbegin()->first;
    const auto dropped = engine.drop_table(last);
    if (!dropped) return require_typed(dropped.error(), "drop_table"), require(!sound, "a sound store lets no table go");
    expected->erase(last);
  }

  static void fill(FuzzEngine& engine, int kind) {
    if (kind == 0) return (void)engine.close();
    const auto first = engine.table("first").value(), second = engine.table("second").value();
    for (int i = 0; i < (kind == 4 ? 160 : 12); ++i)
      (void)engine.transact([&](auto& txn) -> Result<void> {
        AEGIS_TRY(txn.put(first, "key" + std::to_string(1000 + i * 7), "value " + std::to_string(i)));
        if (i % 5 == 0) AEGIS_TRY(txn.put(second, "row" + std::to_string(i), std::string(static_cast<std::size_t>(i) * 3, 'r')));
        return {};
      });
    if (kind == 2) (void)engine.transact([&](auto& txn) { return txn.put(second, "long", std::string(5000, 'l')); });
    if (kind == 3 || kind == 5) (void)engine.checkpoint();
    if (kind == 3) (void)engine.transact([&](auto& txn) -> Result<void> {
      AEGIS_TRY(txn.erase(first, "key1007"));
      return txn.put(first, "key1008", "after the checkpoint");
    });
    if (kind == 5) (void)engine.drop_table("second");
    if (kind == 2 || kind == 4) (void)engine.close();
  }
  /// What no superblock names, and room that the file does not need, are no part of a small seed.
  static void forget_garbage(Data& file) {
    const DataFile named{file};
    file.resize(std::min<std::size_t>(file.size(), load_le<std::uint64_t>(&file[named.superblock() + 56])));
    std::vector<bool> kept(file.size());
    const auto keep = [&](std::size_t at, std::size_t count) { std::fill_n(kept.begin() + static_cast<std::ptrdiff_t>(at), count, true); };
    keep(0, Superblock::region_bytes);
    for (const auto& place : named.nodes()) keep(place.offset, place.bytes);
    for (const auto& place : named.blocks()) keep(place.offset, place.bytes);
    const Extent holes = Extent::load(&file[named.superblock() + 40]);
    if (holes.present()) keep(holes.grain() * load_le<std::uint32_t>(&file[named.superblock() + 8]) / 8, holes.bytes);
    for (std::size_t i = 0; i < file.size(); ++i)
      if (!kept[i]) file[i] = std::byte{};
  }

  /// Of an image that has files.
  static Data& any_file(Image& image, Dice& dice) {
    auto file = image.begin();
    std::advance(file, dice.below(image.size()));
    return file->second;
  }
  static void change(Image& image, Dice& dice) {
    const std::uint64_t what = dice.below(20);
    if (what < 12) {
      const auto data = image.find("data");
      if (data != image.end()) return change_data(data->second, dice);
    }
    if (what < 17) {
      for (auto& [file, content] : image)
        if (SegmentName::parse(SegmentRole::wal, file) && dice.one_in(2)) return change_log(content, dice);
      return;
    }
    if (what == 17 && !image.empty()) {
      Data& content = any_file(image, dice);
      if (!content.empty()) content[dice.below(content.size())] ^= static_cast<std::byte>(1u << dice.below(8));
      return;
    }
    change_files(image, dice);
  }
  static void change_files(Image& image, Dice& dice) {
    if (image.empty()) return;
    auto file = image.begin();
    std::advance(file, dice.below(image.size()));
    switch (dice.below(5)) {
      case 0: image.erase(file); return;
      case 1: file->second.resize(dice.below(file->second.size() + 1)); return;
      case 2: file->second.resize(std::min<std::size_t>(longest_file, file->second.size() + dice.below(8) * 4096)); return;
      case 3: std::swap(file->second, any_file(image, dice)); return;
      default: {
        const SegmentRole role = dice.one_in(2) ? SegmentRole::wal : dice.one_in(2) ? SegmentRole::spare : SegmentRole::fresh;
        const Data copy = file->second;
        if (image.size() < most_files && file->first != "data") image[std::string{SegmentName{role, dice.one_in(4) ? dice.next() : dice.below(6)}}] = copy;
      }
    }
  }
  static void change_data(Data& file, Dice& dice) {
    if (file.size() < Superblock::region_bytes) return;
    DataFile named{file};
    if (named.superblock() == DataFile::none) return;
    const std::uint64_t what = dice.below(12);
    if (what == 0) {
      constexpr std::size_t at[] = {6, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80}, width[] = {1, 4, 8, 8, 4, 8, 4, 8, 8, 8, 8};
      const std::size_t field = dice.below(std::size(at));
      mutate_field(file, named.superblock() + at[field], width[field], dice);
    } else if (what == 1 && !named.nodes().empty()) {
      const auto& node = named.nodes()[dice.below(named.nodes().size())];
      const std::size_t entry = node.offset + Extent::stored_bytes * (dice.one_in(2) ? dice.below(24) : dice.below(map_fanout));
      mutate_field(file, entry + (dice.one_in(2) ? 0 : 8), dice.one_in(2) ? 4 : 2, dice);
    } else if (!named.blocks().empty()) {
      change_block(file, named.blocks(), dice);
    }
    if (!dice.one_in(12)) DataFile{file}.seal();
  }
  static void change_block(Data& file, const std::vector<DataFile::Place>& blocks, Dice& dice) {
    const auto& block = blocks[dice.below(blocks.size())];
    const MutableBytes bytes = MutableBytes{file}.subspan(block.offset, block.bytes);
    if (block.id == 0) return mutate_field(bytes, 16 + 8 * dice.below(14), dice.one_in(2) ? 8 : 4, dice);
    if (bytes.size() < 128) return;
    const std::size_t slots = load_le<std::uint16_t>(&bytes[50]);
    switch (dice.below(6)) {
      case 0: {
        constexpr std::size_t at[] = {48, 49, 50, 52, 54, 56, 60, 64, 72, 80}, width[] = {1, 1, 2, 2, 2, 4, 4, 8, 4, 8};
        const std::size_t field = dice.below(std::size(at));
        return mutate_field(bytes, at[field], width[field], dice);
      }
      case 1: return mutate_field(bytes, 96 + 8 * dice.below(slots + 1) + 2 * dice.below(4), 2, dice);
      case 2:
      case 3: {  // within a tuple: lengths, flags, page ids, keys
        const std::size_t slot = 96 + 8 * dice.below(slots + 1);
        if (slot + 8 > bytes.size()) return;
        const std::size_t offset = load_le<std::uint16_t>(&bytes[slot + 4]), length = load_le<std::uint16_t>(&bytes[slot + 6]);
        return mutate_field(bytes, offset + dice.below(std::min<std::size_t>(length + 1, 24)), std::size_t{1} << dice.below(4), dice);
      }
      case 4: {
        const auto& other = blocks[dice.below(blocks.size())];
        if (other.bytes != block.bytes) return;
        std::memmove(bytes.data() + 48, &file[other.offset + 48], bytes.size() - 48);
        return;
      }
      default: return mutate_field(bytes, 48 + dice.below(bytes.size() - 48), std::size_t{1} << dice.below(4), dice);
    }
  }
  static void change_log(Data& file, Dice& dice) {
    if (file.size() <= SegmentHeader::bytes) return;
    SegmentFile segment{file};
    if (dice.one_in(6) || segment.frames().empty()) {
      constexpr std::size_t at[] = {4, 6, 8, 16, 24, 32, 40, 48, 52}, width[] = {2, 2, 8, 8, 8, 8, 8, 4, 1};
      const std::size_t field = dice.below(std::size(at));
      mutate_field(file, at[field], width[field], dice);
      return segment.seal_header();
    }
    SegmentFile::Frame frame = segment.frames()[dice.below(segment.frames().size())];
    switch (dice.below(6)) {
      case 0: frame.header.type = static_cast<LogFrameType>(hostile_number(dice, static_cast<std::uint64_t>(frame.header.type)) % 24); break;
      case 1: frame.header.generation = static_cast<std::uint32_t>(hostile_number(dice, frame.header.generation)) & max_log_generation; break;
      case 2: frame.header.timestamp = hostile_number(dice, frame.header.timestamp); break;
      case 3: frame.header.durable = Lsn{hostile_number(dice, number(frame.header.durable)) % (1 << 20)}; break;
      default: mutate_field(file, frame.offset + log_frame_header_bytes + dice.below(frame.header.length + 1), std::size_t{1} << dice.below(4), dice);
    }
    if (!dice.one_in(8)) segment.seal(frame);
  }
};

}  // namespace aegis_fuzz
