// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/memory_disk.hpp>

#include <doctest/doctest.h>

#include "support/random.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

std::string content_of(const MemoryBlocks& blocks, BlockId id, std::uint64_t generation) {
  const MemoryImage* image = blocks.find(id, generation);
  return image == nullptr ? "absent" : std::string{text_of(image->bytes())};
}

}  // namespace

TEST_CASE("an image lives exactly as long as a needed generation sees it") {
  MemoryBlocks blocks;
  for (const auto& [generation, content] : std::map<std::uint64_t, std::string>{{1, "one"}, {3, "three"}, {4, "four"}})
    REQUIRE(blocks.put(BlockId{7}, MemoryImage::prepare(bytes_of(content), true), generation));
  CHECK(content_of(blocks, BlockId{7}, 2) == "one");
  CHECK(content_of(blocks, BlockId{7}, 3) == "three");
  CHECK(blocks.used_bytes() == 12);
  const std::uint64_t needed[] = {2, 4};
  blocks.prune(needed, 4);
  CHECK(content_of(blocks, BlockId{7}, 2) == "one");
  CHECK(content_of(blocks, BlockId{7}, MemoryBlocks::newest) == "four");
  CHECK(blocks.used_bytes() == 7);
  REQUIRE(blocks.put(BlockId{7}, MemoryImage::prepare({}, false), 5));
  const std::uint64_t last[] = {5};
  blocks.prune(last, 5);
  CHECK(blocks.entries() == 0);
  CHECK(blocks.used_bytes() == 0);
}

TEST_CASE("totals of blocks equal a full count after random changes, publishing and reverting") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_file_memory_disk"));
  Random random{from};
  MemoryBlocks blocks;
  std::map<std::uint64_t, std::string> now, published;
  std::uint64_t generation = 1;
  for (int step = 0; step < 4000; ++step) {
    const std::uint64_t id = random.below(200);
    if (random.one_in(50)) {
      const std::uint64_t needed[] = {generation};
      if (random.one_in(2)) {
        blocks.prune(needed, generation);
        published = now;
      } else {
        blocks.revert(generation - 1);
        now = published;
        if (generation == 1) continue;
        --generation;
      }
      ++generation;
    } else if (random.one_in(3)) {
      if (blocks.find(BlockId{id}, MemoryBlocks::newest) == nullptr) continue;
      REQUIRE(blocks.put(BlockId{id}, MemoryImage::prepare({}, false), generation));
      now.erase(id);
    } else {
      now[id] = random.bytes(random.below(100));
      REQUIRE(blocks.put(BlockId{id}, MemoryImage::prepare(bytes_of(now[id]), true), generation));
    }
    std::uint64_t bytes = 0;
    for (const auto& [key, content] : now) bytes += content.size();
    REQUIRE(blocks.blocks() == now.size());
    REQUIRE(blocks.stored_bytes() == bytes);
    REQUIRE(content_of(blocks, BlockId{id}, MemoryBlocks::newest) == (now.contains(id) ? now[id] : "absent"));
  }
}

TEST_CASE("a stream keeps its window whatever is appended, cut and dropped") {
  const std::uint64_t from = seed(1);
  CAPTURE(replay(from, "test_file_memory_disk"));
  Random random{from};
  MemoryStream stream;
  std::string model;
  std::uint64_t begin = 0;
  for (int step = 0; step < 600; ++step) {
    if (random.one_in(8)) {
      const std::uint64_t at = begin + random.below(model.size() + 5000);
      stream.cut(at);
      model.resize(at - begin, '\0');
    } else if (random.one_in(8)) {
      const std::uint64_t at = begin + random.below(model.size() + 1);
      stream.drop_before(at);
      model.erase(0, at - begin);
      begin = at;
    } else {
      const std::string more = random.bytes(random.below(40'000));
      REQUIRE(stream.append(bytes_of(more)));
      model += more;
    }
    CHECK(stream.begin() == begin);
    CHECK(stream.end() == begin + model.size());
    std::string read(random.below(50'000), 'x');
    const std::uint64_t at = random.below(model.size() + 100);
    const std::size_t got = stream.read(begin + at, {reinterpret_cast<std::byte*>(read.data()), read.size()});
    CHECK(read.substr(0, got) == (at > model.size() ? "" : model.substr(at, read.size())));
  }
}

TEST_CASE("an opening ends the life of handles that the crash before it left behind") {
  MemoryDisk disk;
  const auto medium = disk.medium();
  const auto first = medium->open_backend().value();
  CHECK(medium->open_backend().error().code() == Errc::already_open);
  disk.crash();
  CHECK(medium->put(first, BlockId{1}, {}, true).error().code() == Errc::engine_failed);
  const auto second = medium->open_backend().value();
  medium->close_backend(first);
  CHECK(medium->open_backend().error().code() == Errc::already_open);
  medium->close_backend(second);
  CHECK(medium->open_backend());
}

TEST_CASE("crash_after counts mutating calls and strikes before or after the call") {
  for (const CrashPoint point : {CrashPoint::before_the_call, CrashPoint::after_the_call}) {
    MemoryDisk disk;
    const auto medium = disk.medium();
    const auto life = medium->open_backend().value();
    REQUIRE(medium->put(life, BlockId{1}, bytes_of("a"), true));
    disk.crash_after(2, point);
    REQUIRE(medium->put(life, BlockId{1}, bytes_of("b"), true));
    CHECK(medium->sync(life).error().code() == Errc::engine_failed);
    CHECK(disk.mutating_calls() == 3);
    CHECK(medium->is_new() == (point == CrashPoint::before_the_call));
  }
}
