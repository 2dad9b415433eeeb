// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/buffer/translation.hpp>

#include <doctest/doctest.h>

using namespace aegis::storage;

TEST_CASE("every id has its own entry, near and far, and finding makes no room") {
  TranslationTable table;
  REQUIRE(table.open());
  constexpr std::uint64_t chunk = TranslationTable::entries_per_chunk;
  const PageId ids[] = {PageId{0}, PageId{1}, PageId{chunk - 1}, PageId{chunk}, PageId{TranslationTable::max_pages - 1}};
  for (const PageId id : ids) CHECK_FALSE(table.find(id));
  CHECK(table.memory_bytes() == 0);
  FrameIndex frame = 0;
  for (const PageId id : ids) {
    REQUIRE(table.ensure(id));
    CHECK_FALSE(table.find(id));
    table.set(id, frame++);
  }
  frame = 0;
  for (const PageId id : ids) CHECK(table.find(id) == frame++);
  CHECK(table.memory_bytes() >= 3 * TranslationTable::chunk_bytes);
  table.clear(ids[2]);
  CHECK_FALSE(table.find(ids[2]));
  CHECK(table.find(ids[1]) == FrameIndex{1});
}

TEST_CASE("an id beyond the address space is not found and gets no room") {
  TranslationTable table;
  REQUIRE(table.open());
  for (const std::uint64_t id : {TranslationTable::max_pages, ~std::uint64_t{0}}) {
    CHECK_FALSE(table.find(PageId{id}));
    CHECK(table.ensure(PageId{id}).error().code() == Errc::too_large);
  }
}
