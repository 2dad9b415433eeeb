// SPDX-License-Identifier: Apache-2.0
// Every kind of damage that verify() is to find is planted: under valid checksums through the backend while the store is
// closed, or behind the back of an engine that is open.
#include "engine/simulated_store.hpp"
#include "support/damage.hpp"
#include "support/engines.hpp"

#include <aegis/storage/backend/storage_backend.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

using namespace aegis_test;
namespace storage = aegis::storage;
using storage::Errc, storage::PageId, storage::PageType, storage::PageLayout;

namespace {

using Engine = storage::Engine<SimulatedBackend, storage::PageSize<4096>>;
using Page = storage::Page<4096>;
using View = storage::NodeView<4096>;
using PageBlock = storage::Block<storage::NoCodec, storage::Xxh3Checksum>;

const storage::EngineOptions options{
    .pool_bytes = 64 * 4096, .log_bytes = 256 << 10, .max_transaction_bytes = 64 << 10, .version_bytes = 256 << 10, .max_transactions = 4, .maintenance_thread = false};

std::string key(int i) { return "key" + std::to_string(1000 + i); }

/// A store with a table of two levels, a long value and free pages; closed.
struct World {
  SimulatedDisk disk{{.direct = true, .mapping = true, .seed = 7}};

  World() {
    auto engine = opened();
    const auto put = [&](const char* name, int from, int to, std::size_t bytes) {
      const auto table = engine.table(name);
      REQUIRE(table);
      REQUIRE(engine.transact([&](Engine::Transaction& txn) -> Result<void> {
        for (int i = from; i < to; ++i) AEGIS_TRY(txn.put(*table, key(i), std::string(bytes, 'v')));
        return {};
      }));
    };
    put("t", 0, 200, 100);
    put("t", 200, 201, 10'000);
    put("gone", 0, 100, 100);
    REQUIRE(engine.drop_table("gone"));
    REQUIRE(engine.close());
  }
  Engine opened() {
    auto engine = open_simulated<Engine>(disk, "store", options);
    REQUIRE_MESSAGE(engine, engine.error().message());
    return std::move(*engine);
  }
  SimulatedBackend backend() {
    auto opened = SimulatedBackend::open(storage::testing::SimulatedFiles{disk}, {.directory = "store"});
    REQUIRE(opened);
    return std::move(*opened);
  }
  Page page(std::uint64_t id) {
    Page page;
    auto from = backend();
    REQUIRE(from.read(storage::BlockId{id}, page.bytes()));
    return page;
  }
  /// Published with checksums that are right.
  void plant(std::uint64_t id, const std::function<void(Page&)>& change) {
    Page planted = page(id);
    change(planted);
    auto to = backend();
    const Bytes block = PageBlock{}.encode(storage::BlockId{id}, static_cast<storage::BlockType>(planted.type()), planted.bytes(), {});
    REQUIRE(to.write(storage::BlockId{id}, block));
    REQUIRE(to.sync());
  }
  /// Pages of the table, in the order of their ids.
  std::vector<std::uint64_t> pages(PageType type) {
    std::vector<std::uint64_t> found;
    auto from = backend();
    std::vector<std::byte> bytes(4096);
    REQUIRE(from.for_each([&](storage::BlockId id, std::size_t size) {
      if (size != 4096 || !from.read(id, bytes)) return;
      if (bytes[PageLayout::type] == static_cast<std::byte>(type) && storage::load_le<std::uint32_t>(&bytes[PageLayout::owner]) == 1) found.push_back(storage::number(id));
    }));
    REQUIRE(!found.empty());
    return found;
  }
  /// Behind the engine's back.
  void flip(const std::string& name, std::uint64_t offset) {
    auto directory = storage::testing::SimulatedFiles{disk}.open_directory("store", false);
    REQUIRE(directory);
    auto file = directory->open(name, {});
    REQUIRE(file);
    std::byte byte[1];
    REQUIRE(file->read_at(offset, byte));
    byte[0] ^= std::byte{4};
    REQUIRE(file->write_at(offset, byte));
  }
  /// Block 0, published with a checksum that is right.
  void plant_meta(const std::function<void(storage::Meta&)>& change) {
    auto to = backend();
    std::vector<std::byte> bytes(storage::meta_bytes);
    REQUIRE(to.read(storage::meta_block, bytes));
    auto meta = storage::Meta::decode(bytes);
    REQUIRE(meta);
    change(*meta);
    REQUIRE(to.write(storage::meta_block, meta->encode()));
    REQUIRE(to.sync());
  }
  std::uint64_t offset_of(std::uint64_t block) {
    SimulatedMedium medium = disk.medium();
    return extent_of(medium, block).offset;
  }
};

storage::VerifyReport verified(Engine& engine) {
  auto report = engine.verify();
  REQUIRE(report);
  return std::move(*report);
}
storage::VerifyReport verified(World& world) {
  Engine engine = world.opened();
  return verified(engine);
}
bool tells(const storage::VerifyReport& report, Errc code, const std::string& what, std::uint64_t id) {
  for (const auto& problem : report.problems)
    if (problem.code() == code && problem.subject() == what && problem.id() == id) return true;
  MESSAGE("not told: " << what << " " << id << " by " << report.message());
  return false;
}
bool tells(const storage::VerifyReport& report, Errc code, const std::string& what) {
  for (const auto& problem : report.problems)
    if (problem.code() == code && problem.subject() == what) return true;
  MESSAGE("not told: " << what << " by " << report.message());
  return false;
}

/// In both slots of its generation.
void put_superblock(DamagedFile& data, const Superblock& super) {
  std::vector<std::byte> image(Superblock::slot_bytes);
  super.encode(std::span<std::byte, Superblock::slot_bytes>{image});
  for (const unsigned slot : {0u, 1u}) data.put(Superblock::slot_offset(Superblock::first_slot(super.generation) + slot), image);
}
/// What the check of a backend that is opened for reading says of the store.
std::vector<std::string> told_by_check(const SimulatedMedium& medium) {
  SimulatedDisk disk{{}, medium};
  auto backend = SimulatedBackend::open(storage::testing::SimulatedFiles{disk}, {.directory = "store", .read_only = true});
  REQUIRE(backend);
  std::vector<std::string> told;
  REQUIRE(backend->check([&](const storage::Error& problem) { told.push_back(std::string{problem.subject()} + " " + std::to_string(problem.id())); }));
  return told;
}

}  // namespace

TEST_CASE("a sound store verifies, open, reopened and with commits in its log, and all of it is looked at") {
  World world;
  Engine engine = world.opened();
  const std::uint64_t blocks = engine.stats().backend.blocks;
  auto report = verified(engine);
  CHECK_MESSAGE(report.ok(), report.message());
  CHECK(report.blocks == blocks);
  CHECK(report.pages + 1 == blocks);  // block 0 is no page
  CHECK(report.rows == 201);
  CHECK(report.tables == 1);
  CHECK(report.free_pages > 0);
  const auto table = engine.table("t");
  REQUIRE(table);
  for (int i = 0; i < 100; ++i) REQUIRE(engine.transact([&](Engine::Transaction& txn) { return txn.put(*table, key(300 + i), std::string(200, 'w')); }));
  report = verified(engine);
  CHECK_MESSAGE(report.ok(), report.message());
  CHECK(report.rows == 301);
}

TEST_CASE("progress is told, never falls and ends at the end") {
  World world;
  Engine engine = world.opened();
  std::vector<storage::VerifyProgress> told;
  const auto report = engine.verify([&](const storage::VerifyProgress& progress) { told.push_back(progress); });
  REQUIRE(report);
  REQUIRE(told.size() > 1);
  for (std::size_t i = 1; i < told.size(); ++i) {
    CHECK(told[i - 1].blocks <= told[i].blocks);
    CHECK(told[i - 1].pages <= told[i].pages);
  }
  CHECK(told.back().blocks == told.back().blocks_in_all);
  CHECK(told.back().pages == told.back().pages_in_all);
  CHECK(told.back().pages == report->pages);
}

TEST_CASE("damage is told with the file and the offset where the block stands") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data).back(), offset = world.offset_of(leaf);
  const std::string place = ", in file data at offset " + std::to_string(offset);
  {
    Engine engine = world.opened();
    world.flip("data", offset + 100);  // below the block: the extent's checksum tells
    CHECK(verified(engine).message().find("extent of block " + std::to_string(leaf) + place) != std::string::npos);
    world.flip("data", offset + 100);
  }
  world.plant(leaf, [](Page& page) { page.bytes()[PageLayout::type] = std::byte{200}; });  // under checksums that are right
  const std::string planted = ", in file data at offset " + std::to_string(world.offset_of(leaf));
  Engine engine = world.opened();
  CHECK(verified(engine).message().find(planted) != std::string::npos);
}

TEST_CASE("a backup of a store with a damaged page names the page, and leaves no copy that opens") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data).back();
  world.plant(leaf, [](Page& page) { page.bytes()[PageLayout::type] = std::byte{200}; });
  Engine engine = world.opened();
  const auto done = engine.backup("copy");
  REQUIRE_FALSE(done);
  CHECK((done.error().code() == Errc::corrupt_block || done.error().code() == Errc::corrupt_page));
  CHECK(done.error().id() == leaf);
  const auto copy = open_simulated<Engine>(world.disk, "copy", options);
  REQUIRE_FALSE(copy);
  CHECK(copy.error().code() == Errc::corrupt_block);
}

TEST_CASE("progress is told every thousand pages of a table, too") {
  World world;
  Engine engine = world.opened();
  const auto table = table_of(engine, "large");
  for (int i = 0; i < 200; ++i) put(engine, table, "long" + std::to_string(i), std::string(50'000, 'l'));
  std::vector<std::uint64_t> told;
  const auto report = engine.verify([&](const storage::VerifyProgress& progress) {
    if (progress.pages != 0 && (told.empty() || progress.pages != told.back())) told.push_back(progress.pages);
  });
  REQUIRE(report);
  CHECK_MESSAGE(report->ok(), report->message());
  CHECK(report->pages > 2048);
  CHECK(told.size() >= 3);
}

TEST_CASE("a stored block that changed is told by its id, also while its page is in memory") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data).back();
  Engine engine = world.opened();
  REQUIRE(state_of(engine));
  world.flip("data", world.offset_of(leaf) + 1000);
  CHECK(tells(verified(engine), Errc::corrupt_block, "extent of block", leaf));
  CHECK(state_of(engine));
}

TEST_CASE("a dropped table whose page cannot be read keeps nobody from anything, and is told") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data)[1];
  world.flip("data", world.offset_of(leaf) + 1000);
  for (int life = 0; life < 3; ++life) {
    CAPTURE(life);
    Engine engine = world.opened();
    if (life == 0) REQUIRE(engine.drop_table("t"));
    CHECK(engine.tables()->size() == static_cast<std::size_t>(life));
    REQUIRE(engine.table("other" + std::to_string(life)));
    CHECK(engine.table("t").error().code() == Errc::corrupt_block);
    CHECK(engine.load_table("t").error().code() == Errc::corrupt_block);
    CHECK(engine.drop_table("t").error().code() == Errc::table_not_found);
    REQUIRE(engine.checkpoint());
    CHECK(tells(verified(engine), Errc::corrupt_block, "extent of block", leaf));
    if (life == 1) continue;  // killed
    REQUIRE(engine.close());
  }
}

TEST_CASE("a block that stands under another block's id is told") {
  World world;
  const auto leaves = world.pages(PageType::data);
  REQUIRE(leaves.size() > 1);
  {
    Page other = world.page(leaves[0]);
    auto backend = world.backend();
    REQUIRE(backend.write(storage::BlockId{leaves[1]}, other.bytes()));
    REQUIRE(backend.sync());
  }
  CHECK(tells(verified(world), Errc::corrupt_block, "id of block", leaves[1]));
}

TEST_CASE("a block whose own checksum is wrong is told, though its extent's is right") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data)[1];
  {
    Page page = world.page(leaf);
    page.bytes()[2000] ^= std::byte{1};
    auto backend = world.backend();
    REQUIRE(backend.write(storage::BlockId{leaf}, page.bytes()));
    REQUIRE(backend.sync());
  }
  CHECK(tells(verified(world), Errc::corrupt_block, "checksum of block", leaf));
}

TEST_CASE("a page of broken structure is told") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data)[1];
  world.plant(leaf, [](Page& page) {  // two slots for the same bytes
    std::byte* const slot = page.bytes().data() + PageLayout::slots + storage::page_slot_bytes;
    std::memcpy(slot + storage::page_slot_bytes + 4, slot + 4, 4);
  });
  CHECK(tells(verified(world), Errc::corrupt_page, "overlapping tuples of page", leaf));
}

TEST_CASE("keys that are out of order are told") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data)[1];
  world.plant(leaf, [](Page& page) {
    std::byte* const slot = page.bytes().data() + PageLayout::slots + storage::page_slot_bytes;
    std::swap_ranges(slot, slot + storage::page_slot_bytes, slot + storage::page_slot_bytes);
  });
  CHECK(tells(verified(world), Errc::corrupt_page, "rows of tree page", leaf));
}

TEST_CASE("a tree of a wrong shape is told: a child named twice, one of another level, table or range, one that does not exist") {
  World world;
  const std::uint64_t root = world.pages(PageType::index).at(0);
  const auto leaves = world.pages(PageType::data);
  const Page before = world.page(root);
  const auto child = [](Page& page, std::size_t row) { return page.mutable_at(row + 1).data(); };
  const auto id_at = [&](std::size_t row) { return storage::number(*View{before}.child(row + 1)); };
  SUBCASE("twice") {
    world.plant(root, [&](Page& page) { storage::store_le(child(page, 1), id_at(0)); });
    const auto report = verified(world);
    CHECK(tells(report, Errc::corrupt_page, "page reached twice, page", id_at(0)));
    CHECK(tells(report, Errc::corrupt_page, "page that nothing names but is not free", id_at(1)));
  }
  SUBCASE("range") {
    world.plant(root, [&](Page& page) {
      storage::store_le(child(page, 0), id_at(1));
      storage::store_le(child(page, 1), id_at(0));
    });
    CHECK(tells(verified(world), Errc::corrupt_page, "fences of page", id_at(0)));
  }
  SUBCASE("level") {
    world.plant(root, [&](Page& page) { storage::store_le(child(page, 0), root); });
    CHECK(tells(verified(world), Errc::corrupt_page, "page reached twice, page", root));
  }
  SUBCASE("owner") {
    world.plant(leaves[1], [&](Page& page) { storage::store_le(page.bytes().data() + PageLayout::owner, std::uint32_t{77}); });
    CHECK(tells(verified(world), Errc::corrupt_page, "owner of page", leaves[1]));
  }
  SUBCASE("beyond") {
    world.plant(root, [&](Page& page) { storage::store_le(child(page, 0), std::uint64_t{100'000}); });
    CHECK(tells(verified(world), Errc::corrupt_page, "id beyond the last page", 100'000));
  }
}

TEST_CASE("a chain of a long value that is broken, too short or shared is told") {
  World world;
  const auto chain = world.pages(PageType::overflow);
  REQUIRE(chain.size() == 3);
  SUBCASE("too short") {
    world.plant(chain[0], [](Page& page) { page.set_link(0); });
    CHECK(tells(verified(world), Errc::corrupt_page, "overflow page", chain[0]));
  }
  SUBCASE("parts in another order") {
    world.plant(chain[1], [](Page& page) { page.set_head(0, 2); });
    CHECK(tells(verified(world), Errc::corrupt_page, "overflow page", chain[1]));
  }
  SUBCASE("a circle") {
    world.plant(chain[1], [&](Page& page) { page.set_link(chain[0]); });
    const auto report = verified(world);
    CHECK(tells(report, Errc::corrupt_page, "overflow page", chain[0]));
    CHECK(tells(report, Errc::corrupt_page, "page that nothing names but is not free", chain[2]));
  }
}

TEST_CASE("free space is accounted exactly once: a used page marked free and a free one marked used are told") {
  World world;
  const std::uint64_t leaf = world.pages(PageType::data)[1];
  const std::uint64_t last = [&] {
    auto engine = world.opened();
    return engine.stats().pages - 1;
  }();
  const auto set = [&](std::uint64_t page, bool used) {
    world.plant(1, [&](Page& map) {
      const MutableBytes bits = map.mutable_at(0);
      const std::byte mask{static_cast<unsigned char>(1u << (page - 1) % 8)};
      bits[(page - 1) / 8] = used ? bits[(page - 1) / 8] | mask : bits[(page - 1) / 8] & ~mask;
    });
  };
  SUBCASE("used, marked free") {
    set(leaf, false);
    CHECK(tells(verified(world), Errc::corrupt_page, "page that is used but marked free", leaf));
  }
  SUBCASE("free, marked used") {
    set(last, true);
    CHECK(tells(verified(world), Errc::corrupt_page, "page that nothing names but is not free", last));
  }
}

TEST_CASE("a block of no page is told") {
  World world;
  {
    auto backend = world.backend();
    REQUIRE(backend.write(storage::BlockId{5000}, Bytes{}));
    REQUIRE(backend.sync());
  }
  CHECK(tells(verified(world), Errc::corrupt_block, "block beyond the last page, block", 5000));
}

TEST_CASE("damage below the blocks is told while the engine is open: block 0, map blocks, superblocks, the list of holes") {
  World world;
  Engine engine = world.opened();
  REQUIRE(engine.checkpoint());
  SimulatedMedium medium = world.disk.medium();
  const auto super = superblock_in(DamagedFile{medium, "data"});
  SUBCASE("block 0") {
    world.flip("data", world.offset_of(0) + 40);
    CHECK(tells(verified(engine), Errc::corrupt_block, "extent of block", 0));
  }
  SUBCASE("map block") {
    const std::uint64_t offset = live_extents(medium)[0].offset;
    world.flip("data", offset + 17);
    CHECK(tells(verified(engine), Errc::corrupt_block, "map block at offset", offset));
  }
  SUBCASE("superblock") {
    const unsigned slot = Superblock::first_slot(super.generation) + 1;
    world.flip("data", Superblock::slot_offset(slot) + 20);
    CHECK(tells(verified(engine), Errc::corrupt_block, "superblock in slot", slot));
  }
}

TEST_CASE("extents that overlap are told by a backend that was opened for reading") {
  World world;
  SimulatedMedium medium = settled(world.disk.medium());
  DamagedFile data{medium, "data"};
  Superblock super = superblock_in(data);
  const auto map = live_extents(medium).at(0);
  REQUIRE(map.is_map);
  REQUIRE(super.height == 1);
  auto bytes = data.bytes(map.offset, map.bytes);
  std::memcpy(bytes.data() + 3 * Extent::stored_bytes, bytes.data() + 2 * Extent::stored_bytes, Extent::stored_bytes);  // block 3 stands where block 2 does
  data.put(map.offset, bytes);
  super.root.checksum = Extent::checksum_of(bytes);
  put_superblock(data, super);
  CHECK(told_by_check(medium) == std::vector<std::string>{"extent that overlaps another one or leaves the file, of block 3"});
}

TEST_CASE("a list of holes that overlaps something, or names what is in use or a step twice, is told") {
  World world;
  SimulatedMedium medium = settled(world.disk.medium());
  DamagedFile data{medium, "data"};
  Superblock super = superblock_in(data);
  const std::uint64_t grain = super.unit_bytes / storage::ExtentGeometry::grains_per_unit, step = storage::ExtentGeometry::step_bytes, end = (super.used_bytes + step - 1) / step;
  super.used_bytes = (end + 4) * step;  // of the new ones the first holds the list, all others nothing
  data.truncate(super.used_bytes);
  std::uint64_t list_at = end * step;
  std::vector<std::uint32_t> list{static_cast<std::uint32_t>(end + 1), 2, static_cast<std::uint32_t>(end + 3), 1, static_cast<std::uint32_t>(end + 4), ~0u};  // the last ends far beyond the file
  std::vector<std::string> wanted;
  const auto in_use = [](std::uint64_t at) { return "hole that is in use or named twice, in the list of holes, step " + std::to_string(at); };
  SUBCASE("sound") {}
  SUBCASE("on an extent") {
    list_at = extent_of(medium, world.pages(PageType::data)[0]).offset / super.unit_bytes * super.unit_bytes;
    wanted = {"list of holes that overlaps another extent, at offset " + std::to_string(list_at)};
  }
  SUBCASE("a step that holds extents") {
    list.insert(list.end(), {0u, 1u});
    wanted = {in_use(0)};
  }
  SUBCASE("the step that holds the list") {
    list.insert(list.begin(), {static_cast<std::uint32_t>(end), 2});
    wanted = {in_use(end), in_use(end + 1)};
  }
  SUBCASE("twice in two runs") {
    list.insert(list.end(), {static_cast<std::uint32_t>(end + 2), 2});
    wanted = {in_use(end + 2), in_use(end + 3)};
  }
  SUBCASE("half a run") {
    list.pop_back();
    wanted = {"length of the list of holes at offset " + std::to_string(list_at)};
  }
  std::vector<std::byte> bytes(4 * list.size());
  for (std::size_t i = 0; i < list.size(); ++i) storage::store_le(bytes.data() + 4 * i, list[i]);
  data.put(list_at, bytes);
  super.holes = Extent::at(list_at / grain, bytes);
  put_superblock(data, super);
  CHECK(told_by_check(medium) == wanted);
}

TEST_CASE("a backend that is chosen at run time is looked at as one that is named") {
  using Erased = storage::Engine<storage::StorageBackend, storage::PageSize<4096>>;
  World world;
  auto erased = storage::StorageBackend::of(world.backend());
  REQUIRE(erased);
  auto engine = Erased::open(*std::move(erased), options);
  REQUIRE_MESSAGE(engine, engine.error().message());
  REQUIRE(engine->checkpoint());
  auto report = engine->verify();
  REQUIRE(report);
  CHECK_MESSAGE(report->ok(), report->message());
  SimulatedMedium medium = world.disk.medium();
  const std::uint64_t offset = live_extents(medium)[0].offset;
  world.flip("data", offset + 17);
  const auto super = superblock_in(DamagedFile{medium, "data"});
  const unsigned slot = Superblock::first_slot(super.generation);
  world.flip("data", Superblock::slot_offset(slot) + 20);
  report = engine->verify();
  REQUIRE(report);
  CHECK(tells(*report, Errc::corrupt_block, "map block at offset", offset));
  CHECK(tells(*report, Errc::corrupt_block, "superblock in slot", slot));
}

TEST_CASE("a checkpoint that stands where the log cannot be is corrupt_log with its LSN, and nothing is changed") {
  World world;
  std::uint64_t at = 0;
  world.plant_meta([&](storage::Meta& meta) { at = storage::number(meta.checkpoint.lsn); });
  for (const std::uint64_t lsn : {at + 1, at + 512, at + (1 << 20), ~std::uint64_t{0} - 4095, ~std::uint64_t{0}}) {
    CAPTURE(lsn);
    world.plant_meta([&](storage::Meta& meta) { meta.checkpoint.lsn = storage::Lsn{lsn}; });
    const auto refused = open_simulated<Engine>(world.disk, "store", options);
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().code() == Errc::corrupt_log, refused.error().message());
    CHECK(refused.error().id() == lsn);
  }
  world.plant_meta([&](storage::Meta& meta) { meta.checkpoint.lsn = storage::Lsn{at}; });
  storage::Timestamp last{};
  world.plant_meta([&](storage::Meta& meta) { last = std::exchange(meta.checkpoint.last, storage::Timestamp{~std::uint64_t{0}}); });
  const auto refused = open_simulated<Engine>(world.disk, "store", options);
  REQUIRE_FALSE(refused);
  CHECK_MESSAGE(refused.error().code() == Errc::corrupt_log, refused.error().message());
  world.plant_meta([&](storage::Meta& meta) { meta.checkpoint.last = last; });
  Engine engine = world.opened();
  CHECK(verified(engine).rows == 201);
}

TEST_CASE("a log whose chain is broken behind the checkpoint is told by its LSN, while commits go on") {
  World world;
  Engine engine = world.opened();
  const auto table = engine.table("t");
  REQUIRE(table);
  const auto put = [&](char c) { return engine.transact([&](Engine::Transaction& txn) { return txn.put(*table, "log", std::string(500, c)); }); };
  for (const char c : {'A', 'B', 'C'}) REQUIRE(put(c));
  REQUIRE(verified(engine).ok());
  SimulatedMedium medium = world.disk.medium();
  std::size_t places = 0;
  std::string damaged;
  for (const std::string& name : log_files(medium)) {
    const DamagedFile file{medium, name};
    const auto bytes = file.bytes(0, file.size());
    const std::size_t at = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(std::string(500, 'B'));
    if (at == std::string::npos) continue;
    world.flip(name, at + 100);
    damaged = name;
    ++places;
  }
  REQUIRE(places == 1);
  const auto broken = verified(engine);
  CHECK(tells(broken, Errc::corrupt_log, "hole in the log at LSN"));
  CHECK(broken.message().find(", in file " + damaged + " at offset ") != std::string::npos);
  REQUIRE(put('D'));  // what is damaged is not written again; a checkpoint leaves it behind
  REQUIRE(engine.checkpoint());
  const auto report = verified(engine);
  CHECK_MESSAGE(report.ok(), report.message());
}
