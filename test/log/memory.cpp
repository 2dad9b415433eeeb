// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/log/memory.hpp>
#include <aegis/storage/testing/log_suite.hpp>

#include <doctest/doctest.h>

#include "support/promises.hpp"

#include <string>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

constexpr LogOptions small_log(bool process_durable) {
  return {.identity = {7, 8}, .max_bytes = 512 << 10, .segment_bytes = 32 << 10, .process_durable = process_durable, .start = Lsn{3 * 4096}};
}

struct MemoryPlace {
  MemoryDisk disk;

  void fresh() { disk = MemoryDisk{{.unit_bytes = 4096}}; }
  Result<MemoryLog> open(const LogOptions& options) { return MemoryLog::open(disk, options); }
  void power_cut() { disk.crash(); }
};

template <bool process_durable>
const Promises& proved() {
  static const Promises promises = promises_of([](auto report) {
    MemoryPlace place;
    testing::log_suite(place, small_log(process_durable), report);
  });
  return promises;
}

}  // namespace

static_assert(LogPolicy<MemoryLog>);

TEST_CASE("MemoryLog keeps the promises of a log") { check_promises(proved<false>()); }

TEST_CASE("MemoryLog keeps the promises of a process-durable log") { check_promises(proved<true>()); }

TEST_CASE("a log that was cut far beyond its end takes no memory for the gap") {
  MemoryDisk disk;
  auto log = MemoryLog::open(disk, {.max_bytes = 1 << 20, .create = true}).value();
  REQUIRE(log.append(bytes_of(std::string(1024, 'a'))));
  const Lsn far{std::uint64_t{1} << 50};
  REQUIRE(log.cut(far));
  CHECK(log.begin() == far);
  CHECK(log.end() == far);
  CHECK(log.used_bytes() == 0);
  CHECK(log.append(bytes_of(std::string(512, 'b'))));
}

TEST_CASE("a log longer than a bound that was lowered since keeps its bytes when it is cut") {
  MemoryDisk disk;
  const std::string bytes(64 << 10, 'a');
  {
    auto log = MemoryLog::open(disk, {.max_bytes = 1 << 20, .create = true}).value();
    REQUIRE(log.append(bytes_of(bytes)));
    REQUIRE(log.sync());
  }
  auto log = MemoryLog::open(disk, {.max_bytes = 32 << 10}).value();
  REQUIRE(log.cut(Lsn{bytes.size() - 512}));
  CHECK(log.begin() == Lsn{0});
  std::string read(1024, ' ');
  CHECK(log.read(Lsn{0}, {reinterpret_cast<std::byte*>(read.data()), read.size()}).value() == read.size());
  CHECK(read == bytes.substr(0, read.size()));
  CHECK(log.reserve(512).error().code() == Errc::busy);
  CHECK(log.append(bytes_of(std::string(512, 'b'))));  // a recovery's own frames find room until it can drop the rest
}

TEST_CASE("the log of a published store is not made anew") {
  MemoryDisk disk;
  auto medium = disk.medium();
  const auto life = medium->open_backend().value();
  REQUIRE(medium->sync(life));
  { REQUIRE(MemoryLog::open(disk, {.create = true})); }
  CHECK(MemoryLog::open(disk, {.create = true}).error().code() == Errc::busy);
  CHECK(MemoryLog::open(disk, {}));
}
