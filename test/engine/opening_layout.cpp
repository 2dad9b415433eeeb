// SPDX-License-Identifier: Apache-2.0
// A store made with one layout and opened with another: refused, with both names, and not a byte changed.
#include "file/temporary_directory.hpp"
#include "support/rows.hpp"

#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/codec/lz4.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <string>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;

namespace {

storage::EngineOptions options(const TemporaryDirectory& place) {
  return {.directory = place / "store", .pool_bytes = 512 << 10, .log_bytes = 1 << 20, .maintenance_thread = false};
}

std::map<std::string, std::string> files_of(const TemporaryDirectory& place) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator{place / "store"})
    if (entry.path().filename() != "lock") files[entry.path().filename().string()] = bytes_of_file(entry.path());
  return files;
}

template <class Engine>
void check_refused(const TemporaryDirectory& place, const std::string& policy, const std::string& stored, const std::string& ours) {
  const auto before = files_of(place);
  const auto refused = Engine::open(options(place));
  REQUIRE_FALSE(refused);
  const std::string said = refused.error().message();
  INFO(said);
  CHECK(refused.error().code() == Errc::incompatible_format);
  CHECK(said.find(policy + ": the store has " + stored + ", this program " + ours + "; open it with") != std::string::npos);
  CHECK(files_of(place) == before);
}

}  // namespace

TEST_CASE("another codec, checksum or page size than the store was made with is incompatible_format and names both") {
  using Plain = storage::Engine<>;
  using Packed = storage::Engine<storage::Lz4Codec>;
  using Crc = storage::Engine<storage::Crc32cChecksum>;
  using Small = storage::Engine<storage::PageSize<4096>>;
  TemporaryDirectory place;
  const bool killed_before_its_end[] = {false, true};
  for (const bool killed : killed_before_its_end) {
    CAPTURE(killed);
    {
      auto engine = Plain::open(options(place));
      REQUIRE(engine);
      REQUIRE(put(*engine, "t", numbered("k", 100, 200)));
      if (!killed) REQUIRE(engine->close());
    }
    check_refused<Packed>(place, "codec", "none", "lz4");
    check_refused<Crc>(place, "checksum", "xxh3", "crc32c");
    check_refused<Small>(place, "page size", "8192", "4096");
    auto engine = Plain::open(options(place));
    REQUIRE(engine);
    CHECK(content(*engine)["t"] == numbered("k", 100, 200));
  }
}

TEST_CASE("a store of compressed pages is refused without its codec, and opens with it") {
  using Plain = storage::Engine<>;
  using Packed = storage::Engine<storage::Lz4Codec>;
  TemporaryDirectory place;
  {
    auto engine = Packed::open(options(place));
    REQUIRE(engine);
    REQUIRE(put(*engine, "t", numbered("k", 200, 900)));
    REQUIRE(engine->checkpoint());
    CHECK(engine->stats().backend.stored_bytes < 200 * 900 / 2);
  }
  check_refused<Plain>(place, "codec", "lz4", "none");
  auto engine = Packed::open(options(place));
  REQUIRE(engine);
  CHECK(content(*engine)["t"] == numbered("k", 200, 900));
  check_structure(*engine);
}
