// SPDX-License-Identifier: Apache-2.0
// Proves that a codec keeps the numbered promises of codec/policy.hpp, in any test framework: `report` is called as
// report(std::string_view promise, bool held), at least once for each; the promise begins with its number.
// Promise 5 (no allocation sized by input) shows only to an allocator that counts; run the suite under one.
#pragma once

#include <aegis/storage/codec/policy.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <vector>

namespace aegis::storage::testing {

/// A buffer with a margin on both sides that tells whether somebody wrote there.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t size) : room_(size + 2 * margin, mark) {}
  MutableBytes bytes() { return MutableBytes{room_}.subspan(margin, room_.size() - 2 * margin); }
  bool intact() const {
    const auto marked = [](std::byte byte) { return byte == mark; };
    return std::all_of(room_.begin(), room_.begin() + margin, marked) && std::all_of(room_.end() - margin, room_.end(), marked);
  }

 private:
  static constexpr std::ptrdiff_t margin = 64;
  static constexpr std::byte mark{0xa5};
  std::vector<std::byte> room_;
};

struct CodecSuiteRandom {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }
};

/// Payloads of every character: constant, periodic, like rows of a table, random; of lengths up to the largest page.
inline std::vector<std::vector<std::byte>> codec_samples(std::uint64_t seed) {
  std::vector<std::vector<std::byte>> samples;
  CodecSuiteRandom random{seed};
  for (const std::size_t size : std::initializer_list<std::size_t>{1, 2, 3, 7, 12, 13, 64, 255, 256, 1000, 4048, 8144, 16336, 65488}) {
    for (int character = 0; character < 4; ++character) {
      std::vector<std::byte>& sample = samples.emplace_back(size);
      for (std::size_t i = 0; i < size; ++i) {
        if (character == 1) sample[i] = static_cast<std::byte>(i % 7);
        if (character == 2) sample[i] = static_cast<std::byte>(i % 16 < 10 ? i / 64 : random.next() % 10);
        if (character == 3) sample[i] = static_cast<std::byte>(random.next());
      }
    }
  }
  return samples;
}

template <CodecPolicy Codec>
struct CodecVerdict {
  bool round_trip = true, bound_suffices = true, inside = true, exact = true, hostile = true;

  void try_sample(const Codec& codec, Bytes raw, CodecSuiteRandom& random) {
    GuardedBuffer packed(codec.bound(raw.size())), again(raw.size());
    const std::size_t used = codec.compress(raw, packed.bytes());
    inside = inside && packed.intact() && used <= packed.bytes().size();
    if (Codec::id == CodecId::none) return;
    bound_suffices = bound_suffices && used != 0;
    if (used == 0 || used > packed.bytes().size()) return;
    const Bytes stored = packed.bytes().first(used);
    round_trip = round_trip && codec.decompress(stored, again.bytes()) && std::equal(raw.begin(), raw.end(), again.bytes().begin());
    inside = inside && again.intact();
    try_less_room(codec, raw, used, random);
    try_other_sizes(codec, raw.size(), stored);
    try_damage(codec, raw.size(), stored, random);
  }

  void try_less_room(const Codec& codec, Bytes raw, std::size_t used, CodecSuiteRandom& random) {
    for (const std::size_t room : {std::size_t{0}, std::size_t{1}, used / 2, used - 1, random.next() % used}) {
      GuardedBuffer packed(room);
      const std::size_t fitted = codec.compress(raw, packed.bytes());
      inside = inside && packed.intact() && fitted <= room;
    }
  }

  void try_other_sizes(const Codec& codec, std::size_t size, Bytes stored) {
    for (const std::size_t wrong : {std::size_t{0}, std::size_t{1}, size / 2, size - 1, size + 1, 2 * size}) {
      if (wrong == size) continue;
      GuardedBuffer raw(wrong);
      exact = exact && !codec.decompress(stored, raw.bytes());
      inside = inside && raw.intact();
    }
  }

  /// Damaged input may happen to decode; it must never be told to have done so without a full buffer, nor write elsewhere.
  void try_damage(const Codec& codec, std::size_t size, Bytes stored, CodecSuiteRandom& random) {
    for (int round = 0; round < 64; ++round) {
      std::vector<std::byte> damaged(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(random.next() % (stored.size() + 1)));
      const bool cut = damaged.size() < stored.size();
      GuardedBuffer raw(size);
      if (cut) exact = exact && !codec.decompress(damaged, raw.bytes());
      for (std::uint64_t n = random.next() % 4; n != 0 && !damaged.empty(); --n) damaged[random.next() % damaged.size()] = static_cast<std::byte>(random.next());
      static_cast<void>(codec.decompress(damaged, raw.bytes()));
      hostile = hostile && raw.intact();
    }
  }
};

template <CodecPolicy Codec, class Report>
void check_codec(Report&& report, std::uint64_t seed = 1) {
  const Codec codec{};
  CodecVerdict<Codec> verdict;
  CodecSuiteRandom random{seed};
  for (const std::vector<std::byte>& sample : codec_samples(seed)) verdict.try_sample(codec, sample, random);
  bool noise = true;
  for (int round = 0; round < 4096; ++round) {
    std::vector<std::byte> stored(random.next() % 80);
    for (std::byte& byte : stored) byte = static_cast<std::byte>(random.next());
    GuardedBuffer raw(random.next() % 300);
    static_cast<void>(codec.decompress(stored, raw.bytes()));
    noise = noise && raw.intact();
  }
  std::byte some[16]{};
  const bool empty_in = codec.compress({}, some) == 0;
  const bool empty_out = !codec.decompress(some, {}) && !codec.decompress({}, {}) && !codec.decompress({}, some);
  constexpr auto id = static_cast<unsigned>(Codec::id);
  report("1. what compress makes, decompress turns back into the same bytes", verdict.round_trip);
  report("2. compress succeeds with bound() bytes of room", verdict.bound_suffices);
  report("3. nothing is written outside the buffers", verdict.inside);
  report("4. decompress is true only for exactly as many bytes as were compressed, and for all of the input", verdict.exact);
  report("4. damaged input never writes outside the buffer", verdict.hostile);
  report("5. noise, whatever size it declares, costs the buffer at most", noise);
  report("6. an empty payload is never compressed", empty_in && empty_out);
  report("7. the name has one to eight characters", !std::string_view{Codec::name}.empty() && std::string_view{Codec::name}.size() <= 8);
  report("7. the id is one of ours under its own name, or 128 or more", id >= 128 || name_of(Codec::id) == std::string_view{Codec::name});
}

}  // namespace aegis::storage::testing
