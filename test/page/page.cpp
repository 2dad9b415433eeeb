// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/page/page.hpp>

#include <doctest/doctest.h>
#include <support/random.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace storage = aegis::storage;
using storage::Bytes;
using storage::bytes_of;
using storage::Errc;
using storage::PageId;
using storage::PageLayout;
using storage::PageType;
using storage::TableId;
using storage::text_of;
using storage::Timestamp;
using aegis_test::Random;

namespace {

template <std::size_t Size>
std::unique_ptr<storage::Page<Size>> fresh(PageType type = PageType::data) {
  auto page = std::make_unique<storage::Page<Size>>();
  page->format(type, TableId{7});
  return page;
}

template <std::size_t Size>
std::optional<std::string> tuple(const storage::Page<Size>& page, std::size_t slot) {
  const auto found = page.read(slot);
  return found ? std::optional<std::string>{std::string{text_of(*found)}} : std::nullopt;
}

/// Everything a page tells through its interface: two pages with equal contents are the same to every user.
template <std::size_t Size>
std::string content(const storage::Page<Size>& page) {
  std::string all;
  const auto add = [&](auto number) { all.append(std::to_string(number)).append(";"); };
  add(static_cast<unsigned>(page.type())), add(page.level()), add(storage::number(page.owner())), add(page.slot_count());
  add(page.ghost_count()), add(page.prefix_bytes()), add(page.link()), add(storage::number(page.newest())), add(page.free_bytes());
  for (std::size_t i = 0; i < page.slot_count(); ++i) {
    add(page.head(i));
    all.append(tuple(page, i).value_or("free")).append(";");
  }
  return all;
}

/// The slots of a page as a plain map would keep them.
template <std::size_t Size>
void heap_against_model(std::uint64_t seed, int steps) {
  Random random{seed};
  auto page = fresh<Size>();
  std::map<std::uint16_t, std::string> model;
  const auto some_slot = [&] { return std::next(model.begin(), static_cast<std::ptrdiff_t>(random.below(model.size())))->first; };
  for (int step = 0; step < steps; ++step) {
    const std::size_t limit = random.one_in(20) ? Size / 2 : random.one_in(4) ? 1 : 120;
    const std::string bytes = random.bytes(random.below(limit));
    const std::size_t free_before = page->free_bytes();
    const std::uint64_t action = random.below(10);
    if (action < 5 || model.empty()) {
      const auto slot = page->insert(bytes_of(bytes));
      REQUIRE(slot);
      const bool reuses = !model.empty() && model.size() < page->slot_count();
      if (!*slot) {
        CHECK(bytes.size() + (reuses ? 0 : 8) > free_before);
      } else {
        REQUIRE(model.count(**slot) == 0);
        model[**slot] = bytes;
      }
    } else if (action < 7) {
      const std::uint16_t slot = some_slot();
      const auto done = page->update(slot, bytes_of(bytes));
      REQUIRE(done);
      CHECK(*done == (bytes.size() <= free_before + model[slot].size()));
      if (*done) model[slot] = bytes;
    } else {
      const std::uint16_t slot = some_slot();
      REQUIRE(page->erase(slot));
      model.erase(slot);
    }
    if (random.one_in(50)) page->compact();
    REQUIRE(page->validate(PageId{1}));
    std::size_t live = 0;
    for (std::size_t slot = 0; slot < page->slot_count(); ++slot) {
      const auto expected = model.find(static_cast<std::uint16_t>(slot));
      REQUIRE(tuple(*page, slot) == (expected == model.end() ? std::nullopt : std::optional{expected->second}));
      live += expected == model.end() ? 0 : expected->second.size();
    }
    REQUIRE(page->free_bytes() == Size - PageLayout::slots - page->slot_count() * 8u - live);
  }
}

template <std::size_t Size>
void order_against_model(std::uint64_t seed, int steps) {
  Random random{seed};
  auto page = fresh<Size>(PageType::index);
  std::vector<std::pair<std::uint32_t, std::string>> model;
  for (int step = 0; step < steps; ++step) {
    const std::string bytes = random.bytes(random.below(random.one_in(20) ? Size / 3 : 90));
    const std::uint32_t head = static_cast<std::uint32_t>(random.next());
    const std::uint64_t action = random.below(10);
    if (action < 5 || model.empty()) {
      const std::size_t at = random.below(model.size() + 1);
      const bool fits = bytes.size() + 8 <= page->free_bytes();
      REQUIRE(page->insert_at(at, head, bytes_of(bytes)) == fits);
      if (fits) model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), {head, bytes});
    } else if (const std::size_t at = random.below(model.size()); action < 8) {
      const bool fits = bytes.size() <= page->free_bytes() + model[at].second.size();
      REQUIRE(page->replace_at(at, bytes_of(bytes)) == fits);
      if (fits) model[at].second = bytes;
    } else {
      page->remove_at(at);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (random.one_in(50)) page->compact();
    REQUIRE(page->validate(PageId{1}));
    REQUIRE(page->slot_count() == model.size());
    for (std::size_t i = 0; i < model.size(); ++i) {
      REQUIRE(page->head(i) == model[i].first);
      REQUIRE(tuple(*page, i) == model[i].second);
    }
  }
}

}  // namespace

TEST_CASE("a page keeps what a map would keep, whatever is inserted, updated and erased (D21)") {
  const std::uint64_t seed = aegis_test::seed(21);
  INFO(aegis_test::replay(seed, "page"));
  SUBCASE("4 KiB") { heap_against_model<4096>(seed, 3000); }
  SUBCASE("8 KiB") { heap_against_model<8192>(seed, 3000); }
  SUBCASE("64 KiB") { heap_against_model<65536>(seed, 1000); }
}

TEST_CASE("slots in order keep what a sequence would keep, heads included") {
  const std::uint64_t seed = aegis_test::seed(22);
  INFO(aegis_test::replay(seed, "page"));
  SUBCASE("4 KiB") { order_against_model<4096>(seed, 3000); }
  SUBCASE("8 KiB") { order_against_model<8192>(seed, 3000); }
  SUBCASE("64 KiB") { order_against_model<65536>(seed, 500); }
}

TEST_CASE("an empty tuple is a tuple (D21)") {
  auto page = fresh<65536>();
  REQUIRE(*page->insert({}) == 0);
  CHECK(tuple(*page, 0) == "");
  CHECK(page->validate(PageId{1}));
  REQUIRE(page->erase(0));
  CHECK_FALSE(page->read(0));
}

TEST_CASE("the room of erased tuples comes back, in bytes and in slots (D21)") {
  auto page = fresh<8192>();
  const std::string small(10, 's');
  std::vector<std::uint16_t> slots;
  for (;;) {
    const auto slot = page->insert(bytes_of(small));
    REQUIRE(slot);
    if (!*slot) break;
    slots.push_back(**slot);
  }
  CHECK(slots.size() == (8192 - 96) / 18);
  REQUIRE(page->erase(slots[3]));
  CHECK(*page->insert(bytes_of(small)) == slots[3]);
  for (const std::uint16_t slot : slots) REQUIRE(page->erase(slot));
  CHECK(page->slot_count() == 0);
  const std::string large(storage::Page<8192>::max_tuple_bytes, 'L');
  REQUIRE(*page->insert(bytes_of(large)));
  CHECK(tuple(*page, 0) == large);
  CHECK(page->free_bytes() == 0);
}

TEST_CASE("a tuple that can never fit is too large, one that does not fit now is told apart (D21)") {
  auto page = fresh<8192>();
  const std::string most(storage::Page<8192>::max_tuple_bytes, 'x');
  const auto never = page->insert(bytes_of(most + "x"));
  REQUIRE_FALSE(never);
  CHECK(never.error().code() == Errc::too_large);
  REQUIRE(*page->insert(bytes_of("x")));
  const auto later = page->insert(bytes_of(most));
  REQUIRE(later);
  CHECK_FALSE(*later);
  REQUIRE(page->update(0, bytes_of(most + "x")).error().code() == Errc::too_large);
  CHECK(*page->update(0, bytes_of(most)));
  CHECK(tuple(*page, 0) == most);
}

TEST_CASE("free, bad and absent slots are answers, not crashes") {
  auto page = fresh<8192>();
  REQUIRE(*page->insert(bytes_of("a")));
  REQUIRE(*page->insert(bytes_of("b")));
  REQUIRE(page->erase(0));
  for (const std::uint16_t slot : {std::uint16_t{0}, std::uint16_t{2}, std::uint16_t{65535}}) {
    CHECK_FALSE(page->read(slot));
    CHECK(page->erase(slot).error().code() == Errc::invalid_argument);
    CHECK(page->update(slot, bytes_of("c")).error().code() == Errc::invalid_argument);
    CHECK(page->mutable_at(slot).empty());
  }
  CHECK(tuple(*page, 1) == "b");
}

TEST_CASE("the header fields do not disturb each other") {
  auto page = fresh<8192>(PageType::index);
  REQUIRE(page->insert_at(0, 0xfeedbeef, bytes_of("tuple")));
  page->set_link(0x0123456789abcdef);
  page->set_newest(Timestamp{0xfedcba9876543210});
  page->set_prefix_bytes(513);
  page->add_ghosts(1);
  CHECK(page->type() == PageType::index);
  CHECK(page->owner() == TableId{7});
  CHECK(page->level() == 0);
  CHECK(page->link() == 0x0123456789abcdef);
  CHECK(page->newest() == Timestamp{0xfedcba9876543210});
  CHECK(page->prefix_bytes() == 513);
  CHECK(page->ghost_count() == 1);
  CHECK(page->slot_count() == 1);
  page->add_ghosts(-1);
  CHECK(page->ghost_count() == 0);
  CHECK(tuple(*page, 0) == "tuple");
  CHECK(page->head(0) == 0xfeedbeef);
  page->set_head(0, 3);
  CHECK(page->head(0) == 3);
  CHECK(tuple(*page, 0) == "tuple");
}

TEST_CASE("any one changed byte is a typed error, or the page still validates and stays usable (D21)") {
  const std::uint64_t seed = aegis_test::seed(23);
  INFO(aegis_test::replay(seed, "page"));
  Random random{seed};
  auto page = fresh<4096>();
  for (int i = 0; i < 60; ++i) REQUIRE(page->insert(bytes_of(random.bytes(random.below(80)))));
  for (std::uint16_t slot : {std::uint16_t{3}, std::uint16_t{17}, std::uint16_t{18}}) REQUIRE(page->erase(slot));
  page->copy_image(page->bytes().data());
  REQUIRE(page->validate(PageId{9}));
  const std::string before = content(*page);
  const std::size_t slots_end = PageLayout::slots + page->slot_count() * 8u;
  int refused = 0;
  for (std::size_t at = storage::block_header_bytes; at < 4096; ++at) {
    for (const unsigned change : {0x01u, 0x80u, 0xffu, 0x5au}) {
      auto broken = std::make_unique<storage::Page<4096>>(*page);
      broken->bytes()[at] ^= std::byte{static_cast<unsigned char>(change)};
      const auto valid = broken->validate(PageId{9});
      const std::string after = content(*broken);
      if (!valid) {
        CHECK(valid.error().code() == Errc::corrupt_page);
        CHECK(valid.error().id() == 9);
        ++refused;
        continue;
      }
      const bool structural = (at >= PageLayout::slot_count && at < PageLayout::ghost_count) ||
                              (at >= PageLayout::heap_begin && at < PageLayout::newest) ||
                              (at >= PageLayout::spare_a && at < PageLayout::link) || (at >= PageLayout::spare_b && at < PageLayout::slots);
      if (structural) CHECK_MESSAGE(after == before, "a change of structure at " << at << " was believed");
      // What validates can be worked on: no assertion, nothing outside the page.
      for (std::uint16_t slot = 0; slot < broken->slot_count(); slot = static_cast<std::uint16_t>(slot + 2))
        if (broken->read(slot)) REQUIRE(broken->erase(slot));
      while (*broken->insert(bytes_of("more"))) {}
      broken->compact();
      REQUIRE(broken->validate(PageId{9}));
    }
  }
  CHECK(refused > static_cast<int>(slots_end - PageLayout::slots));
}

TEST_CASE("reading random bytes as a page never leaves the page") {
  const std::uint64_t seed = aegis_test::seed(24);
  INFO(aegis_test::replay(seed, "page"));
  Random random{seed};
  auto page = std::make_unique<storage::Page<4096>>();
  for (int round = 0; round < 300; ++round) {
    for (auto& byte : page->bytes()) byte = static_cast<std::byte>(random.next());
    if (round % 2 == 0) page->bytes()[PageLayout::type] = std::byte{1};
    for (std::size_t i = 0; i < 700; ++i) {
      const auto found = page->read(i);
      if (!found) continue;
      REQUIRE(found->data() >= page->bytes().data() + PageLayout::slots);
      REQUIRE(found->data() + found->size() <= page->bytes().data() + 4096);
    }
    CHECK_FALSE(page->validate(PageId{2}));
  }
}

TEST_CASE("every unknown type byte is refused (D23)") {
  auto page = fresh<8192>();
  for (unsigned type = 0; type < 256; ++type) {
    page->bytes()[PageLayout::type] = static_cast<std::byte>(type);
    CHECK(page->validate(PageId{1}).has_value() == (type >= 1 && type <= 5));
  }
}

TEST_CASE("overlapping tuples are found, however little they share") {
  auto page = fresh<8192>();
  REQUIRE(*page->insert(bytes_of(std::string(100, 'a'))));
  REQUIRE(*page->insert(bytes_of(std::string(100, 'b'))));
  REQUIRE(page->validate(PageId{1}));
  // The second tuple starts at 8192 - 200; moved up by one it shares a byte with the first, sizes adding up as before.
  page->bytes()[PageLayout::slots + 8 + 4] = std::byte{static_cast<unsigned char>((8192 - 200 + 1) & 0xff)};
  CHECK(page->validate(PageId{1}).error().code() == Errc::corrupt_page);
}

TEST_CASE("an image carries no bytes of deleted tuples in its gap") {
  auto page = fresh<8192>();
  REQUIRE(*page->insert(bytes_of("kept")));
  REQUIRE(*page->insert(bytes_of(std::string(500, 'S'))));
  REQUIRE(page->erase(1));
  storage::Page<8192> image;
  page->copy_image(image.bytes().data());
  CHECK(content(image) == content(*page));
  CHECK(text_of(Bytes{image.bytes()}).find("SSSS") == std::string_view::npos);
}
