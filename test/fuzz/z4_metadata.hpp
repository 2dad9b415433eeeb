// SPDX-License-Identifier: Apache-2.0
// Z4: superblocks, map blocks, block 0, catalog rows, and whole data files made of them. What is accepted reads back as it
// was written; a data file opens exactly when a naive judge finds no overlap, no place outside and right counts, shows
// what its map says, and still does so after a change, a sync and a second opening. Input: what (1), then its bytes.
#pragma once

#include "fuzz/harness.hpp"
#include "fuzz/image.hpp"

#include <aegis/storage/backend/extent_node.hpp>
#include <aegis/storage/engine/meta.hpp>
#include <aegis/storage/engine/table_info.hpp>

#include <optional>
#include <set>

namespace aegis_fuzz {

struct MetadataHarness {
  static constexpr const char* name = "z4_metadata";

  static void run(Bytes bytes) {
    Input input{bytes};
    switch (input.byte() % 6) {
      case 0: return superblock(input);
      case 1: return map_block(input);
      case 2: return meta(input);
      case 3: return catalog_row(input.text(input.left()));
      default: return data_file(input);
    }
  }

  static void mutate(Data& data, Dice& dice) {
    if (data.size() < 8 || dice.one_in(2)) return mutate_bytes(data, dice, 6 << 10);
    mutate_field(data, 1 + dice.below(data.size() - 1), std::size_t{1} << dice.below(3), dice);
    if (std::to_integer<int>(data[0]) % 6 < 3 && dice.in_four(3)) data[1] |= std::byte{1};
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    std::array<std::byte, Superblock::slot_bytes> slot;
    Superblock{.height = 2, .unit_bytes = 4096, .generation = 7, .root = {Extent::present_bit | 200, 4096, 99}, .used_bytes = 1 << 20, .blocks = 3, .block_bytes = 12288, .place_id = 5}.encode(slot);
    all.push_back(Output{}.byte(0).byte(1).byte(2).put_bytes(Bytes{slot}.first(512)).data);
    Output node;
    node.byte(1).byte(0);
    for (unsigned i = 0; i < 40; ++i) {
      std::byte entry[Extent::stored_bytes];
      (i % 3 == 0 ? Extent{} : Extent{Extent::present_bit | (100 + 8 * i), 4096, i}).store(entry);
      node.put_bytes(entry);
    }
    all.push_back(node.data);
    Meta meta{.identity = {11, 12}, .checkpoint_number = 4, .checkpoint = {Lsn{8192}, Timestamp{77}, 3}, .page_count = 9, .catalog_root = PageId{2}, .next_table = 3, .log_created = true};
    meta.fingerprint = {4096, short_name("none"), short_name("xxh3"), short_name("none"), 512};
    all.push_back(Output{}.byte(2).byte(1).put_bytes(meta.encode()).data);
    all.push_back(Output{}.byte(3).put_bytes(CatalogRow{TableId{4}, TableState::open, PageId{17}}.encode()).data);
    // A map of two levels with three blocks, one of one level, a deep one, and one with holes.
    all.push_back(Output{}.byte(4).put_text(std::string_view{"\x02\x05\x00\x00\x00\x03", 6}).put_text(file({{20, {{0, 1, 1, 0}, {3, 1, 2, 0}}}, {24, {{1, 0, 250, 4096}, {9, 0, 260, 40}}}, {28, {{255, 0, 270, 100}}}})).data);
    all.push_back(Output{}.byte(4).put_text(std::string_view{"\x01\x02\x00\x00\x00\x01", 6}).put_text(file({{20, {{0, 0, 250, 512}, {1, 0, 251, 1}, {2, 0, 252, 0}, {200, 0, 300, 9000}}}})).data);
    all.push_back(Output{}.byte(5).put_text(std::string_view{"\x04\x03\x00\x00\x00\x04", 6}).put_text(file({{20, {{1, 1, 1, 0}}}, {24, {{2, 1, 2, 0}}}, {28, {{3, 1, 3, 0}}}, {32, {{4, 0, 400, 77}}}})).data);
    all.push_back(Output{}.byte(4).put_text(std::string_view{"\x00\x01\x00\x00\x00\x00", 6}).data);
    all.push_back(Output{}.byte(4).put_text(std::string_view{"\x01\x02\x00\x00\x00\x81", 6}).put_text(file({{20, {{0, 0, 250, 512}}}})).put_text(std::string_view{"\x02\x00\x01\x00", 4}).data);
    return all;
  }

 private:
  using Entries = std::vector<std::array<unsigned, 4>>;  // index, kind (0: a block at a grain, 1: the map block of that number), place, bytes
  static std::string file(std::initializer_list<std::pair<unsigned, Entries>> nodes) {
    Output output;
    for (const auto& [unit, entries] : nodes) {
      output.put(static_cast<std::uint16_t>(unit)).byte(static_cast<std::uint8_t>(entries.size()));
      for (const auto& [index, kind, place, bytes] : entries)
        output.byte(static_cast<std::uint8_t>(index)).byte(static_cast<std::uint8_t>(kind)).put(static_cast<std::uint16_t>(place)).put(static_cast<std::uint16_t>(bytes));
    }
    return std::string{text_of(output.data)};
  }

  static void superblock(Input& input) {
    const bool seal = (input.byte() & 1) != 0;
    const unsigned slot = input.byte() % Superblock::slots;
    std::array<std::byte, Superblock::slot_bytes> bytes{}, again{};
    copy_bytes(bytes, input.bytes(512));
    if (seal) store_le(&bytes[508], Extent::checksum_of(Bytes{bytes}.first(508)));
    const auto block = Superblock::decode(bytes, slot);
    if (!block) return require_one_of(block.error(), {Errc::corrupt_block, Errc::incompatible_format}, "superblock");
    require(load_le<std::uint32_t>(&bytes[508]) == Extent::checksum_of(Bytes{bytes}.first(508)), "a superblock with a wrong checksum is taken");
    require(block->generation % 2 == slot / 2 && block->height <= 8 && (block->height == 0) != block->root.present(), "a superblock is taken that cannot be one");
    require(ExtentGeometry{block->unit_bytes}.grain_bytes() >= 64, "a superblock is taken with a unit that is none");
    block->encode(again);
    const auto twice = Superblock::decode(again, slot);
    require(twice.has_value() && *twice == *block && text_of(Bytes{again}.subspan(16, 72)) == text_of(Bytes{bytes}.subspan(16, 72)), "a superblock that was read is written otherwise");
  }

  static void map_block(Input& input) {
    const unsigned level = input.byte() % map_max_height;
    Data bytes(map_block_bytes), again(map_block_bytes);
    copy_bytes(bytes, input.bytes(map_block_bytes));
    const Owned<ExtentNode> node{ExtentNode::make(level, 1)};
    bool sound = true;
    unsigned present = 0;
    for (std::size_t at = 0; at < map_block_bytes; at += 16) {
      const auto place = load_le<std::uint64_t>(&bytes[at]);
      const auto size = load_le<std::uint32_t>(&bytes[at + 8]), checksum = load_le<std::uint32_t>(&bytes[at + 12]);
      const bool there = place >> 63 != 0;
      present += there ? 1 : 0;
      sound = sound && (there ? (place & ~Extent::present_bit) >> 48 == 0 && (level == 0 || size == 4096) : place == 0 && size == 0 && checksum == 0);
    }
    require(node->decode(bytes.data()) == sound, "a map block is taken that is none, or refused though it is one");
    if (!sound) return;
    node->encode(again.data());
    require(again == bytes && node->count == present, "a map block that was read is written otherwise");
  }

  static void meta(Input& input) {
    const bool seal = (input.byte() & 1) != 0;
    Data bytes(input.left());
    copy_bytes(bytes, input.bytes(input.left()));
    if (seal) {
      bytes.resize(meta_bytes);
      store_le(&bytes[12], std::uint32_t{0});
      store_le(&bytes[12], Extent::checksum_of(bytes));
    }
    const auto decoded = Meta::decode(bytes);
    if (!decoded) return require_one_of(decoded.error(), {Errc::corrupt_block, Errc::incompatible_format}, "block 0");
    require(bytes.size() == meta_bytes, "block 0 of another length is taken");
    const auto again = decoded->encode();
    const auto twice = Meta::decode(again);
    require(twice.has_value() && text_of(twice->encode()) == text_of(again), "block 0 that was read is written otherwise");
    require(text_of(Bytes{again}.subspan(16, 60)) == text_of(Bytes{bytes}.subspan(16, 60)) && text_of(Bytes{again}.subspan(80, 40)) == text_of(Bytes{bytes}.subspan(80, 40)), "block 0 is written otherwise than it was read");
    Fingerprint other = decoded->fingerprint;
    require(other.accept(decoded->fingerprint).has_value(), "a store does not accept itself");
    other.codec ^= 1;
    require(!other.accept(decoded->fingerprint), "a store of another layout is accepted");
  }

  static void catalog_row(const std::string& text) {
    const auto row = CatalogRow::decode(text);
    const bool sound = (text.size() == 5 || text.size() == 13) && text[4] >= 1 && text[4] <= 3 && text.substr(0, 4) != std::string(4, '\0');
    require(row.has_value() == sound, "a catalog row is taken that is none, or refused though it is one");
    if (!row) return require(row.error().code() == Errc::corrupt_page, "a catalog row is refused with another error");
    require(text_of(row->encode()).substr(0, text.size()) == text, "a catalog row that was read is written otherwise");
  }

  struct Block {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    bool intact = false;  // a map block that nothing names may have been written over it
  };
  using Blocks = std::map<std::uint64_t, Block>;
  using Model = std::map<std::uint64_t, std::optional<std::string>>;  // nothing: corrupt_block is what a reader gets

  /// Head: height 1, generation 1, and what is told too much: blocks 1, bytes 1, used 1; map blocks 1 (128: holes follow).
  /// Each map block: unit 2, entries 1, and of each: index 1, kind 1, place 2, bytes 2. Checksums are always right.
  static void data_file(Input& input) {
    constexpr std::uint32_t unit = 512, grain = unit / 8;
    Data content(1 << 20);
    for (std::size_t i = Superblock::region_bytes; i < 8'000 + Superblock::region_bytes; ++i) content[i] = static_cast<std::byte>(i * 7);
    Superblock super{.height = input.byte(), .unit_bytes = unit, .generation = input.byte(), .used_bytes = content.size(), .place_id = 1};
    const std::uint8_t more_blocks = input.byte(), more_bytes = input.byte(), more_used = input.byte(), counts = input.byte();
    struct Node {
      std::uint64_t offset;
      std::vector<std::array<unsigned, 4>> entries;
    };
    std::vector<Node> nodes(counts % 16);
    for (Node& node : nodes) {
      node.offset = std::uint64_t{unit} * (Superblock::region_bytes / unit + input.take<std::uint16_t>() % 1900);
      for (std::size_t left = input.byte() % 32; left != 0; --left) {
        const unsigned index = input.byte(), kind = input.byte(), place = input.take<std::uint16_t>(), bytes = input.take<std::uint16_t>();
        node.entries.push_back({index, kind, place, bytes});
      }
    }
    Data holes;
    for (int left = 20; (counts & 128) != 0 && !input.empty() && left > 0; --left) {
      Output run;
      run.put(std::uint32_t{input.byte()}).put(std::uint32_t{input.byte()}).put_bytes({});
      holes.insert(holes.end(), run.data.begin(), run.data.end());
    }
    if (!holes.empty()) {
      const std::uint64_t offset = Superblock::region_bytes + 900 * unit;
      copy_bytes(MutableBytes{content}.subspan(offset), holes);
      super.holes = Extent::at(offset / grain, holes);
    }
    for (std::size_t i = nodes.size(); i-- > 0;) {  // whoever is named is written before it
      std::byte* const at = &content[nodes[i].offset];
      std::memset(at, 0, map_block_bytes);
      for (const auto& [index, kind, place, bytes] : nodes[i].entries) {
        const std::uint64_t named = kind % 2 == 0 ? Superblock::region_bytes / grain + place : nodes[place % nodes.size()].offset / grain;
        const std::size_t length = kind % 2 == 0 ? bytes % 40'000 : map_block_bytes;
        const std::uint64_t offset = named * grain;
        const std::size_t there = offset < content.size() ? std::min<std::size_t>(length, content.size() - offset) : 0;
        Extent extent = Extent::at(named, Bytes{content}.subspan(there == 0 ? 0 : offset, there));
        extent.bytes = static_cast<std::uint32_t>(length);
        extent.store(at + index * Extent::stored_bytes);
      }
    }
    if (super.height != 0 && !nodes.empty()) super.root = Extent::at(nodes[0].offset / grain, Bytes{content}.subspan(nodes[0].offset, map_block_bytes));
    // Counts are what the map says, plus what the input says.
    Blocks blocks;
    const bool sound = judge(content, super, holes, blocks);
    super.blocks = blocks.size() + more_blocks;
    for (const auto& [id, block] : blocks) super.block_bytes += block.bytes;
    super.block_bytes += more_bytes;
    super.used_bytes += more_used;
    std::array<std::byte, Superblock::slot_bytes> slot;
    super.encode(slot);
    for (unsigned i = 0; i < 2; ++i) copy_bytes(MutableBytes{content}.subspan(Superblock::slot_offset(Superblock::first_slot(super.generation) + i)), slot);
    Image image;
    image.emplace("data", content);
    open(image, content, blocks, sound && more_blocks + more_bytes + more_used == 0);
  }

  /// Fills `blocks` with what can be read of the map, also where it is not sound.
  static bool judge(const Data& content, const Superblock& super, const Data& holes, Blocks& blocks) {
    if (super.height > map_max_height || (super.height == 0) == super.root.present()) return false;
    std::vector<char> taken(content.size() / 64);
    const auto take = [&](std::uint64_t offset, std::uint64_t bytes) {
      if (bytes > content.size() || offset > content.size() - bytes) return false;
      for (std::uint64_t at = offset / 64; at < (offset + bytes + 63) / 64; ++at) {
        if (taken[at] != 0) return false;
        taken[at] = 1;
      }
      return true;
    };
    bool sound = take(0, Superblock::region_bytes);
    std::set<std::uint64_t> on_the_way;
    const auto walk = [&](auto& self, std::uint64_t offset, unsigned level, std::uint64_t first) -> bool {
      if (offset % 512 != 0 || !on_the_way.insert(offset).second) return false;
      if (!take(offset, map_block_bytes)) sound = false;
      const Data image(content.begin() + static_cast<std::ptrdiff_t>(offset), content.begin() + static_cast<std::ptrdiff_t>(offset + map_block_bytes));
      for (std::size_t i = 0; i < map_fanout; ++i) {
        const Extent entry = Extent::load(&image[i * 16]);
        if (!entry.present()) continue;
        const std::uint64_t at = entry.grain() * 64, id = first + (std::uint64_t{i} << 8 * level);
        if (level == 0) {
          const bool inside = take(at, entry.bytes);
          if (!inside) sound = false;
          blocks[id] = {at, entry.bytes, inside && entry.holds(Bytes{content}.subspan(at, entry.bytes))};
        } else if (entry.bytes != map_block_bytes || at > content.size() - map_block_bytes || !entry.holds(Bytes{content}.subspan(at, map_block_bytes)) || !self(self, at, level - 1, id)) {
          sound = false;
        }
      }
      return true;
    };
    if (super.height != 0 && !walk(walk, super.root.grain() * 64, super.height - 1u, 0)) sound = false;
    if (super.holes.present() && !take(super.holes.grain() * 64, (holes.size() + 511) / 512 * 512)) return false;
    const std::size_t steps = content.size() >> 20;
    for (std::size_t at = 0; at < holes.size(); at += 8)
      for (std::uint64_t step = load_le<std::uint32_t>(&holes[at]), end = step + load_le<std::uint32_t>(&holes[at + 4]); step < end && step < steps; ++step)
        if (!take(step << 20, 1 << 20)) sound = false;
    return sound;
  }

  static Result<SimulatedBackend> open_on(SimulatedDisk& disk) { return SimulatedBackend::open(testing::SimulatedFiles{disk}, {.directory = "store"}); }

  static void open(const Image& image, const Data& content, const Blocks& blocks, bool sound) {
    SimulatedDisk disk{{}, medium_of(image)};
    Model model;
    for (const auto& [id, block] : blocks)
      if (sound && block.intact) model[id] = std::string{text_of(Bytes{content}.subspan(block.offset, block.bytes))};
      else if (sound) model[id] = std::nullopt;
    {
      auto backend = open_on(disk);
      require(backend.has_value() == sound, sound ? "a sound data file is refused" : "a data file is opened whose map overlaps, leaves it, or counts wrongly");
      if (!backend) return require_one_of(backend.error(), {Errc::corrupt_block, Errc::incompatible_format}, "opening of a data file");
      compare(*backend, model);
      const std::uint64_t id = model.empty() ? 3 : model.begin()->first ^ 1;
      require(backend->write(BlockId{id}, bytes_of(std::string(5000, 'n'))).has_value(), "a sound data file cannot be written");
      model[id] = std::string(5000, 'n');
      if (model.rbegin()->first != id) {
        require(backend->erase(BlockId{model.rbegin()->first}).has_value(), "a block cannot be erased");
        model.erase(std::prev(model.end()));
      }
      compare(*backend, model);
      const auto synced = backend->sync();
      require(synced.has_value(), "a sound data file cannot be synced");
    }
    disk.power_up(testing::CutModel::nothing, 1);
    auto again = open_on(disk);
    require(again.has_value(), again ? "" : "a data file that was changed and synced is refused: " + again.error().message());
    compare(*again, model);
  }
  static void compare(SimulatedBackend& backend, const Model& model) {
    std::map<std::uint64_t, std::size_t> listed;
    const auto walked = backend.for_each([&](BlockId id, std::size_t bytes) { listed[number(id)] = bytes; });
    require(walked.has_value() && listed.size() == model.size(), "a data file lists other blocks than its map names");
    Data into(backend.max_block_bytes());
    for (const auto& [id, content] : model) {
      const auto got = backend.read(BlockId{id}, into);
      require(listed.contains(id), "a block is not listed");
      if (!content) {
        require(!got && got.error().code() == Errc::corrupt_block, "a block that was written over is believed");
        continue;
      }
      require(got.has_value() && *got == content->size() && text_of(Bytes{into}.first(*got)) == *content, "a block is read otherwise than it was written");
      require(listed[id] == content->size(), "a block is listed with another length");
    }
  }
};

}  // namespace aegis_fuzz
