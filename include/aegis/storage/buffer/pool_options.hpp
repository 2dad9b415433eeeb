// SPDX-License-Identifier: Apache-2.0
// What a pool is told when it is opened.
#pragma once

#include <cstddef>

namespace aegis::storage {

struct PoolOptions {
  std::size_t frames = 0;                      ///< 0: as many pages as `bytes` hold; never fewer than min_frames.
  std::size_t bytes = std::size_t{64} << 20;
  std::size_t copy_buffers = 4;                ///< Old images a running checkpoint may owe before writers write them themselves.

  static constexpr std::size_t min_frames = 8, max_frames = (std::size_t{1} << 32) - 2;
};

}  // namespace aegis::storage
