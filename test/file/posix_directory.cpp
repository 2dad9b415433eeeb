// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/posix.hpp>
#include <aegis/storage/file/posix_directory.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

std::vector<::ino_t>* synced = nullptr;  // where the inodes that are synced are noted

}  // namespace

extern "C" int fsync(int descriptor) {
  static auto* const sync = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fsync"));
  struct ::stat about{};
  if (synced != nullptr && ::fstat(descriptor, &about) == 0) synced->push_back(about.st_ino);
  return sync(descriptor);
}

namespace {

PosixDirectory opened(const std::string& path) { return *PosixFiles{}.open_directory(path, false); }
::mode_t mode_of(const std::string& path) {
  struct ::stat about{};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}
template <class Check>
bool holds_in_child(Check&& check) {
  const ::pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("only names of a-z, 0-9, dot, underscore and hyphen are ever opened") {
  for (const std::string_view good : {"a", "data", "wal-00ff.log", "a_b", "...", ".x"}) CHECK(PosixName::is_valid(good));
  CHECK(PosixName::is_valid(std::string(64, 'a')));
  CHECK_FALSE(PosixName::is_valid(std::string(65, 'a')));
  for (const std::string_view bad : {"", ".", "..", "a/b", "/etc/passwd", "../x", "A", "a b", "\xc3\xa4"}) CHECK_FALSE(PosixName::is_valid(bad));
  CHECK_FALSE(PosixName::is_valid(std::string_view{"a\0b", 3}));

  const TemporaryDirectory place;
  PosixDirectory directory = opened(place.path());
  for (const std::string_view bad : {"", "..", "../x", "/etc/passwd"}) {
    CHECK(directory.open(bad, {.create = true}).error().code() == Errc::invalid_argument);
    CHECK(directory.exists(bad).error().code() == Errc::invalid_argument);
    CHECK(directory.unlink(bad).error().code() == Errc::invalid_argument);
    CHECK(directory.rename(bad, "x").error().code() == Errc::invalid_argument);
    CHECK(directory.rename("x", bad).error().code() == Errc::invalid_argument);
    CHECK(directory.lock(bad).error().code() == Errc::invalid_argument);
  }
}

TEST_CASE("a directory that may be made is synced into its parent, made now or before; one that is only opened is not") {
  const TemporaryDirectory place;
  const auto inode_of = [](const std::string& path) {
    struct ::stat about{};
    REQUIRE(::stat(path.c_str(), &about) == 0);
    return about.st_ino;
  };
  for (const bool create : {true, true, false}) {  // makes it; finds it, perhaps made by a process that died before its sync; opens it
    std::vector<::ino_t> inodes;
    synced = &inodes;
    const auto directory = PosixFiles{}.open_directory(place / "store", create);
    synced = nullptr;
    REQUIRE(directory);
    CHECK((std::count(inodes.begin(), inodes.end(), inode_of(place.path())) == 1) == create);
  }
}

TEST_CASE("nothing but a regular file of the directory itself is opened") {
  const TemporaryDirectory place, elsewhere;
  elsewhere.write("secret", "secret");
  PosixDirectory directory = opened(place.path());
  REQUIRE(::symlink((elsewhere / "secret").c_str(), (place / "link").c_str()) == 0);
  REQUIRE(::symlink((elsewhere / "made").c_str(), (place / "dangling").c_str()) == 0);
  REQUIRE(::mkdir((place / "folder").c_str(), 0700) == 0);
  REQUIRE(::mkfifo((place / "pipe").c_str(), 0600) == 0);
  CHECK(directory.open("link", {}).error().os_error() == ELOOP);
  CHECK(directory.open("dangling", {.create = true}).error().os_error() == ELOOP);
  CHECK(::access((elsewhere / "made").c_str(), F_OK) != 0);
  CHECK(directory.open("folder", {}).error().code() == Errc::io);
  CHECK(directory.open("folder", {.read_only = true}).error().code() == Errc::io);
  CHECK(directory.open("pipe", {}).error().code() == Errc::io);
  CHECK(directory.open("pipe", {.read_only = true}).error().code() == Errc::io);
}

TEST_CASE("files are made on demand, once if asked so, and for their owner alone") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place.path());
  CHECK_FALSE(directory.exists("data").value());
  const auto absent = directory.open("data", {});
  CHECK(absent.error().code() == Errc::io);
  CHECK(absent.error().os_error() == ENOENT);
  REQUIRE(directory.open("data", {.create = true, .exclusive = true}));
  CHECK(directory.exists("data").value());
  CHECK(mode_of(place / "data") == 0600);
  CHECK(directory.open("data", {.create = true, .exclusive = true}).error().code() == Errc::already_open);
  CHECK(directory.open("data", {.create = true}));
}

TEST_CASE("rename replaces, unlink removes, list tells the valid names") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place.path());
  place.write("a", "A");
  place.write("b", "B");
  place.write("UPPER", "");
  REQUIRE(directory.rename("a", "b"));
  CHECK(place.content("b") == "A");
  CHECK_FALSE(directory.exists("a").value());
  CHECK(directory.rename("a", "b").error().os_error() == ENOENT);
  REQUIRE(directory.open("c", {.create = true}));
  auto names = directory.list().value();
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"b", "c"});
  REQUIRE(directory.unlink("b"));
  CHECK(directory.unlink("b").error().os_error() == ENOENT);
  CHECK(directory.list().value() == std::vector<std::string>{"c"});
  CHECK(directory.sync());
  const Space space = directory.space().value();
  CHECK(space.total_bytes > 0);
  CHECK(space.free_bytes <= space.total_bytes);
}

TEST_CASE("a directory is made when asked, for its owner alone, in a parent that exists") {
  const TemporaryDirectory place;
  const PosixFiles files;
  CHECK(files.open_directory(place / "new", false).error().os_error() == ENOENT);
  REQUIRE(files.open_directory(place / "new", true));
  CHECK(mode_of(place / "new") == 0700);
  CHECK(files.open_directory(place / "new", true));
  place.write("file", "");
  const auto refused = [&](const std::string& path, int os_error) {
    CAPTURE(path);
    const auto opened = files.open_directory(path, true);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code() == Errc::invalid_argument);
    CHECK(opened.error().os_error() == os_error);
  };
  refused(place / "no/new", ENOENT);
  refused(place / "file", ENOTDIR);
  refused(place / std::string(256, 'x'), ENAMETOOLONG);
  CHECK(files.open_directory(std::string_view{"a\0b", 3}, true).error().code() == Errc::invalid_argument);
}

TEST_CASE("a directory handle stays with its directory when that gets another name") {
  const TemporaryDirectory place;
  auto directory = PosixFiles{}.open_directory(place / "one", true);
  REQUIRE(directory);
  REQUIRE(::rename((place / "one").c_str(), (place / "two").c_str()) == 0);
  REQUIRE(directory->open("data", {.create = true}));
  CHECK(::access((place / "two/data").c_str(), F_OK) == 0);
}

TEST_CASE("a lock is granted once, whoever asks, and tells who has it") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place.path());
  {
    auto lock = directory.lock("lock");
    REQUIRE(lock);
    CHECK(place.content("lock") == std::to_string(::getpid()) + "\n");
    PosixDirectory again = opened(place.path());
    const auto second = again.lock("lock");
    REQUIRE_FALSE(second);
    CHECK(second.error().code() == Errc::already_open);
    CHECK(second.error().found() == static_cast<std::uint64_t>(::getpid()));
    { const auto file = directory.open("lock", {}); }  // closing another descriptor of the file frees nothing
    CHECK_FALSE(directory.lock("lock"));
    const auto parent = static_cast<std::uint64_t>(::getpid());
    CHECK(holds_in_child([&] {
      PosixDirectory childs = opened(place.path());
      const auto refused = childs.lock("lock");
      return !refused && refused.error().code() == Errc::already_open && refused.error().found() == parent;
    }));
    PosixLock moved = *std::move(lock);
    CHECK_FALSE(directory.lock("lock"));
  }
  CHECK(directory.exists("lock").value());
  CHECK(directory.lock("lock"));
}

TEST_CASE("a killed process frees its lock") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place.path());
  CHECK(holds_in_child([&] {
    PosixDirectory own = opened(place.path());
    const auto lock = own.lock("lock");
    if (lock) ::_exit(0);
    return false;
  }));
  CHECK(directory.lock("lock"));
}
