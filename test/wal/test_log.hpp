// SPDX-License-Identifier: Apache-2.0
// A log whose bytes tests may damage. Like a preallocated file it never forgets what was once written: cut() leaves stale
// bytes behind, and a reopened log holds everything up to its physical end.
#pragma once

#include <aegis/storage/log/policy.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace aegis_test {

using namespace aegis::storage;

struct TestMedium {
  explicit TestMedium(std::uint32_t unit = 512, std::uint64_t max = 1 << 20) : unit_bytes(unit), max_bytes(max) {}

  std::mutex mutex;
  std::vector<std::byte> bytes;     // from LSN 0
  std::uint64_t begin = 0, end = 0, durable = 0;
  std::uint32_t unit_bytes;
  std::uint64_t max_bytes;
  std::uint64_t syncs = 0;
  bool unreadable = false;          // reads fail with io
  bool touched_durable_unit = false;
  std::uint64_t largest_read = 0;

  /// Power is lost: of what was not yet synced, `kept` bytes reached the medium.
  void crash(std::uint64_t kept = 0) {
    const std::uint64_t until = std::min<std::uint64_t>(durable + kept, end);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(until), bytes.end(), std::byte{0});
    end = until;
  }
  void append_raw(Bytes raw) { bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(end), raw.begin(), raw.end()), end += raw.size(); }
  void flip(std::uint64_t at) { bytes[at] ^= std::byte{0x40}; }
};

class TestLog {
 public:
  static constexpr Axis axis = Axis::log;
  static constexpr bool durable_medium = true;

  /// What it holds reaches to the physical end, garbage included.
  explicit TestLog(TestMedium& medium) : medium_(&medium), end_(medium.bytes.size()) {}

  Result<void> append(Bytes bytes) {
    const std::lock_guard lock{medium_->mutex};
    if (end_ / medium_->unit_bytes < medium_->durable / medium_->unit_bytes || (end_ < medium_->durable)) medium_->touched_durable_unit = true;
    if (end_ + bytes.size() - medium_->begin > medium_->max_bytes) return Error{Errc::no_space, "test log"};
    if (medium_->bytes.size() < end_ + bytes.size()) medium_->bytes.resize(end_ + bytes.size());
    copy_bytes(MutableBytes{medium_->bytes}.subspan(end_), bytes);
    end_ += bytes.size();
    medium_->end = end_;
    return {};
  }
  Result<void> sync() {
    const std::lock_guard lock{medium_->mutex};
    medium_->durable = end_;
    ++medium_->syncs;
    return {};
  }
  Result<std::size_t> read(Lsn from, MutableBytes into) {
    const std::lock_guard lock{medium_->mutex};
    if (medium_->unreadable) return Error::os(Errc::io, 5, "test log");
    const std::uint64_t at = number(from);
    if (at >= medium_->bytes.size()) return std::size_t{0};
    const std::size_t size = std::min<std::size_t>(into.size(), medium_->bytes.size() - at);
    medium_->largest_read = std::max<std::uint64_t>(medium_->largest_read, into.size());
    copy_bytes(into, Bytes{medium_->bytes}.subspan(at, size));
    return size;
  }
  Result<void> cut(Lsn at) {
    const std::lock_guard lock{medium_->mutex};
    end_ = medium_->end = medium_->durable = number(at);
    if (medium_->bytes.size() < end_) medium_->bytes.resize(end_);
    return {};
  }
  Result<void> drop_before(Lsn lsn) {
    const std::lock_guard lock{medium_->mutex};
    medium_->begin = std::max<std::uint64_t>(medium_->begin, number(lsn) / 4096 * 4096);
    return {};
  }
  Result<void> reserve(std::uint64_t bytes) {
    const std::lock_guard lock{medium_->mutex};
    if (end_ - medium_->begin + bytes > medium_->max_bytes) return Error{Errc::busy, "test log"};
    return {};
  }
  Lsn begin() const { return look(medium_->begin); }
  Lsn end() const { return look(end_); }
  Lsn durable() const { return look(medium_->durable); }
  std::uint32_t unit_bytes() const { return medium_->unit_bytes; }
  std::uint64_t used_bytes() const { return number(look(end_)) - number(look(medium_->begin)); }
  std::uint64_t max_bytes() const { return medium_->max_bytes; }

 private:
  Lsn look(const std::uint64_t& value) const {
    const std::lock_guard lock{medium_->mutex};
    return Lsn{value};
  }

  TestMedium* medium_;
  std::uint64_t end_;
};

static_assert(LogPolicy<TestLog>);

}  // namespace aegis_test
