// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/testing/backend_model.hpp>
#include <aegis/storage/testing/backend_suite.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"
#include "support/promises.hpp"
#include "support/random.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

struct LocalPlace {
  TemporaryDirectory directory;

  void fresh() { directory.clear(); }
  Result<LocalBackend> open() { return LocalBackend::open({.directory = directory / "store"}); }
};

}  // namespace

static_assert(SealableBackend<LocalBackend> && PinnableBackend<LocalBackend> && ReservableBackend<LocalBackend>);
static_assert(TrimmableBackend<LocalBackend> && SparingLog<LocalBackend::Log> && OpensFromOptions<LocalBackend>);

TEST_CASE("LocalBackend keeps the promises of a backend") {
  static const Promises promises = promises_of([](auto report) {
    LocalPlace place;
    testing::backend_suite(place, report, seed(1));
  });
  check_promises(promises);
}

TEST_CASE("a store equals its model through random work, pins and reopening, and so do its totals") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_backend_local"));
  LocalPlace place;
  testing::BackendSuiteRandom random{from};
  testing::BackendState state;
  for (int life = 0; life < 8; ++life) {
    auto backend = place.open().value();
    testing::BackendModel model(backend, state);
    REQUIRE(model.holds_now());
    REQUIRE(testing::change_at_random(model, random, 400, 2000));
    REQUIRE(model.holds_now());
    std::uint64_t bytes = 0;
    for (const auto& [id, content] : model.now()) bytes += content.size();
    CHECK(backend.stats().blocks == model.now().size());
    CHECK(backend.stats().stored_bytes == bytes);
    state = model.published();
  }
}

TEST_CASE("readers see whole blocks while writers replace them and syncs and pins come and go") {
  LocalPlace place;
  auto backend = place.open().value();
  constexpr std::uint64_t blocks = 64;
  const auto content = [](std::uint64_t id, std::uint64_t n) { return std::string(100 + (id * 131 + n * 17) % 9000, static_cast<char>('a' + (id + n) % 26)); };
  for (std::uint64_t id = 0; id < blocks; ++id) REQUIRE(backend.write(BlockId{id}, bytes_of(content(id, 0))));
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t n = 1; !done; ++n)
        for (std::uint64_t id = t; id < blocks; id += 2)
          if (!backend.write(BlockId{id}, bytes_of(content(id, n)))) ++wrong;
    });
  for (std::uint64_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      Random random{t};
      std::string room(10'000, '\0');
      while (!done) {
        const auto got = backend.read(BlockId{random.below(blocks)}, {reinterpret_cast<std::byte*>(room.data()), room.size()});
        if (!got || room.find_first_not_of(room[0]) < *got) ++wrong;
      }
    });
  for (int round = 0; round < 40; ++round) {
    CHECK(backend.sync());
    auto pin = backend.pin();
    REQUIRE(pin);
    std::uint64_t listed = 0;
    CHECK(pin->for_each([&](BlockId, std::size_t) { ++listed; }));
    CHECK(listed == blocks);
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a store opened for reading is read, refuses every change, and is not made") {
  TemporaryDirectory directory;
  CHECK_FALSE(LocalBackend::open({.directory = directory / "none", .read_only = true}));
  {
    auto backend = LocalBackend::open({.directory = directory / "store"}).value();
    REQUIRE(backend.write(BlockId{1}, bytes_of("kept")));
    REQUIRE(backend.sync());
  }
  auto backend = LocalBackend::open({.directory = directory / "store", .read_only = true}).value();
  CHECK(testing::holds(backend, {{BlockId{1}, "kept"}}));
  CHECK(backend.write(BlockId{1}, {}).error().code() == Errc::read_only);
  CHECK(backend.erase(BlockId{1}).error().code() == Errc::read_only);
  CHECK(backend.sync().error().code() == Errc::read_only);
  CHECK(backend.reserve(1).error().code() == Errc::read_only);
}

TEST_CASE("small blocks share units") {
  LocalPlace place;
  auto backend = place.open().value();
  for (std::uint64_t id = 0; id < 8192; ++id) REQUIRE(backend.write(BlockId{id}, bytes_of(std::string(1024, 'x'))));
  REQUIRE(backend.sync());
  CHECK(backend.stats().file_bytes < 3 * 8192 * 1024);
}
