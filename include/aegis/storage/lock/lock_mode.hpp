// SPDX-License-Identifier: Apache-2.0
// Modes of locks and which of them go together: the matrix of granular locks with update mode (Gray and Reuter,
// Transaction Processing, 1993, chapter 7). Points use S, U and X; tables use all six.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace aegis::storage {

enum class LockMode : std::uint8_t {
  intent_shared,             ///< IS: will read parts under S or U.
  intent_exclusive,          ///< IX: will write parts under X.
  shared,                    ///< S: reads all of it.
  shared_intent_exclusive,   ///< SIX: reads all of it and will write parts.
  update,                    ///< U: reads all of it and will perhaps ask for X.
  exclusive,                 ///< X: writes it.
};

inline constexpr std::size_t lock_mode_count = 6;

constexpr std::string_view name_of(LockMode mode) {
  constexpr std::array<std::string_view, lock_mode_count> names{"IS", "IX", "S", "SIX", "U", "X"};
  return names[static_cast<std::size_t>(mode)];
}

constexpr std::uint8_t bit_of(LockMode mode) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(mode)); }

/// The granted modes, as bits, beside which `requested` may be granted. The matrix is symmetric but for U: an update lock
/// joins readers that are there already (U beside S or IS), but keeps new ones out, so that its upgrade to X waits for a
/// set of readers that only shrinks.
constexpr std::uint8_t compatible_set(LockMode requested) {
  constexpr std::uint8_t is = bit_of(LockMode::intent_shared), ix = bit_of(LockMode::intent_exclusive), s = bit_of(LockMode::shared),
                         six = bit_of(LockMode::shared_intent_exclusive);
  constexpr std::array<std::uint8_t, lock_mode_count> sets{is | ix | s | six, is | ix, is | s, is, is | s, 0};
  return sets[static_cast<std::size_t>(requested)];
}

/// Whether `requested` may be granted while another owner holds `granted`.
constexpr bool compatible(LockMode requested, LockMode granted) { return (compatible_set(requested) & bit_of(granted)) != 0; }

/// The weakest mode that keeps out whatever either of them keeps out: what an owner of `held` needs who asks for `wanted`.
constexpr LockMode combine(LockMode held, LockMode wanted) {
  using enum LockMode;
  constexpr std::array<std::array<LockMode, lock_mode_count>, lock_mode_count> joined{{
      {intent_shared, intent_exclusive, shared, shared_intent_exclusive, update, exclusive},
      {intent_exclusive, intent_exclusive, shared_intent_exclusive, shared_intent_exclusive, exclusive, exclusive},
      {shared, shared_intent_exclusive, shared, shared_intent_exclusive, update, exclusive},
      {shared_intent_exclusive, shared_intent_exclusive, shared_intent_exclusive, shared_intent_exclusive, exclusive, exclusive},
      {update, exclusive, update, exclusive, update, exclusive},
      {exclusive, exclusive, exclusive, exclusive, exclusive, exclusive},
  }};
  return joined[static_cast<std::size_t>(held)][static_cast<std::size_t>(wanted)];
}

}  // namespace aegis::storage
