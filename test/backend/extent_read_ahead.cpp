// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/backend/extent_read_ahead.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace aegis::storage;

namespace {

/// Counts its reads, each call with its size; a read that touches `bad` fails.
struct CountedFile {
  std::vector<std::byte> content;
  std::vector<std::size_t> reads{};
  bool is_direct = true;
  std::uint64_t bad = ~std::uint64_t{0};

  bool direct() const { return is_direct; }
  std::uint32_t alignment() const { return 512; }
  Result<std::size_t> read_at(std::uint64_t begin, MutableBytes into) {
    reads.push_back(into.size());
    if (bad >= begin && bad < begin + into.size()) return Error::os(Errc::io, 5, "read");
    const std::size_t got = begin < content.size() ? std::min<std::size_t>(into.size(), content.size() - begin) : 0;
    copy_bytes(into, Bytes{content}.subspan(static_cast<std::size_t>(begin), got));
    return got;
  }
};

constexpr std::size_t page = 8192;

CountedFile file_of(std::size_t pages) {
  CountedFile file;
  for (std::size_t i = 0; i < pages * page; ++i) file.content.push_back(static_cast<std::byte>(i / page * 7 + i % 251));
  return file;
}

struct Reader {
  CountedFile& file;
  AlignedBuffers buffers{};
  ExtentReadAhead<CountedFile> ahead{buffers};
  std::vector<std::byte> into = std::vector<std::byte>(page);

  /// Reads the page, itself where nothing was read ahead; whether it got what the file holds.
  bool read(std::size_t index) {
    const std::uint64_t begin = index * page;
    if (!ahead.read(file, begin, into)) {
      if (const auto got = file.read_at(begin, into); !got || *got != page) return false;
    }
    return std::equal(into.begin(), into.end(), file.content.begin() + static_cast<std::ptrdiff_t>(begin));
  }
};

}  // namespace

TEST_CASE("pages in the order of their places are read sixteen at a time, and up to sixty-four as that goes on") {
  CountedFile file = file_of(200);
  Reader reader{file};
  for (std::size_t i = 0; i < 200; ++i) REQUIRE(reader.read(i));
  CHECK(file.reads.size() <= 2 + 5);  // 16, 32, and 64 three times
}

TEST_CASE("pages in any other order are read as they are, and nothing more") {
  CountedFile file = file_of(200);
  Reader reader{file};
  for (std::size_t i = 0; i < 200; ++i) REQUIRE(reader.read(i * 77 % 200));
  CHECK(file.reads == std::vector<std::size_t>(200, page));
}

TEST_CASE("a page that is read again and again is read from the file each time") {
  CountedFile file = file_of(50);
  Reader reader{file};
  for (std::size_t i = 0; i < 20; ++i) REQUIRE(reader.read(i));
  for (int again = 0; again < 5; ++again) {
    const std::size_t reads = file.reads.size();
    file.content[30 * page + 100] ^= std::byte{1};  // behind the reader's back
    REQUIRE(reader.read(30));
    CHECK(file.reads.size() == reads + 1);
  }
}

TEST_CASE("so is one of a single sector") {
  CountedFile file = file_of(50);
  Reader reader{file};
  const auto sector = file.alignment();
  alignas(4096) static std::byte into[8192];
  REQUIRE(sector <= sizeof into);
  for (int again = 0; again < 8; ++again) CHECK_FALSE(reader.ahead.read(file, 10 * sector, MutableBytes{into}.first(sector)));
}

TEST_CASE("neighbours that share a sector follow each other") {
  CountedFile file = file_of(100);
  Reader reader{file};
  for (std::size_t begin = 0; begin < 80 * page; begin += page - 512) {
    std::vector<std::byte> into(page);
    if (!reader.ahead.read(file, begin, into)) REQUIRE(file.read_at(begin, into));
    REQUIRE(std::equal(into.begin(), into.end(), file.content.begin() + static_cast<std::ptrdiff_t>(begin)));
  }
  CHECK(file.reads.size() <= 3 + 80 / 15);
}

TEST_CASE("a file that goes through the page cache is left to it") {
  CountedFile file = file_of(50);
  file.is_direct = false;
  Reader reader{file};
  for (std::size_t i = 0; i < 50; ++i) REQUIRE(reader.read(i));
  CHECK(file.reads == std::vector<std::size_t>(50, page));
}

TEST_CASE("what is written over what was read ahead is read again") {
  CountedFile file = file_of(100);
  Reader reader{file};
  for (std::size_t i = 0; i < 100; ++i) {
    for (const std::size_t written : {i, i + 1, i + 5}) {
      if (written >= 100 || i % 3 != 0) continue;
      for (std::size_t at = 0; at < page; ++at) file.content[written * page + at] = static_cast<std::byte>(at * i);
      reader.ahead.drop(written * page, page);
    }
    CAPTURE(i);
    REQUIRE(reader.read(i));
  }
}

TEST_CASE("a bad sector ahead is an error only to who asks for it, and the file's end is none") {
  CountedFile file = file_of(60);
  file.bad = 40 * page + 100;
  Reader reader{file};
  for (std::size_t i = 0; i < 60; ++i) {
    CAPTURE(i);
    CHECK(reader.read(i) == (i != 40));
  }
}
