// SPDX-License-Identifier: Apache-2.0
// A copy of the store as its last checkpoint published it, in a directory of its own. Commits go on meanwhile: the
// generation is pinned, and neither the running log nor newer pages are looked at.
#pragma once

#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/engine/checkpoint.hpp>
#include <aegis/storage/engine/parts.hpp>

#include <concepts>
#include <new>
#include <string>
#include <type_traits>

namespace aegis::storage {

/// A backend that opens another place of its kind, on whatever it stands itself.
template <class B>
concept OpensBeside = requires(B backend, const BackendOptions& options) { { backend.open_beside(options) } -> std::same_as<Result<B>>; };

template <class Chosen>
class Backup {
 public:
  using Parts = storage::Parts<Chosen>;
  using Source = typename Parts::Backend;
  /// Where the copy lies: a place of the same kind, or a directory where the source has none.
  using Target = std::conditional_t<OpensBeside<Source> || OpensFromOptions<Source>, Source, LocalBackend>;

  Backup(Parts& parts, Checkpointer<Chosen>& checkpointer) : parts_(parts), checkpointer_(checkpointer) {}

  /// Everything committed before the call is in the copy, durably, on return. The copy is a store of its own: it has a new
  /// lineage, so it never takes the original's log for its own. Every page is proven on the way. corrupt_block or corrupt_page
  /// for one that is damaged; there is no copy then. invalid_argument when the directory holds a store.
  Result<void> run(const std::string& directory) {
    static_assert(PinnableBackend<Source>, "aegis: backup needs a backend with pin(), which keeps a published generation readable");
    Maybe<typename Source::Pin> pin;
    Meta meta;
    AEGIS_TRY(checkpointer_.run_then([&]() -> Result<void> {
      AEGIS_TRY(auto pinned, parts_.backend.pin());
      pin.emplace(std::move(pinned));
      meta = parts_.meta;
      return {};
    }));
    AEGIS_TRY(Target target, open_target({.directory = directory, .read_only = false}));
    AEGIS_TRY(mark_unfinished(target));
    AEGIS_TRY(copy_blocks(*pin, target));
    return seal(target, meta);
  }

 private:
  Result<Target> open_target(const BackendOptions& options) {
    if constexpr (OpensBeside<Source>)
      return parts_.backend.open_beside(options);
    else
      return Target::open(options);
  }

  /// Until the copy is whole its block 0 has no bytes, and no engine opens it: an interrupted backup is not taken for an
  /// empty store. It may be made again in the same directory.
  Result<void> mark_unfinished(Target& target) {
    AEGIS_TRY(const bool has_log, target.has_log());
    const auto found = target.read(meta_block, {});
    const bool is_unfinished = found && *found == 0;
    if (has_log || (!target.is_new() && !is_unfinished)) return Error{Errc::invalid_argument, "backup into a directory that holds a store already"};
    AEGIS_TRY(target.write(meta_block, {}));
    return target.sync();
  }

  Result<void> copy_blocks(typename Source::Pin& pin, Target& target) {
    const std::size_t room = parts_.backend.max_block_bytes() < target.max_block_bytes() ? parts_.backend.max_block_bytes() : target.max_block_bytes();
    const Owned<std::byte[]> buffer{new (std::nothrow) std::byte[room]};
    if (!buffer) return Error{Errc::out_of_memory, "backup"};
    Result<void> done;
    AEGIS_TRY(pin.for_each([&](BlockId id, std::size_t) {
      if (!done || id == meta_block) return;
      const auto size = pin.read(id, {buffer.get(), room});
      done = size ? parts_.pool->check(PageId{number(id)}, {buffer.get(), *size}) : Result<void>{size.error()};
      if (done) done = target.write(id, {buffer.get(), *size});
    }));
    return done;
  }

  /// The true block 0 comes with the one sync that publishes the copy. Its log is made when it is opened first.
  Result<void> seal(Target& target, Meta meta) {
    meta.identity.lineage = parts_.backend.draw_id();
    meta.checkpoint.generation = 0;
    meta.log_created = false;
    AEGIS_TRY(target.write(meta_block, meta.encode()));
    AEGIS_TRY(target.sync());
    if constexpr (TrimmableBackend<Target>) (void)target.trim();
    return {};
  }

  Parts& parts_;
  Checkpointer<Chosen>& checkpointer_;
};

}  // namespace aegis::storage
