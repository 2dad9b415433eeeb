// SPDX-License-Identifier: Apache-2.0
// A log in memory, on a MemoryDisk. It keeps what it is told exactly as a file would, so that everything above it can be
// crashed and reopened in tests; a power cut takes it all (durable_medium is false). Segments are a matter of counting:
// drop_before rounds down to a multiple of segment_bytes after the log's start. See LogPolicy for threading.
#pragma once

#include <aegis/storage/file/memory_disk.hpp>
#include <aegis/storage/log/policy.hpp>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

namespace aegis::storage {

class MemoryLog {
 public:
  static constexpr Axis axis = Axis::log;
  static constexpr std::string_view name = "memory";
  static constexpr bool durable_medium = false;

  /// With options.create on a disk that holds the log of a published store: busy. Creating is durable on return.
  static Result<MemoryLog> open(MemoryDisk& disk, const LogOptions& options) { return open(disk.medium(), options); }
  static Result<MemoryLog> open(const MemoryMediumRef& medium, const LogOptions& options) {
    if (!medium) return Error{Errc::out_of_memory, "memory disk"};
    if (number(options.start) % medium->options().unit_bytes != 0) return Error{Errc::invalid_argument, "start of the log"};
    AEGIS_TRY(const MemoryMedium::Life life, medium->open_log([&](MemoryStream& stream, MemoryMedium::LogState& log, bool published) {
      return prepare(stream, log, published, options);
    }));
    return MemoryLog{medium, life, options};
  }

  MemoryLog(MemoryLog&& other) noexcept
      : medium_(std::move(other.medium_)), life_(other.life_), options_(other.options_), most_bytes_(other.most_bytes_), failed_(other.failed_.load()) {}
  MemoryLog& operator=(MemoryLog&& other) noexcept {
    std::swap(medium_, other.medium_);
    std::swap(life_, other.life_);
    std::swap(options_, other.options_);
    std::swap(most_bytes_, other.most_bytes_);
    failed_ = other.failed_.exchange(failed_);
    return *this;
  }
  ~MemoryLog() {
    if (medium_) medium_->close_log(life_);
  }

  /// busy, with nothing written and the log alive, when max_bytes would be passed.
  Result<void> append(Bytes bytes) {
    if (!options_.process_durable && bytes.size() % unit_bytes() != 0) return Error{Errc::invalid_argument, "length of an append"};
    if (failed_) return Error{Errc::engine_failed, "log"};
    const std::uint64_t used = used_bytes();
    if (used + bytes.size() > most_bytes_) return Error{Errc::busy, "log"};
    return change([&](MemoryStream& stream, MemoryMedium::LogState&) -> Result<void> {
      if (!stream.append(bytes)) return Error{Errc::out_of_memory, "log"};
      return {};
    });
  }
  Result<void> sync() {
    return change([](MemoryStream& stream, MemoryMedium::LogState& log) -> Result<void> {
      log.durable = stream.end();
      return {};
    });
  }
  /// invalid_argument below begin().
  Result<std::size_t> read(Lsn from, MutableBytes into) const {
    AEGIS_TRY(auto inner, medium_->look_at_log(life_, [&](const MemoryStream& stream, const MemoryMedium::LogState&) -> Result<std::size_t> {
      if (number(from) < stream.begin()) return Error{Errc::invalid_argument, "log position before the begin", number(from)};
      return stream.read(number(from), into);
    }));
    return inner;
  }
  /// invalid_argument below begin(). A gap of more than max_bytes drops what lay before it.
  Result<void> cut(Lsn at) {
    if (at < begin()) return Error{Errc::invalid_argument, "cut before the begin of the log", number(at)};
    return change([&](MemoryStream& stream, MemoryMedium::LogState& log) -> Result<void> {
      if (number(at) > stream.end() && number(at) - stream.end() > options_.max_bytes)
        stream.reset(number(at));
      else
        stream.cut(number(at));
      log.durable = number(at);
      return {};
    });
  }
  Result<void> drop_before(Lsn lsn) {
    return change([&](MemoryStream& stream, MemoryMedium::LogState& log) -> Result<void> {
      const std::uint64_t limit = std::min(number(lsn), stream.end());
      if (limit < log.start) return {};
      const std::uint64_t floor = log.start + (limit - log.start) / segment_bytes() * segment_bytes();
      if (floor > stream.begin()) stream.drop_before(floor);
      log.durable = std::max(log.durable, stream.begin());
      return {};
    });
  }
  Result<void> reserve(std::uint64_t bytes) {
    if (failed_) return Error{Errc::engine_failed, "log"};
    const std::uint64_t used = used_bytes();
    if (bytes > options_.max_bytes || used > options_.max_bytes - bytes) return Error{Errc::busy, "log"};
    if (!medium_->prepare_log(life_, number(end()) + bytes)) return Error{Errc::out_of_memory, "log"};
    return {};
  }

  Lsn begin() const { return Lsn{look([](const MemoryStream& stream, const auto&) { return stream.begin(); })}; }
  Lsn end() const { return Lsn{look([](const MemoryStream& stream, const auto&) { return stream.end(); })}; }
  Lsn durable() const { return Lsn{look([](const MemoryStream&, const MemoryMedium::LogState& log) { return log.durable; })}; }
  std::uint64_t used_bytes() const { return look([](const MemoryStream& stream, const auto&) { return stream.end() - stream.begin(); }); }
  std::uint64_t max_bytes() const { return options_.max_bytes; }
  std::uint32_t unit_bytes() const { return medium_->options().unit_bytes; }

 private:
  static constexpr std::uint64_t recovery_bytes = 64 << 10;

  MemoryLog(MemoryMediumRef medium, MemoryMedium::Life life, LogOptions options)
      : medium_(std::move(medium)), life_(life), options_(options), most_bytes_(std::max(options.max_bytes, used_bytes() + recovery_bytes)) {}

  static Result<void> prepare(MemoryStream& stream, MemoryMedium::LogState& log, bool published, const LogOptions& options) {
    if (options.create) {
      if (log.exists && published) return Error{Errc::busy, "log of a published store"};
      log.exists = true;
      log.identity = options.identity;
      log.start = log.durable = number(options.start);
      stream.reset(log.start);
      return {};
    }
    if (!log.exists) return Error{Errc::corrupt_log, "missing log"};
    if (log.identity.store != options.identity.store)
      return Error::foreign("store id of the log", options.identity.store, log.identity.store);
    if (log.identity.lineage != options.identity.lineage)
      return Error::foreign("lineage id of the log", options.identity.lineage, log.identity.lineage);
    return {};
  }

  std::uint64_t segment_bytes() const {
    const std::uint64_t wanted = options_.segment_bytes != 0 ? options_.segment_bytes : options_.max_bytes / 8;
    return std::max<std::uint64_t>(wanted / unit_bytes() * unit_bytes(), unit_bytes());
  }
  template <class Fn>
  Result<void> change(Fn&& fn) {
    if (failed_) return Error{Errc::engine_failed, "log"};
    Result<void> done = medium_->change_log(life_, fn);
    if (!done) failed_ = true;
    return done;
  }
  /// 0 from a log whose disk lost power.
  template <class Fn>
  std::uint64_t look(Fn&& fn) const {
    return medium_->look_at_log(life_, fn).value_or(std::uint64_t{0});
  }

  MemoryMediumRef medium_;        // empty only after a move
  MemoryMedium::Life life_;
  LogOptions options_;
  std::uint64_t most_bytes_;      // max_bytes, or more when a longer log was found: then it can still be recovered and dropped
  std::atomic<bool> failed_{false};  // once set, for ever
};

}  // namespace aegis::storage
