#include <aegis/storage.hpp>
#include <doctest/doctest.h>

TEST_CASE("a second file of the same program may include everything") {
  CHECK(aegis::storage::NoCodec{}.compress({}, {}) == 0);  // stored as it is
  auto engine = aegis::storage::Engine<aegis::storage::MemoryBackend>::open({});
  REQUIRE(engine);
  CHECK(engine->close());
}
