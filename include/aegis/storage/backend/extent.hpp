// SPDX-License-Identifier: Apache-2.0
// The backend on files: one data file of extents written out of place, an id -> extent map, four superblocks, a lock on
// the directory. Atomic and durable at sync; with seal, pin and reserve. Blocks of one sync are packed next to each other,
// in grains of 512 bytes by default. Opening reads the whole map, 4 KiB for up to 256 blocks. Any thread.
#pragma once

#include <aegis/storage/backend/extent_open.hpp>
#include <aegis/storage/backend/extent_store.hpp>
#include <aegis/storage/backend/extent_trim.hpp>
#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/log/file.hpp>

#include <atomic>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class ExtentBackend {
 public:
  using Log = FileLog<Files>;
  class Pin;

  static constexpr Axis axis = Axis::backend;
  static constexpr std::string_view name = "local";
  static constexpr bool durable_medium = true;

  /// Makes the directory, and a store in it where there is neither a data file nor a log. already_open while another
  /// backend, here or in another process, has it; corrupt_block when what is there is damaged or incomplete.
  static Result<ExtentBackend> open(const BackendOptions& options)
    requires DefaultConstructible<Files>
  {
    return open(Files{}, options);
  }
  static Result<ExtentBackend> open(Files files, const BackendOptions& options) {
    if (options.directory.empty()) return Error{Errc::invalid_argument, "directory without a name"};  // never the current one by mistake
    AEGIS_TRY(auto directory, files.open_directory(options.directory, !options.read_only));
    AEGIS_TRY(auto lock, directory.lock("lock"));
    AEGIS_TRY(const bool has_data, directory.exists(ExtentOpen<Files>::data_name));
    if (!has_data) {
      AEGIS_TRY(const bool has_log, Log::exists(directory));
      if (has_log) return Error{Errc::corrupt_block, "a log without its data file"};
      if (options.read_only) return Error{Errc::corrupt_block, "missing data file"};
      AEGIS_TRY(ExtentOpen<Files>::create(directory, files.entropy()));
    }
    AEGIS_TRY(auto store, ExtentOpen<Files>::open(directory, options.read_only));
    Owned<State> state{new (std::nothrow) State{files, std::move(directory), std::move(lock), options, std::move(store)}};
    if (!state) return Error{Errc::out_of_memory, "backend"};
    return ExtentBackend{std::move(state)};
  }

  /// Another place on the same files: where a backup goes.
  Result<ExtentBackend> open_beside(const BackendOptions& options) { return open(state_->files, options); }

  /// corrupt_block, naming the block, when its bytes are not those that were written. `into` is scratch beyond the block.
  Result<std::size_t> read(BlockId id, MutableBytes into) {
    count(state_->reads);
    return state_->store->read(state_->store->map.current, id, into);
  }
  Error located(const Error& error, BlockId id) { return state_->store->located(state_->store->map.current, id, error); }
  Result<void> write(BlockId id, Bytes content) {
    AEGIS_TRY(writable());
    if (content.size() > max_block_bytes()) return Error::mismatch(Errc::too_large, "block", max_block_bytes(), content.size(), number(id));
    count(state_->writes);
    return state_->store->write(id, content);
  }
  Result<void> erase(BlockId id) {
    AEGIS_TRY(writable());
    count(state_->erases);
    return state_->store->erase(id);
  }
  Result<bool> exists(BlockId id) { return state_->store->exists(id); }
  Result<void> sync() {
    AEGIS_TRY(writable());
    count(state_->syncs);
    return state_->store->sync();
  }
  /// Instantly; twice without a sync between them moves the end of the set to the second.
  void seal() { state_->store->seal(); }
  Result<void> reserve(std::uint64_t bytes) {
    AEGIS_TRY(writable());
    AEGIS_TRY(state_->store->alive());
    return state_->store->room.reserve(bytes);
  }
  void release(std::uint64_t bytes) { state_->store->room.release(bytes); }
  void ration() { state_->store->room.ration(); }
  bool has_room(const BlockChanges& changes) { return state_->store->room.has_room(changes); }
  Result<void> trim() {
    AEGIS_TRY(writable());
    return ExtentTrim<Files>{*state_->store}.run();
  }
  template <class Fn>
  Result<void> check(Fn&& fn) {
    return state_->store->check(fn);
  }
  /// busy beyond 64 at once.
  Result<Pin> pin() {
    AEGIS_TRY(auto pinned, state_->store->pin());
    return Pin{state_->store.get(), pinned};
  }

  /// In ascending order of ids; fn may call the backend. Blocks that change meanwhile are told as they are then.
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    return enumerate(*state_->store, state_->store->map.current, fn);
  }

  Result<Log> open_log(const LogOptions& options) {
    AEGIS_TRY(auto directory, same_directory());
    return Log::open(std::move(directory), options);
  }
  Result<bool> has_log() { return Log::exists(state_->directory); }
  bool is_new() const { return state_->store->is_new(); }
  std::size_t max_block_bytes() const { return ExtentStore<Files>::max_block_bytes; }
  std::uint64_t draw_id() { return state_->files.entropy(); }
  BackendStats stats() const {
    const auto totals = state_->store->totals();
    return {.blocks = totals.blocks,
            .stored_bytes = totals.block_bytes,
            .file_bytes = totals.file_bytes,
            .memory_bytes = totals.memory_bytes,
            .reads = state_->reads,
            .writes = state_->writes,
            .erases = state_->erases,
            .syncs = state_->syncs};
  }

 private:
  struct State {
    Files files;
    typename Files::Directory directory;
    typename Files::Lock lock;  // held as long as anything may be written
    BackendOptions options;
    Owned<ExtentStore<Files>> store;
    std::atomic<std::uint64_t> reads{0}, writes{0}, erases{0}, syncs{0};
  };

  explicit ExtentBackend(Owned<State> state) : state_(std::move(state)) {}

  /// Files that can keep to a directory that was moved away do so.
  Result<typename Files::Directory> same_directory() {
    if constexpr (requires { state_->directory.again(); }) return state_->directory.again();
    else return state_->files.open_directory(state_->options.directory, false);
  }

  static void count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }
  Result<void> writable() const {
    if (state_->options.read_only) return Error{Errc::read_only, "backend"};
    return {};
  }
  template <class Fn>
  static Result<void> enumerate(ExtentStore<Files>& store, const MapRoot& root, Fn& fn) {
    for (std::uint64_t id = 0;; ++id) {
      AEGIS_TRY(const auto size, store.next(root, id));
      if (!size) return {};
      fn(BlockId{id}, *size);
      if (id == ~std::uint64_t{0}) return {};
    }
  }

  Owned<State> state_;  // empty only after a move
};

/// The generation that was published when it was made. Dropped before its backend; any thread.
template <FilePolicy Files>
class ExtentBackend<Files>::Pin {
 public:
  Pin(Pin&& other) noexcept : store_(std::exchange(other.store_, nullptr)), pinned_(std::exchange(other.pinned_, {})) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(store_, other.store_);
    std::swap(pinned_, other.pinned_);
    return *this;
  }
  ~Pin() {
    if (store_ != nullptr) store_->unpin(pinned_);
  }

  Result<std::size_t> read(BlockId id, MutableBytes into) { return store_->read(pinned_.root, id, into); }
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    return enumerate(*store_, pinned_.root, fn);
  }

 private:
  friend class ExtentBackend;
  using Pinned = typename ExtentStore<Files>::Pinned;
  Pin(ExtentStore<Files>* store, Pinned pinned) : store_(store), pinned_(pinned) {}

  ExtentStore<Files>* store_;  // nullptr only after a move
  Pinned pinned_;
};

}  // namespace aegis::storage
