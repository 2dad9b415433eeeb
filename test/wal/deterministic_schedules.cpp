// SPDX-License-Identifier: Apache-2.0
// Group commit under schedules of a deterministic scheduler: committers, sometimes a checkpointer, sometimes a log that
// fails. A wait returns only when the log has what was waited for, everybody is woken, and after a failure nobody is told
// that anything went well.
#include <support/deterministic_threads.hpp>

#include <aegis/storage/testing/faulty_log.hpp>
#include <aegis/storage/wal/wal.hpp>

#include "life.hpp"

#include <algorithm>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

using namespace aegis_test;
using testing::FaultyLog;
using testing::LogFaults;

namespace {

template <class Durability>
class Committers {
 public:
  using W = Wal<FaultyLog<TestLog>, Xxh3Checksum, Durability>;

  explicit Committers(Schedule& schedule) : fails_(schedule.random.one_in(3)) {
    schedule.allow(Schedule::Timeouts::none);
    const WalOptions options{.identity = identity, .buffer_bytes = schedule.random.one_in(2) ? 300u : 1u << 16};
    wal_ = std::move(W::open(FaultyLog<TestLog>{TestLog{medium_}, faults_}, options).value());
    REQUIRE(wal_->begin_generation(wal_->scan().next_timestamp()).has_value());
    timestamp_ = number(wal_->durable_timestamp());
    if (fails_) {
      const LogFaults::Reach reach = schedule.random.one_in(2) ? LogFaults::Reach::nothing : LogFaults::Reach::medium;
      schedule.random.one_in(4) ? faults_.fail_append(1 + schedule.random.below(3), Errc::io, reach) : faults_.fail_sync(1 + schedule.random.below(4), Errc::io, reach);
    }
    for (std::uint64_t thread = 0, threads = 2 + schedule.random.below(3); thread < threads; ++thread) {
      std::vector<std::size_t> sizes(1 + schedule.random.below(3));
      for (std::size_t& size : sizes) size = 1 + schedule.random.below(120);
      schedule.spawn([this, &schedule, thread, sizes = std::move(sizes)] {
        for (std::size_t round = 0; round < sizes.size(); ++round)
          if (!commit(schedule, std::to_string(thread) + "." + std::to_string(round), sizes[round])) break;
      });
    }
    if (schedule.random.one_in(4)) schedule.spawn([this, &schedule] { checkpoint(schedule); });
  }

  void at_end(Schedule& schedule) {
    if (!wal_->failed() && wal_->sync_to(wal_->end())) {
      schedule.require(wal_->durable() >= wal_->end(), "all can be made durable");
      schedule.require(wal_->durable_timestamp() == Timestamp{timestamp_}, "the newest commit is durable at the end");
      acknowledged_ = written_;
    } else {
      schedule.require(fails_ && wal_->failed(), "a log fails only if it was told to");
      schedule.require(!wal_->reserve(1).has_value() && !wal_->mark().has_value(), "a failed log takes nothing");
    }
    wal_ = {};
    medium_.crash();
    const auto found = keys_after_reopen(medium_);
    for (const std::string& key : acknowledged_) schedule.require(std::find(found.begin(), found.end(), key) != found.end(), "an acknowledged commit survives a power cut");
    schedule.require(found.size() <= written_.size() && std::equal(found.begin(), found.end(), written_.begin()), "what survives is a prefix of what was written");
  }

 private:
  bool commit(Schedule& schedule, const std::string& key, std::size_t size) {
    FrameBuilder builder;
    schedule.require(builder.add(LogRecordType::insert, TableId{1}, key, std::string(size, 'v')).has_value(), "there is memory for a frame");
    const Result<Lsn> end = write(key, builder.payload());
    if (!end) return refused(schedule, end.error());
    if (Result<void> waited = wal_->wait(*end); !waited) return refused(schedule, waited.error());
    if constexpr (Durability::wait) {
      schedule.require(wal_->durable() >= *end && medium_.durable >= number(*end), "a wait returns when the log has its frame");
      acknowledged_.push_back(key);
    } else if (key.back() == '0') {
      const Result<void> synced = wal_->sync_to(*end);
      if (!synced) return refused(schedule, synced.error());
      schedule.require(wal_->durable() >= *end && medium_.durable >= number(*end), "a wait returns when the log has its frame");
      acknowledged_.push_back(key);
    }
    return true;
  }
  Result<Lsn> write(const std::string& key, Bytes payload) {
    AEGIS_TRY(wal_->reserve(payload.size()));
    const std::lock_guard section{section_};
    Result<Lsn> end = wal_->append(Timestamp{timestamp_ + 1}, payload);
    if (end || end.error().code() == Errc::commit_undecided) ++timestamp_, written_.push_back(key);
    if (!end) wal_->release(payload.size());
    return end;
  }
  bool refused(Schedule& schedule, const Error& error) {
    schedule.require(fails_ && wal_->failed(), "a commit fails only with the log");
    schedule.require(error.code() == Errc::commit_undecided || error.code() == Errc::engine_failed || error.code() == Errc::io, "a failed log says so");
    return false;
  }
  void checkpoint(Schedule& schedule) {
    const auto run = [&]() -> Result<void> {
      WalPosition cut;
      {
        const std::lock_guard section{section_};
        AEGIS_TRY(cut, wal_->mark());
      }
      AEGIS_TRY(wal_->sync_to(cut.lsn));
      AEGIS_TRY(wal_->append_checkpoint(1, cut.lsn));
      return wal_->drop_before(Lsn{});  // takes the lead, and keeps the log readable from its start
    };
    if (const Result<void> done = run(); !done) refused(schedule, done.error());
  }

  const bool fails_;
  TestMedium medium_;
  LogFaults faults_;
  Owned<W> wal_;
  std::mutex section_;
  std::uint64_t timestamp_ = 0;
  std::vector<std::string> written_, acknowledged_;
};

enum class Planted { nothing, late_tick, early_end, one_for_all };

// The core of a group commit, sound or with one bug.
template <Planted bug>
class SmallGroup {
 public:
  explicit SmallGroup(Schedule& schedule) {
    for (int thread = 0; thread < 3; ++thread)
      schedule.spawn([this, &schedule] {
        std::uint64_t mine = 0;
        {
          const std::lock_guard lock{mutex_};
          mine = ++appended_;
        }
        while (durable_.load() < mine) {
          std::unique_lock lock{mutex_};
          if (durable_.load() >= mine) break;
          if (!leading_) {
            lead(lock);
          } else {
            std::uint32_t tick = flushed_.tick();
            lock.unlock();
            if (bug == Planted::late_tick) tick = flushed_.tick();
            flushed_.wait(tick);
          }
        }
        schedule.require(stored_ >= mine, "a wait returns when the log has its frame");
      });
  }
  void at_end(Schedule& schedule) { schedule.require(stored_ == appended_, "all is stored"); }

 private:
  void lead(std::unique_lock<std::mutex>& lock) {
    leading_ = true;
    const std::uint64_t end = appended_;
    if (bug == Planted::early_end) durable_.store(end);
    lock.unlock();
    sched_yield();
    stored_ = end;
    lock.lock();
    durable_.store(end);
    leading_ = false;
    bug == Planted::one_for_all ? flushed_.announce_to_one() : flushed_.announce_to_all();
  }

  std::mutex mutex_;
  WakeUp flushed_;
  bool leading_ = false;
  std::uint64_t appended_ = 0, stored_ = 0;
  std::atomic<std::uint64_t> durable_{0};
};

}  // namespace

TEST_CASE_TEMPLATE("a commit's wait ends when its frame is in the log, or the log failed, in every schedule", Durability, SyncDurability, AsyncDurability) {
  holds_in_schedules<Committers<Durability>>(3'000);
}

TEST_CASE("a small group commit is sound in every schedule, and planted bugs are found") {
  holds_in_schedules<SmallGroup<Planted::nothing>>(1'000);
  fails_in_schedules<SmallGroup<Planted::late_tick>>(1'000, "lost wake-up");
  fails_in_schedules<SmallGroup<Planted::early_end>>(1'000, "the log has its frame");
  fails_in_schedules<SmallGroup<Planted::one_for_all>>(1'000, "lost wake-up");
}
