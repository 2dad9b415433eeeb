// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/checksum/policy.hpp>
#include <aegis/storage/testing/checksum_suite.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace aegis::storage;

namespace {

struct UsersChecksum {
  static constexpr Axis axis = Axis::checksum;
  static constexpr std::string_view name = "mine";
  static constexpr ChecksumKind kind{200};
  std::uint64_t operator()(Bytes bytes) const noexcept { return Crc32cChecksum{}(bytes) + bytes.size(); }
};
struct WithoutAxis {
  [[maybe_unused]] static constexpr std::string_view name = "mine";
  [[maybe_unused]] static constexpr ChecksumKind kind{200};
  std::uint64_t operator()(Bytes) const noexcept { return 0; }
};
struct MayThrow : UsersChecksum {
  std::uint64_t operator()(Bytes) const { return 0; }
};
struct WithState : UsersChecksum {
  int state = 0;
};
struct TooNarrow : UsersChecksum {
  std::uint32_t operator()(Bytes) const noexcept { return 0; }
};

static_assert(ChecksumPolicy<UsersChecksum>);
static_assert(!ChecksumPolicy<WithoutAxis> && !ChecksumPolicy<MayThrow> && !ChecksumPolicy<WithState> && !ChecksumPolicy<TooNarrow>);
static_assert(!ChecksumPolicy<int>);

/// Looks at the first byte only, so it breaks the promises about changes and lengths, and no other.
struct FirstByteChecksum : UsersChecksum {
  std::uint64_t operator()(Bytes bytes) const noexcept { return bytes.empty() ? 7 : std::to_integer<std::uint64_t>(bytes[0]) + 1; }
};

std::string broken_promises(auto suite) {
  std::string broken;
  suite([&](std::string_view promise, bool held) {
    if (!held) broken.push_back(promise.front());
  });
  return broken;
}

}  // namespace

TEST_CASE("a user's checksum that keeps the promises passes the conformance suite") {
  CHECK(broken_promises([](auto report) { testing::check_checksum<UsersChecksum>(report); }).empty());
}

TEST_CASE("the conformance suite names the promises that a bad checksum breaks") {
  CHECK(broken_promises([](auto report) { testing::check_checksum<FirstByteChecksum>(report); }) == "45");
}
