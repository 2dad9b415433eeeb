// SPDX-License-Identifier: Apache-2.0
// MemoryBackend with a log that stands still or fails on command: what lies between a commit's place in the log and its
// durability can be looked at as long as a test likes.
#pragma once

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/testing/faulty_log.hpp>

#include <string_view>
#include <utility>

namespace aegis_test {

class FaultyLogBackend {
 public:
  using Log = aegis::storage::testing::FaultyLog<aegis::storage::MemoryLog>;

  static constexpr auto axis = aegis::storage::Axis::backend;
  static constexpr std::string_view name = "memory";
  static constexpr bool durable_medium = false;

  FaultyLogBackend(aegis::storage::MemoryBackend backend, aegis::storage::testing::LogFaults& faults) : backend_(std::move(backend)), faults_(&faults) {}

  auto read(aegis::storage::BlockId id, aegis::storage::MutableBytes into) { return backend_.read(id, into); }
  auto write(aegis::storage::BlockId id, aegis::storage::Bytes from) { return backend_.write(id, from); }
  auto erase(aegis::storage::BlockId id) { return backend_.erase(id); }
  auto exists(aegis::storage::BlockId id) { return backend_.exists(id); }
  auto sync() { return backend_.sync(); }
  void seal() { backend_.seal(); }
  template <class Fn>
  auto for_each(Fn&& fn) {
    return backend_.for_each(fn);
  }
  aegis::storage::Result<Log> open_log(const aegis::storage::LogOptions& options) {
    AEGIS_TRY(auto log, backend_.open_log(options));
    return Log{std::move(log), *faults_};
  }
  auto has_log() { return backend_.has_log(); }
  bool is_new() const { return backend_.is_new(); }
  std::size_t max_block_bytes() const { return backend_.max_block_bytes(); }
  auto stats() const { return backend_.stats(); }
  auto draw_id() { return backend_.draw_id(); }

 private:
  aegis::storage::MemoryBackend backend_;
  aegis::storage::testing::LogFaults* faults_;
};

static_assert(aegis::storage::BackendPolicy<FaultyLogBackend>);

}  // namespace aegis_test
