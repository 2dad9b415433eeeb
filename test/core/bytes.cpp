#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/ids.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>

using namespace aegis::storage;

TEST_CASE("keys are ordered by unsigned bytes, a beginning before what it begins") {
  const std::string order[] = {"", std::string(1, '\0'), "a", "a" + std::string(1, '\0'), "ab", "b", "\x7f", "\x80", "\xff", "\xff\xff"};
  for (std::size_t i = 0; i < std::size(order); ++i)
    for (std::size_t j = 0; j < std::size(order); ++j) {
      CAPTURE(i);
      CAPTURE(j);
      CHECK(compare_keys(order[i], order[j]) == (i <=> j));
    }
}

TEST_CASE("numbers at rest are little endian at any alignment") {
  std::array<std::byte, 9> bytes{};
  store_le(bytes.data() + 1, std::uint64_t{0x0102030405060708});
  for (std::size_t i = 0; i < 8; ++i) CHECK(std::to_integer<unsigned>(bytes[i + 1]) == 8 - i);
  CHECK(load_le<std::uint64_t>(bytes.data() + 1) == 0x0102030405060708);
  CHECK(load_le<std::uint16_t>(bytes.data() + 1) == 0x0708);
  CHECK(load_be<std::uint32_t>(bytes.data() + 1) == 0x08070605);
  CHECK(load_be<std::uint8_t>(bytes.data() + 1) == 8);
  CHECK(swap_bytes(std::uint32_t{0x01020304}) == 0x04030201);
}

TEST_CASE("text and bytes are the same memory") {
  const std::string text = "ab";
  CHECK(text_of(bytes_of(text)) == text);
  CHECK(bytes_of(text).data() == reinterpret_cast<const std::byte*>(text.data()));
  std::array<std::byte, 2> to{};
  copy_bytes(to, bytes_of(text));
  copy_bytes(to, {});
  CHECK(text_of(to) == text);
}

TEST_CASE("ids count in their own units") {
  CHECK(Lsn{10} + 5 == Lsn{15});
  CHECK(Lsn{15} - Lsn{10} == 5);
  CHECK(next(Timestamp{1}) == Timestamp{2});
  CHECK(block_of(PageId{9}) == BlockId{9});
}
