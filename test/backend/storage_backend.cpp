// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/backend/storage_backend.hpp>
#include <aegis/storage/testing/backend_suite.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"
#include "support/promises.hpp"
#include "support/random.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

struct ErasedMemory {
  MemoryDisk disk;

  void fresh() { disk = MemoryDisk{}; }
  Result<StorageBackend> open() {
    AEGIS_TRY(MemoryBackend backend, MemoryBackend::open(disk));
    return StorageBackend::of(std::move(backend));
  }
  void power_cut() { disk.crash(); }
  void die_at_change(std::uint64_t n) { disk.crash_after(n); }
  void limit_room(std::uint64_t bytes) { disk.limit(bytes); }
};

struct ErasedLocal {
  TemporaryDirectory directory;

  void fresh() { directory.clear(); }
  Result<StorageBackend> open() {
    AEGIS_TRY(LocalBackend backend, LocalBackend::open({.directory = directory / "store"}));
    return StorageBackend::of(std::move(backend));
  }
};

template <class Place>
const Promises& proved() {
  static const Promises promises = promises_of([](auto report) {
    Place place;
    testing::backend_suite(place, report, seed(1));
  });
  return promises;
}

/// Only what BackendPolicy and seal ask for.
class PlainBackend {
 public:
  using Log = MemoryLog;
  static constexpr Axis axis = Axis::backend;
  static constexpr std::string_view name = "plain";
  static constexpr bool durable_medium = false;

  Result<std::size_t> read(BlockId id, MutableBytes into) { return held_.read(id, into); }
  Result<void> write(BlockId id, Bytes content) { return held_.write(id, content); }
  Result<void> erase(BlockId id) { return held_.erase(id); }
  Result<bool> exists(BlockId id) { return held_.exists(id); }
  Result<void> sync() { return held_.sync(); }
  void seal() { held_.seal(); }
  template <class Fn>
  Result<void> for_each(Fn&& fn) {
    return held_.for_each(fn);
  }
  Result<MemoryLog> open_log(const LogOptions& options) { return held_.open_log(options); }
  Result<bool> has_log() { return held_.has_log(); }
  bool is_new() const { return held_.is_new(); }
  std::size_t max_block_bytes() const { return held_.max_block_bytes(); }
  BackendStats stats() const { return held_.stats(); }
  std::uint64_t draw_id() { return held_.draw_id(); }

 private:
  MemoryBackend held_;
};

}  // namespace

static_assert(LogPolicy<StorageLog> && SealableBackend<StorageBackend> && PinnableBackend<StorageBackend> && ReservableBackend<StorageBackend> &&
              RationedBackend<StorageBackend> && TrimmableBackend<StorageBackend> && CheckableBackend<StorageBackend>);

TEST_CASE("StorageBackend over memory keeps the promises of a backend") { check_promises(proved<ErasedMemory>()); }

TEST_CASE("StorageBackend over files keeps the promises of a backend") { check_promises(proved<ErasedLocal>()); }

TEST_CASE("backends of different types are chosen at run time, each with the log that belongs to it") {
  TemporaryDirectory directory;
  std::vector<StorageBackend> stores;
  stores.push_back(StorageBackend::of(MemoryBackend{}).value());
  stores.push_back(StorageBackend::of(LocalBackend::open({.directory = directory / "store"}).value()).value());
  CHECK_FALSE(stores[0].is_durable());
  CHECK(stores[1].is_durable());
  for (StorageBackend& store : stores) {
    StorageLog log = store.open_log({.max_bytes = 1 << 20, .create = true}).value();
    REQUIRE(log.cut(log.begin()));
    const std::string record(log.unit_bytes(), 'r');
    const Lsn at = log.end();
    REQUIRE(log.append(bytes_of(record)));
    REQUIRE(log.sync());
    CHECK(log.durable() == log.end());
    std::string read(record.size(), '\0');
    CHECK(log.read(at, {reinterpret_cast<std::byte*>(read.data()), read.size()}).value() == record.size());
    CHECK(read == record);
  }
}

TEST_CASE("a backend without pin, reserve and check can be erased: a pin is refused, a reservation promises nothing, a check finds nothing") {
  StorageBackend store = StorageBackend::of(PlainBackend{}).value();
  CHECK(store.write(BlockId{1}, bytes_of("x")));
  CHECK(store.pin().error().code() == Errc::invalid_argument);
  CHECK(store.reserve(std::uint64_t{1} << 62));
  store.release(1);
  std::size_t found = 0;
  CHECK(store.check([&](const Error&) { ++found; }));
  CHECK(found == 0);
}
