// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/posix.hpp>
#include <aegis/storage/file/process_mark.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"
#include "support/processes.hpp"

#include <string>
#include <utility>

#include <sys/resource.h>
#include <unistd.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

bool refused(const Result<void>& done) { return !done && done.error().code() == Errc::already_open; }

/// Here, in a child, and in that child's child.
void check_mark() {
  ProcessMark mark;
  const auto parent = static_cast<std::uint64_t>(::getpid());
  CHECK(mark.is_here());
  CHECK(mark.check());
  const auto is_told = [&] {
    const auto there = mark.check();
    return refused(there) && !mark.is_here() && there.error().found() == parent && there.error().expected() == static_cast<std::uint64_t>(::getpid());
  };
  CHECK(in_process([&] {
          if (!is_told()) return 1;
          const ProcessMark own;
          if (!own.is_here()) return 2;
          return in_process([&] { return is_told() && !own.is_here() ? 0 : 3; });
        }) == 0);
  CHECK(mark.is_here());
  ProcessMark moved = std::move(mark);
  CHECK(moved.is_here());
  CHECK(in_process([&] { return moved.is_here() ? 1 : 0; }) == 0);
  ProcessMark other;
  other = std::move(moved);
  CHECK(other.is_here());
  CHECK(in_process([&] { return other.is_here() ? 1 : 0; }) == 0);
}

}  // namespace

TEST_CASE("a mark knows the process that made it from every child of fork") { check_mark(); }

TEST_CASE("a mark for which there is no memory asks the kernel") {
  CHECK(in_process([] {
          const ::rlimit none{0, 0};
          if (::setrlimit(RLIMIT_AS, &none) != 0) return 1;
          const ProcessMark mark;
          if (!mark.is_here() || !mark.check()) return 2;
          const ::pid_t child = ::fork();
          if (child == 0) ::_exit(mark.is_here() || mark.check() ? 3 : 0);
          int status = 0;
          return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 4;
        }) == 0);
}

TEST_CASE("a child of fork reads files and directories that it inherited, and changes nothing") {
  const TemporaryDirectory place;
  place.write("data", std::string(8192, 'p'));
  place.write("other", "other");
  auto directory = PosixFiles{}.open_directory(place.path(), false);
  REQUIRE(directory);
  auto file = directory->open("data", {});
  REQUIRE(file);
  auto mapping = file->map(0, 8192);
  CHECK(in_process([&] {
          const std::string text(4096, 'c');
          std::string found(4096, ' ');
          const auto got = file->read_at(0, {reinterpret_cast<std::byte*>(found.data()), found.size()});
          if (!got || *got != found.size() || found != std::string(4096, 'p')) return 1;
          if (!refused(file->write_at(0, bytes_of(text))) || !refused(file->write_durable_at(0, bytes_of(text)))) return 2;
          if (!refused(file->sync_data()) || !refused(file->sync_all())) return 3;  // a failed write is told once, to its owner
          if (!refused(file->truncate(1)) || !refused(file->allocate(0, 16384)) || !refused(file->punch(0, 4096))) return 4;
          if (file->map(0, 4096) || (mapping && !mapping->bytes().empty())) return 5;
          if (!refused(directory->unlink("other")) || !refused(directory->rename("other", "moved")) || !refused(directory->sync())) return 6;
          const auto made = directory->open("new", {.create = true});
          if (made || made.error().code() != Errc::already_open) return 7;
          if (!directory->exists("other").value_or(false) || !directory->open("other", {.read_only = true})) return 8;
          auto own = PosixFiles{}.open_directory(place.path(), false);  // what it opens itself is its own
          if (!own || !own->open("childs", {.create = true})) return 9;
          return own->unlink("childs") ? 0 : 10;
        }) == 0);
  CHECK(place.content("data") == std::string(8192, 'p'));
  CHECK(place.content("other") == "other");
  CHECK(file->write_at(0, bytes_of("mine")));
  if (mapping) CHECK(mapping->bytes()[0] == std::byte{'m'});
  CHECK(file->sync_data());
}

TEST_CASE("a file that is opened alone is refused by all its names until it is closed") {
  const TemporaryDirectory place;
  place.write("data", "bytes");
  REQUIRE(::link((place / "data").c_str(), (place / "link").c_str()) == 0);
  auto directory = PosixFiles{}.open_directory(place.path(), false);
  REQUIRE(directory);
  const auto alone = [&](std::string_view name, bool read_only) { return directory->open(name, {.read_only = read_only, .alone = true}); };
  {
    const auto first = alone("data", false);
    REQUIRE(first);
    for (const char* name : {"data", "link"})
      for (const bool read_only : {false, true}) {
        const auto second = alone(name, read_only);
        REQUIRE_FALSE(second);
        CHECK(second.error().code() == Errc::already_open);
        CHECK(in_process([&] {
                auto own = PosixFiles{}.open_directory(place.path(), false);
                return own && !own->open(name, {.read_only = read_only, .alone = true}) && own->open(name, {.read_only = read_only}) ? 0 : 1;
              }) == 0);
      }
    CHECK(directory->open("link", {}));  // for those who do not ask
  }
  {
    const auto reader = alone("link", true);
    REQUIRE(reader);
    CHECK_FALSE(alone("data", false));
  }
  CHECK(alone("data", false));
}
