// SPDX-License-Identifier: Apache-2.0
// The append-only device below the Wal. It knows bytes, LSNs and segments; frames, generations and the torn tail are
// the Wal's. An LSN is a byte offset in one logical stream that starts at LogOptions::start and never goes back.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/result.hpp>

#include <concepts>
#include <cstdint>

namespace aegis::storage {

struct LogOptions {
  StoreIdentity identity{};
  std::uint64_t max_bytes = std::uint64_t{128} << 20;  ///< Bound of all segments together; checkpoints keep the log below it.
  std::uint64_t segment_bytes = 0;                     ///< 0: an eighth of max_bytes.
  bool process_durable = false;  ///< An append that returned survives a killed process (AsyncDurability).
  bool create = false;           ///< The store is new: make the first segment. Otherwise a missing log is corrupt_log.
  Lsn start{};                   ///< With create: the first LSN, a multiple of unit_bytes().
};

/// LogPolicy. One thread appends at a time; sync runs beside it; reserve, end, durable and used_bytes from any thread.
///  1. append puts bytes at end(). Unless process_durable, the length is a multiple of unit_bytes().
///  2. With process_durable an append that returned survives a killed process.
///  3. sync makes durable everything appended before it was called; durable() then is at least that end.
///  4. A failed append or sync poisons: it and everything after it fail with engine_failed; nothing is retried.
///  5. read gives the bytes that stand at an LSN, also such as were appended but not yet synced; it is short where the log ends.
///  6. cut forgets everything at or after an LSN and appends there next, also when the LSN lies beyond the end; it is
///     durable on return in so far as the old bytes' segments are no longer part of the log beyond the one cut in two.
///  7. drop_before frees whole segments that lie below an LSN; begin() rises to the first LSN still readable.
///  8. reserve(bytes) promises that so many bytes can be appended from end() on without no_space; busy when max_bytes would be
///     passed. It is not cumulative: who wants room for several appends asks for their sum.
///  9. A log of another identity is refused with incompatible_format, one with a missing segment with corrupt_log.
/// 10. No append or sync touches a unit that holds bytes already claimed durable.
template <class L>
concept LogPolicy =
    Movable<L> && OnAxis<L, Axis::log> &&
    requires(L log, const L constant, Bytes bytes, MutableBytes into, Lsn lsn, std::uint64_t count) {
      { L::durable_medium } -> ConvertsTo<bool>;  // false: a power cut takes it all
      { log.append(bytes) } -> std::same_as<Result<void>>;
      { log.sync() } -> std::same_as<Result<void>>;
      { log.read(lsn, into) } -> std::same_as<Result<std::size_t>>;
      { log.cut(lsn) } -> std::same_as<Result<void>>;
      { log.drop_before(lsn) } -> std::same_as<Result<void>>;
      { log.reserve(count) } -> std::same_as<Result<void>>;
      { constant.begin() } -> std::same_as<Lsn>;
      { constant.end() } -> std::same_as<Lsn>;
      { constant.durable() } -> std::same_as<Lsn>;
      { constant.unit_bytes() } -> std::same_as<std::uint32_t>;
      { constant.used_bytes() } -> std::same_as<std::uint64_t>;
      { constant.max_bytes() } -> std::same_as<std::uint64_t>;
    };

/// Refinement: located(error, lsn) is the error with the file and the offset where that byte of the log stands, for its message.
template <class L>
concept LocatingLog = LogPolicy<L> && requires(const L constant, const Error& error, Lsn lsn) { { constant.located(error, lsn) } -> std::same_as<Error>; };

/// Refinement: a log that keeps spare segments. Any thread, beside everything but cut; failing harms nothing but itself.
/// spare_due() is cheap and tells that prepare_spare() would save a later reserve() the making of a segment. trim(keep)
/// gives back all spares but one, and with `keep` no room that reserve() promised.
template <class L>
concept SparingLog = LogPolicy<L> && requires(L log, const L constant, bool keep) {
  { constant.spare_due() } -> std::same_as<bool>;
  { log.prepare_spare() } -> std::same_as<Result<void>>;
  { log.trim(keep) } -> std::same_as<Result<void>>;
};

}  // namespace aegis::storage
