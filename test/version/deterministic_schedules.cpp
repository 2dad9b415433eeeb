// SPDX-License-Identifier: Apache-2.0
// Version reclamation under schedules of a deterministic scheduler: writers replace rows, everybody reclaims, the cap is a
// few versions. A reader gets its snapshot's rows or is told that it is too old; at the end nothing is kept.
#include <support/deterministic_threads.hpp>

#include <aegis/storage/version/version_store.hpp>

#include <array>
#include <cstring>
#include <mutex>
#include <span>
#include <string>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

constexpr TableId table{1};
constexpr std::size_t row_count = 3;
constexpr std::array<std::string_view, row_count> names{"a", "b", "c"};

enum class Planted {
  nothing,
  hasty_snapshot,   // the watermark is not read again once the slot has it
  late_version,     // the page changes before the version is saved
  early_publish,    // published before all of its rows have changed
  late_watermark,   // the reclaimer's watermark is newer than the slots that it saw
  deaf_reader,      // does not ask whether its snapshot was revoked
};

// Pages are one number per row: the timestamp of the last change. So a snapshot's row is the newest change that it sees.
template <Planted bug>
class Rows {
 public:
  explicit Rows(Schedule& schedule)
      : snapshots_(std::move(SnapshotRegistry::open(8).value())), versions_(std::move(VersionStore::open(schedule.random.one_in(2) ? two_versions : 1 << 20).value())) {
    schedule.allow(Schedule::Timeouts::none);
    for (auto& history : history_) history.push_back(0);
    for (std::uint64_t thread = 0, threads = 1 + schedule.random.below(2); thread < threads; ++thread) {
      std::vector<std::size_t> commits(2 + schedule.random.below(4));
      for (std::size_t& rows : commits) rows = 1 + schedule.random.below((1 << row_count) - 1);
      schedule.spawn([this, commits = std::move(commits)] {
        for (std::size_t rows : commits) change(rows);
      });
    }
    for (std::uint64_t thread = 0, threads = 1 + schedule.random.below(2); thread < threads; ++thread)
      schedule.spawn([this, &schedule, looks = 1 + schedule.random.below(2)] {
        for (std::uint64_t look = 0; look < looks; ++look) read(schedule);
      });
  }

  void at_end(Schedule& schedule) {
    (void)versions_->reclaim(Timestamp{published_.load()}, snapshots_);
    const VersionStats stats = versions_->stats();
    schedule.require(stats.versions == 0 && stats.keys == 0 && stats.bytes == 0, "without readers nothing is kept");
    schedule.require(stats.saved == stats.reclaimed, "every version was reclaimed once");
    schedule.require(snapshots_.claimed() == 0, "no slot is left");
  }

 private:
  Timestamp published() const { return Timestamp{published_.load()}; }

  // A commit of the rows whose bits are set.
  void change(std::size_t rows) {
    std::array<PreparedVersion, row_count> prepared;
    for (std::size_t row = 0; row < row_count; ++row)
      if ((rows >> row & 1) != 0) prepared[row] = std::move(versions_->prepare(table, names[row], sizeof(std::uint64_t)).value());
    {
      const std::lock_guard section{section_};
      const std::uint64_t timestamp = published_.load() + 1;
      if (bug == Planted::early_publish) published_.store(timestamp);
      for (std::size_t row = 0; row < row_count; ++row) {
        if ((rows >> row & 1) == 0) continue;
        const std::uint64_t old = history_[row].back();
        if (bug == Planted::late_version) pages_[row].store(timestamp);
        versions_->save(std::move(prepared[row]), Timestamp{timestamp}, {}, std::as_bytes(std::span{&old, 1}), published(), snapshots_);
        history_[row].push_back(timestamp);
        pages_[row].store(timestamp);
      }
      published_.store(timestamp);
    }
    if (bug == Planted::late_watermark) {
      const Timestamp slots = snapshots_.oldest(never_ends), watermark = published();
      (void)versions_->reclaim(slots < watermark ? slots : watermark, nobody_);
    } else {
      (void)versions_->reclaim(published(), snapshots_, NoGhostReport{}, 2);
    }
    if (versions_->over_cap()) (void)versions_->relieve(0, published(), snapshots_);
  }

  void read(Schedule& schedule) {
    SnapshotRegistry::Slot* const slot = snapshots_.claim();
    schedule.require(slot != nullptr, "there is a slot for everybody");
    const Timestamp seen = published();
    const Timestamp snapshot = bug == Planted::hasty_snapshot ? snapshots_.take(*slot, [&] { return seen; }) : snapshots_.take(*slot, [&] { return published(); });
    schedule.require(snapshot >= seen, "a snapshot shows what was published before it");
    for (std::size_t row : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{0}}) {
      std::uint64_t value = pages_[row].load();
      versions_->lookup(table, names[row], snapshot, [&](const Version* version) {
        if (version != nullptr) std::memcpy(&value, version->cell().data(), sizeof value);
      });
      if (bug != Planted::deaf_reader && snapshots_.is_revoked(*slot)) break;
      std::uint64_t expected = 0;
      for (std::uint64_t change : history_[row])
        if (change <= number(snapshot)) expected = change;
      schedule.require(value == expected, "a reader sees its snapshot's row");
    }
    snapshots_.release(*slot);
  }

  static constexpr std::uint64_t two_versions = 2 * Version::footprint(1, sizeof(std::uint64_t));
  static constexpr Timestamp never_ends{~std::uint64_t{0} - 16};

  SnapshotRegistry snapshots_;
  SnapshotRegistry nobody_ = std::move(SnapshotRegistry::open(1).value());  // without slots in use
  Owned<VersionStore> versions_;
  std::mutex section_;
  std::atomic<std::uint64_t> published_{0};
  std::array<std::atomic<std::uint64_t>, row_count> pages_{};
  std::array<std::vector<std::uint64_t>, row_count> history_;  // of the scene: all changes, with no point between
};

}  // namespace

TEST_CASE("a reader gets its snapshot's rows or is told that it is too old, in every schedule") {
  holds_in_schedules<Rows<Planted::nothing>>(4'000);
}

TEST_CASE("planted bugs of publication and reclamation are found") {
  fails_in_schedules<Rows<Planted::hasty_snapshot>>(10'000, "its snapshot's row");
  fails_in_schedules<Rows<Planted::late_version>>(10'000, "its snapshot's row");
  fails_in_schedules<Rows<Planted::early_publish>>(10'000, "its snapshot's row");
  fails_in_schedules<Rows<Planted::late_watermark>>(10'000, "its snapshot's row");
  fails_in_schedules<Rows<Planted::deaf_reader>>(10'000, "its snapshot's row");
}
