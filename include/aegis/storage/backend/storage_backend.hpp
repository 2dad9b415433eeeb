// SPDX-License-Identifier: Apache-2.0
// A backend, with the log that belongs to it, chosen at run time: one virtual call for each operation, all promises those
// of what it holds. The only file with virtual functions; whoever names a backend as a type pays nothing for this.
// Threading as BackendPolicy and LogPolicy.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/owned.hpp>

#include <cstdint>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace aegis::storage {

/// Any log. durable_medium speaks for the type, so it cannot be known here; StorageBackend::is_durable() tells.
class StorageLog {
 public:
  static constexpr Axis axis = Axis::log;
  static constexpr std::string_view name = "storage";
  static constexpr bool durable_medium = true;

  template <LogPolicy Log>
  static Result<StorageLog> of(Log log) {
    StorageLog erased{Owned<Interface>{new (std::nothrow) Holder<Log>{std::move(log)}}};
    if (!erased.log_) return Error{Errc::out_of_memory, "log"};
    return erased;
  }

  Result<void> append(Bytes bytes) { return log_->append(bytes); }
  Result<void> sync() { return log_->sync(); }
  Result<std::size_t> read(Lsn from, MutableBytes into) { return log_->read(from, into); }
  Result<void> cut(Lsn at) { return log_->cut(at); }
  Result<void> drop_before(Lsn lsn) { return log_->drop_before(lsn); }
  Result<void> reserve(std::uint64_t bytes) { return log_->reserve(bytes); }
  bool spare_due() const { return log_->spare_due(); }
  Result<void> prepare_spare() { return log_->prepare_spare(); }
  Result<void> trim(bool keep_promised) { return log_->trim(keep_promised); }
  Lsn begin() const { return log_->begin(); }
  Lsn end() const { return log_->end(); }
  Lsn durable() const { return log_->durable(); }
  std::uint32_t unit_bytes() const { return log_->unit_bytes(); }
  std::uint64_t used_bytes() const { return log_->used_bytes(); }
  std::uint64_t max_bytes() const { return log_->max_bytes(); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual Result<void> append(Bytes bytes) = 0;
    virtual Result<void> sync() = 0;
    virtual Result<std::size_t> read(Lsn from, MutableBytes into) = 0;
    virtual Result<void> cut(Lsn at) = 0;
    virtual Result<void> drop_before(Lsn lsn) = 0;
    virtual Result<void> reserve(std::uint64_t bytes) = 0;
    virtual bool spare_due() const = 0;
    virtual Result<void> prepare_spare() = 0;
    virtual Result<void> trim(bool keep_promised) = 0;
    virtual Lsn begin() const = 0;
    virtual Lsn end() const = 0;
    virtual Lsn durable() const = 0;
    virtual std::uint32_t unit_bytes() const = 0;
    virtual std::uint64_t used_bytes() const = 0;
    virtual std::uint64_t max_bytes() const = 0;
  };
  template <class Log>
  struct Holder final : Interface {
    explicit Holder(Log&& held) : log(std::move(held)) {}
    Result<void> append(Bytes bytes) override { return log.append(bytes); }
    Result<void> sync() override { return log.sync(); }
    Result<std::size_t> read(Lsn from, MutableBytes into) override { return log.read(from, into); }
    Result<void> cut(Lsn at) override { return log.cut(at); }
    Result<void> drop_before(Lsn lsn) override { return log.drop_before(lsn); }
    Result<void> reserve(std::uint64_t bytes) override { return log.reserve(bytes); }
    bool spare_due() const override {
      if constexpr (SparingLog<Log>) return log.spare_due();
      else return false;
    }
    Result<void> prepare_spare() override {
      if constexpr (SparingLog<Log>) return log.prepare_spare();
      else return {};
    }
    Result<void> trim(bool keep_promised) override {
      if constexpr (SparingLog<Log>) return log.trim(keep_promised);
      else return (void)keep_promised, Result<void>{};
    }
    Lsn begin() const override { return log.begin(); }
    Lsn end() const override { return log.end(); }
    Lsn durable() const override { return log.durable(); }
    std::uint32_t unit_bytes() const override { return log.unit_bytes(); }
    std::uint64_t used_bytes() const override { return log.used_bytes(); }
    std::uint64_t max_bytes() const override { return log.max_bytes(); }
    Log log;
  };

  explicit StorageLog(Owned<Interface> log) : log_(std::move(log)) {}

  Owned<Interface> log_;  // empty only after a move
};

class StorageBackend {
  struct Visitor {
    virtual void visit(BlockId id, std::size_t bytes) = 0;

   protected:
    ~Visitor() = default;
  };
  template <class Fn>
  struct Visiting final : Visitor {
    explicit Visiting(Fn& called) : fn(called) {}
    void visit(BlockId id, std::size_t bytes) override { fn(id, bytes); }
    Fn& fn;
  };
  struct Listener {
    virtual void hear(const Error& problem) = 0;

   protected:
    ~Listener() = default;
  };
  template <class Fn>
  struct Hearing final : Listener {
    explicit Hearing(Fn& called) : fn(called) {}
    void hear(const Error& problem) override { fn(problem); }
    Fn& fn;
  };
  struct PinInterface {
    virtual ~PinInterface() = default;
    virtual Result<std::size_t> read(BlockId id, MutableBytes into) = 0;
    virtual Result<void> for_each(Visitor& visitor) = 0;
  };
  struct Interface {
    virtual ~Interface() = default;
    virtual Result<std::size_t> read(BlockId id, MutableBytes into) = 0;
    virtual Result<void> write(BlockId id, Bytes content) = 0;
    virtual Result<void> erase(BlockId id) = 0;
    virtual Result<bool> exists(BlockId id) = 0;
    virtual Result<void> sync() = 0;
    virtual void seal() = 0;
    virtual Result<Owned<PinInterface>> pin() = 0;
    virtual Result<void> reserve(std::uint64_t bytes) = 0;
    virtual void release(std::uint64_t bytes) = 0;
    virtual void ration() = 0;
    virtual bool has_room(const BlockChanges& changes) = 0;
    virtual Result<void> trim() = 0;
    virtual Result<void> check(Listener& listener) = 0;
    virtual Result<void> for_each(Visitor& visitor) = 0;
    virtual Result<StorageLog> open_log(const LogOptions& options) = 0;
    virtual Result<bool> has_log() = 0;
    virtual bool is_new() const = 0;
    virtual bool is_durable() const = 0;
    virtual std::size_t max_block_bytes() const = 0;
    virtual BackendStats stats() const = 0;
    virtual std::uint64_t draw_id() = 0;
  };

 public:
  using Log = StorageLog;
  class Pin;

  static constexpr Axis axis = Axis::backend;
  static constexpr std::string_view name = "storage";
  static constexpr bool durable_medium = true;

  /// Takes `backend`, which must have seal(). Without pin() a pin is refused with invalid_argument; without reserve() a
  /// reservation is granted and promises nothing; without check() there is nothing to find; without ration() only
  /// what was reserved has room.
  template <SealableBackend Backend>
    requires(!std::is_same_v<Backend, StorageBackend>)
  static Result<StorageBackend> of(Backend backend) {
    StorageBackend erased{Owned<Interface>{new (std::nothrow) Holder<Backend>{std::move(backend)}}};
    if (!erased.backend_) return Error{Errc::out_of_memory, "backend"};
    return erased;
  }

  Result<std::size_t> read(BlockId id, MutableBytes into) { return backend_->read(id, into); }
  Result<void> write(BlockId id, Bytes content) { return backend_->write(id, content); }
  Result<void> erase(BlockId id) { return backend_->erase(id); }
  Result<bool> exists(BlockId id) { return backend_->exists(id); }
  Result<void> sync() { return backend_->sync(); }
  void seal() { backend_->seal(); }
  Result<Pin> pin();
  Result<void> reserve(std::uint64_t bytes) { return backend_->reserve(bytes); }
  void release(std::uint64_t bytes) { backend_->release(bytes); }
  void ration() { backend_->ration(); }
  bool has_room(const BlockChanges& changes) { return backend_->has_room(changes); }
  Result<void> trim() { return backend_->trim(); }
  template <class Fn>
  Result<void> check(Fn&& fn) {
    Hearing<std::remove_reference_t<Fn>> listener{fn};
    return backend_->check(listener);
  }
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    Visiting<std::remove_reference_t<Fn>> visitor{fn};
    return backend_->for_each(visitor);
  }
  Result<StorageLog> open_log(const LogOptions& options) { return backend_->open_log(options); }
  Result<bool> has_log() { return backend_->has_log(); }
  bool is_new() const { return backend_->is_new(); }
  std::size_t max_block_bytes() const { return backend_->max_block_bytes(); }
  BackendStats stats() const { return backend_->stats(); }
  std::uint64_t draw_id() { return backend_->draw_id(); }

  /// durable_medium of both the backend and the log it holds.
  bool is_durable() const { return backend_->is_durable(); }

 private:
  template <class Held>
  struct PinHolder final : PinInterface {
    explicit PinHolder(Held&& held) : pin(std::move(held)) {}
    Result<std::size_t> read(BlockId id, MutableBytes into) override { return pin.read(id, into); }
    Result<void> for_each(Visitor& visitor) override {
      return pin.for_each([&](BlockId id, std::size_t bytes) { visitor.visit(id, bytes); });
    }
    Held pin;
  };
  template <class Backend>
  struct Holder final : Interface {
    explicit Holder(Backend&& held) : backend(std::move(held)) {}
    Result<std::size_t> read(BlockId id, MutableBytes into) override { return backend.read(id, into); }
    Result<void> write(BlockId id, Bytes content) override { return backend.write(id, content); }
    Result<void> erase(BlockId id) override { return backend.erase(id); }
    Result<bool> exists(BlockId id) override { return backend.exists(id); }
    Result<void> sync() override { return backend.sync(); }
    void seal() override { backend.seal(); }
    Result<Owned<PinInterface>> pin() override {
      if constexpr (PinnableBackend<Backend>) {
        AEGIS_TRY(auto pinned, backend.pin());
        Owned<PinInterface> erased{new (std::nothrow) PinHolder<typename Backend::Pin>{std::move(pinned)}};
        if (!erased) return Error{Errc::out_of_memory, "pin"};
        return erased;
      } else {
        return Error{Errc::invalid_argument, "pin of a backend that has none"};
      }
    }
    Result<void> reserve(std::uint64_t bytes) override {
      if constexpr (ReservableBackend<Backend>) return backend.reserve(bytes);
      else return {};
    }
    void release(std::uint64_t bytes) override {
      if constexpr (ReservableBackend<Backend>) backend.release(bytes);
    }
    void ration() override {
      if constexpr (RationedBackend<Backend>) backend.ration();
    }
    bool has_room(const BlockChanges& changes) override {
      if constexpr (RationedBackend<Backend>) return backend.has_room(changes);
      else return (void)changes, false;
    }
    Result<void> trim() override {
      if constexpr (TrimmableBackend<Backend>) return backend.trim();
      else return {};
    }
    Result<void> check(Listener& listener) override {
      if constexpr (CheckableBackend<Backend>) return backend.check([&](const Error& problem) { listener.hear(problem); });
      else return (void)listener, Result<void>{};
    }
    Result<void> for_each(Visitor& visitor) override {
      return backend.for_each([&](BlockId id, std::size_t bytes) { visitor.visit(id, bytes); });
    }
    Result<StorageLog> open_log(const LogOptions& options) override {
      AEGIS_TRY(auto log, backend.open_log(options));
      return StorageLog::of(std::move(log));
    }
    Result<bool> has_log() override { return backend.has_log(); }
    bool is_new() const override { return backend.is_new(); }
    bool is_durable() const override { return Backend::durable_medium && Backend::Log::durable_medium; }
    std::size_t max_block_bytes() const override { return backend.max_block_bytes(); }
    BackendStats stats() const override { return backend.stats(); }
    std::uint64_t draw_id() override { return backend.draw_id(); }
    Backend backend;
  };

  explicit StorageBackend(Owned<Interface> backend) : backend_(std::move(backend)) {}

  Owned<Interface> backend_;  // empty only after a move
};

/// What the held backend's pin is; dropped before the backend.
class StorageBackend::Pin {
 public:
  Result<std::size_t> read(BlockId id, MutableBytes into) { return pin_->read(id, into); }
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    Visiting<std::remove_reference_t<Fn>> visitor{fn};
    return pin_->for_each(visitor);
  }

 private:
  friend class StorageBackend;
  explicit Pin(Owned<PinInterface> pin) : pin_(std::move(pin)) {}

  Owned<PinInterface> pin_;  // empty only after a move
};

inline Result<StorageBackend::Pin> StorageBackend::pin() {
  AEGIS_TRY(auto pinned, backend_->pin());
  return Pin{std::move(pinned)};
}

}  // namespace aegis::storage
