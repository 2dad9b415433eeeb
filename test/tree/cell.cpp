// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/tree/cell.hpp>

#include "support/random.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace aegis::storage;
using aegis_test::Random;

TEST_CASE("a leaf row of every kind survives encoding") {
  std::byte room[2000];
  std::byte reference[OverflowRef::encoded_bytes];
  const OverflowRef ref{PageId{0x123456789abc}, 1u << 30};
  ref.encode(reference);
  for (const StoredValue& value : {StoredValue{RowKind::in_place, "value"}, StoredValue{RowKind::in_place, ""}, StoredValue{RowKind::ghost, ""},
                                   StoredValue{RowKind::overflow, text_of(Bytes{reference})}}) {
    for (const std::string& suffix : {std::string{}, std::string{"s"}, std::string(700, 'x')}) {
      const LeafCell cell{suffix, value};
      const Bytes tuple = cell.encode(room);
      CHECK(tuple.size() == cell.tuple_bytes());
      const auto back = LeafCell::decode(tuple);
      REQUIRE(back);
      CHECK(back->suffix == suffix);
      CHECK(back->value.kind == value.kind);
      CHECK(back->value.bytes == value.bytes);
    }
  }
  CHECK(OverflowRef::decode(reference) == ref);
}

TEST_CASE("any bytes decode to something inside them or to nothing") {
  Random random{aegis_test::seed(1)};
  for (int i = 0; i < 20'000; ++i) {
    std::string tuple = random.bytes(random.below(40));
    if (tuple.size() > 2 && random.one_in(2)) tuple[2] = '\0', tuple[0] = static_cast<char>(random.below(4));
    const auto cell = LeafCell::decode(bytes_of(tuple));
    if (!cell) continue;
    CHECK(cell->tuple_bytes() == tuple.size());
    CHECK(cell->value.kind != RowKind::absent);
    if (cell->value.kind == RowKind::overflow) CHECK(cell->value.bytes.size() == OverflowRef::encoded_bytes);
    if (cell->value.kind == RowKind::ghost) CHECK(cell->value.bytes.empty());
  }
}
