// SPDX-License-Identifier: Apache-2.0
// Durations and the steady clock. <chrono> itself brings calendars, time zones and streams into every file that includes
// it; <mutex> speaks in the same types without them.
#pragma once

#include <mutex>

namespace aegis::storage {

using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

}  // namespace aegis::storage
