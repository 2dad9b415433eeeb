// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/codec/policy.hpp>
#include <aegis/storage/testing/codec_suite.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace aegis::storage;

namespace {

/// Run lengths: pairs of count and byte.
struct RunCodec {
  static constexpr Axis axis = Axis::codec;
  static constexpr std::string_view name = "runs";
  static constexpr CodecId id{128};

  std::size_t bound(std::size_t raw) const noexcept { return 2 * raw; }
  std::size_t compress(Bytes raw, MutableBytes to) const noexcept {
    std::size_t used = 0;
    for (std::size_t i = 0; i < raw.size();) {
      std::size_t run = 1;
      while (run < 255 && i + run < raw.size() && raw[i + run] == raw[i]) ++run;
      if (to.size() - used < 2) return 0;
      to[used++] = static_cast<std::byte>(run);
      to[used++] = raw[i];
      i += run;
    }
    return used;
  }
  bool decompress(Bytes stored, MutableBytes raw) const noexcept {
    std::size_t made = 0;
    for (; stored.size() >= 2; stored = stored.subspan(2)) {
      const auto run = std::to_integer<std::size_t>(stored[0]);
      if (run == 0 || run > raw.size() - made) return false;
      for (std::size_t i = 0; i < run; ++i) raw[made++] = stored[1];
    }
    return stored.empty() && !raw.empty() && made == raw.size();
  }
};

/// Takes what it gets: says yes to short input.
struct CredulousCodec : RunCodec {
  bool decompress(Bytes stored, MutableBytes raw) const noexcept {
    static_cast<void>(RunCodec::decompress(stored, raw));
    return !raw.empty() && !stored.empty();
  }
};
struct WithoutId {
  [[maybe_unused]] static constexpr Axis axis = Axis::codec;
  [[maybe_unused]] static constexpr std::string_view name = "mine";
  std::size_t bound(std::size_t) const noexcept { return 0; }
  std::size_t compress(Bytes, MutableBytes) const noexcept { return 0; }
  bool decompress(Bytes, MutableBytes) const noexcept { return false; }
};
struct MayThrow : RunCodec {
  bool decompress(Bytes, MutableBytes) const { return false; }
};
struct OnAnotherAxis : RunCodec {
  static constexpr Axis axis = Axis::cipher;
};

static_assert(CodecPolicy<RunCodec>);
static_assert(!CodecPolicy<WithoutId> && !CodecPolicy<MayThrow> && !CodecPolicy<OnAnotherAxis> && !CodecPolicy<int>);

std::string broken_promises(auto suite) {
  std::string broken;
  suite([&](std::string_view promise, bool held) {
    if (!held) broken.push_back(promise.front());
  });
  return broken;
}

}  // namespace

TEST_CASE("a user's codec that keeps the promises passes the conformance suite") {
  CHECK(broken_promises([](auto report) { testing::check_codec<RunCodec>(report); }).empty());
}

TEST_CASE("the conformance suite names the promise that a credulous codec breaks") {
  CHECK(broken_promises([](auto report) { testing::check_codec<CredulousCodec>(report); }) == "4");
}
