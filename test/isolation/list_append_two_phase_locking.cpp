// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/two_phase_locking.hpp>

#include "support/list_append/suite.hpp"

#include <doctest/doctest.h>

using namespace aegis::storage;
using namespace aegis_test::list_append;

namespace {

struct WithoutReadLocks : TwoPhaseLocking {
  static constexpr bool reads_take_locks = false;
};

}  // namespace

TEST_CASE("list-append at two-phase locking: no round has an anomaly that the level forbids") {
  run_list_append<TwoPhaseLocking>("test/isolation/list_append_two_phase_locking");
}

TEST_CASE("list-append at two-phase locking: power fails in the middle") {
  run_list_append_and_crash<TwoPhaseLocking>("test/isolation/list_append_two_phase_locking");
}

TEST_CASE("two-phase locking whose reads lock nothing is caught by the checker and by the white box") {
  CHECK(seen_within<WithoutReadLocks>(20, AppendBy::plain_read, [](const Round& round) {
    return check(round.history, round.final_read, Level::two_phase_locking).has(Anomaly::lost_update) &&
           check_white_box(round.history, round.final_read, Level::two_phase_locking).has(Anomaly::not_serial);
  }));
}
