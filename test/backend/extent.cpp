// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/backend/extent.hpp>
#include <aegis/storage/testing/backend_model.hpp>
#include <aegis/storage/testing/backend_suite.hpp>

#include <doctest/doctest.h>

#include "log/crash_files.hpp"
#include "support/promises.hpp"
#include "support/random.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using SimulatedBackend = ExtentBackend<CrashFiles>;

/// Sectors that were not synced are lost by the toss of a coin.
template <bool direct>
struct SimulatedPlace {
  static constexpr bool one_thread = true, any_opener = true, fixed_ids = true;
  CrashDisk disk;
  Random random{seed(7)};

  void fresh() {
    disk = CrashDisk{};
    disk.direct_works = direct;
  }
  Result<SimulatedBackend> open() { return SimulatedBackend::open(CrashFiles{&disk}, {.directory = "store"}); }
  void power_cut() {
    disk.revive();
    disk.power_cut(random);
  }
  void fail_next_change() { disk.fail_next = true; }
  void die_at_change(std::uint64_t n) { disk.die_at = n == 0 ? 0 : disk.calls + n; }
  void limit_room(std::uint64_t bytes) { disk.room_bytes = bytes; }
};

template <bool direct>
const Promises& proved() {
  static const Promises promises = promises_of([](auto report) {
    SimulatedPlace<direct> place;
    testing::backend_suite(place, report, seed(1));
  });
  return promises;
}

Result<SimulatedBackend> open(CrashDisk& disk) { return SimulatedBackend::open(CrashFiles{&disk}, {.directory = "store"}); }
std::vector<std::byte>& data_of(CrashDisk& disk) { return disk.now.find("data")->second->now; }
Errc failure(CrashDisk& disk) {
  auto opened = open(disk);
  REQUIRE_FALSE(opened);
  return opened.error().code();
}

}  // namespace

TEST_CASE("ExtentBackend keeps the promises of a backend with direct I/O") { check_promises(proved<true>()); }

TEST_CASE("ExtentBackend keeps the promises of a backend through the page cache") { check_promises(proved<false>()); }

TEST_CASE("a crash while the store is made leaves a store that opens, or one that was never there") {
  for (std::uint64_t n = 1; n < 40; ++n) {
    CAPTURE(n);
    CrashDisk disk;
    Random random{n};
    disk.die_at = n;
    { auto opened = open(disk); }
    disk.revive();
    disk.power_cut(random);
    auto backend = open(disk);
    REQUIRE(backend);
    CHECK(backend->is_new());
    CHECK(testing::holds(*backend, {}));
  }
}

TEST_CASE("sync of one changed block among 10,000 does a constant number of writes") {
  CrashDisk disk;
  auto backend = open(disk).value();
  for (std::uint64_t id = 0; id < 10'000; ++id) REQUIRE(backend.write(BlockId{id}, bytes_of("block " + std::to_string(id))));
  REQUIRE(backend.sync());
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{5'000}, std::uint64_t{9'999}}) {
    const std::uint64_t before = disk.calls;
    REQUIRE(backend.write(BlockId{id}, bytes_of("changed")));
    REQUIRE(backend.sync());
    CHECK(disk.calls - before <= 10);  // the block, its path in the map, sync, two superblocks, sync; the file may grow or shrink
  }
  const std::uint64_t before = disk.calls;
  REQUIRE(backend.sync());
  CHECK(disk.calls == before);
}

TEST_CASE("a log without its data file, and a data file without a superblock, are corrupt_block and never made anew") {
  CrashDisk disk;
  {
    auto backend = open(disk).value();
    REQUIRE(backend.open_log({.max_bytes = 1 << 20, .create = true}));
    REQUIRE(backend.write(BlockId{1}, bytes_of("kept")));
    REQUIRE(backend.sync());
  }
  const auto data = disk.now.extract("data");
  CHECK(failure(disk) == Errc::corrupt_block);
  disk.now["data"] = std::make_shared<CrashDisk::Inode>();
  CHECK(failure(disk) == Errc::corrupt_block);
  CHECK(data_of(disk).empty());
}

TEST_CASE("one generation survives in either of its two superblocks, an older one when both are torn") {
  CrashDisk disk;
  std::vector<testing::BackendState> states;
  {
    auto backend = open(disk).value();
    testing::BackendModel model(backend);
    for (int i = 0; i < 4; ++i) {
      REQUIRE(model.write(BlockId{1}, "generation " + std::to_string(i + 1)));
      REQUIRE(model.sync());
      states.push_back(model.published());
    }
  }
  const auto intact = data_of(disk);
  const auto holds_after_damage = [&](std::initializer_list<unsigned> slots, const testing::BackendState& wanted) {
    data_of(disk) = intact;
    for (const unsigned slot : slots) data_of(disk)[Superblock::slot_offset(slot) + 100] ^= std::byte{1};
    auto backend = open(disk);
    return backend && testing::holds(*backend, wanted);
  };
  CHECK(holds_after_damage({}, states[3]));
  CHECK(holds_after_damage({0}, states[3]));
  CHECK(holds_after_damage({1}, states[3]));
  CHECK(holds_after_damage({2, 3}, states[3]));
  CHECK(holds_after_damage({0, 1}, states[2]));
  CHECK(holds_after_damage({0}, states[3]));  // and that opening wrote it again,
  data_of(disk)[Superblock::slot_offset(1) + 100] ^= std::byte{1};
  {
    auto backend = open(disk);
    CHECK((backend && testing::holds(*backend, states[3])));  // so that the other one may go now
  }
  data_of(disk) = intact;
  for (unsigned slot = 0; slot < 4; ++slot) data_of(disk)[Superblock::slot_offset(slot) + 3] ^= std::byte{1};
  CHECK(failure(disk) == Errc::corrupt_block);
}

TEST_CASE("a superblock of another format version is told as such") {
  CrashDisk disk;
  { REQUIRE(open(disk)); }
  for (const unsigned slot : {0u, 1u}) {
    std::byte* const at = &data_of(disk)[Superblock::slot_offset(slot)];
    store_le(at + 4, std::uint16_t{9});
    store_le(at + 508, Extent::checksum_of({at, 508}));
  }
  CHECK(failure(disk) == Errc::incompatible_format);
}

TEST_CASE("a superblock of another format version is no reason to step back to the one before it") {
  CrashDisk disk;
  {
    auto backend = open(disk).value();
    for (int i = 0; i < 2; ++i) {
      REQUIRE(backend.write(BlockId{1}, bytes_of(std::to_string(i))));
      REQUIRE(backend.sync());
    }
  }
  for (const unsigned slot : {0u, 1u}) {  // of the newest generation, the second
    std::byte* const at = &data_of(disk)[Superblock::slot_offset(slot)];
    store_le(at + 4, std::uint16_t{9});
    store_le(at + 508, Extent::checksum_of({at, 508}));
  }
  CHECK(failure(disk) == Errc::incompatible_format);
}

TEST_CASE("one changed bit anywhere in the file is never believed") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_backend_extent"));
  Random random{from};
  CrashDisk disk;
  testing::BackendState state;
  {
    auto backend = open(disk).value();
    testing::BackendModel model(backend);
    for (std::uint64_t id = 0; id < 300; ++id) REQUIRE(model.write(BlockId{id * 7}, random.bytes(500)));
    REQUIRE(model.sync());
    state = model.published();
  }
  const auto intact = data_of(disk);
  int found = 0;
  for (int round = 0; round < 400; ++round) {
    data_of(disk) = intact;
    const std::uint64_t at = Superblock::region_bytes + random.below(400'000);
    data_of(disk)[at] ^= static_cast<std::byte>(1u << random.below(8));
    CAPTURE(at);
    auto backend = open(disk);
    if (!backend) {
      CHECK(backend.error().code() == Errc::corrupt_block);
      ++found;
      continue;
    }
    for (const auto& [id, content] : state) {
      std::byte room[600];
      const auto got = backend->read(id, room);
      if (got) {
        CHECK(text_of(Bytes{room}.first(*got)) == content);
      } else {
        CHECK(got.error().code() == Errc::corrupt_block);
        CHECK(got.error().id() == number(id));
        ++found;
      }
    }
  }
  CHECK(found > 50);
}

TEST_CASE("map blocks and superblocks that lie are corrupt_block: overlaps, places beyond the file, wrong levels, noise") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_backend_extent"));
  Random random{from};
  CrashDisk disk;
  {
    auto backend = open(disk).value();
    for (std::uint64_t id = 0; id < 40; ++id) REQUIRE(backend.write(BlockId{id}, bytes_of(random.bytes(500))));
    REQUIRE(backend.sync());
  }
  const auto intact = data_of(disk);
  // Rewrites entry `index` of the only map block, with all checksums above it made right again.
  const auto opens_with = [&](std::size_t index, const Extent& entry) {
    data_of(disk) = intact;
    std::byte* const file = data_of(disk).data();
    const unsigned first = Superblock::first_slot(1);
    auto block = Superblock::decode(std::span<const std::byte, Superblock::slot_bytes>{file + Superblock::slot_offset(first), Superblock::slot_bytes}, first).value();
    std::byte* const map = file + ExtentGeometry{block.unit_bytes}.offset(block.root);
    entry.store(map + index * Extent::stored_bytes);
    block.root.checksum = Extent::checksum_of({map, map_block_bytes});
    for (const unsigned slot : {first, first + 1}) block.encode(std::span<std::byte, Superblock::slot_bytes>{file + Superblock::slot_offset(slot), Superblock::slot_bytes});
    auto backend = open(disk);
    if (!backend) CHECK(backend.error().code() == Errc::corrupt_block);
    return backend.has_value();
  };
  const Extent third = [&] {
    const auto block = Superblock::decode(std::span<const std::byte, Superblock::slot_bytes>{&intact[Superblock::slot_offset(2)], Superblock::slot_bytes}, 2).value();
    return Extent::load(&intact[ExtentGeometry{block.unit_bytes}.offset(block.root) + 3 * Extent::stored_bytes]);
  }();
  CHECK(opens_with(3, third));
  CHECK_FALSE(opens_with(4, third));
  CHECK_FALSE(opens_with(3, {Extent::present_bit | 5, 500, 0}));
  CHECK_FALSE(opens_with(3, {Extent::present_bit | (Extent::grain_limit - 1), 500, 0}));
  CHECK_FALSE(opens_with(3, {Extent::present_bit | Extent::grain_limit, 500, 0}));
  CHECK_FALSE(opens_with(3, {third.place, ~std::uint32_t{0}, 0}));
  CHECK_FALSE(opens_with(3, {5, 0, 0}));
  CHECK_FALSE(opens_with(200, {Extent::present_bit | (third.grain() + 1'000), 1, 0}));
  for (int round = 0; round < 300; ++round) static_cast<void>(opens_with(random.below(256), {random.next(), static_cast<std::uint32_t>(random.next() >> (32 + random.below(32))), 0}));
}

TEST_CASE("a data file that was cut short is corrupt_block") {
  CrashDisk disk;
  {
    auto backend = open(disk).value();
    for (std::uint64_t id = 0; id < 1000; ++id) REQUIRE(backend.write(BlockId{id}, bytes_of(std::string(8192, 'x'))));
    REQUIRE(backend.sync());
  }
  data_of(disk).resize(data_of(disk).size() / 2);
  CHECK(failure(disk) == Errc::corrupt_block);
  data_of(disk).resize(100);
  CHECK(failure(disk) == Errc::corrupt_block);
}

TEST_CASE("no write touches what the published generation holds") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_backend_extent"));
  Random random{from};
  CrashDisk disk;
  auto backend = open(disk).value();
  testing::BackendModel model(backend);
  for (int round = 0; round < 25; ++round) {
    REQUIRE(model.sync());
    for (int i = 0; i < 60; ++i) {
      const BlockId id{random.below(50)};
      REQUIRE((random.one_in(4) ? model.erase(id) : model.write(id, random.bytes(random.below(9000)))));
    }
    CrashDisk copy;  // the file as it is now, unsynced writes and all: the published state must be whole in it
    copy.now["data"] = std::make_shared<CrashDisk::Inode>(*disk.now.find("data")->second);
    auto reopened = open(copy);
    REQUIRE(reopened);
    CHECK(testing::holds(*reopened, model.published()));
  }
}

TEST_CASE("room that was freed is given back, at the end of the file and inside it, and taken again") {
  CrashDisk disk;
  auto backend = open(disk).value();
  testing::BackendModel model(backend);
  const std::string page(8192, 'x');
  const auto fill = [&](std::uint64_t first, std::uint64_t until) {
    for (std::uint64_t id = first; id < until; ++id) REQUIRE(model.write(BlockId{id}, page));
    REQUIRE(model.sync());
  };
  fill(0, 8000);
  const std::uint64_t full = backend.stats().file_bytes;
  CHECK(full >= 8000 * 8192);
  for (std::uint64_t id = 0; id < 7900; ++id) REQUIRE(model.erase(BlockId{id}));
  for (int i = 0; i < 3; ++i) fill(9000, 9001);
  const std::uint64_t inside = backend.stats().file_bytes;
  CHECK(inside < full / 2);
  backend = open(disk).value();
  CHECK(backend.stats().file_bytes == inside);
  CHECK(model.holds_now());
  fill(0, 8000);
  CHECK(model.holds_now());
  CHECK(data_of(disk).size() < full * 3 / 2);
  for (std::uint64_t id = 0; id < 10'000; ++id) REQUIRE(model.erase(BlockId{id}));
  for (int i = 0; i < 3; ++i) fill(9000, 9001);
  CHECK(backend.stats().file_bytes < full / 2);
  CHECK(model.holds_now());
}

TEST_CASE("a store whose file became shorter after a sync opens, whatever the sync had still counted") {
  CrashDisk disk;
  testing::BackendState state;
  {
    auto backend = open(disk).value();
    testing::BackendModel model(backend);
    for (std::uint64_t id = 0; id < 8000; ++id) REQUIRE(model.write(BlockId{id}, std::string(8192, 'x')));
    REQUIRE(model.sync());
    for (std::uint64_t id = 100; id < 8000; ++id) REQUIRE(model.erase(BlockId{id}));
    REQUIRE(model.sync());
    state = model.published();
  }
  for (int life = 0; life < 3; ++life) {
    auto backend = open(disk);
    if (!backend) FAIL(backend.error().message());
    testing::BackendModel model(*backend, state);
    CHECK(model.holds_now());
    REQUIRE(model.write(BlockId{1}, "life " + std::to_string(life)));
    REQUIRE(model.sync());
    state = model.published();
  }
  CHECK(data_of(disk).size() < 16 << 20);
}

TEST_CASE("a full disk refuses writers, never a sync, and still opens, reads and frees") {
  CrashDisk disk;
  disk.room_bytes = 9 << 20;
  testing::BackendState state;
  {
    auto backend = open(disk).value();
    testing::BackendModel model(backend);
    Result<void> last{};
    std::uint64_t id = 0;
    while ((last = model.write(BlockId{id * 1000}, std::string(4096, 'x')))) ++id;
    CHECK(last.error().code() == Errc::no_space);
    CHECK(id > 500);
    REQUIRE(model.sync());
    CHECK(backend.reserve(1 << 20).error().code() == Errc::no_space);
    state = model.published();
  }
  auto backend = open(disk).value();
  testing::BackendModel model(backend, state);
  CHECK(model.holds_now());
  for (const auto& [id, content] : state)
    if (number(id) % 3 == 0) REQUIRE(model.erase(id));
  REQUIRE(model.sync());
  CHECK(model.holds_now());
  CHECK(model.write(BlockId{1}, "room again"));
}

namespace {

/// 300 blocks of a page, of which every hundredth is left: behind, between and before what was freed.
void scatter(SimulatedBackend& backend, testing::BackendModel<SimulatedBackend>& model, Random& random) {
  for (std::uint64_t id = 0; id < 1500; ++id) {
    REQUIRE(model.write(BlockId{id}, random.bytes(8192)));
    if (id % 500 == 499) REQUIRE(model.sync());
  }
  for (std::uint64_t id = 0; id < 1500; ++id)
    if (id % 100 != 7) REQUIRE(model.erase(BlockId{id}));
  REQUIRE(model.sync());
  REQUIRE(backend.reserve(5 << 20));
}

}  // namespace

TEST_CASE("trim leaves a file no larger than its blocks, their map and a step, wherever they stood") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_backend_extent"));
  Random random{from};
  CrashDisk disk;
  testing::BackendState state;
  {
    auto backend = open(disk).value();
    testing::BackendModel model(backend);
    scatter(backend, model, random);
    REQUIRE(backend.trim());
    CHECK(data_of(disk).size() == 1 << 20);
    CHECK(backend.stats().file_bytes == 1 << 20);
    CHECK(model.holds_now());
    const std::uint64_t calls = disk.calls;
    REQUIRE(backend.trim());
    CHECK(disk.calls == calls);
    state = model.published();
  }
  auto backend = open(disk).value();
  testing::BackendModel model(backend, state);
  CHECK(model.holds_now());
  for (std::uint64_t id = 0; id < 500; ++id) REQUIRE(model.write(BlockId{id}, random.bytes(8192)));
  REQUIRE(model.sync());
  CHECK(model.holds_now());
  REQUIRE(backend.trim());
  CHECK(data_of(disk).size() <= 6 << 20);
  CHECK(model.holds_now());
}

TEST_CASE("a crash or a failing call anywhere in trim leaves what was published") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_backend_extent"));
  std::uint64_t deaths = 0;
  for (std::uint64_t at = 1;; ++at) {
    CAPTURE(at);
    Random random{from};
    CrashDisk disk;
    testing::BackendState state;
    bool whole = false;
    {
      auto backend = open(disk).value();
      testing::BackendModel model(backend);
      scatter(backend, model, random);
      state = model.published();
      disk.die_at = disk.calls + at;
      whole = backend.trim() && !disk.dead;
    }
    disk.revive();
    Random cut{at};
    disk.power_cut(cut);
    auto backend = open(disk);
    if (!backend) FAIL(backend.error().message());
    CHECK(testing::holds(*backend, state));
    if (whole) break;
    ++deaths;
  }
  CHECK(deaths >= 5);
}

TEST_CASE("a store that met a full disk keeps its room when it is trimmed") {
  CrashDisk disk;
  disk.room_bytes = 9 << 20;
  auto backend = open(disk).value();
  testing::BackendModel model(backend);
  std::uint64_t id = 0;
  while (model.write(BlockId{id}, std::string(4096, 'x'))) ++id;
  for (std::uint64_t erased = 0; erased < id; ++erased) REQUIRE(model.erase(BlockId{erased}));
  REQUIRE(model.sync());
  const std::uint64_t kept = backend.stats().file_bytes;
  REQUIRE(backend.trim());
  CHECK(backend.stats().file_bytes == kept);
}
