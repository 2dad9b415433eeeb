// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/serializable.hpp>

#include "support/list_append/suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test::list_append;

namespace {

// Forgets the keys that it read.
struct Forgetful : Serializable {
  struct Footprint : Serializable::Footprint {
    Result<void> note_point(TableId, std::string_view) { return {}; }
  };
};

}  // namespace

TEST_CASE("list-append at serializable: no round has an anomaly that the level forbids") {
  run_list_append<Serializable>("test/isolation/list_append_serializable");
}

TEST_CASE("list-append at serializable: power fails in the middle") {
  run_list_append_and_crash<Serializable>("test/isolation/list_append_serializable");
}

TEST_CASE("a serializable level that forgets what it read is caught by the checker and by the white box") {
  CHECK(seen_within<Forgetful>(20, AppendBy::either, [](const Round& round) {
    return check(round.history, round.final_read, Level::serializable).has(Anomaly::g2) &&
           check_white_box(round.history, round.final_read, Level::serializable).has(Anomaly::not_serial);
  }));
}
