// SPDX-License-Identifier: Apache-2.0
// The simulated disk itself: what each call makes durable, what each cut model leaves, which errors come when.
#include <aegis/storage/testing/simulated_files.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

namespace storage = aegis::storage;
using namespace aegis::storage::testing;
using storage::bytes_of, storage::Bytes, storage::Errc, storage::Result;

namespace {

/// One page of one letter.
std::vector<std::byte> page(char letter) { return std::vector<std::byte>(4096, static_cast<std::byte>(letter)); }

struct World {
  explicit World(DiskTraits traits = {.direct = false}) : disk(traits) {}

  SimulatedDirectory directory() {
    auto opened = SimulatedFiles{disk}.open_directory("place", true);
    REQUIRE(opened);
    return *std::move(opened);
  }
  static SimulatedFile file(SimulatedDirectory& directory, const char* name = "file") {
    auto opened = directory.open(name, {.create = true});
    REQUIRE(opened);
    return *std::move(opened);
  }
  /// A file of two durable pages of 'd'.
  SimulatedFile durable_file() {
    auto place = directory();
    auto made = file(place);
    REQUIRE(made.write_at(0, page('d')));
    REQUIRE(made.write_at(4096, page('d')));
    REQUIRE(made.sync_all());
    REQUIRE(place.sync());
    return made;
  }
  /// The file's bytes now, "absent" without one.
  std::string content(const char* name = "file") {
    auto place = SimulatedFiles{disk}.open_directory("place", false);
    if (!place) return "no directory";
    auto opened = place->open(name, {});
    if (!opened) return "absent";
    std::vector<std::byte> bytes(opened->size().value());
    REQUIRE(opened->read_at(0, bytes).value() == bytes.size());
    return std::string{storage::text_of(bytes)};
  }

  SimulatedDisk disk;
};

const std::string two_pages(8192, 'd');

}  // namespace

TEST_CASE("what was synced is left by every model") {
  for (const CutModel model : cut_models)
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      World world;
      (void)world.durable_file();
      world.disk.power_up(model, seed);
      CHECK(world.content() == two_pages);
    }
}

TEST_CASE("of what was not synced one model leaves nothing, one everything, one all but the newest change") {
  const auto cut = [](CutModel model) {
    World world;
    auto file = world.durable_file();
    REQUIRE(file.write_at(0, page('a')));
    REQUIRE(file.write_at(4096, page('b')));
    world.disk.power_up(model, 1);
    return world.content();
  };
  CHECK(cut(CutModel::nothing) == two_pages);
  CHECK(cut(CutModel::everything) == std::string(4096, 'a') + std::string(4096, 'b'));
  CHECK(cut(CutModel::all_but_last) == std::string(4096, 'a') + std::string(4096, 'd'));
}

TEST_CASE("models with a seed tear by call, block and sector, and rubbish comes only where nothing was synced") {
  const auto images = [](CutModel model) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      World world;
      auto file = world.durable_file();
      REQUIRE(file.write_at(4096, page('b')));
      world.disk.power_up(model, seed);
      const std::string found = world.content();
      CHECK(found.substr(0, 4096) == std::string(4096, 'd'));
      seen.insert(found.substr(4096));
    }
    return seen;
  };
  const std::set<std::string> whole{std::string(4096, 'd'), std::string(4096, 'b')};
  CHECK(images(CutModel::calls) == whole);
  CHECK(images(CutModel::blocks) == whole);
  for (const std::string& torn : images(CutModel::sectors))
    for (std::size_t at = 0; at < 4096; at += 512) CHECK((torn.substr(at, 512) == std::string(512, 'd') || torn.substr(at, 512) == std::string(512, 'b')));
  CHECK(images(CutModel::sectors).size() > 20);
  std::size_t rubbish = 0;
  for (const std::string& torn : images(CutModel::garbage)) rubbish += torn.find_first_not_of("db") != std::string::npos;
  CHECK(rubbish > 20);
}

TEST_CASE("names are durable with their directory's sync alone, in order or, by one model, in none") {
  World world;
  auto place = world.directory();
  auto file = World::file(place);
  REQUIRE(file.write_at(0, page('a')));
  REQUIRE(file.sync_all());
  const SimulatedMedium unsynced = world.disk.medium();
  REQUIRE(place.sync());
  REQUIRE(place.rename("file", "other"));
  (void)World::file(place, "second");
  const auto found = [](const SimulatedMedium& medium, CutModel model, std::uint64_t seed) {
    const SimulatedMedium image = after_power_cut(medium, model, seed);
    std::string names;
    for (const auto& [name, number] : image.directories.at("place").names) names += name + " ";
    return names;
  };
  CHECK(found(unsynced, CutModel::nothing, 0).empty());
  CHECK(found(world.disk.medium(), CutModel::nothing, 0) == "file ");
  CHECK(found(world.disk.medium(), CutModel::everything, 0) == "other second ");
  std::set<std::string> in_order, in_none;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    in_order.insert(found(world.disk.medium(), CutModel::calls, seed));
    in_none.insert(found(world.disk.medium(), CutModel::reordered, seed));
  }
  CHECK(in_order == std::set<std::string>{"file ", "other ", "other second "});
  CHECK(in_none == std::set<std::string>{"file ", "other ", "other second ", "file second "});
  REQUIRE(place.sync());
  CHECK(found(world.disk.medium(), CutModel::nothing, 0) == "other second ");
}

TEST_CASE("sync_data makes content durable but no size, and a range of it no more than the range") {
  World world;
  auto file = world.durable_file();
  REQUIRE(file.write_at(4096, page('b')));
  REQUIRE(file.write_at(8192, page('c')));
  REQUIRE(file.sync_data());
  world.disk.power_up(CutModel::nothing, 0);
  CHECK(world.content() == std::string(4096, 'd') + std::string(4096, 'b'));

  World other;
  auto ranged = other.durable_file();
  REQUIRE(ranged.write_at(0, page('a')));
  REQUIRE(ranged.write_durable_at(4096, page('b')));
  other.disk.power_up(CutModel::nothing, 0);
  CHECK(other.content() == std::string(4096, 'd') + std::string(4096, 'b'));
}

TEST_CASE("what a failed sync was to write stays visible until the cache is dropped, and no later sync writes it") {
  World world;
  auto file = world.durable_file();
  REQUIRE(file.write_at(0, page('a')));
  world.disk.inject({.calls = syncs, .error = EIO});
  CHECK(file.sync_data().error().os_error() == EIO);
  REQUIRE(file.sync_data());
  CHECK(world.content().starts_with('a'));
  REQUIRE(file.drop_cache());
  CHECK(world.content() == two_pages);
}

TEST_CASE("names that a failed sync was to keep stay visible, and where none is retried no later one keeps them, unless changed anew") {
  World world{{.direct = false, .retries_names = false}};
  auto place = world.directory();
  for (const char* const name : {"kept", "moved", "removed", "target"}) (void)World::file(place, name);
  REQUIRE(place.sync());
  for (const char* const name : {"made", "again", "leaves", "source"}) (void)World::file(place, name);
  REQUIRE(place.rename("moved", "elsewhere"));
  REQUIRE(place.rename("source", "target"));
  REQUIRE(place.unlink("removed"));
  world.disk.inject({.calls = {DiskCall::sync_directory}, .error = EIO});
  CHECK(place.sync().error().os_error() == EIO);
  REQUIRE(place.sync());
  const auto numbers = [](const SimulatedMedium& medium, CutModel model) { return after_power_cut(medium, model, 3).directories.at("place").names; };
  const SimulatedMedium medium = world.disk.medium();
  const auto &before = medium.directories.at("place").durable_names, &seen = medium.directories.at("place").names;
  CHECK(seen.size() == 6);  // kept, target, made, again, leaves, elsewhere
  CHECK(before.size() == 4);
  CHECK(before.at("target") != seen.at("target"));
  for (const CutModel model : cut_models) CHECK(numbers(medium, model) == before);

  REQUIRE(place.unlink("again"));
  (void)World::file(place, "again");
  REQUIRE(place.rename("leaves", "stays"));
  REQUIRE(place.rename("target", "other"));
  (void)World::file(place, "removed");
  for (const bool synced : {false, true}) {
    if (synced) REQUIRE(place.sync());
    const SimulatedMedium later = world.disk.medium();
    auto expected = before;
    for (const char* const name : {"again", "stays", "other", "removed"}) expected[name] = later.directories.at("place").names.at(name);
    expected.erase("target");
    CHECK(numbers(later, CutModel::everything) == expected);
    CHECK(numbers(later, CutModel::nothing) == (synced ? expected : before));
  }
  world.disk.power_up(CutModel::nothing, 0);
  CHECK(world.content("moved") == "");
  CHECK(world.content("elsewhere") == "absent");
}

TEST_CASE("names that a failed sync was to keep wait, where syncs are retried, for the next") {
  World world;
  auto place = world.directory();
  (void)World::file(place);
  world.disk.inject({.calls = {DiskCall::sync_directory}, .error = EIO});
  CHECK(place.sync().error().os_error() == EIO);
  const SimulatedMedium failed = world.disk.medium();
  REQUIRE(place.sync());
  CHECK(after_power_cut(failed, CutModel::nothing, 0).directories.at("place").names.empty());
  CHECK(after_power_cut(world.disk.medium(), CutModel::nothing, 0).directories.at("place").names.size() == 1);
}

TEST_CASE("the power goes before or after the call that was named, handles stay dead, and a cut is told in one line") {
  for (const bool after : {false, true}) {
    World world;
    auto file = world.durable_file();
    const PowerCut cut{.call = world.disk.calls() + 2, .after = after, .model = CutModel::everything, .seed = 7};
    CHECK(parse_power_cut(to_string(cut)) == cut);
    world.disk.plan(cut);
    REQUIRE(file.write_at(0, page('a')));
    CHECK_FALSE(file.write_at(4096, page('b')));
    CHECK_FALSE(world.disk.has_power());
    CHECK_FALSE(SimulatedFiles{world.disk}.open_directory("place", true));
    world.disk.power_up();
    CHECK_FALSE(file.write_at(0, page('c')));
    CHECK_FALSE(file.sync_all());
    CHECK(world.content() == std::string(4096, 'a') + std::string(4096, after ? 'b' : 'd'));
  }
  for (const char* const text : {"", "7", "7+", "7+:", "7+:sectors", "7+:sectors:", "7+:sector:1", "7*:sectors:1", "7+:sectors:1x"}) CHECK_FALSE(parse_power_cut(text));
}

TEST_CASE("stores through a mapping are pending writes, and what was written is seen through it") {
  World world;
  auto file = world.durable_file();
  auto mapping = file.map(4096, 4096);
  REQUIRE(mapping);
  REQUIRE(mapping->bytes().size() == 4096);
  storage::copy_bytes(mapping->bytes(), bytes_of("stored"));
  CHECK(world.content().substr(4096, 7) == "storedd");
  REQUIRE(file.write_at(4096 + 6, bytes_of(" written")));
  CHECK(storage::text_of(mapping->bytes().first(14)) == "stored written");
  REQUIRE(file.sync_data());
  storage::copy_bytes(mapping->bytes(), bytes_of("lost"));
  const SimulatedMedium medium = world.disk.medium();
  world.disk.power_up(CutModel::nothing, 0);
  CHECK(world.content().substr(4096, 15) == "stored writtend");
  CHECK_FALSE(World{{.mapping = false}}.durable_file().map(0, 4096));
  SimulatedDisk killed{{}, medium};
  killed.kill_process();
  auto again = SimulatedFiles{killed}.open_directory("place", false);
  REQUIRE(again);
  auto survivor = again->open("file", {});
  REQUIRE(survivor);
  std::vector<std::byte> bytes(4);
  REQUIRE(survivor->read_at(4096, bytes));
  CHECK(storage::text_of(bytes) == "lost");  // the power stayed
}

TEST_CASE("faults come at the n-th call of their kind, once or from then on, with their error") {
  World world;
  auto file = world.durable_file();
  auto place = world.directory();
  world.disk.inject({.calls = {DiskCall::write}, .nth = 2, .error = EIO});
  CHECK(file.write_at(0, page('a')));
  CHECK(file.write_at(0, page('a')).error().code() == Errc::io);
  CHECK(file.write_at(0, page('a')));
  CHECK(world.disk.faults_fired() == 1);
  world.disk.inject({.calls = openers, .error = EMFILE, .sticky = true});
  CHECK(place.open("file", {}).error().os_error() == EMFILE);
  CHECK(place.list().error().os_error() == EMFILE);
  world.disk.inject({.calls = guarded, .error = EACCES, .sticky = true});
  CHECK(place.open("new", {.create = true}).error().code() == Errc::read_only);
  world.disk.heal();
  CHECK_FALSE(place.exists("new").value());
  world.disk.inject({.calls = {DiskCall::write}, .error = ENOSPC, .takes_effect = true});
  CHECK(file.write_at(0, page('x')).error().code() == Errc::no_space);
  CHECK(world.content() == std::string(2048, 'x') + std::string(2048, 'a') + std::string(4096, 'd'));
}

TEST_CASE("interrupted and short transfers are more calls, and nothing else") {
  for (const int error : {EINTR, Fault::short_transfer}) {
    World world;
    auto file = world.durable_file();
    const std::uint64_t before = world.disk.calls();
    world.disk.inject({.calls = {DiskCall::write, DiskCall::read}, .error = error, .sticky = true});
    REQUIRE(file.write_at(0, page('a')));
    std::vector<std::byte> bytes(4096);
    CHECK(file.read_at(0, bytes).value() == 4096);
    CHECK(bytes == page('a'));
    CHECK(world.disk.calls() >= before + 4);
  }
}

TEST_CASE("a full disk refuses what takes room and takes what was allocated, and a file that is open keeps its room") {
  World world;
  auto file = world.durable_file();
  REQUIRE(file.allocate(8192, 4096));
  CHECK(world.disk.used_bytes() == 3 * 4096);
  world.disk.set_capacity(3 * 4096);
  CHECK(file.write_at(8192, page('a')));
  CHECK(file.write_at(0, page('a')));
  CHECK(file.write_at(12288, page('a')).error().code() == Errc::no_space);
  CHECK(file.allocate(0, 16384).error().code() == Errc::no_space);
  auto place = world.directory();
  REQUIRE(place.unlink("file"));
  CHECK(place.space().value().free_bytes == 0);
  {
    const auto last = std::move(file);
  }
  CHECK(place.space().value().free_bytes == 3 * 4096);
}

TEST_CASE("a directory's lock is for one holder and free after a cut, a killed process and its end") {
  World world;
  auto place = world.directory();
  {
    auto lock = place.lock("lock");
    REQUIRE(lock);
    CHECK(world.directory().lock("lock").error().code() == Errc::already_open);
    world.disk.kill_process();
    auto other = world.directory().lock("lock");
    REQUIRE(other);
    world.disk.power_up(CutModel::nothing, 0);
    REQUIRE(world.directory().lock("lock"));
  }
  CHECK(world.directory().lock("lock"));
}

TEST_CASE("direct files want their alignment, others do not") {
  World world{{.direct = true}};
  auto place = world.directory();
  (void)World::file(place);
  auto direct = place.open("file", {.direct = true});
  REQUIRE(direct);
  CHECK(direct->direct());
  alignas(512) static std::byte room[1024];
  CHECK(direct->write_at(0, Bytes{room, 512}));
  CHECK(direct->write_at(100, Bytes{room, 512}).error().os_error() == EINVAL);
  CHECK(direct->write_at(0, Bytes{room, 100}).error().os_error() == EINVAL);
  CHECK(direct->write_at(0, Bytes{room + 8, 512}).error().os_error() == EINVAL);
  CHECK(World::file(place).write_at(7, bytes_of("x")));
}

TEST_CASE("a history brings a copy of the first medium to the last, and a lying sync is in it without effect") {
  World world;
  world.disk.record();
  const SimulatedMedium first = world.disk.medium();
  auto file = world.durable_file();
  world.disk.lie_about_syncs(1);
  REQUIRE(file.write_at(0, page('a')));
  REQUIRE(file.sync_all());
  world.disk.lie_about_syncs(0);
  SimulatedMedium medium = first;
  std::uint64_t without = 0;
  for (const auto& call : world.disk.history()) {
    if (call.has_effect) medium.apply(call.change);
    without += call.change.call == DiskCall::sync_all && !call.has_effect;
  }
  CHECK(without == 1);
  World copy;
  for (const CutModel model : {CutModel::nothing, CutModel::everything}) {
    SimulatedDisk replayed{{}, after_power_cut(medium, model, 0)};
    auto place = SimulatedFiles{replayed}.open_directory("place", false);
    REQUIRE(place);
    auto opened = place->open("file", {});
    REQUIRE(opened);
    std::vector<std::byte> bytes(8192);
    REQUIRE(opened->read_at(0, bytes));
    CHECK(storage::text_of(bytes) == (model == CutModel::nothing ? two_pages : std::string(4096, 'a') + std::string(4096, 'd')));
  }
}
