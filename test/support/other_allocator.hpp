// SPDX-License-Identifier: Apache-2.0
// AEGIS_TEST_OTHER_ALLOCATOR is defined where malloc is not glibc's: sanitizers bring their own, and a test cannot take its place.
#pragma once

#include <cstdlib>  // says whether the library is glibc

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define AEGIS_TEST_OTHER_ALLOCATOR
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define AEGIS_TEST_OTHER_ALLOCATOR
#endif
