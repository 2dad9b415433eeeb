// SPDX-License-Identifier: Apache-2.0
// The fuzz harnesses of bytes at rest, without a fuzzer; test/fuzz/run.sh is the long form.
#include "fuzz/replay.hpp"
#include "fuzz/z1_page.hpp"
#include "fuzz/z2_block.hpp"
#include "fuzz/z3_log.hpp"
#include "fuzz/z7_order.hpp"

using namespace aegis_fuzz;

TEST_CASE("Z1: any bytes are a page that behaves like a list of tuples, or corrupt_page") { replay<PageHarness>(4000, "engine/fuzz_replay_formats"); }
TEST_CASE("Z2: any bytes decode to the block that was encoded, or are a typed error") { replay<BlockHarness>(4000, "engine/fuzz_replay_formats"); }
TEST_CASE("Z3: any log is cut, refused and read as the rules say, bytes taken one by one") { replay<LogHarness>(3000, "engine/fuzz_replay_formats"); }
TEST_CASE("Z7: keys, varints, records and rows are what a plain model says") { replay<OrderHarness>(4000, "engine/fuzz_replay_formats"); }
