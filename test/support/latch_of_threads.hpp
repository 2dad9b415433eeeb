// SPDX-License-Identifier: Apache-2.0
// The latch for tests whose threads share pages. ThreadSanitizer does not know that an optimistic reader throws away what
// it read beside a writer, so it gets the plain latch: the same algorithm, readers latched.
#pragma once

#include <aegis/storage/latch/optimistic.hpp>
#include <aegis/storage/latch/plain.hpp>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define AEGIS_TEST_THREAD_SANITIZER
#endif
#elif defined(__SANITIZE_THREAD__)
#define AEGIS_TEST_THREAD_SANITIZER
#endif

namespace aegis_test {

#ifdef AEGIS_TEST_THREAD_SANITIZER
using LatchOfThreads = aegis::storage::PlainLatch;
#else
using LatchOfThreads = aegis::storage::OptimisticLatch;
#endif

}  // namespace aegis_test
