// SPDX-License-Identifier: Apache-2.0
// The backend on the file system of this machine.
#pragma once

#include <aegis/storage/backend/extent.hpp>
#include <aegis/storage/file/posix.hpp>

namespace aegis::storage {

using LocalBackend = ExtentBackend<PosixFiles>;

}  // namespace aegis::storage
