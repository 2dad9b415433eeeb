// SPDX-License-Identifier: Apache-2.0
// A backend with a log that stands still or fails on command: what lies between a commit's place in the log and its
// durability can be looked at as long as a test likes.
#pragma once

#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/testing/faulty_log.hpp>

#include <utility>

namespace aegis_test {

template <class Backend>
class FaultyLogOver : public Backend {
 public:
  using Inner = Backend;
  using Log = aegis::storage::testing::FaultyLog<typename Backend::Log>;

  FaultyLogOver(Backend backend, aegis::storage::testing::LogFaults& faults) : Backend(std::move(backend)), faults_(&faults) {}

  aegis::storage::Result<Log> open_log(const aegis::storage::LogOptions& options) {
    AEGIS_TRY(auto log, Backend::open_log(options));
    return Log{std::move(log), *faults_};
  }

 private:
  aegis::storage::testing::LogFaults* faults_;
};

using FaultyLogBackend = FaultyLogOver<aegis::storage::MemoryBackend>;

static_assert(aegis::storage::BackendPolicy<FaultyLogBackend> && aegis::storage::BackendPolicy<FaultyLogOver<aegis::storage::LocalBackend>>);

}  // namespace aegis_test
