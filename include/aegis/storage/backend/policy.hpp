// SPDX-License-Identifier: Apache-2.0
// Where blocks rest. A backend maps ids to byte strings and publishes all changes at once, atomically, at sync().
// It knows nothing of what the bytes mean, and nothing in these points assumes a local disk.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/log/policy.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace aegis::storage {

struct BackendOptions {
  std::string directory{}; ///< Made when absent; its parent must exist.
  bool read_only = false;  ///< Every write fails with read_only; the place must exist.
};

struct BackendStats {
  std::uint64_t blocks = 0;       ///< In the current state.
  std::uint64_t stored_bytes = 0; ///< Sum of their lengths.
  std::uint64_t file_bytes = 0;   ///< What the place itself takes, free room included.
  std::uint64_t memory_bytes = 0; ///< Tables held in memory.
  std::uint64_t reads = 0, writes = 0, erases = 0, syncs = 0;
};

/// BackendPolicy. Every call from any number of threads.
///  1. read gives the bytes last written under the id, and how many; block_not_found otherwise; too_large when the buffer is too small.
///  2. write replaces whole, any id, any length up to max_block_bytes() (zero too); on failure the old content stays readable.
///  3. erase makes the id absent (absent already is fine); exists and for_each tell the current state; what for_each calls may call the backend.
///  4. sync is atomic and durable: after a crash at any instant reopening yields exactly the state of the last sync that
///     returned, or, if one was running, that or its successor; never a mix, never anything later.
///  5. A failed sync poisons: every later write, erase and sync fails with engine_failed; it is never retried.
///  6. A write concurrent with sync is wholly in it or wholly after it.
///  7. A second open of the same place fails with already_open, in the same process too.
///  8. open_log makes the log that goes with this place, once; has_log tells whether one exists there.
///  9. is_new is true until the first sync ever returned. draw_id gives bits for a new store's identity.
template <class B>
concept BackendPolicy =
    Movable<B> && OnAxis<B, Axis::backend> && LogPolicy<typename B::Log> &&
    requires(B backend, const B constant, BlockId id, MutableBytes into, Bytes from, const LogOptions& options) {
      { B::name } -> ConvertsTo<std::string_view>;
      { B::durable_medium } -> ConvertsTo<bool>;
      { backend.read(id, into) } -> std::same_as<Result<std::size_t>>;
      { backend.write(id, from) } -> std::same_as<Result<void>>;
      { backend.erase(id) } -> std::same_as<Result<void>>;
      { backend.exists(id) } -> std::same_as<Result<bool>>;
      { backend.sync() } -> std::same_as<Result<void>>;
      { backend.for_each([](BlockId, std::size_t) {}) } -> std::same_as<Result<void>>;
      { backend.open_log(options) } -> std::same_as<Result<typename B::Log>>;
      { backend.has_log() } -> std::same_as<Result<bool>>;
      { constant.is_new() } -> std::same_as<bool>;
      { constant.max_block_bytes() } -> std::same_as<std::size_t>;
      { constant.stats() } -> std::same_as<BackendStats>;
      { backend.draw_id() } -> std::same_as<std::uint64_t>;
    };

/// Refinement: seal() instantly ends the set that the next sync() publishes; later writes and erases belong to the one
/// after. Without it nothing may be written between the last write of a checkpoint and the return of its sync().
template <class B>
concept SealableBackend = BackendPolicy<B> && requires(B backend) { { backend.seal() } -> std::same_as<void>; };

/// Refinement: pin() gives Result<Pin>: the last published generation, readable (read, for_each) until the Pin is dropped.
template <class B>
concept PinnableBackend = BackendPolicy<B> && requires(B backend, typename B::Pin pin, BlockId id, MutableBytes into) {
  { backend.pin() } -> std::same_as<Result<typename B::Pin>>;
  { pin.read(id, into) } -> std::same_as<Result<std::size_t>>;
  { pin.for_each([](BlockId, std::size_t) {}) } -> std::same_as<Result<void>>;
};

/// Refinement: after reserve(bytes) returned, writes of so many bytes in all (each counted with its share of the map) cannot
/// get no_space until release(bytes) gives the promise back.
template <class B>
concept ReservableBackend = BackendPolicy<B> && requires(B backend, std::uint64_t bytes) {
  { backend.reserve(bytes) } -> std::same_as<Result<void>>;
  { backend.release(bytes) } -> std::same_as<void>;
};

/// Blocks that are to be written and erased before a sync returns, none of them above `last`.
struct BlockChanges {
  std::uint64_t writes = 0;
  std::uint64_t erases = 0;
  std::size_t block_bytes = 0;  ///< Of the largest.
  BlockId last{};
};

/// Refinement: a full place that still frees. After ration() the caller sees to it that what it writes between two syncs finds
/// room, and may use all there is. has_room tells whether these changes, and what was written since the last sync, find it
/// now, in place and without more of the disk; it sets nothing aside. trim() leaves a reserve to begin with.
template <class B>
concept RationedBackend = ReservableBackend<B> && requires(B backend, const BlockChanges& changes) {
  { backend.ration() } -> std::same_as<void>;
  { backend.has_room(changes) } -> std::same_as<bool>;
};

/// Refinement: trim() gives back room that nothing stored needs, and all reservations; before it is closed for long. Alone,
/// after a sync. What a crash inside it leaves, or a failure, has the same blocks.
template <class B>
concept TrimmableBackend = BackendPolicy<B> && requires(B backend) { { backend.trim() } -> std::same_as<Result<void>>; };

/// Refinement: check(fn) reads again what the published state stands on beside the blocks themselves (where they are, what is
/// free) and calls fn(Error) for all that is not what was written; an error of its own only when it could not be done.
template <class B>
concept CheckableBackend = BackendPolicy<B> && requires(B backend) { { backend.check([](const Error&) {}) } -> std::same_as<Result<void>>; };

/// Refinement: located(error, id) is the error with the file and the offset where the block stands at rest, for its message.
template <class B>
concept LocatingBackend = BackendPolicy<B> && requires(B backend, const Error& error, BlockId id) { { backend.located(error, id) } -> std::same_as<Error>; };

/// A backend that opens from options, as Engine::open(EngineOptions) wants it.
template <class B>
concept OpensFromOptions = BackendPolicy<B> && requires(const BackendOptions& options) {
  { B::open(options) } -> std::same_as<Result<B>>;
};

}  // namespace aegis::storage
