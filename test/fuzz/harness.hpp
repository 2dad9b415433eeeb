// SPDX-License-Identifier: Apache-2.0
// What the fuzz harnesses share. A harness is a struct with
//   name                      also the folder of its seeds;
//   run(Bytes)                takes any bytes; throws Violation when the library broke a promise;
//   mutate(Data&, Dice&)      changes an input where it matters, and makes checksums right again;
//   fragile                   optional: the fuzzer makes few changes at once;
//   seeds() -> vector<Data>   where fuzzing begins; make_seeds.cpp writes them to seeds/<name>/.
// libFuzzer drives them through driver.hpp, the ordinary test suite through replay.hpp.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/endian.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/testing/dice.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace aegis_fuzz {

using namespace aegis::storage;
using aegis::storage::testing::Dice;
using Data = std::vector<std::byte>;

struct Violation {
  std::string what;
};
inline void require(bool held, std::string_view promise) {
  if (!held) throw Violation{std::string{promise}};
}
inline void require_one_of(const Error& error, std::initializer_list<Errc> allowed, const char* of) {
  for (const Errc code : allowed)
    if (error.code() == code) return;
  throw Violation{std::string{of} + ": an error that it may not give: " + error.message()};
}

/// An input taken apart; what it lacks is zero.
class Input {
 public:
  explicit Input(Bytes bytes) : rest_(bytes) {}

  template <class Number>
  Number take() {
    std::byte raw[sizeof(Number)] = {};
    copy_bytes(raw, bytes(sizeof(Number)));
    return load_le<Number>(raw);
  }
  std::uint8_t byte() { return take<std::uint8_t>(); }
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : take<std::uint16_t>() % bound; }
  /// Fewer where the input ends.
  Bytes bytes(std::size_t count) {
    const Bytes taken = rest_.first(count < rest_.size() ? count : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::string text(std::size_t count) { return std::string{text_of(bytes(count))}; }
  std::size_t left() const { return rest_.size(); }
  bool empty() const { return rest_.empty(); }

 private:
  Bytes rest_;
};

/// An input put together.
class Output {
 public:
  template <class Number>
  Output& put(Number number) {
    std::byte raw[sizeof(Number)];
    store_le(raw, number);
    return put_bytes(raw);
  }
  Output& byte(std::uint8_t value) { return put(value); }
  Output& put_bytes(Bytes bytes) {
    data.insert(data.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Output& put_text(std::string_view text) { return put_bytes(bytes_of(text)); }

  Data data;
};

/// A number of the kind that breaks things, or any.
inline std::uint64_t hostile_number(Dice& dice, std::uint64_t now) {
  constexpr std::uint64_t known[] = {0, 1, 2, 3, 4, 7, 8, 47, 48, 95, 96, 97, 127, 128, 255, 256, 511, 512, 4095, 4096, 0x7fff, 0x8000, 0xffff, 0x10000, (std::uint64_t{1} << 31) - 1,
                                     std::uint64_t{1} << 31, 0xffffffff, std::uint64_t{1} << 32, std::uint64_t{1} << 40, std::uint64_t{1} << 48, std::uint64_t{1} << 63, ~std::uint64_t{0}};
  switch (dice.below(5)) {
    case 0: return known[dice.below(std::size(known))];
    case 1: return now + 1 + dice.below(8);
    case 2: return now - 1 - dice.below(8);
    case 3: return now ^ std::uint64_t{1} << dice.below(64);
    default: return dice.next();
  }
}

/// Another number in the `width` bytes (1, 2, 4 or 8) at `at`, if they are there.
inline void mutate_field(MutableBytes bytes, std::size_t at, std::size_t width, Dice& dice) {
  if (at > bytes.size() || bytes.size() - at < width) return;
  std::byte raw[8] = {};
  copy_bytes(raw, bytes.subspan(at, width));
  store_le(raw, hostile_number(dice, load_le<std::uint64_t>(raw)));
  copy_bytes(bytes.subspan(at, width), Bytes{raw}.first(width));
}

/// Blind changes: bits, bytes, numbers, pieces removed, doubled, moved and made up.
inline void mutate_bytes(Data& data, Dice& dice, std::size_t limit = 64 << 10) {
  const auto some = [&] { return data.begin() + static_cast<std::ptrdiff_t>(dice.below(data.size() + 1)); };
  if (data.empty()) return data.push_back(static_cast<std::byte>(dice.next()));
  switch (dice.below(8)) {
    case 0: data[dice.below(data.size())] ^= static_cast<std::byte>(1u << dice.below(8)); return;
    case 1: data[dice.below(data.size())] = static_cast<std::byte>(dice.next()); return;
    case 2:
    case 3: return mutate_field(data, dice.below(data.size()), std::size_t{1} << dice.below(4), dice);
    case 4: {
      auto from = some(), to = some();
      if (to < from) std::swap(from, to);
      if (to - from > 64) to = from + static_cast<std::ptrdiff_t>(dice.below(64));
      data.erase(from, to);
      return;
    }
    case 5: {
      const std::size_t from = dice.below(data.size()), count = 1 + dice.below(data.size() - from < 64 ? data.size() - from : 64);
      const Data piece(data.begin() + static_cast<std::ptrdiff_t>(from), data.begin() + static_cast<std::ptrdiff_t>(from + count));
      if (data.size() + count <= limit) data.insert(some(), piece.begin(), piece.end());
      return;
    }
    case 6: {
      Data piece(1 + dice.below(16));
      for (std::byte& byte : piece) byte = static_cast<std::byte>(dice.next());
      if (data.size() + piece.size() <= limit) data.insert(some(), piece.begin(), piece.end());
      return;
    }
    default: {
      const std::size_t from = dice.below(data.size()), to = dice.below(data.size());
      const std::size_t count = dice.below(1 + data.size() - (from > to ? from : to));
      std::memmove(data.data() + to, data.data() + from, count);
    }
  }
}

}  // namespace aegis_fuzz
