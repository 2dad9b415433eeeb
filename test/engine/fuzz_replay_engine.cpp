// SPDX-License-Identifier: Apache-2.0
// The fuzz harnesses of whole stores, without a fuzzer; test/fuzz/run.sh is the long form.
#include "fuzz/replay.hpp"
#include "fuzz/z5_directory.hpp"
#include "fuzz/z6_operations.hpp"

using namespace aegis_fuzz;

TEST_CASE("Z5: any directory opens to right data or a typed error, and a sound one stays sound") { replay<DirectoryHarness>(400, "engine/fuzz_replay_engine"); }
TEST_CASE("Z6: any operations, crashes, faults and damage leave what the model allows") { replay<OperationsHarness>(300, "engine/fuzz_replay_engine"); }
