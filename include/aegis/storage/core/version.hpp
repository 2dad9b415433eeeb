// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace aegis::storage {

struct LibraryVersion {
  int major_number, minor_number, patch_number;  // not major, minor: <sys/sysmacros.h> makes macros of them
};
inline constexpr LibraryVersion library_version{0, 1, 0};

}  // namespace aegis::storage
