// SPDX-License-Identifier: Apache-2.0
// Proves that a checksum keeps the numbered promises of checksum/policy.hpp, in any test framework: `report` is called
// as report(std::string_view promise, bool held), at least once for each; the promise begins with its number.
#pragma once

#include <aegis/storage/checksum/policy.hpp>

#include <cstddef>
#include <vector>

namespace aegis::storage::testing {

/// `size` bytes that look random and are the same everywhere.
inline std::vector<std::byte> checksum_sample(std::size_t size) {
  std::vector<std::byte> sample(size);
  std::uint64_t state = 0x9e3779b97f4a7c15 + size;
  for (std::byte& byte : sample) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56);
  }
  return sample;
}

/// Lengths around every step that an implementation may take: words, vectors, stripes, streams, a page.
inline constexpr std::size_t checksum_sizes[] = {0,   1,   2,   3,   4,   7,   8,   9,   15,  16,   17,   31,   33,   63,   64,   65,   127,  128,
                                                 129, 240, 241, 255, 256, 257, 767, 768, 769, 1023, 1025, 6143, 6144, 6145, 8144, 8192, 65536};

template <ChecksumPolicy Checksum>
bool finds_changed_bits(Bytes sample) {
  const Checksum checksum{};
  const std::uint64_t value = checksum(sample);
  std::vector<std::byte> changed(sample.begin(), sample.end());
  const std::size_t step = (sample.size() * 8 / 4096) | 1;  // odd, so that every bit of a byte has its turn
  for (std::size_t bit = 0; bit < sample.size() * 8; bit += step) {
    changed[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    if (checksum(changed) == value) return false;
    changed[bit / 8] = sample[bit / 8];
  }
  return true;
}

template <ChecksumPolicy Checksum>
bool finds_changed_lengths(Bytes sample) {
  const Checksum checksum{};
  const std::uint64_t value = checksum(sample);
  for (std::size_t cut = 1; cut <= 16 && cut <= sample.size(); ++cut)
    if (checksum(sample.first(sample.size() - cut)) == value) return false;
  std::vector<std::byte> longer(sample.begin(), sample.end());
  for (std::size_t more = 1; more <= 16; ++more) {
    longer.push_back(std::byte{0});
    if (checksum(longer) == value) return false;
  }
  return true;
}

template <ChecksumPolicy Checksum, class Report>
void check_checksum(Report&& report) {
  const Checksum checksum{};
  bool same = true, aligned = true, bounded = true, bits = true, lengths = true;
  for (const std::size_t size : checksum_sizes) {
    const std::vector<std::byte> sample = checksum_sample(size);
    const std::uint64_t value = checksum(sample);
    same = same && checksum(sample) == value && Checksum{}(std::vector<std::byte>(sample)) == value;
    for (std::size_t shift = 1; shift < 17; ++shift) {
      std::vector<std::byte> room(size + 2 * shift, static_cast<std::byte>(shift * 37));
      copy_bytes(MutableBytes{room}.subspan(shift), sample);
      aligned = aligned && checksum(Bytes{room}.subspan(shift, size)) == value;
      room.front() = room.back() = std::byte{0xff};
      bounded = bounded && checksum(Bytes{room}.subspan(shift, size)) == value;
    }
    bits = bits && finds_changed_bits<Checksum>(sample);
    lengths = lengths && finds_changed_lengths<Checksum>(sample);
  }
  constexpr bool none = Checksum::kind == ChecksumKind::none;
  constexpr auto kind = static_cast<unsigned>(Checksum::kind);
  report("1. equal bytes give equal checksums, from every instance", same);
  report("2. the bytes may stand at any alignment and have any length", aligned);
  report("3. nothing outside the bytes matters", bounded);
  report("4. unless the kind is none, one changed bit gives another checksum", none || bits);
  report("5. unless the kind is none, bytes cut short or lengthened by zeros give another checksum", none || lengths);
  report("6. the kind is none exactly when every checksum is 0", none == (checksum(checksum_sample(64)) == 0 && checksum(checksum_sample(65)) == 0));
  report("6. the kind is one of ours under its own name, or 128 or more", kind >= 128 || (!name_of(Checksum::kind).empty() && name_of(Checksum::kind) == Checksum::name));
  report("7. the name has one to eight characters", !std::string_view{Checksum::name}.empty() && std::string_view{Checksum::name}.size() <= 8);
}

}  // namespace aegis::storage::testing
