// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/posix.hpp>

#include <doctest/doctest.h>

#include <set>
#include <type_traits>

using namespace aegis::storage;

TEST_CASE("the files of the system cost nothing to hold and give bits that do not repeat") {
  static_assert(FilePolicy<PosixFiles> && std::is_empty_v<PosixFiles>);
  std::set<std::uint64_t> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(PosixFiles{}.entropy());
  CHECK(drawn.size() == 1000);
}
