// The paths that cost: written once as a program writes them, composed twice, looked at by machine_code.py, run by composed_main.cpp.
#pragma once

#include <cstddef>
#include <string_view>

namespace composed {

/// Each says whether it went as promised. `directory` is unused in memory.
bool exercise_memory();
bool exercise_local(const char* directory);

}  // namespace composed
