// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/log/segment_file.hpp>

#include <doctest/doctest.h>

#include "log/crash_files.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

using Segment = SegmentFile<CrashFiles>;

constexpr std::uint64_t size = 64 << 10;

}  // namespace

TEST_CASE("a made segment is written and durable to its last byte before anybody relies on it") {
  CrashDisk disk;
  CrashDirectory directory{&disk};
  REQUIRE(Segment::make(directory, 3, size, false));
  const auto& inode = disk.now.at("fresh-0000000000000003.log");
  CHECK(inode->durable == std::vector<std::byte>(size));
}

TEST_CASE("each method writes the same bytes to the same place, from memory of any alignment") {
  CrashDisk disk;
  CrashDirectory directory{&disk};
  const bool process_durable[] = {false, false, true};
  const WriteMethod methods[] = {WriteMethod::direct, WriteMethod::buffered, WriteMethod::mapped};
  for (int mode = 0; mode < 3; ++mode) {
    CAPTURE(mode);
    disk.direct_works = mode != 1;
    auto made = Segment::make(directory, static_cast<std::uint64_t>(mode), size, !process_durable[mode]);
    REQUIRE(made);
    Segment& segment = **made;
    segment.prepare(process_durable[mode]);
    AlignedBuffer header{4096}, bounce{8192};
    REQUIRE(segment.become({.first = Lsn{40960}, .sequence = 9, .unit_bytes = 4096}, header.bytes()));
    CHECK(segment.first() == Lsn{40960});
    CHECK(segment.limit() == Lsn{40960 + size - 4096});
    CHECK(segment.durable_writes() == (mode == 0));
    CHECK(segment.can_go_on());
    std::string text(1 + 5 * 4096, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 131 >> 7);
    const std::string_view odd = std::string_view{text}.substr(1);
    REQUIRE(segment.write(Lsn{40960 + 8192}, bytes_of(odd), bounce.bytes()));
    const auto& inode = disk.now.at(std::string{SegmentName{SegmentRole::fresh, static_cast<std::uint64_t>(mode)}});
    CHECK(std::string_view{reinterpret_cast<const char*>(&inode->now[4096 + 8192]), odd.size()} == odd);
    CHECK((inode->durable == inode->now) == (mode == 0));
    REQUIRE(segment.sync());
    CHECK(inode->durable == inode->now);
    const auto read = segment.read_header(9);
    REQUIRE(read);
    CHECK(read->method == methods[mode]);
    CHECK(read->segment_bytes == size);
    std::string back(3 * 4096 + 77, '\0');
    REQUIRE(segment.read(Lsn{40960 + 8192 + 100}, {reinterpret_cast<std::byte*>(back.data()), back.size()}, bounce.bytes()));
    CHECK(back == odd.substr(100, back.size()));
  }
}

TEST_CASE("a file cut short under an open segment is a damaged log") {
  CrashDisk disk;
  CrashDirectory directory{&disk};
  auto segment = Segment::make(directory, 1, size, false);
  REQUIRE(segment);
  AlignedBuffer header{4096};
  REQUIRE((*segment)->become({.first = Lsn{0}, .sequence = 1, .unit_bytes = 4096}, header.bytes()));
  disk.now.at("fresh-0000000000000001.log")->now.resize(10000);
  std::byte into[100];
  const auto read = (*segment)->read(Lsn{8000}, into, header.bytes());
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == Errc::corrupt_log);
}
