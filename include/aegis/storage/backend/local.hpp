// SPDX-License-Identifier: Apache-2.0
// The backend on the file system of this machine.
#pragma once

#include <aegis/storage/backend/extent.hpp>
#include <aegis/storage/file/posix.hpp>

namespace aegis::storage {

using LocalBackend = ExtentBackend<PosixFiles>;

static_assert(SealableBackend<LocalBackend>);
static_assert(PinnableBackend<LocalBackend>);
static_assert(ReservableBackend<LocalBackend>);
static_assert(OpensFromOptions<LocalBackend>);

}  // namespace aegis::storage
