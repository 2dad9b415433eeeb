// SPDX-License-Identifier: Apache-2.0
// The latch for tests whose threads share pages: the optimistic one. GCC's ThreadSanitizer cannot be told that a reader
// throws away what it read beside a writer, so there it is the plain one: the same algorithm, readers latched.
#pragma once

#include <aegis/storage/latch/optimistic.hpp>
#include <aegis/storage/latch/plain.hpp>

namespace aegis_test {

#ifdef __SANITIZE_THREAD__
using LatchOfThreads = aegis::storage::PlainLatch;
#else
using LatchOfThreads = aegis::storage::OptimisticLatch;
#endif

}  // namespace aegis_test
