// SPDX-License-Identifier: Apache-2.0
// Z1: a page of any bytes. Reading stays inside it; validate() accepts exactly what format.hpp allows (asked of a second,
// naive judge); what it accepts takes every slot operation like a plain list of tuples does, and stays valid.
// Input: mode (1: free room is made right), header length 2, header from offset 48, tail length 2, tail, operations.
#pragma once

#include "fuzz/harness.hpp"

#include <aegis/storage/page/page.hpp>
#include <aegis/storage/tree/cell.hpp>
#include <aegis/storage/tree/node.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace aegis_fuzz {

struct PageHarness {
  static constexpr const char* name = "z1_page";
  static constexpr std::size_t size = 4096;
  using P = Page<size>;
  using Tuples = std::vector<std::optional<std::string>>;  // free slots: nothing

  static void run(Bytes bytes) {
    Input input{bytes};
    const std::uint8_t mode = input.byte();
    const auto page = std::make_unique<P>();  // so that the sanitizer guards its ends
    build(*page, input);
    if ((mode & 1) != 0) make_room_right(page->bytes());
    read_everything(*page);
    const PageId id{input.take<std::uint64_t>()};
    const Result<void> valid = page->validate(id);
    require(valid.has_value() == is_valid(page->bytes()), "validate() and the naive judge disagree");
    if (!valid) {
      require(valid.error().code() == Errc::corrupt_page && valid.error().id() == number(id), "an invalid page is corrupt_page with its id");
      return;
    }
    check_node(*page);
    page->add_ghosts(-int{page->ghost_count()});  // theirs who make ghosts
    Tuples model = tuples_of(*page);
    const bool ordered = (mode & 2) != 0 && std::find(model.begin(), model.end(), std::nullopt) == model.end();
    for (int left = 100; !input.empty() && left > 0; --left) {
      if (ordered)
        change_ordered(*page, model, input);
      else
        change_heap(*page, model, input);
      check(*page, model);
    }
    check_image(*page, model);
  }

  static void mutate(Data& data, Dice& dice) {
    if (dice.one_in(3) || data.size() < 64) return mutate_bytes(data, dice, 8 << 10);
    constexpr struct {
      std::size_t at, width;
    } fields[] = {{48, 1}, {49, 1}, {50, 2}, {52, 2}, {54, 2}, {56, 4}, {60, 4}, {64, 8}, {72, 4}, {76, 4}, {80, 8}, {88, 8}};
    constexpr std::size_t header = 3;  // in the input: page offset 48 stands there
    if (dice.one_in(2)) {
      const auto& field = fields[dice.below(std::size(fields))];
      mutate_field(data, header + field.at - 48, field.width, dice);
    } else {
      const std::size_t slot = dice.below(1 + load_le<std::uint8_t>(data.data() + header + 2));
      mutate_field(data, header + 48 + slot * 8 + dice.below(4) * 2, std::size_t{1} << dice.below(3), dice);
    }
    if (dice.one_in(2)) data[0] |= std::byte{1};
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    P page{};
    page.format(PageType::data, TableId{7});
    all.push_back(seed_of(page, 0, {}));
    Output operations;
    for (unsigned i = 0; i < 40; ++i) operations.byte(static_cast<std::uint8_t>(i * 37)).put(static_cast<std::uint16_t>(i * 11)).put(static_cast<std::uint16_t>(i * i * 5));
    all.push_back(seed_of(page, 0, operations.data));
    for (const std::size_t length : {0u, 1u, 300u, 17u, 0u, 90u, 500u, 4u}) (void)page.insert(bytes_of(std::string(length, 'h')));
    (void)page.erase(2);
    (void)page.erase(5);
    all.push_back(seed_of(page, 0, operations.data));
    all.push_back(seed_of(node(PageType::data, 0), 2, operations.data));
    all.push_back(seed_of(node(PageType::index, 1), 2, operations.data));
    P overflow{};
    overflow.format(PageType::overflow, TableId{7});
    overflow.set_link(3);
    (void)overflow.insert(bytes_of(std::string(900, 'o')));
    all.push_back(seed_of(overflow, 1, operations.data));
    return all;
  }

 private:
  static void build(P& page, Input& input) {
    const MutableBytes bytes = page.bytes();
    const Bytes head = input.bytes(input.take<std::uint16_t>() % (size - 48 + 1));
    copy_bytes(bytes.subspan(48), head);
    const Bytes tail = input.bytes(input.take<std::uint16_t>() % (size - 48 + 1));
    copy_bytes(bytes.subspan(size - tail.size()), tail);
  }
  static Data seed_of(const P& page, std::uint8_t mode, const Data& operations) {
    const Bytes bytes = page.bytes();
    const std::size_t low = PageLayout::slots + page.slot_count() * page_slot_bytes, high = load_le<std::uint32_t>(bytes.data() + PageLayout::heap_begin);
    Output output;
    output.byte(mode).put(static_cast<std::uint16_t>(low - 48)).put_bytes(bytes.subspan(48, low - 48));
    output.put(static_cast<std::uint16_t>(size - high)).put_bytes(bytes.subspan(high)).put(std::uint64_t{9}).put_bytes(operations);
    return output.data;
  }
  static P node(PageType type, std::uint8_t level) {
    P page{};
    page.format(type, TableId{7}, level);
    const std::string_view low = "user:10", high = "user:19";
    Output fences;
    fences.put(std::uint16_t{7}).put(std::uint16_t{7}).byte(1).put_text(low).put_text(high);
    (void)page.insert_at(0, 0, fences.data);
    page.set_prefix_bytes(6);
    page.set_link(4);
    for (unsigned i = 0; i < 8; ++i) {
      const std::string suffix = std::to_string(i) + (i % 2 == 0 ? "" : "x");
      Output row;
      if (level == 0)
        row.byte(i == 3 ? 1 : 0).put(static_cast<std::uint16_t>(suffix.size())).put_text(suffix).put_text(i == 3 ? "" : "value");
      else
        row.put(std::uint64_t{i + 10}).put_text(suffix);
      (void)page.insert_at(i + 1, key_head(suffix), row.data);
    }
    if (level == 0) page.add_ghosts(1);
    return page;
  }

  static std::uint64_t field(Bytes page, std::size_t at, std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(page[at + i]);
    return value;
  }
  /// format.hpp, word by word.
  static bool is_valid(Bytes page) {
    const std::uint64_t type = field(page, 48, 1), count = field(page, 50, 2), heap = field(page, 56, 4), reclaimable = field(page, 60, 4);
    if (type < 1 || type > 5 || heap > size || 96 + 8 * count > heap || field(page, 52, 2) > count || field(page, 54, 2) > size - 96) return false;
    if (field(page, 76, 4) != 0 || field(page, 88, 8) != 0) return false;
    std::array<std::uint8_t, size> users{};
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t offset = field(page, 96 + 8 * i + 4, 2), length = field(page, 96 + 8 * i + 6, 2);
      if (field(page, 96 + 8 * i, 8) == 0) {
        if (i + 1 == count) return false;
      } else if (length == 0) {
        if (offset != 96) return false;
      } else {
        if (offset < heap || offset + length > size) return false;
        for (std::uint64_t at = offset; at < offset + length; ++at)
          if (++users[at] > 1) return false;
      }
    }
    std::uint64_t unused = 0;
    for (std::uint64_t at = heap; at < size; ++at) unused += users[at] == 0 ? 1 : 0;
    return unused == reclaimable;
  }
  /// What a checksum is to a block: without it hardly any changed page would be accepted.
  static void make_room_right(MutableBytes page) {
    const std::uint64_t count = field(page, 50, 2), heap = field(page, 56, 4);
    std::uint64_t used = 0;
    for (std::uint64_t i = 0; i < count && 96 + 8 * i + 8 <= size; ++i) used += field(page, 96 + 8 * i + 6, 2);
    store_le(page.data() + 60, static_cast<std::uint32_t>(size - heap - used));
    store_le(page.data() + 76, std::uint32_t{0});
    store_le(page.data() + 88, std::uint64_t{0});
    page[48] = static_cast<std::byte>(1 + field(page, 48, 1) % 5);
  }

  static void require_inside(const P& page, std::string_view text) {
    const auto* begin = reinterpret_cast<const char*>(page.bytes().data());
    require(text.empty() || (text.data() >= begin && text.data() + text.size() <= begin + size), "a tuple lies outside its page");
  }
  static void read_everything(P& page) {
    for (std::size_t i = 0, end = std::min<std::size_t>(page.slot_count(), P::max_slots) + 2; i < end; ++i) {
      if (const auto tuple = page.read(i)) require_inside(page, text_of(*tuple));
      require_inside(page, text_of(page.mutable_at(i)));
      (void)page.head(i);
    }
    (void)page.free_bytes();
    const NodeView<size> node{page};
    std::vector<char> buffer(max_key_bytes(size));
    if (const auto fences = node.fences()) require_inside(page, fences->low), require_inside(page, fences->high);
    for (std::size_t row = 0; row <= node.rows(); ++row) {
      if (const auto suffix = node.suffix(row)) require_inside(page, *suffix);
      if (const auto cell = node.cell(row)) require_inside(page, cell->suffix), require_inside(page, cell->value.bytes);
      (void)node.child(row);
      (void)node.key(row, buffer.data());
    }
    for (const std::string_view key : {"", "user:13x", "zzzzzzzz"}) {
      const auto found = node.search(key);
      require(found.row <= node.rows(), "a search leaves the node");
      require(node.child_index(LeafPosition::at(key)) <= node.rows() + 1, "a search leaves the node");
    }
    (void)node.decodable();
  }
  static void check_node(const P& page) {
    const NodeView<size> node{page};
    if (node.decodable())
      for (std::size_t row = 0; row < node.rows(); ++row) {
        std::vector<char> buffer(max_key_bytes(size));
        require(node.key(row, buffer.data()).has_value() && (!node.is_leaf() || node.cell(row).has_value()), "a decodable node cannot be decoded");
      }
    if (!node.well_formed()) return;
    const auto fences = node.fences();
    std::string before;
    for (std::size_t row = 0; row < node.rows(); ++row) {
      std::vector<char> buffer(max_key_bytes(size));
      const std::string key{node.key(row, buffer.data()).value()};
      require(row == 0 || before < key, "keys of a well-formed node are out of order");
      require(key >= fences->low && (!fences->has_high || key < fences->high), "a key lies outside its node's fences");
      const auto found = node.search(key);
      require(found.exact && found.row == row, "a key of a well-formed node is not found");
      before = key;
    }
  }

  static Tuples tuples_of(const P& page) {
    Tuples tuples;
    for (std::size_t i = 0; i < page.slot_count(); ++i) {
      const auto tuple = page.read(i);
      tuples.push_back(tuple ? std::optional{std::string{text_of(*tuple)}} : std::nullopt);
    }
    return tuples;
  }
  static std::size_t room_of(const Tuples& model) {
    std::size_t used = PageLayout::slots + model.size() * page_slot_bytes;
    for (const auto& tuple : model) used += tuple ? tuple->size() : 0;
    return size - used;
  }
  static std::string drawn(Input& input) {
    const std::uint16_t word = input.take<std::uint16_t>();
    return std::string(word % (word % 16 == 0 ? 4200 : 200), static_cast<char>('a' + word % 26));
  }

  static void change_heap(P& page, Tuples& model, Input& input) {
    const std::uint8_t what = input.byte();
    const auto at = static_cast<std::uint16_t>(input.below(model.size() + 1));
    const bool present = at < model.size() && model[at];
    if (what % 8 == 7) return page.compact();
    if (what % 8 < 4) {
      const std::string tuple = drawn(input);
      const std::size_t slot = static_cast<std::size_t>(std::find(model.begin(), model.end(), std::nullopt) - model.begin());
      const bool fits = tuple.size() + (slot == model.size() ? page_slot_bytes : 0) <= room_of(model);
      const auto inserted = page.insert(bytes_of(tuple));
      require(inserted.has_value() == (tuple.size() <= P::max_tuple_bytes), "insert: too_large for what an empty page takes, or the other way round");
      if (!inserted) return require(inserted.error().code() == Errc::too_large, "insert: another error");
      require(inserted->has_value() == fits, "insert: what fits is refused, or the other way round");
      if (!fits) return;
      require(**inserted == slot, "insert: not the first free slot");
      if (slot == model.size()) model.emplace_back();
      model[slot] = tuple;
    } else if (what % 8 < 6) {
      const std::string tuple = drawn(input);
      const auto updated = page.update(at, bytes_of(tuple));
      if (tuple.size() > P::max_tuple_bytes) return require(!updated && updated.error().code() == Errc::too_large, "update: more than a page takes");
      if (!present) return require(!updated && updated.error().code() == Errc::invalid_argument, "update of a free slot");
      const bool fits = tuple.size() <= room_of(model) + model[at]->size();
      require(updated.has_value() && *updated == fits, "update: what fits is refused, or the other way round");
      if (fits) model[at] = tuple;
    } else {
      const auto erased = page.erase(at);
      require(erased.has_value() == present, "erase: a free slot erased, or a tuple kept");
      if (present) model[at].reset();
      while (!model.empty() && !model.back()) model.pop_back();
    }
  }
  static void change_ordered(P& page, Tuples& model, Input& input) {
    const std::uint8_t what = input.byte();
    const std::size_t at = input.below(model.size() + 1);
    const auto place = model.begin() + static_cast<std::ptrdiff_t>(at);
    if (what % 8 < 4) {
      const std::string tuple = drawn(input);
      const bool fits = tuple.size() + page_slot_bytes <= room_of(model);
      require(page.insert_at(at, what | 1u, bytes_of(tuple)) == fits, "insert_at: what fits is refused, or the other way round");
      if (fits) model.insert(place, tuple);
    } else if (at == model.size()) {
      page.compact();
    } else if (what % 8 < 6) {
      const std::string tuple = drawn(input);
      const bool fits = tuple.size() <= room_of(model) + model[at]->size();
      require(page.replace_at(at, bytes_of(tuple)) == fits, "replace_at: what fits is refused, or the other way round");
      if (fits) model[at] = tuple;
    } else {
      page.remove_at(at);
      model.erase(place);
    }
  }
  static void check(const P& page, const Tuples& model) {
    require(page.slot_count() == model.size(), "the page holds other tuples than the model");
    for (std::size_t i = 0; i < model.size(); ++i) {
      const auto tuple = page.read(i);
      require(tuple.has_value() == model[i].has_value() && (!tuple || text_of(*tuple) == *model[i]), "the page holds other tuples than the model");
    }
    require(page.free_bytes() == room_of(model), "the page's free room is not the model's");
    require(page.validate(PageId{1}).has_value(), "a page that was changed is not valid any more");
  }
  static void check_image(const P& page, const Tuples& model) {
    require(is_valid(page.bytes()), "a page that was changed is not valid any more");
    const auto copy = std::make_unique<P>();
    page.copy_image(copy->bytes().data());
    require(copy->validate(PageId{1}).has_value() && tuples_of(*copy) == model, "the image of a page is not the page");
  }
};

}  // namespace aegis_fuzz
