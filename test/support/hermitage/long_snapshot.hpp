// SPDX-License-Identifier: Apache-2.0
// X20: a snapshot stays what it is under ten thousand committed updates, with versions reclaimed and checkpoints taken.
#pragma once

#include "support/hermitage/run_row.hpp"

#include <algorithm>
#include <string>
#include <type_traits>

namespace aegis_test::hermitage {

template <class Level, class World>
void check_long_snapshot() {
  using namespace aegis::storage;
  constexpr bool reads_newest = std::is_base_of_v<ReadCommitted, Level>;
  constexpr bool readers_hold_up_writers = std::is_base_of_v<TwoPhaseLocking, Level>;  // then only a snapshot() can look on
  constexpr int updates = 10'000;
  World world;
  {
    auto engine = world.open();
    const auto table = table_of(engine, "A");
    put(engine, table, "1", "10");
    auto t1 = engine.begin();
    auto reader = engine.snapshot();
    if (!readers_hold_up_writers) REQUIRE(**t1.get(table, "1") == "10");
    REQUIRE(**reader.get(table, "1") == "10");
    const auto checkpoints = engine.stats().checkpoints;
    std::size_t most = 0;
    for (int i = 1; i <= updates; ++i) {
      put(engine, table, "1", std::to_string(i));
      if (i % 1000 == 500) REQUIRE(engine.checkpoint().has_value());
      most = std::max<std::size_t>(most, engine.stats().transactions.versions);
    }
    CHECK(engine.stats().checkpoints >= checkpoints + 10);
    CHECK(most <= 100);  // what two snapshots and the newest commits need, not ten thousand
    CHECK(engine.stats().transactions.versions <= 3);
    CHECK(**t1.get(table, "1") == (reads_newest || readers_hold_up_writers ? std::to_string(updates) : std::string{"10"}));
    CHECK(**reader.get(table, "1") == "10");
    CHECK(rows_of(reader.scan(table)) == Rows{{"1", "10"}});
    if (readers_hold_up_writers) {
      REQUIRE(t1.put(table, "1", "uncommitted").has_value());
      CHECK(**reader.get(table, "1") == "10");
      REQUIRE(t1.put(table, "1", std::to_string(updates)).has_value());
    }
    CHECK(t1.commit().has_value());
    CHECK(locks_of(engine).waits == 0);
  }
  auto engine = world.open();
  CHECK(contents(engine, table_of(engine, "A")) == Rows{{"1", std::to_string(updates)}});
  check_at_rest(engine);
}

}  // namespace aegis_test::hermitage
