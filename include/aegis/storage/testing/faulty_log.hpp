// SPDX-License-Identifier: Apache-2.0
// A log that fails or stands still on command: FaultyLog<Log> is a LogPolicy around another one, LogFaults is the hand that
// steers it. Deterministic: faults go by count, waiting by events, never by time. LogFaults outlives the logs it steers;
// all its calls are for any thread.
#pragma once

#include <aegis/storage/log/policy.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace aegis::storage::testing {

class LogFaults {
 public:
  enum class Reach : std::uint8_t { nothing, medium };  ///< Whether the failing call still took effect below, as real ones may.

  /// The n-th append (sync) from now fails with `code`; 1 is the next one. The log is poisoned by it, as the policy says.
  void fail_append(std::uint64_t n, Errc code = Errc::io, Reach reach = Reach::nothing) { plan(append_, n, code, reach); }
  void fail_sync(std::uint64_t n, Errc code = Errc::io, Reach reach = Reach::nothing) { plan(sync_, n, code, reach); }

  /// Until release_syncs() every sync stands still before it does anything.
  void hold_syncs() {
    const std::lock_guard lock{mutex_};
    holding_ = true;
  }
  void release_syncs() {
    const std::lock_guard lock{mutex_};
    holding_ = false;
    changed_.notify_all();
  }
  /// Returns once a sync stands still.
  void wait_until_held() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return held_ > 0; });
  }

  std::uint64_t appends() const { return count_of(append_); }  ///< Called so far, failed ones included.
  std::uint64_t syncs() const { return count_of(sync_); }

 private:
  template <class Log>
  friend class FaultyLog;

  struct Call {
    std::uint64_t count = 0, failing = 0;  // the failing-th call fails; 0: none
    Errc code = Errc::io;
    Reach reach = Reach::nothing;
  };
  struct Verdict {
    bool fails = false, reaches = true;
    Errc code = Errc::io;
  };

  void plan(Call& call, std::uint64_t n, Errc code, Reach reach) {
    const std::lock_guard lock{mutex_};
    call = {call.count, call.count + n, code, reach};
  }
  std::uint64_t count_of(const Call& call) const {
    const std::lock_guard lock{mutex_};
    return call.count;
  }
  static Verdict judge(Call& call) {
    if (++call.count != call.failing) return {};
    return {true, call.reach == Reach::medium, call.code};
  }
  Verdict on_append() {
    const std::lock_guard lock{mutex_};
    return judge(append_);
  }
  Verdict on_sync() {
    std::unique_lock lock{mutex_};
    ++held_;
    if (holding_) changed_.notify_all();
    changed_.wait(lock, [&] { return !holding_; });
    --held_;
    return judge(sync_);
  }

  mutable std::mutex mutex_;           // guards everything
  std::condition_variable changed_;
  Call append_, sync_;
  bool holding_ = false;
  std::uint64_t held_ = 0;             // syncs that wait for release_syncs()
};

template <class Log>
class FaultyLog {
 public:
  static constexpr Axis axis = Axis::log;
  static constexpr bool durable_medium = Log::durable_medium;

  FaultyLog(Log log, LogFaults& faults) : log_(std::move(log)), faults_(&faults) {}

  Result<void> append(Bytes bytes) {
    return run(faults_->on_append(), "append to the log", [&] { return log_.append(bytes); });
  }
  Result<void> sync() {
    return run(faults_->on_sync(), "sync of the log", [&] { return log_.sync(); });
  }
  Result<std::size_t> read(Lsn from, MutableBytes into) { return log_.read(from, into); }
  Result<void> cut(Lsn at) { return log_.cut(at); }
  Result<void> drop_before(Lsn lsn) { return log_.drop_before(lsn); }
  Result<void> reserve(std::uint64_t bytes) { return log_.reserve(bytes); }
  bool spare_due() const requires SparingLog<Log> { return log_.spare_due(); }
  Result<void> prepare_spare() requires SparingLog<Log> { return log_.prepare_spare(); }
  Result<void> trim(bool keep_promised) requires SparingLog<Log> { return log_.trim(keep_promised); }
  Lsn begin() const { return log_.begin(); }
  Lsn end() const { return log_.end(); }
  Lsn durable() const { return log_.durable(); }
  std::uint32_t unit_bytes() const { return log_.unit_bytes(); }
  std::uint64_t used_bytes() const { return log_.used_bytes(); }
  std::uint64_t max_bytes() const { return log_.max_bytes(); }

 private:
  template <class Call>
  Result<void> run(LogFaults::Verdict verdict, const char* subject, Call&& call) {
    if (poisoned()) return Error{Errc::engine_failed, subject};
    if (!verdict.fails) return call();
    poison();
    if (verdict.reaches) AEGIS_TRY(call());
    return Error{verdict.code, subject};
  }
  bool poisoned() const {
    const std::lock_guard lock{faults_->mutex_};
    return poisoned_;
  }
  void poison() {
    const std::lock_guard lock{faults_->mutex_};
    poisoned_ = true;
  }

  Log log_;
  LogFaults* faults_;
  bool poisoned_ = false;  // guarded by the faults' mutex
};

}  // namespace aegis::storage::testing
