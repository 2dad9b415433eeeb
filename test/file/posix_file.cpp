// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/posix.hpp>
#include <aegis/storage/file/posix_file.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

PosixDirectory opened(const TemporaryDirectory& place) { return *PosixFiles{}.open_directory(place.path(), false); }
std::string read_text(PosixFile& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  const auto got = file.read_at(offset, {reinterpret_cast<std::byte*>(text.data()), size});
  REQUIRE(got);
  text.resize(*got);
  return text;
}
/// Runs in a process of its own, whose limits may be changed; true when it held there.
template <class Check>
bool holds_in_child(Check&& check) {
  const ::pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("a file gives back what was written, and is short only at its end") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place);
  auto file = directory.open("data", {.create = true});
  REQUIRE(file);
  CHECK(read_text(*file, 0, 10) == "");
  REQUIRE(file->write_at(3, bytes_of("hello")));
  CHECK(file->size().value() == 8);
  CHECK(read_text(*file, 0, 100) == std::string("\0\0\0hello", 8));
  CHECK(read_text(*file, 5, 2) == "ll");
  CHECK(read_text(*file, 8, 2) == "");
  CHECK(file->write_at(1000, {}));
  CHECK(file->size().value() == 8);
  CHECK(file->sync_data());
  CHECK(file->sync_all());
  CHECK(file->drop_cache());
  CHECK(place.content("data").substr(3) == "hello");
  REQUIRE(file->write_durable_at(8, bytes_of("!")));
  CHECK(place.content("data").substr(3) == "hello!");
}

TEST_CASE("truncate cuts and lengthens, allocate makes room, punch gives it back as zeros") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place);
  auto file = directory.open("data", {.create = true});
  REQUIRE(file->write_at(0, bytes_of(std::string(20000, 'x'))));
  REQUIRE(file->truncate(10000));
  CHECK(file->size().value() == 10000);
  REQUIRE(file->allocate(0, 65536));
  CHECK(file->size().value() == 65536);
  CHECK(read_text(*file, 9999, 3) == std::string("x\0\0", 3));
  CHECK(file->allocate(5, 0));
  if (const auto punched = file->punch(4096, 4096)) {
    CHECK(read_text(*file, 4095, 4098) == "x" + std::string(4096, '\0') + "x");
    CHECK(file->size().value() == 65536);
  } else {
    CHECK(punched.error().os_error() == EOPNOTSUPP);
  }
}

TEST_CASE("a direct file tells what it wants, and takes it") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place);
  auto file = directory.open("data", {.create = true, .direct = true});
  REQUIRE(file);
  CHECK(file->unit_bytes() == 4096);
  if (!file->direct()) {
    CHECK(file->alignment() == 1);
    MESSAGE("skipped: no direct I/O on the file system of the temporary directory");
    return;
  }
  CHECK(file->alignment() > 1);
  CHECK(4096 % file->alignment() == 0);
  alignas(4096) static std::byte block[8192];
  std::memset(block, 'd', sizeof block);
  CHECK(file->write_durable_at(4096, block));
  std::memset(block, 0, sizeof block);
  CHECK(file->read_at(0, block).value() == 8192);
  CHECK(block[0] == std::byte{0});
  CHECK(block[4096] == std::byte{'d'});
  CHECK(file->read_at(8192, block).value() == 4096);
  CHECK(file->read_at(12288, block).value() == 0);
  CHECK_FALSE(file->map(0, 4096));
}

TEST_CASE("a mapping is the file") {
  const TemporaryDirectory place;
  PosixDirectory directory = opened(place);
  auto file = directory.open("data", {.create = true});
  REQUIRE(file->write_at(0, bytes_of(std::string(12288, 'a'))));
  auto mapping = file->map(4096, 8192);
  if (!mapping) {
    CHECK(mapping.error().os_error() == EOPNOTSUPP);
    MESSAGE("skipped: the file system of the temporary directory is not known to overwrite in place");
    return;
  }
  CHECK(mapping->bytes().size() == 8192);
  mapping->bytes()[0] = std::byte{'b'};
  CHECK(read_text(*file, 4095, 3) == "aba");
  REQUIRE(file->write_at(4097, bytes_of("c")));
  CHECK(mapping->bytes()[1] == std::byte{'c'});
  CHECK(file->sync_data());
  PosixMapping moved = *std::move(mapping);
  CHECK(moved.bytes()[0] == std::byte{'b'});
  SUBCASE("what lies beyond the end is never mapped") {
    CHECK(file->map(8192, 8192).error().code() == Errc::invalid_argument);
    CHECK(file->map(~std::uint64_t{0} - 4095, 4096).error().code() == Errc::invalid_argument);
    CHECK_FALSE(file->map(0, 0));
  }
}

TEST_CASE("a file opened read only is never written") {
  const TemporaryDirectory place;
  place.write("data", "old");
  PosixDirectory directory = opened(place);
  auto file = directory.open("data", {.read_only = true});
  REQUIRE(file);
  CHECK(read_text(*file, 0, 3) == "old");
  CHECK(file->write_at(0, bytes_of("new")).error().code() == Errc::read_only);
  CHECK(file->write_durable_at(0, bytes_of("new")).error().code() == Errc::read_only);
  CHECK(place.content("data") == "old");
}

TEST_CASE("a file that may not grow gives no_space with its cause") {
  const TemporaryDirectory place;
  CHECK(holds_in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const ::rlimit limit{8192, 8192};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    PosixDirectory directory = opened(place);
    auto file = directory.open("data", {.create = true});
    const auto written = file->write_at(0, bytes_of(std::string(20000, 'x')));
    return !written && written.error().code() == Errc::no_space && written.error().os_error() == EFBIG && written.error().id() == 8192;
  }));
  CHECK(place.content("data").size() == 8192);
}

TEST_CASE("what an errno means") {
  CHECK(posix_code(ENOSPC) == Errc::no_space);
  CHECK(posix_code(EDQUOT) == Errc::no_space);
  CHECK(posix_code(EFBIG) == Errc::no_space);
  CHECK(posix_code(ENOMEM) == Errc::out_of_memory);
  CHECK(posix_code(EROFS) == Errc::read_only);
  CHECK(posix_code(EACCES) == Errc::read_only);
  CHECK(posix_code(EPERM) == Errc::read_only);
  CHECK(posix_code(EIO) == Errc::io);
  CHECK(posix_code(ENOENT) == Errc::io);
}

TEST_CASE("a descriptor keeps away from the standard streams and is closed once") {
  CHECK(holds_in_child([] {
    ::close(0);
    const PosixDescriptor moved{::open("/dev/null", O_RDONLY | O_CLOEXEC)};  // takes number 0
    return moved.get() > 2 && ::fcntl(0, F_GETFD) == -1 && (::fcntl(moved.get(), F_GETFD) & FD_CLOEXEC) != 0;
  }));
  int number = -1;
  {
    PosixDescriptor first{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    number = first.get();
    PosixDescriptor second = std::move(first);
    CHECK_FALSE(first);
    CHECK(second.get() == number);
    first = std::move(second);
    CHECK(first.get() == number);
  }
  CHECK(::fcntl(number, F_GETFD) == -1);
}
