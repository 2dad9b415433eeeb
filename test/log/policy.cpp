// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/posix.hpp>
#include <aegis/storage/log/file.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/testing/log_suite.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"
#include "log/crash_files.hpp"
#include "support/promises.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

constexpr LogOptions small_log(bool process_durable) {
  return {.identity = {7, 8}, .max_bytes = 512 << 10, .segment_bytes = 32 << 10, .process_durable = process_durable, .start = Lsn{3 * 4096}};
}

struct RealPlace {
  TemporaryDirectory directory;

  void fresh() { directory.clear(); }
  Result<FileLog<PosixFiles>> open(const LogOptions& options) {
    AEGIS_TRY(PosixDirectory opened, PosixFiles{}.open_directory(directory.path(), false));
    return FileLog<PosixFiles>::open(std::move(opened), options);
  }
  void lose_segment() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{directory.path()})
      if (entry.path().filename().string().starts_with("wal-")) names.push_back(entry.path().string());
    std::sort(names.begin(), names.end());
    std::filesystem::remove(names[names.size() / 2]);
  }
};

/// Sectors that were not synced are lost by the toss of a coin.
template <bool direct_works, bool mapping_works>
struct SimulatedPlace {
  CrashDisk disk;
  Random random{42};

  void fresh() {
    disk = CrashDisk{};
    disk.direct_works = direct_works;
    disk.mapping_works = mapping_works;
  }
  Result<FileLog<CrashFiles>> open(const LogOptions& options) {
    disk.revive();
    return FileLog<CrashFiles>::open(CrashDirectory{&disk}, options);
  }
  void power_cut() { disk.power_cut(random); }
  void fail_next_change() { disk.fail_next = true; }
  bool overwrote_durable() const { return disk.overwrote_durable; }
  void lose_segment() {
    std::vector<std::string> names;
    for (const auto& [name, inode] : disk.now)
      if (name.starts_with("wal-")) names.push_back(name);
    disk.now.erase(names[names.size() / 2]);
  }
};

template <class Place>
Promises proved(bool process_durable) {
  Place place;
  return promises_of([&](auto&& report) { testing::log_suite(place, small_log(process_durable), report); });
}

/// A log in memory whose faults are chosen: the suite must find each of them.
enum class Fault { none, forgets_unsynced, loses_the_middle, never_full, takes_any_store, syncs_nothing, reads_too_far, drops_too_much };
struct Shelf {
  std::string bytes;
  std::uint64_t begin = 0, durable = 0;
  StoreIdentity identity{};
  bool exists = false;
};
template <Fault fault>
class FaultyLog {
 public:
  static constexpr Axis axis = Axis::log;
  static constexpr bool durable_medium = true;

  FaultyLog(Shelf* shelf, const LogOptions& options) : shelf_(shelf), options_(options) {}
  FaultyLog(FaultyLog&& other) noexcept : shelf_(std::exchange(other.shelf_, nullptr)), options_(other.options_) {}
  FaultyLog& operator=(FaultyLog&& other) noexcept {
    std::swap(shelf_, other.shelf_);
    std::swap(options_, other.options_);
    return *this;
  }
  ~FaultyLog() {
    if (shelf_ != nullptr && fault == Fault::forgets_unsynced) shelf_->bytes.resize(shelf_->durable - shelf_->begin);
  }
  Result<void> append(Bytes bytes) {
    if (!options_.process_durable && bytes.size() % unit_bytes() != 0) return Errc::invalid_argument;
    shelf_->bytes.append(text_of(bytes));
    return {};
  }
  Result<void> sync() {
    if (fault != Fault::syncs_nothing) shelf_->durable = number(end());
    return {};
  }
  Result<std::size_t> read(Lsn lsn, MutableBytes into) const {
    if (lsn < begin()) return Errc::invalid_argument;
    if (lsn >= end()) return fault == Fault::reads_too_far ? into.size() : std::size_t{0};
    const std::size_t got = std::min<std::size_t>(into.size(), end() - lsn);
    copy_bytes(into, bytes_of(std::string_view{shelf_->bytes}.substr(lsn - begin(), got)));
    return got;
  }
  Result<void> cut(Lsn lsn) {
    shelf_->bytes.resize(lsn - begin());
    if (fault == Fault::loses_the_middle && shelf_->bytes.size() > 9) shelf_->bytes[shelf_->bytes.size() / 2] ^= 1;
    shelf_->durable = number(lsn);
    return {};
  }
  Result<void> drop_before(Lsn lsn) {
    const std::uint64_t segment = options_.segment_bytes, past = fault == Fault::drops_too_much ? segment : 0;
    const std::uint64_t floor = (std::min(number(lsn), number(end())) - number(options_.start)) / segment * segment + number(options_.start) + past;
    if (floor <= shelf_->begin || floor > number(end())) return {};
    shelf_->bytes.erase(0, floor - shelf_->begin);
    shelf_->begin = floor;
    return {};
  }
  Result<void> reserve(std::uint64_t bytes) {
    if (fault != Fault::never_full && used_bytes() + bytes > max_bytes()) return Errc::busy;
    if (used_bytes() + bytes > 3 * max_bytes()) return Errc::no_space;
    return {};
  }
  Lsn begin() const { return Lsn{shelf_->begin}; }
  Lsn end() const { return begin() + shelf_->bytes.size(); }
  Lsn durable() const { return Lsn{shelf_->durable}; }
  std::uint32_t unit_bytes() const { return 512; }
  std::uint64_t used_bytes() const { return shelf_->bytes.size(); }
  std::uint64_t max_bytes() const { return options_.max_bytes; }

 private:
  Shelf* shelf_;
  LogOptions options_;
};
template <Fault fault>
struct FaultyPlace {
  Shelf shelf;
  void fresh() { shelf = {}; }
  Result<FaultyLog<fault>> open(const LogOptions& options) {
    if (options.create) shelf = {"", number(options.start), number(options.start), options.identity, true};
    if (!shelf.exists) return Errc::corrupt_log;
    if (fault != Fault::takes_any_store && !(shelf.identity == options.identity)) return Errc::incompatible_format;
    return FaultyLog<fault>{&shelf, options};
  }
};
template <Fault fault>
std::string broken_promises() {
  std::string broken;
  for (const auto& [promise, held] : proved<FaultyPlace<fault>>(true))
    if (!held && broken.find(promise.substr(0, promise.find('.'))) == std::string::npos) broken += promise.substr(0, promise.find('.')) + " ";
  return broken;
}

static_assert(LogPolicy<FileLog<PosixFiles>>);
static_assert(LogPolicy<FileLog<CrashFiles>>);
static_assert(LogPolicy<FaultyLog<Fault::none>>);

}  // namespace

TEST_CASE("the file log on the real file system, written past the cache, keeps the promises of a log") {
  static const Promises promises = proved<RealPlace>(false);
  check_promises(promises);
}
TEST_CASE("the file log on the real file system, mapped, keeps the promises of a log") {
  static const Promises promises = proved<RealPlace>(true);
  check_promises(promises);
}
TEST_CASE("the file log on a disk that loses what is not synced keeps the promises of a log") {
  SUBCASE("direct") {
    static const Promises promises = proved<SimulatedPlace<true, true>>(false);
    check_promises(promises);
  }
  SUBCASE("buffered, without direct I/O") {
    static const Promises promises = proved<SimulatedPlace<false, false>>(false);
    check_promises(promises);
  }
  SUBCASE("mapped") {
    static const Promises promises = proved<SimulatedPlace<true, true>>(true);
    check_promises(promises);
  }
  SUBCASE("process durable without mappings") {
    static const Promises promises = proved<SimulatedPlace<true, false>>(true);
    check_promises(promises);
  }
}
TEST_CASE("the suite of logs finds the faults that it is there for, and none in a sound log") {
  CHECK(broken_promises<Fault::none>() == "");
  CHECK(broken_promises<Fault::forgets_unsynced>().find("2 ") != std::string::npos);
  CHECK(broken_promises<Fault::syncs_nothing>().find("3 ") != std::string::npos);
  CHECK(broken_promises<Fault::reads_too_far>().find("5 ") != std::string::npos);
  CHECK(broken_promises<Fault::loses_the_middle>().find("6 ") != std::string::npos);
  CHECK(broken_promises<Fault::drops_too_much>().find("7 ") != std::string::npos);
  CHECK(broken_promises<Fault::never_full>().find("8 ") != std::string::npos);
  CHECK(broken_promises<Fault::takes_any_store>().find("9 ") != std::string::npos);
}
