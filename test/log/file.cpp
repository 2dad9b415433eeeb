// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/file/posix.hpp>
#include <aegis/storage/log/file.hpp>
#include <aegis/storage/testing/simulated_files.hpp>

#include <doctest/doctest.h>

#include "file/temporary_directory.hpp"
#include "log/crash_files.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace aegis::storage;
using namespace aegis_test;

namespace {

constexpr std::uint64_t unit = 4096;

using SimulatedLog = FileLog<CrashFiles>;
using FaultyLog = FileLog<testing::SimulatedFiles>;
using testing::DiskCall, testing::SimulatedDisk;
using RealLog = FileLog<PosixFiles>;

constexpr LogOptions log_options(bool process_durable = false, bool create = true) {
  return {.identity = {7, 8}, .max_bytes = 256 << 10, .segment_bytes = 32 << 10, .process_durable = process_durable, .create = create, .start = Lsn{unit}};
}
Result<SimulatedLog> open(CrashDisk& disk, const LogOptions& options) { return SimulatedLog::open(CrashDirectory{&disk}, options); }
Result<RealLog> open(const TemporaryDirectory& place, const LogOptions& options) {
  AEGIS_TRY(PosixDirectory directory, PosixFiles{}.open_directory(place.path(), false));
  return RealLog::open(std::move(directory), options);
}
Result<FaultyLog> open(SimulatedDisk& disk, const LogOptions& options) {
  AEGIS_TRY(auto directory, testing::SimulatedFiles{disk}.open_directory("log", true));
  return FaultyLog::open(std::move(directory), options);
}
std::vector<std::byte> filled(std::uint64_t units, char with) { return std::vector<std::byte>(units * unit, static_cast<std::byte>(with)); }
template <class Log>
std::string text_at(Log& log, Lsn lsn, std::size_t size) {
  std::string text(size, '\0');
  const auto got = log.read(lsn, {reinterpret_cast<std::byte*>(text.data()), size});
  REQUIRE(got);
  text.resize(*got);
  return text;
}
std::vector<std::string> names_of(const CrashDisk& disk, std::string_view prefix) {
  std::vector<std::string> names;
  for (const auto& [name, inode] : disk.now)
    if (name.starts_with(prefix)) names.push_back(name);
  return names;
}

std::vector<std::string> names_of(SimulatedDisk& disk, std::string_view prefix) {
  std::vector<std::string> names;
  auto directory = testing::SimulatedFiles{disk}.open_directory("log", true);
  REQUIRE(directory);
  const auto found = directory->list();
  REQUIRE(found);
  for (const std::string& name : *found)
    if (name.starts_with(prefix)) names.push_back(name);
  return names;
}
void make_files(SimulatedDisk& disk, SegmentRole role, std::uint64_t count) {
  auto directory = testing::SimulatedFiles{disk}.open_directory("log", true);
  REQUIRE(directory);
  for (std::uint64_t id = 1; id <= count; ++id) REQUIRE(directory->open(SegmentName{role, 1000 + id}, {.create = true}));
}
std::uint64_t opened_files(const SimulatedDisk& disk) {
  std::uint64_t opened = 0;
  for (const auto& call : disk.history()) opened += call.change.call == DiskCall::open;
  return opened;
}

/// What the log must still hold, however its process and its disk ended.
struct Memory {
  bool created = false;
  std::uint64_t start = unit;   // of `content`
  std::string content;          // all that was appended and not cut, whether the append returned or not
  std::uint64_t returned = 0;   // of content: appended and not refused
  std::uint64_t durable = 0;    // of content: claimed durable
  std::uint64_t dropped = 0;    // LSN; drop_before was asked for it
  std::optional<std::uint64_t> restarting;  // a cut beyond the log's reach that has not returned
};

/// Lives of one log on one disk, each ended at a chosen call; REQUIREs what it must find at each birth.
class Story {
 public:
  Story(std::uint64_t seed, bool direct_works, bool mapping_works) : random_(seed) {
    disk_.direct_works = direct_works;
    disk_.mapping_works = mapping_works;
  }

  /// Runs one life that dies at call `die_at` (0: none) and then loses power or only its process.
  void live(std::uint64_t die_at, bool power) {
    disk_.die_at = die_at == 0 ? 0 : disk_.calls + die_at;
    const bool process_durable = random_.one_in(2);
    if (auto log = open(disk_, log_options(process_durable, !memory_.created)); log && settle(*log)) {
      for (int i = 0; i < 25 && step(*log); ++i) {
      }
      memory_.durable = std::max(memory_.durable, seen_durable_);
    } else if (!disk_.dead) {
      const std::string reason = log ? "refused its cut" : log.error().message();
      FAIL(reason);
    }
    // An append that died may have left any part of itself; the power cut and the next cut decide.
    if (power) {
      disk_.power_cut(random_);
      memory_.content.resize(memory_.durable);
      memory_.returned = memory_.durable;
    }
    disk_.revive();
  }
  std::uint64_t calls() const { return disk_.calls; }

 private:
  Lsn lsn(std::uint64_t at) const { return Lsn{memory_.start + at}; }

  /// Judges what is found, then cuts where the reader of the log would.
  bool settle(SimulatedLog& log) {
    memory_.created = true;
    seen_durable_ = 0;
    if (memory_.restarting) {  // the older content was given up
      if (!log.cut(Lsn{*memory_.restarting})) return false;
      restarted(*memory_.restarting);
      return true;
    }
    REQUIRE(number(log.begin()) <= std::max(memory_.dropped, memory_.start));
    REQUIRE(log.end() >= lsn(memory_.returned));
    judge(log, memory_.returned);
    memory_.durable = std::min(memory_.durable, memory_.returned);
    if (!log.cut(lsn(memory_.returned))) return false;
    memory_.content.resize(memory_.returned);
    memory_.durable = seen_durable_ = memory_.returned;
    return true;
  }
  void judge(SimulatedLog& log, std::uint64_t until) {
    const std::uint64_t from = number(log.begin()) > memory_.start ? number(log.begin()) - memory_.start : 0;
    if (from >= until) return;
    REQUIRE(text_at(log, lsn(from), until - from) == memory_.content.substr(from, until - from));
  }
  void restarted(std::uint64_t at) {
    memory_ = {.created = true, .start = at, .content = "", .returned = 0, .durable = 0, .dropped = at, .restarting = std::nullopt};
    seen_durable_ = 0;
  }

  bool step(SimulatedLog& log) {
    const std::uint64_t live = memory_.start + memory_.returned - number(log.begin());
    switch (random_.below(14)) {
      case 0: return cut(log, number(log.begin()) + random_.below(live / unit + 1) * unit);
      case 1: return random_.one_in(4) ? restart(log) : true;
      case 2:
      case 3: return drop(log, number(log.begin()) + random_.below(live + 1));
      case 4:
      case 5: return sync(log);
      case 6: return spare(log);
      default: return append(log, random_.below(12) + 1);
    }
  }
  bool append(SimulatedLog& log, std::uint64_t units) {
    if (const auto room = log.reserve(units * unit); !room) return room.error().code() == Errc::busy;
    const std::string text = random_.bytes(units * unit);
    memory_.content.resize(memory_.returned);
    memory_.content += text;
    if (!log.append(bytes_of(text))) return false;
    memory_.returned = memory_.content.size();
    seen_durable_ = number(log.durable()) - memory_.start;
    return true;
  }
  bool sync(SimulatedLog& log) {
    const auto done = log.sync();
    seen_durable_ = std::max(seen_durable_, number(log.durable()) - memory_.start);
    if (done) REQUIRE(log.durable() == lsn(memory_.returned));
    return done.has_value();
  }
  bool drop(SimulatedLog& log, std::uint64_t before) {
    memory_.dropped = std::max(memory_.dropped, before);
    if (!log.drop_before(Lsn{before})) return false;
    judge(log, memory_.returned);
    return true;
  }
  /// Promised room stays whatever happens to spares.
  bool spare(SimulatedLog& log) {
    const std::uint64_t units = random_.below(20);
    const bool promised = log.reserve(units * unit).has_value();
    if (random_.one_in(2) && log.spare_due()) {
      if (const auto made = log.prepare_spare(); !made && made.error().code() != Errc::busy) return false;
    }
    if (!log.trim(true)) return false;
    const std::uint64_t room = std::exchange(disk_.room_bytes, disk_.used());
    const bool goes_on = !promised || units == 0 || append(log, units);
    disk_.room_bytes = room;
    return goes_on;
  }
  bool cut(SimulatedLog& log, std::uint64_t at) {
    memory_.returned = at - memory_.start;  // what lies after it may be gone from now on
    seen_durable_ = std::min(seen_durable_, memory_.returned);
    memory_.durable = std::min(memory_.durable, memory_.returned);
    if (!log.cut(Lsn{at})) {
      memory_.returned = seen_durable_;  // its sync may have been what failed
      return false;
    }
    memory_.content.resize(memory_.returned);
    memory_.durable = seen_durable_ = memory_.returned;
    return true;
  }
  bool restart(SimulatedLog& log) {
    memory_.restarting = (number(log.end()) + (1 << 20)) / unit * unit;
    if (!log.cut(Lsn{*memory_.restarting})) return false;
    restarted(*memory_.restarting);
    return true;
  }

  CrashDisk disk_;
  Random random_;
  Memory memory_;
  std::uint64_t seen_durable_ = 0;  // of content, in this life
};

}  // namespace

TEST_CASE("whatever call a file log dies in, with or without power, what was durable is found and the chain is whole") {
  const std::uint64_t base = seed(20260101);
  INFO(replay(base, "log/file"));
  struct Mode {
    bool direct, mapping, power;
  };
  std::uint64_t deaths = 0;
  for (const Mode mode : {Mode{true, true, true}, Mode{false, true, true}, Mode{true, false, true}, Mode{true, true, false}}) {
    for (std::uint64_t story = 0; story < 3; ++story) {
      std::uint64_t length = 0;
      {
        Story whole{base + story, mode.direct, mode.mapping};
        whole.live(0, mode.power);
        length = whole.calls();
      }
      for (std::uint64_t at = 1; at <= length; ++at) {
        CAPTURE(story);
        CAPTURE(at);
        Story cut_short{base + story, mode.direct, mode.mapping};
        cut_short.live(at, mode.power);
        cut_short.live(1 + at % 23, mode.power);  // dies again while or after it recovers
        cut_short.live(0, mode.power);
        cut_short.live(0, mode.power);
        ++deaths;
      }
    }
  }
  CHECK(deaths > 500);
}

TEST_CASE("twenty lives in a row, each cut short, lose nothing that was durable") {
  const std::uint64_t base = seed(4711);
  INFO(replay(base, "log/file"));
  for (std::uint64_t chain = 0; chain < 60; ++chain) {
    CAPTURE(chain);
    Random random{base + chain};
    Story story{base + 1000 + chain, random.one_in(2), random.one_in(2)};
    for (int life = 0; life < 20; ++life) story.live(1 + random.below(120), random.one_in(2));
  }
}

TEST_CASE("a commit within reserved room meets a full disk unharmed") {
  CrashDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  REQUIRE(log->reserve(100 << 10));
  disk.room_bytes = disk.used();
  CHECK(log->append(filled(25, 'a')));
  CHECK(log->sync());
  const auto more = log->reserve(100 << 10);
  REQUIRE_FALSE(more);
  CHECK(more.error().code() == Errc::no_space);
  CHECK(names_of(disk, "fresh-").empty());
  SUBCASE("and when there is room again it goes on") {
    disk.room_bytes = ~std::uint64_t{0};
    CHECK(log->reserve(80 << 10));
    CHECK(log->append(filled(20, 'b')));
  }
  SUBCASE("and what is not needed any more makes room") {
    CHECK(log->drop_before(log->end()));
    CHECK(log->reserve(60 << 10));
    CHECK(log->append(filled(15, 'b')));
  }
  SUBCASE("and a log without spares opens on the full disk, cuts, appends and drops") {
    const Lsn end = log->end();
    log = Errc::io;
    for (const std::string& name : names_of(disk, "spare-")) disk.now.erase(name);
    disk.room_bytes = disk.used();
    log = open(disk, log_options(false, false));
    REQUIRE(log);
    CHECK(log->cut(end));
    CHECK(log->append(filled(1, 'c')));
    CHECK(log->drop_before(log->end()));
    CHECK(log->reserve(unit));
  }
}

TEST_CASE("the next segment can be made ahead: from the middle of the last one on, and then nobody has to make one") {
  CrashDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  CHECK_FALSE(log->spare_due());
  REQUIRE(log->append(filled(3, 'a')));
  CHECK_FALSE(log->spare_due());
  REQUIRE(log->append(filled(1, 'a')));
  CHECK(log->spare_due());
  REQUIRE(log->prepare_spare());
  CHECK_FALSE(log->spare_due());
  CHECK(names_of(disk, "spare-").size() == 2);
  SUBCASE("once is enough") {
    const std::uint64_t calls = disk.calls;
    REQUIRE(log->prepare_spare());
    CHECK(disk.calls == calls);
  }
  SUBCASE("a full disk does not matter to who reserves then") {
    disk.room_bytes = disk.used();
    const std::uint64_t calls = disk.calls;
    REQUIRE(log->reserve(9 * unit));
    CHECK(disk.calls == calls);
    REQUIRE(log->append(filled(9, 'b')));
    CHECK(log->spare_due());
    CHECK(log->prepare_spare().error().code() == Errc::no_space);
    CHECK_FALSE(log->spare_due());  // it would fail again
    REQUIRE(log->drop_before(log->end()));
    CHECK_FALSE(log->spare_due());
    REQUIRE(log->reserve(8 * unit));
    REQUIRE(log->append(filled(8, 'c')));
  }
  SUBCASE("trim takes it away again, and it is due again") {
    REQUIRE(log->trim(true));
    CHECK(names_of(disk, "spare-").size() == 1);
    CHECK(log->spare_due());
  }
}

TEST_CASE("trim leaves one spare, and all the room that was promised") {
  CrashDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  REQUIRE(log->reserve(40 * unit));
  REQUIRE(log->append(filled(40, 'a')));
  REQUIRE(log->drop_before(log->end()));
  REQUIRE(names_of(disk, "spare-").size() > 4);
  SUBCASE("nothing promised") {
    REQUIRE(log->trim(true));
    CHECK(names_of(disk, "spare-").size() == 1);
    CHECK(log->file_bytes() == disk.used());
    CHECK(log->append(filled(20, 'b')));
  }
  SUBCASE("promised, and the disk is full afterwards") {
    REQUIRE(log->reserve(20 * unit));
    REQUIRE(log->trim(true));
    CHECK(names_of(disk, "spare-").size() == 4);
    disk.room_bytes = disk.used();
    CHECK(log->append(filled(20, 'b')));
    CHECK(names_of(disk, "spare-").size() == 1);
  }
  SUBCASE("promised to nobody who is left") {
    REQUIRE(log->reserve(20 * unit));
    REQUIRE(log->trim(false));
    CHECK(names_of(disk, "spare-").size() == 1);
  }
  SUBCASE("a disk that fails") {
    disk.fail_next = true;
    CHECK_FALSE(log->trim(true));
    CHECK(log->file_bytes() == disk.used());
    CHECK(log->append(filled(1, 'b')));
    CHECK(log->trim(true));
    CHECK(log->file_bytes() == disk.used());
  }
  const Lsn end = log->end();
  log = Errc::io;
  log = open(disk, log_options(false, false));
  REQUIRE(log);
  CHECK(log->cut(end));
}

TEST_CASE("an append beyond all room is refused without harm") {
  CrashDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  const auto refused = log->append(filled(65, 'a'));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::busy);
  CHECK(log->end() == Lsn{unit});
  CHECK(log->append(filled(40, 'a')));
  CHECK(text_at(*log, Lsn{unit}, 40 * unit) == std::string(40 * unit, 'a'));
}

TEST_CASE("all files together stay below max_bytes and are used again") {
  CrashDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  std::uint64_t highest = 0;
  for (int i = 0; i < 400; ++i) {
    if (!log->reserve(3 * unit)) {
      REQUIRE(log->drop_before(log->end()));
      REQUIRE(log->reserve(3 * unit));
    }
    REQUIRE(log->append(filled(3, 'x')));
    highest = std::max(highest, disk.used());
  }
  CHECK(highest == 256 << 10);
  CHECK(log->file_bytes() == disk.used());
  CHECK_FALSE(names_of(disk, "spare-").empty());
}

TEST_CASE("without segment_bytes a young log is small and its files grow with it") {
  CrashDisk disk;
  LogOptions options = log_options();
  options.segment_bytes = 0;
  options.max_bytes = std::uint64_t{64} << 20;
  auto log = open(disk, options);
  REQUIRE(log);
  CHECK(disk.used() == 2 << 20);
  REQUIRE(log->reserve(options.max_bytes / 2));
  CHECK(disk.used() <= options.max_bytes);
  CHECK(names_of(disk, "spare-").size() < 12);
  CHECK(log->append(filled(options.max_bytes / 2 / unit, 'x')));
}

TEST_CASE("a log of any size begins small and grows to its bound") {
  for (const std::uint64_t max_bytes : {std::uint64_t{64} << 10, (std::uint64_t{1} << 20) + 12345, std::uint64_t{3} << 30}) {
    CAPTURE(max_bytes);
    CrashDisk disk;
    LogOptions options = log_options();
    options.segment_bytes = 0;
    options.max_bytes = max_bytes;
    auto log = open(disk, options);
    REQUIRE(log);
    CHECK(disk.used() <= 2 << 20);
    if (max_bytes > 2 << 20) continue;
    while (log->reserve(unit)) REQUIRE(log->append(filled(1, 'x')));
    CHECK(disk.used() <= max_bytes);
    CHECK(log->used_bytes() >= max_bytes / 4);
    CHECK(log->drop_before(log->end()));
    CHECK(log->reserve(max_bytes / 4));
  }
}

TEST_CASE("a young log in one segment that was written otherwise goes on in a new one, a direct log in its own") {
  CrashDisk disk;
  auto log = open(disk, log_options(false));
  REQUIRE(log);
  REQUIRE(log->append(filled(3, 'a')));
  log = Errc::io;
  SUBCASE("another method: a successor begins at the cut") {
    log = open(disk, log_options(true, false));
    REQUIRE(log);
    REQUIRE(log->cut(Lsn{3 * unit}));
    CHECK(names_of(disk, "wal-").size() == 2);
    REQUIRE(log->append(bytes_of("bb")));
    CHECK(text_at(*log, Lsn{unit}, 2 * unit + 9) == std::string(2 * unit, 'a') + "bb");
    log = Errc::io;
    log = open(disk, log_options(true, false));
    REQUIRE(log);
    CHECK(text_at(*log, Lsn{unit}, 2 * unit + 2) == std::string(2 * unit, 'a') + "bb");
  }
  SUBCASE("another method and nothing kept: the new segment replaces the old one") {
    log = open(disk, log_options(true, false));
    REQUIRE(log);
    REQUIRE(log->cut(Lsn{unit}));
    CHECK(names_of(disk, "wal-").size() == 1);
    CHECK(log->begin() == Lsn{unit});
  }
  SUBCASE("the same method: no new segment") {
    log = open(disk, log_options(false, false));
    REQUIRE(log);
    REQUIRE(log->cut(Lsn{3 * unit}));
    CHECK(names_of(disk, "wal-").size() == 1);
  }
}

TEST_CASE("a damaged log is told apart, and the error names the segment") {
  CrashDisk disk;
  {
    auto log = open(disk, log_options());
    REQUIRE(log);
    REQUIRE(log->append(filled(30, 'a')));
  }
  const std::vector<std::string> names = names_of(disk, "wal-");
  REQUIRE(names.size() == 5);
  const auto error_of = [&] {
    const auto log = open(disk, log_options(false, false));
    if (log) FAIL("opened");
    return log.error();
  };
  SUBCASE("every bit of a header") {
    auto& bytes = disk.now[names[2]]->now;
    for (std::size_t bit = 0; bit < unit * 8; bit = bit < 600 ? bit + 1 : bit + 37) {
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      const Error error = error_of();
      CHECK((error.code() == Errc::corrupt_log || error.code() == Errc::incompatible_format));
      CHECK(error.id() == 3);
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    }
    CHECK(open(disk, log_options(false, false)));
  }
  SUBCASE("a missing segment") {
    disk.now.erase(names[1]);
    CHECK(error_of().code() == Errc::corrupt_log);
    CHECK(error_of().id() == 2);
  }
  SUBCASE("two segments that changed places") {
    std::swap(disk.now[names[1]], disk.now[names[3]]);
    CHECK(error_of().code() == Errc::corrupt_log);
    CHECK(error_of().id() == 4);
  }
  SUBCASE("a shortened segment") {
    disk.now[names[4]]->now.resize(20000);
    CHECK(error_of().code() == Errc::corrupt_log);
    CHECK(error_of().id() == 5);
  }
  SUBCASE("an empty segment") {
    disk.now[names[4]]->now.clear();
    CHECK(error_of().code() == Errc::corrupt_log);
    CHECK(error_of().id() == 5);
  }
  SUBCASE("another store's segment in the middle") {
    CrashDisk other;
    LogOptions options = log_options();
    options.identity.store = 99;
    REQUIRE(SimulatedLog::open(CrashDirectory{&other}, options));
    disk.now[names[0]] = other.now.at(names[0]);
    CHECK(error_of().code() == Errc::incompatible_format);
    CHECK(error_of().expected() == 7);
    CHECK(error_of().found() == 99);
    CHECK(error_of().id() == 1);
  }
  SUBCASE("files that are no part of a log do not matter") {
    disk.now["wal-1.log"] = disk.now["data"] = disk.now["fresh-0000000000000001.log"] = std::make_shared<CrashDisk::Inode>();
    CHECK(open(disk, log_options(false, false)));
    CHECK(names_of(disk, "fresh-").empty());
  }
}

TEST_CASE("a segment whose file cannot be renamed stays in the log, which goes on, and is dropped by a later call") {
  for (const int error : {ENOSPC, EDQUOT, EIO})
    for (const bool takes_effect : {false, true}) {
      CAPTURE(error);
      CAPTURE(takes_effect);
      SimulatedDisk disk;
      auto log = open(disk, log_options());
      REQUIRE(log);
      REQUIRE(log->append(filled(30, 'a')));
      REQUIRE(names_of(disk, "wal-").size() == 5);
      disk.inject({.calls = {DiskCall::rename}, .nth = 2, .error = error, .takes_effect = takes_effect});
      CHECK(log->drop_before(log->end()));
      CHECK(disk.faults_fired() == 1);
      CHECK(names_of(disk, "wal-").size() == (takes_effect ? 1 : 4));
      CHECK(log->begin() == Lsn{unit + (takes_effect ? 4 : 1) * 7 * unit});
      CHECK(log->append(filled(9, 'b')));
      CHECK(log->sync());
      CHECK(log->drop_before(log->end()));
      CHECK(log->begin() == Lsn{unit + 5 * 7 * unit});
      CHECK(log->append(filled(1, 'c')));
      const Lsn begin = log->begin(), end = log->end();
      log = Errc::io;
      disk.power_up(testing::CutModel::nothing, 1);
      log = open(disk, log_options(false, false));
      REQUIRE(log);
      CHECK(log->begin() == begin);
      CHECK(log->cut(end));
      CHECK(text_at(*log, end, unit).empty());
      CHECK(text_at(*log, Lsn{number(end) - unit}, unit) == std::string(unit, 'c'));
    }
}

TEST_CASE("a failed rename of a segment that is dropped is reported where the log cannot grow instead, and does not end it") {
  SimulatedDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  while (log->reserve(unit)) REQUIRE(log->append(filled(1, 'a')));
  disk.inject({.calls = {DiskCall::rename}, .error = ENOSPC, .sticky = true});
  const auto dropped = log->drop_before(log->end());
  REQUIRE_FALSE(dropped);
  CHECK(dropped.error().code() == Errc::no_space);
  CHECK(log->begin() == Lsn{unit});
  CHECK(log->reserve(unit).error().code() == Errc::busy);
  disk.heal();
  CHECK(log->drop_before(log->end()));
  CHECK(log->reserve(20 * unit));
  CHECK(log->append(filled(20, 'b')));
}

TEST_CASE("a directory that cannot be synced after a segment was renamed ends the log") {
  SimulatedDisk disk;
  auto log = open(disk, log_options());
  REQUIRE(log);
  REQUIRE(log->append(filled(30, 'a')));
  disk.inject({.calls = {DiskCall::sync_directory}});
  CHECK(log->drop_before(log->end()).error().code() == Errc::engine_failed);
  CHECK(log->append(filled(1, 'b')).error().code() == Errc::engine_failed);
}

TEST_CASE("a spare that cannot be given its name is no spare, and leaves no file") {
  for (const bool takes_effect : {false, true}) {
    CAPTURE(takes_effect);
    SimulatedDisk disk;
    auto log = open(disk, log_options());
    REQUIRE(log);
    disk.inject({.calls = {DiskCall::rename}, .error = ENOSPC, .takes_effect = takes_effect});
    const auto refused = log->reserve(20 * unit);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::no_space);
    CHECK(names_of(disk, "fresh-").empty());
    CHECK(names_of(disk, "spare-").size() == 1);
    CHECK(log->file_bytes() == disk.used_bytes());
    CHECK(log->reserve(20 * unit));
    CHECK(log->append(filled(20, 'a')));
  }
}

TEST_CASE("more segments than any log has are corrupt_log before one is opened, more spares than any log has are taken away") {
  SimulatedDisk disk;
  REQUIRE(open(disk, log_options()));
  SUBCASE("segments") {
    make_files(disk, SegmentRole::wal, 3000);
    disk.record();
    for (const bool create : {false, true}) {
      const auto refused = open(disk, log_options(false, create));
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code() == Errc::corrupt_log);
      CHECK(refused.error().id() == 3001);
    }
    CHECK(opened_files(disk) == 0);
    CHECK(names_of(disk, "wal-").size() == 3001);
  }
  SUBCASE("spares") {
    make_files(disk, SegmentRole::spare, 3000);
    disk.record();
    auto log = open(disk, log_options(false, false));
    REQUIRE(log);
    CHECK(opened_files(disk) < 1100);
    CHECK(names_of(disk, "spare-").size() == 1);
    CHECK(log->cut(log->begin()));
    CHECK(log->append(filled(20, 'a')));
  }
}

TEST_CASE("creating over a creation that never ended takes what is left of it away") {
  CrashDisk disk;
  {
    auto log = open(disk, log_options());
    REQUIRE(log);
    REQUIRE(log->append(filled(10, 'a')));
  }
  LogOptions options = log_options();
  options.identity = {1, 2};
  auto log = open(disk, options);
  REQUIRE(log);
  CHECK(log->end() == Lsn{unit});
  log = Errc::io;
  options.create = false;
  CHECK(open(disk, options));
  CHECK(names_of(disk, "wal-").size() == 1);
}

TEST_CASE("spares keep their files whatever numbers stand in the directory: none is overwritten, none is lost") {
  const auto inode = [](std::size_t bytes) {
    auto made = std::make_shared<CrashDisk::Inode>();
    made->now.resize(bytes);
    made->durable = made->now;
    return made;
  };
  for (const bool create : {true, false}) {
    CAPTURE(create);
    CrashDisk disk;
    if (!create) REQUIRE(open(disk, log_options()));
    for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, SegmentName::spare_limit - 1, SegmentName::spare_limit, ~std::uint64_t{0}})
      for (const SegmentRole role : {SegmentRole::spare, SegmentRole::fresh}) disk.now[std::string{std::string_view{SegmentName{role, id}}}] = inode(32 << 10);
    disk.sync_names();
    for (int life = 0; life < 3; ++life) {
      CAPTURE(life);
      auto log = open(disk, log_options(false, create && life == 0));
      REQUIRE(log);
      REQUIRE(log->cut(log->begin()));
      REQUIRE(log->reserve(190 << 10));  // all that max_bytes allows, so new ones are made
      for (int i = 0; i < 40; ++i) {
        REQUIRE(log->append(filled(3, 'a')));
        REQUIRE(log->sync());
        REQUIRE(log->drop_before(log->end()));
        std::uint64_t bytes = 0;
        for (const auto& [name, file] : disk.now) bytes += file->now.size();
        REQUIRE(bytes == log->file_bytes());  // what it counts is there, nothing else is
      }
      CHECK(log->file_bytes() <= log->max_bytes());
    }
    CHECK(names_of(disk, "fresh-").empty());
  }
}

TEST_CASE("a segment with the highest of numbers, which none can follow, is corrupt_log") {
  for (const bool create : {true, false}) {
    CrashDisk disk;
    REQUIRE(open(disk, log_options()));
    disk.now["wal-ffffffffffffffff.log"] = disk.now.at(names_of(disk, "wal-").at(0));
    const auto refused = open(disk, log_options(false, create));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::corrupt_log);
    CHECK(refused.error().id() == ~std::uint64_t{0});
  }
}

TEST_CASE("options that cannot be are refused") {
  CrashDisk disk;
  const auto code_of = [&](LogOptions options) {
    const auto log = open(disk, options);
    return log ? Errc::io : log.error().code();
  };
  LogOptions options = log_options();
  options.start = Lsn{100};
  CHECK(code_of(options) == Errc::invalid_argument);
  options = log_options();
  options.max_bytes = unit;
  CHECK(code_of(options) == Errc::invalid_argument);
  options = log_options();
  options.segment_bytes = options.max_bytes;
  CHECK(code_of(options) == Errc::invalid_argument);
  CHECK(disk.now.empty());
}

TEST_CASE("a file log is found where its directory holds a segment") {
  CrashDisk disk;
  CrashDirectory directory{&disk};
  CHECK_FALSE(SimulatedLog::exists(directory).value());
  REQUIRE(open(disk, log_options()));
  CHECK(SimulatedLog::exists(directory).value());
}

TEST_CASE("sync, drop_before and reserve run beside the appender") {
  bool process_durable = false;
  SUBCASE("each append durable") { process_durable = false; }
  SUBCASE("process durable") { process_durable = true; }
  const TemporaryDirectory place;
  auto log = open(place, log_options(process_durable));
  REQUIRE(log);
  std::atomic<bool> over{false};
  std::atomic<int> failures{0};
  std::thread helper{[&] {
    while (!over.load()) {
      const Lsn target = log->end();
      if (!log->sync() || log->durable() < target) ++failures;
      if (!log->drop_before(log->durable())) ++failures;
    }
  }};
  std::thread reserver{[&] {
    while (!over.load()) {
      if (log->spare_due())
        if (const auto made = log->prepare_spare(); !made && made.error().code() != Errc::busy) ++failures;
      if (!log->trim(true)) ++failures;
      if (const auto room = log->reserve(4 * unit); !room && room.error().code() != Errc::busy) ++failures;
    }
  }};
  std::uint64_t appended = 0;
  for (int i = 0; i < 300; ++i) {
    while (!log->reserve(3 * unit)) std::this_thread::yield();
    const std::vector<std::byte> bytes = filled(3, static_cast<char>('a' + i % 26));
    if (!log->append(bytes)) ++failures;
    appended += bytes.size();
    if (text_at(*log, Lsn{number(log->end()) - unit}, unit) != std::string(unit, static_cast<char>('a' + i % 26))) ++failures;
  }
  over = true;
  helper.join();
  reserver.join();
  CHECK(failures == 0);
  CHECK(log->end() == Lsn{unit + appended});
}

TEST_CASE("on the real file system a log survives a process that never said goodbye") {
  bool process_durable = false;
  SUBCASE("each append durable") { process_durable = false; }
  SUBCASE("process durable") { process_durable = true; }
  const TemporaryDirectory place;
  std::string all;
  Random random{seed(5)};
  for (int life = 0; life < 6; ++life) {
    auto log = open(place, log_options(process_durable != (life == 3), life == 0));  // one life in the other way
    REQUIRE(log);
    CHECK(text_at(*log, Lsn{unit}, all.size()) == all);
    REQUIRE(log->cut(Lsn{unit + all.size()}));
    const std::string more = random.bytes((1 + random.below(9)) * unit);
    REQUIRE(log->append(bytes_of(more)));
    all += more;
  }
  for (const auto& entry : std::filesystem::directory_iterator{place.path()})
    CHECK((entry.status().permissions() & std::filesystem::perms::all) == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}
