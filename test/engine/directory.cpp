// SPDX-License-Identifier: Apache-2.0
// A store's directory in bad company: other openers, other users, links and pipes in place of files, a directory that is moved
// away, media that cannot be written, no descriptors left, files beyond 4 GiB. The answer is a typed error or the right data;
// nothing outside the directory is read or changed, and nothing waits for ever.
#include "file/temporary_directory.hpp"
#include "support/processes.hpp"
#include "support/rows.hpp"

#include <aegis/storage/backend/extent_file.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using Engine = storage::Engine<>;

namespace {

const Rows some_rows = numbered("k", 60, 300);

storage::Result<Engine> open_in(const std::string& directory) {
  return Engine::open({.directory = directory, .pool_bytes = 256 << 10, .log_bytes = 1 << 20, .maintenance_thread = false});
}
/// Rows in the pages and rows in the log alone.
void make_store(const std::string& directory) {
  auto engine = open_in(directory);
  REQUIRE(engine);
  REQUIRE(put(*engine, "t", some_rows));
  REQUIRE(engine->checkpoint());
  REQUIRE(put(*engine, "t", {{"newest", "row"}}));
}
void check_store(const std::string& directory) {
  auto engine = open_in(directory);
  REQUIRE(engine);
  Rows wanted = some_rows;
  wanted["newest"] = "row";
  CHECK(content(*engine)["t"] == wanted);
  check_structure(*engine);
}

std::string backend_directory(const TemporaryDirectory& place, bool process_durable) { return place / (process_durable ? "mapped" : "direct"); }

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{directory}) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}
::mode_t mode_of(const std::string& path) {
  struct ::stat about{};
  REQUIRE(::lstat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}
/// What an opening says, as an exit code: 0 is success, else the Errc and one.
int said(const storage::Result<Engine>& opened) { return opened ? 0 : static_cast<int>(opened.error().code()) + 1; }
constexpr int said(Errc code) { return static_cast<int>(code) + 1; }

constexpr ::uid_t nobody = 65534;
/// For children: somebody without rights, whoever runs the tests.
bool becomes_nobody() { return ::geteuid() != 0 || (::setgid(nobody) == 0 && ::setuid(nobody) == 0); }

/// What may stand where a file should be.
enum class Thing { link, dangling_link, pipe, socket, directory };
constexpr Thing things[] = {Thing::link, Thing::dangling_link, Thing::pipe, Thing::socket, Thing::directory};

void make_thing(Thing thing, const std::string& path, const std::string& outside) {
  switch (thing) {
    case Thing::link: REQUIRE(::symlink(outside.c_str(), path.c_str()) == 0); return;
    case Thing::dangling_link: REQUIRE(::symlink((outside + ".made").c_str(), path.c_str()) == 0); return;
    case Thing::pipe: REQUIRE(::mkfifo(path.c_str(), 0600) == 0); return;
    case Thing::directory: REQUIRE(::mkdir(path.c_str(), 0700) == 0); return;
    case Thing::socket: {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ::sockaddr_un address{};
      address.sun_family = AF_UNIX;
      REQUIRE(path.size() < sizeof address.sun_path);
      std::copy(path.begin(), path.end(), address.sun_path);
      REQUIRE(::bind(fd, reinterpret_cast<const ::sockaddr*>(&address), sizeof address) == 0);
      ::close(fd);
      return;
    }
  }
}

}  // namespace

TEST_CASE("a directory that is open is refused to everybody else, by whatever path, after a fork and after an unrelated close") {
  const TemporaryDirectory place;
  make_store(place / "store");
  REQUIRE(::symlink((place / "store").c_str(), (place / "alias").c_str()) == 0);
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    for (const std::string& path : {place / "store", place / "alias", place / "./store/", place / "alias/../store"}) {
      CAPTURE(path);
      CHECK(said(open_in(path)) == said(Errc::already_open));
      CHECK(in_process([&] { return said(open_in(path)); }) == said(Errc::already_open));
      CHECK(storage::LocalBackend::open({.directory = path, .read_only = true}).error().code() == Errc::already_open);
    }
    CHECK(engine->backup(place / "alias").error().code() == Errc::already_open);
    // Whoever closes the lock's file, here, in a child that inherited it, or in one that died, frees nothing.
    { const int other = ::open((place / "store/lock").c_str(), O_RDWR | O_CLOEXEC); REQUIRE(::close(other) == 0); }
    CHECK(in_process([] { return ::close_range(3, ~0u, 0) == 0 ? 0 : 1; }) == 0);
    in_process_killed_after([] { return true; });
    CHECK(said(open_in(place / "store")) == said(Errc::already_open));
    CHECK(in_process([&] { return said(open_in(place / "alias")); }) == said(Errc::already_open));
    REQUIRE(put(*engine, "t", {{"newest", "row"}}));
  }
  check_store(place / "alias");
  check_store(place / "store");
}

TEST_CASE("a lock that a forked child still holds keeps the store shut until the child is gone") {
  const TemporaryDirectory place;
  make_store(place / "store");
  int go[2];
  REQUIRE(::pipe(go) == 0);
  ::pid_t child = 0;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    child = ::fork();
    if (child == 0) {
      char byte;
      ::close(go[1]);
      ::_exit(::read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
  }
  CHECK(said(open_in(place / "store")) == said(Errc::already_open));  // two writers would be worse than waiting
  ::close(go[0]);
  ::close(go[1]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  check_store(place / "store");
}

TEST_CASE("a data file that has names in two directories is opened through one of them at a time") {
  const TemporaryDirectory place;
  make_store(place / "store");
  REQUIRE(::mkdir((place / "twin").c_str(), 0700) == 0);
  for (const std::string& name : names_in(place / "store"))
    if (name != "lock") REQUIRE(::link((place / ("store/" + name)).c_str(), (place / ("twin/" + name)).c_str()) == 0);
  const std::string before = place.content("store/data");
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    const auto refused = open_in(place / "twin");
    REQUIRE_FALSE(refused);
    CHECK_MESSAGE(refused.error().code() == Errc::already_open, refused.error().message());
    CHECK(in_process([&] { return said(open_in(place / "twin")); }) == said(Errc::already_open));
    CHECK(storage::LocalBackend::open({.directory = place / "twin", .read_only = true}).error().code() == Errc::already_open);
    REQUIRE(put(*engine, "t", {{"newest", "row"}}));
    REQUIRE(engine->close());
  }
  {
    auto reader = storage::LocalBackend::open({.directory = place / "twin", .read_only = true});
    REQUIRE(reader);
    CHECK(said(open_in(place / "store")) == said(Errc::already_open));
  }
  check_store(place / "store");
}

namespace {

using AsyncEngine = storage::Engine<storage::AsyncDurability>;

/// What a child did that inherited an engine: 0, or the number of the first thing that was not as it should be. `held` is what
/// the parent has from its engine.
template <class AnyEngine, class... Held>
int misuse_in_child(AnyEngine& inherited, const typename AnyEngine::Table& table, bool destroy, typename AnyEngine::Transaction& begun, Held&... held) {
  const auto refused = [](const auto& result) { return !result && result.error().code() == Errc::already_open; };
  if (!refused(inherited.table("t")) || !refused(inherited.table("new")) || !refused(inherited.tables())) return 1;
  if (!refused(inherited.drop_table("t")) || !refused(inherited.load_table("loaded"))) return 2;
  if (!refused(inherited.checkpoint()) || !refused(inherited.verify()) || !refused(inherited.close())) return 3;
  if (!refused(inherited.backup("nowhere"))) return 4;
  if (!refused(inherited.transact([&](auto& txn) { return txn.put(table, "child", "was here"); }))) return 5;
  if (inherited.begin().put(table, "child", "was here") || inherited.snapshot().get(table, "newest")) return 6;
  (void)begun.put(table, "child", "was here");
  if (!refused(begun.commit())) return 7;
  if (!destroy) return 0;
  { const std::tuple<Held...> ended{std::move(held)...}; }
  { const auto ended = std::move(begun); }
  { const auto ended = std::move(inherited); }
  return 0;
}

template <class AnyEngine>
void check_fork(bool maintenance_thread) {
  const TemporaryDirectory place;
  const storage::EngineOptions options{.directory = place / "store", .pool_bytes = 256 << 10, .log_bytes = 1 << 20, .maintenance_thread = maintenance_thread};
  Rows wanted = some_rows;
  {
    auto engine = AnyEngine::open(options);
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", some_rows));
    const auto table = engine->table("t");
    REQUIRE(table);
    for (int round = 0; round < 6; ++round) {
      CAPTURE(round);
      auto transaction = engine->begin();
      REQUIRE(transaction.put(*table, "both" + std::to_string(round), "row"));
      auto loader = engine->load_table("half" + std::to_string(round));
      REQUIRE(loader);
      auto cursor = transaction.scan(*table);
      REQUIRE(in_process([&] { return misuse_in_child(*engine, *table, round % 2 == 0, transaction, cursor, *loader); }) == 0);
      REQUIRE(transaction.commit());
      wanted["both" + std::to_string(round)] = "row";
      for (int i = 0; i < 20; ++i) {
        const std::string key = "round" + std::to_string(round) + "." + std::to_string(i);
        REQUIRE(put(*engine, "t", {{key, std::string(4'000, 'p')}}));
        wanted[key] = std::string(4'000, 'p');
      }
      if (round % 3 == 2) REQUIRE(engine->checkpoint());
    }
    CHECK(content(*engine)["t"] == wanted);
    check_structure(*engine);
  }
  auto engine = AnyEngine::open(options);
  REQUIRE_MESSAGE(engine, engine.error().message());
  CHECK(content(*engine)["t"] == wanted);
  check_structure(*engine);
}

}  // namespace

TEST_CASE("a child that inherited an engine by fork is refused, and neither its use nor its end touches the parent's store") {
  SUBCASE("alone") { check_fork<Engine>(false); }
  SUBCASE("beside the engine's own thread") { check_fork<Engine>(true); }
  SUBCASE("with commits that are copies into a mapped log") { check_fork<AsyncEngine>(false); }
}

TEST_CASE("a backend and a log that were inherited by fork write nothing, though nobody asks the engine") {
  const TemporaryDirectory place;
  for (const bool process_durable : {false, true}) {
    CAPTURE(process_durable);
    auto backend = storage::LocalBackend::open({.directory = backend_directory(place, process_durable), .read_only = false});
    REQUIRE(backend);
    const std::string bytes(4096, 'p'), others(4096, 'c');
    REQUIRE(backend->write(storage::BlockId{7}, storage::bytes_of(bytes)));
    REQUIRE(backend->sync());
    auto log = backend->open_log({.identity = {1, 2}, .max_bytes = 1 << 20, .process_durable = process_durable, .create = true});
    REQUIRE(log);
    REQUIRE(log->append(storage::bytes_of(bytes)));
    std::map<std::string, std::string> before;
    for (const std::string& name : names_in(backend_directory(place, process_durable))) before[name] = bytes_of_file(backend_directory(place, process_durable) + "/" + name);
    CHECK(in_process([&] {
            if (log->append(storage::bytes_of(others)) || log->sync() || log->cut(log->begin())) return 1;
            if (backend->write(storage::BlockId{7}, storage::bytes_of(others)) && backend->sync()) return 2;
            if (backend->trim()) return 3;
            { const auto ended = std::move(log); }
            { const auto ended = std::move(backend); }
            return 0;
          }) == 0);
    for (const auto& [name, content] : before) CHECK_MESSAGE((bytes_of_file(backend_directory(place, process_durable) + "/" + name) == content), name);
    CHECK(names_in(backend_directory(place, process_durable)).size() == before.size());
    REQUIRE(log->append(storage::bytes_of(bytes)));
    REQUIRE(log->sync());
    REQUIRE(backend->write(storage::BlockId{8}, storage::bytes_of(bytes)));
    REQUIRE(backend->sync());
  }
}

TEST_CASE("a link, a pipe, a socket or a directory in place of any file is a typed error, and what it leads to is left alone") {
  const TemporaryDirectory place;
  make_store(place / "store");
  const std::vector<std::string> files = names_in(place / "store");
  REQUIRE(files.size() >= 4);  // data, lock, a segment, a spare
  for (const std::string& file : files)
    for (const Thing thing : things) {
      CAPTURE(file);
      CAPTURE(static_cast<int>(thing));
      const std::string path = place / ("store/" + file), outside = place / "outside";
      std::filesystem::rename(path, outside);  // the very file, but elsewhere
      const std::string before = bytes_of_file(outside);
      make_thing(thing, path, outside);
      const auto refused = open_in(place / "store");
      REQUIRE_FALSE(refused);
      INFO(refused.error().message());
      CHECK(refused.error().code() == Errc::io);
      CHECK(bytes_of_file(outside) == before);
      CHECK_FALSE(std::filesystem::exists(outside + ".made"));
      CHECK(std::filesystem::remove(path));  // it is still there
      std::filesystem::rename(outside, path);
    }
  check_store(place / "store");
}

TEST_CASE("a link, a pipe, a socket or a directory under a name that a store is about to make is not written through") {
  for (const char* name : {"data", "data.new", "lock", "wal-0000000000000001.log", "spare-0000000000000001.log", "fresh-0000000000000001.log"})
    for (const Thing thing : things) {
      CAPTURE(name);
      CAPTURE(static_cast<int>(thing));
      const TemporaryDirectory place;
      place.write("outside", "precious");
      REQUIRE(::mkdir((place / "store").c_str(), 0700) == 0);
      make_thing(thing, place / (std::string{"store/"} + name), place / "outside");
      const auto opened = open_in(place / "store");
      if (!opened) {
        INFO(opened.error().message());
        CHECK((opened.error().code() == Errc::io || opened.error().code() == Errc::corrupt_block || opened.error().code() == Errc::corrupt_log));
      }
      CHECK(place.content("outside") == "precious");
      CHECK_FALSE(std::filesystem::exists(place / "outside.made"));
      if (opened && std::filesystem::exists(place / (std::string{"store/"} + name))) CHECK(std::filesystem::symlink_status(place / (std::string{"store/"} + name)).type() == std::filesystem::file_type::regular);
    }
}

TEST_CASE("files with names that only look like a store's are left alone") {
  const TemporaryDirectory place;
  make_store(place / "store");
  const std::vector<std::string> strangers = {"wal-000000000000000G.log", "wal-0000000000000001.log~", "WAL-0000000000000001.log", "wal-1.log", "spare-.log", "fresh-0000000000000001.LOG",
                                              "data ", "d\xc3\xa4ta", "new\nline", std::string(255, 'a'), "-rf", "..."};
  for (const std::string& name : strangers) place.write("store/" + name, "not ours");
  check_store(place / "store");
  for (const std::string& name : strangers) CHECK(place.content("store/" + name) == "not ours");
}

TEST_CASE("a directory's path is the user's: any bytes, links and dots are followed, and what cannot be is told") {
  const TemporaryDirectory place;
  for (const std::string& name : {std::string{"with space"}, std::string{"n\xc3\xa4me"}, std::string{"\xff\xfe"}, std::string{"line\nbreak"}, std::string{"-rf"}, std::string(255, 'x')}) {
    CAPTURE(name);
    make_store(place / name);
    check_store(place / (name + "/../" + name + "/."));
  }
  CHECK(open_in(place / std::string(256, 'x')).error().os_error() == ENAMETOOLONG);
  CHECK(open_in(place / std::string("with\0nul", 8)).error().code() == Errc::invalid_argument);
  REQUIRE(::symlink("loop", (place / "loop").c_str()) == 0);
  CHECK(open_in(place / "loop").error().code() == Errc::invalid_argument);
  CHECK(open_in(place / "loop/store").error().os_error() == ELOOP);
  CHECK_FALSE(std::filesystem::exists(place / "with"));
}

TEST_CASE("an open store stays with its directory when that is moved away and another takes its path") {
  const TemporaryDirectory place;
  {
    auto engine = open_in(place / "store");
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", some_rows));
    std::filesystem::rename(place / "store", place / "moved");
    SUBCASE("an empty directory") { REQUIRE(::mkdir((place / "store").c_str(), 0700) == 0); }
    SUBCASE("another store") { make_store(place / "store"); }
    const auto strangers = names_in(place / "store");
    std::map<std::string, std::string> before;
    for (const std::string& name : strangers) before[name] = place.content("store/" + name);
    for (int i = 0; i < 300; ++i) REQUIRE(put(*engine, "u", {{"k" + std::to_string(i), std::string(4'000, 'x')}}));  // new segments, a larger file
    REQUIRE(engine->checkpoint());
    REQUIRE(put(*engine, "t", {{"newest", "row"}}));
    CHECK(names_in(place / "store") == strangers);
    for (const std::string& name : strangers) CHECK(place.content("store/" + name) == before[name]);
    CHECK(said(open_in(place / "moved")) == said(Errc::already_open));
  }
  auto engine = open_in(place / "moved");
  REQUIRE(engine);
  State found = content(*engine);
  CHECK(found["u"].size() == 300);
  CHECK(found["t"].size() == some_rows.size() + 1);
}

TEST_CASE("a backend's log is in the backend's directory, though that was moved away before the log was opened") {
  const TemporaryDirectory place;
  for (const bool is_new : {true, false}) {
    CAPTURE(is_new);
    auto backend = storage::LocalBackend::open({.directory = place / "store", .read_only = false});
    REQUIRE(backend);
    std::filesystem::rename(place / "store", place / "moved");
    REQUIRE(::mkdir((place / "store").c_str(), 0700) == 0);
    {
      auto engine = Engine::open(*std::move(backend), {.pool_bytes = 256 << 10, .log_bytes = 1 << 20, .maintenance_thread = false});
      REQUIRE(engine);
      REQUIRE(put(*engine, "t", some_rows));
      REQUIRE(put(*engine, "t", {{"newest", "row"}}));
    }
    CHECK(names_in(place / "store").empty());
    std::filesystem::remove(place / "store");
    std::filesystem::rename(place / "moved", place / "store");
    check_store(place / "store");
  }
}

TEST_CASE("under any umask a store's directory and files are for their owner alone") {
  for (const ::mode_t mask : {0000u, 0022u, 0077u}) {
    const TemporaryDirectory place;
    CHECK(in_process([&] {
            ::umask(mask);
            return open_in(place / "store") ? 0 : 1;
          }) == 0);
    CHECK(mode_of(place / "store") == 0700);
    for (const std::string& name : names_in(place / "store")) {
      CAPTURE(name);
      CHECK(mode_of(place / ("store/" + name)) == 0600);
    }
  }
}

TEST_CASE("another user neither opens a store nor finds anything of it, and is told so") {
  const TemporaryDirectory place;
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can become another user");
    return;
  }
  std::filesystem::permissions(place.path(), std::filesystem::perms{0755});
  make_store(place / "store");
  const auto before = names_in(place / "store");
  CHECK(in_process([&] { return becomes_nobody() ? said(open_in(place / "store")) : 250; }) == said(Errc::read_only));
  CHECK(in_process([&] { return becomes_nobody() && ::open((place / "store/data").c_str(), O_RDONLY) < 0 && errno == EACCES ? 0 : 1; }) == 0);
  CHECK(in_process([&] { return becomes_nobody() && !storage::LocalBackend::open({.directory = place / "store", .read_only = true}) ? 0 : 1; }) == 0);
  // One file of somebody else's in a store of one's own.
  REQUIRE(::chown((place / "store").c_str(), nobody, nobody) == 0);
  for (const std::string& name : before) REQUIRE(::chown((place / ("store/" + name)).c_str(), nobody, nobody) == 0);
  for (const std::string& name : before) {
    CAPTURE(name);
    REQUIRE(::chown((place / ("store/" + name)).c_str(), 0, 0) == 0);
    CHECK(in_process([&] { return becomes_nobody() ? said(open_in(place / "store")) : 250; }) == said(Errc::read_only));
    CHECK(names_in(place / "store") == before);
    REQUIRE(::chown((place / ("store/" + name)).c_str(), nobody, nobody) == 0);
  }
  CHECK(in_process([&] { return becomes_nobody() ? said(open_in(place / "store")) : 250; }) == 0);
  check_store(place / "store");
}

TEST_CASE("on media that cannot be written a store is refused as read_only, can be opened for reading, and is left as it is") {
  const TemporaryDirectory place;
  REQUIRE(::mkdir((place / "media").c_str(), 0700) == 0);
  const int outcome = in_process([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 100;
    if (::mount("tmpfs", (place / "media").c_str(), "tmpfs", 0, "size=64m") != 0) return 100;
    {
      auto engine = open_in(place / "media/store");
      if (!engine || !put(*engine, "t", some_rows) || !engine->close()) return 101;
    }
    std::map<std::string, std::string> before;
    for (const std::string& name : names_in(place / "media/store")) before[name] = place.content("media/store/" + name);
    if (::mount("tmpfs", (place / "media").c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=64m") != 0) return 102;
    const auto refused = open_in(place / "media/store");
    if (refused || refused.error().code() != Errc::read_only) return 103;
    const auto none = open_in(place / "media/new");
    if (none || none.error().code() != Errc::read_only) return 104;
    std::uint64_t blocks = 0;
    {
      auto reader = storage::LocalBackend::open({.directory = place / "media/store", .read_only = true});
      if (!reader) return 105;
      if (!reader->for_each([&](storage::BlockId, std::size_t) { ++blocks; }) || blocks < 3) return 106;
      if (reader->write(storage::BlockId{1}, {}).error().code() != Errc::read_only) return 107;
    }
    for (const std::string& name : names_in(place / "media/store"))
      if (place.content("media/store/" + name) != before[name]) return 108;
    if (names_in(place / "media/store").size() != before.size()) return 109;
    if (::mount("tmpfs", (place / "media").c_str(), "tmpfs", MS_REMOUNT, "size=64m") != 0) return 110;
    auto engine = open_in(place / "media/store");
    return engine ? 0 : 111;
  });
  if (outcome == 100) {
    MESSAGE("skipped: no right to mount a file system of the test's own");
    return;
  }
  CHECK(outcome == 0);
}

TEST_CASE("a process that has no descriptors left is told, and opens the store when it has") {
  const TemporaryDirectory place;
  make_store(place / "store");
  const auto before = names_in(place / "store");
  const int outcome = in_process([&] {
    int refusals = 0;
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    for (::rlim_t most = 3; most < 64; ++most) {
      const ::rlimit few{most, limit.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &few);
      const auto opened = open_in(place / "store");
      if (opened) break;
      if (opened.error().code() != Errc::io || opened.error().os_error() != EMFILE) return 100;
      ++refusals;
    }
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return refusals > 3 && open_in(place / "store") ? 0 : 101;
  });
  CHECK(outcome == 0);
  check_store(place / "store");
  CHECK(names_in(place / "store").size() <= before.size() + 1);  // no leftovers
}

TEST_CASE("a file beyond 4 GiB is written and read where it was meant to be, directly and through the cache") {
  constexpr std::uint64_t far = (std::uint64_t{5} << 30) + 8192;
  for (const bool direct : {false, true}) {
    CAPTURE(direct);
    const TemporaryDirectory place;
    auto directory = storage::PosixFiles{}.open_directory(place.path(), false);
    REQUIRE(directory);
    auto file = directory->open("data", {.create = true, .direct = direct});
    REQUIRE(file);
    alignas(4096) static std::byte block[8192], found[8192];
    std::fill(std::begin(block), std::end(block), std::byte{'f'});
    REQUIRE(file->write_at(far, block));
    CHECK(file->size().value() == far + sizeof block);
    std::fill(std::begin(block), std::end(block), std::byte{'g'});
    REQUIRE(file->write_durable_at(far + sizeof block, block));
    for (const auto& [at, byte] : {std::pair{far, 'f'}, std::pair{far + sizeof block, 'g'}, std::pair{far - (std::uint64_t{4} << 30), '\0'}, std::pair{std::uint64_t{0}, '\0'}}) {
      REQUIRE(file->read_at(at, found).value() == sizeof found);
      CHECK(std::count(std::begin(found), std::end(found), static_cast<std::byte>(byte)) == sizeof found);
    }
    if (!direct) {
      if (auto mapping = file->map(far, sizeof block)) CHECK(mapping->bytes()[17] == std::byte{'f'});
    }
    if (file->punch(far, 4096)) {
      REQUIRE(file->read_at(far, found).value() == sizeof found);
      CHECK(found[0] == std::byte{0});
      CHECK(found[4096] == std::byte{'f'});
    }
    REQUIRE(file->truncate(far + 4096));
    CHECK(file->size().value() == far + 4096);
  }
}

TEST_CASE("extents beyond 4 GiB of a data file come back, though the file is mostly a hole") {
  const TemporaryDirectory place;
  auto directory = storage::PosixFiles{}.open_directory(place.path(), false);
  REQUIRE(directory);
  auto data = directory->open("data", {.create = true, .direct = true});
  REQUIRE(data);
  storage::ExtentFile<storage::PosixFiles> file{*std::move(data), storage::ExtentGeometry{4096}};
  for (const std::uint64_t gib : {0u, 1u, 2u, 4u, 5u, 9u}) {
    CAPTURE(gib);
    const std::string text = numbered("extent", 1, 9'000).begin()->second + std::to_string(gib);
    const storage::Bytes content{reinterpret_cast<const std::byte*>(text.data()), text.size()};
    const storage::UnitRun run{.first = ((gib << 30) >> 12) + 40, .count = file.geometry().units(content.size())};
    REQUIRE(file.write_padded(run, content));
    REQUIRE(file.sync(true));
    const storage::Extent extent = storage::Extent::at(run.first * storage::ExtentGeometry::grains_per_unit, content);
    CHECK(file.geometry().offset(extent) == (gib << 30) + 40 * 4096);
    std::string found(text.size(), '\0');
    REQUIRE(file.read(extent, {reinterpret_cast<std::byte*>(found.data()), found.size()}, "extent", gib));
    CHECK(found == text);
  }
}
