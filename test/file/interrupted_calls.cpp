// SPDX-License-Identifier: Apache-2.0
// PosixFile and PosixDirectory where system calls are interrupted, move less than was asked for, fail, or are not known to the
// kernel. An ordinary disk does none of this to a regular file.
#include "file/answered_calls.hpp"
#include "file/temporary_directory.hpp"

#include <aegis/storage/file/posix.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

#include <sys/syscall.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

bool can_tell() {
  const TemporaryDirectory place;
  bool opened = false;
  if (with_answers({}, [&] { opened = PosixFiles{}.open_directory(place.path(), false).has_value(); }).told && opened) return true;
  MESSAGE("skipped: no seccomp notifications here");
  return false;
}

/// A directory with a file of 20000 bytes, and what the calls did to it.
struct World {
  explicit World(bool direct = false) : file(*directory.open("data", {.create = true, .direct = direct})) {}

  TemporaryDirectory place;
  PosixDirectory directory = *PosixFiles{}.open_directory(place.path(), false);
  PosixFile file;
};

template <class T>
Result<void> outcome(const Result<T>& result) {
  if (!result) return result.error();
  return {};
}

struct Operation {
  const char* name;
  int call;
  std::function<Result<void>(World&)> run;
};

const std::string text(20000, 't');
Result<std::string> read_back(World& world, std::size_t room) {
  std::string found(room, '\0');
  AEGIS_TRY(const std::size_t got, world.file.read_at(0, {reinterpret_cast<std::byte*>(found.data()), found.size()}));
  return found.substr(0, got);
}

const Operation operations[] = {
    {"opening of a directory", __NR_openat, [](World& world) { return outcome(PosixFiles{}.open_directory(world.place.path(), false)); }},
    {"sync of a directory's parent", __NR_fsync, [](World& world) { return outcome(PosixFiles{}.open_directory(world.place / "sub", true)); }},
    {"another handle", __NR_openat, [](World& world) { return outcome(world.directory.again()); }},
    {"listing", __NR_openat, [](World& world) { return outcome(world.directory.list()); }},
    {"sync of a directory", __NR_fsync, [](World& world) { return world.directory.sync(); }},
    {"free space", __NR_fstatfs, [](World& world) { return outcome(world.directory.space()); }},
    {"lock", __NR_fcntl, [](World& world) { return outcome(world.directory.lock("lock")); }},
    {"emptying of a lock", __NR_ftruncate, [](World& world) { return outcome(world.directory.lock("lock")); }},
    {"signing of a lock", __NR_pwrite64, [](World& world) { return outcome(world.directory.lock("lock")); }},
    {"making of a file", __NR_openat2, [](World& world) { return outcome(world.directory.open("new", {.create = true, .exclusive = true})); }},
    {"opening of a file alone", __NR_flock, [](World& world) { return outcome(world.directory.open("data", {.alone = true})); }},
    {"read", __NR_pread64, [](World& world) { return outcome(read_back(world, 100)); }},
    {"write", __NR_pwrite64, [](World& world) { return world.file.write_at(0, bytes_of(text)); }},
    {"durable write", __NR_pwritev2, [](World& world) { return world.file.write_durable_at(0, bytes_of(text)); }},
    {"sync of data", __NR_fdatasync, [](World& world) { return world.file.sync_data(); }},
    {"sync", __NR_fsync, [](World& world) { return world.file.sync_all(); }},
    {"new size", __NR_ftruncate, [](World& world) { return world.file.truncate(10); }},
    {"allocation", __NR_fallocate, [](World& world) { return world.file.allocate(0, 8192); }},
};

}  // namespace

TEST_CASE("a call that was interrupted is made again until it is done, and one that failed is told as that") {
  if (!can_tell()) return;
  for (const Operation& operation : operations) {
    CAPTURE(operation.name);
    for (const unsigned times : {1u, 5u}) {
      World world;
      Result<void> result;
      const Met met = with_answers({.call = operation.call, .times = times}, [&] { result = operation.run(world); });
      CHECK_MESSAGE(result, result.error().message());
      CHECK(met.failed == times);
    }
    World world;
    Result<void> result;
    const Met met = with_answers({.call = operation.call, .error = EIO, .times = 1}, [&] { result = operation.run(world); });
    CHECK(met.failed == 1);
    REQUIRE(!result);
    CHECK(result.error().code() == Errc::io);
    CHECK(result.error().os_error() == EIO);
  }
}

TEST_CASE("a file holds what was meant when writes and reads are interrupted and move less than asked for, and a read ends at its end") {
  if (!can_tell()) return;
  std::string meant;
  for (std::uint32_t i = 0; meant.size() < 70'001; ++i) meant += std::to_string(i * 2654435761u);
  meant.resize(70'001);
  for (const std::size_t at_most : {std::size_t{611}, std::size_t{4096}, Answers::whole})
    for (const unsigned times : {0u, 3u}) {
      CAPTURE(at_most);
      CAPTURE(times);
      World world;
      bool written = true;
      const Met writing = with_answers({.call = __NR_pwrite64, .times = times, .at_most = at_most}, [&] {
        for (std::size_t at = 0; at < meant.size(); at += 9001)
          written = written && world.file.write_at(at, bytes_of(std::string_view{meant}.substr(at, 9001)));
      });
      CHECK(written);
      CHECK(world.place.content("data") == meant);
      std::string found;
      const Met reading =
          with_answers({.call = __NR_pread64, .times = times, .at_most = at_most}, [&] { found = read_back(world, 100'000).value_or("error"); });
      CHECK(found == meant);
      for (const Met& met : {writing, reading}) {
        CHECK(met.failed == times);
        CHECK((met.shorter > 10) == (at_most != Answers::whole));
      }
    }
}

TEST_CASE("a direct file goes on after a transfer that ended at a sector") {
  if (!can_tell()) return;
  World world{true};
  if (!world.file.direct()) {
    MESSAGE("skipped: no direct files here");
    return;
  }
  alignas(4096) static std::byte meant[5 * 4096], found[sizeof meant];
  for (std::size_t i = 0; i < sizeof meant; ++i) meant[i] = static_cast<std::byte>(i * 31 >> 3);
  Result<void> written;
  Result<std::size_t> got = std::size_t{0};
  CHECK(with_answers({.call = __NR_pwrite64, .times = 1, .at_most = 4096}, [&] { written = world.file.write_at(0, meant); }).shorter == 4);
  CHECK(with_answers({.call = __NR_pread64, .times = 1, .at_most = 4096}, [&] { got = world.file.read_at(0, found); }).shorter == 4);
  REQUIRE(written);
  REQUIRE(got);
  CHECK(*got == sizeof meant);
  CHECK(std::equal(std::begin(meant), std::end(meant), std::begin(found)));
}

TEST_CASE("a write that moves nothing is told, and a read that does is at the file's end") {
  if (!can_tell()) return;
  World world;
  REQUIRE(world.file.write_at(0, bytes_of(text)));
  Result<void> written;
  CHECK(with_answers({.call = __NR_pwrite64, .at_most = 0}, [&] { written = world.file.write_at(0, bytes_of("lost")); }).shorter == 1);
  REQUIRE(!written);
  CHECK(written.error().code() == Errc::io);
  std::string found;
  CHECK(with_answers({.call = __NR_pread64, .at_most = 0}, [&] { found = read_back(world, 10).value_or("error"); }).shorter == 1);
  CHECK(found == "");
}

TEST_CASE("what the kernel does not know is done in an older way, once, to the same end") {
  if (!can_tell()) return;
  for (const int error : {ENOSYS, EOPNOTSUPP}) {
    World world;
    Result<void> written, grown;
    REQUIRE(with_answers({.call = __NR_pwritev2, .error = error, .times = 9}, [&] {
              written = world.file.write_durable_at(0, bytes_of(text));
            }).failed == 1);
    REQUIRE(with_answers({.call = __NR_fallocate, .error = error, .times = 9}, [&] { grown = world.file.allocate(0, 30'000); }).failed == 1);
    CHECK(written);
    CHECK(grown);
    CHECK(world.place.content("data") == text + std::string(10'000, '\0'));
  }
  for (const int error : {ENOSYS, EPERM}) {
    World world;
    bool made = false;
    REQUIRE(with_answers({.call = __NR_openat2, .error = error, .times = 9}, [&] {
              made = world.directory.open("new", {.create = true}).has_value();
            }).failed == 1);
    CHECK(made);
    CHECK(world.directory.exists("new").value());
  }
}
