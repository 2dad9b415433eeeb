// SPDX-License-Identifier: Apache-2.0
// For bugs of ours only; what data, disk or another transaction can cause is an Error. Always on, so that a
// header means the same in every file of a program. Costly checks belong into tests, not here.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace aegis::storage {

[[noreturn, gnu::cold]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "aegis-storage: broken invariant %s at %s:%d; please report it\n", condition, file, line);
  std::abort();
}

}  // namespace aegis::storage

#define AEGIS_ASSERT(...) \
  (static_cast<bool>(__VA_ARGS__) ? void(0) : ::aegis::storage::assertion_failed(#__VA_ARGS__, __FILE__, __LINE__))
