// SPDX-License-Identifier: Apache-2.0
// A fuzz harness without a fuzzer; test/fuzz/run.sh is the long form.
#include "fuzz/replay.hpp"
#include "fuzz/z4_metadata.hpp"

using namespace aegis_fuzz;

TEST_CASE("Z4: superblocks, maps, block 0 and catalog rows are what a naive judge says, or a typed error") { replay<MetadataHarness>(4000, "engine/fuzz_replay_metadata"); }
