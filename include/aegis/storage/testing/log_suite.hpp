// SPDX-License-Identifier: Apache-2.0
// Proves that a log keeps the numbered promises of log/policy.hpp, in any test framework: `report` is called as
// report(std::string_view promise, bool held); the promise begins with its number. To drop a log object is taken for
// what a killed process does. What a place cannot do is left out, and so is what only that would show.
#pragma once

#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/log/policy.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis::storage::testing {

/// Where the logs of a suite stand. open() opens the same place again and again, one log at a time. May also have:
///   power_cut()               what is not durable is gone; called while a log is open, which is dropped afterwards
///   fail_next_change()        the next change of the medium fails with an I/O error
///   lose_segment()            takes a segment away that is neither the first nor the last; no log is open
///   overwrote_durable()       whether, since fresh(), a unit was written again that had been made durable
template <class P>
concept LogPlace = requires(P place, const LogOptions& options) {
  { place.fresh() } -> std::same_as<void>;
  { place.open(options).value() };
};

template <LogPlace Place, class Report>
class LogSuite {
 public:
  static constexpr int promises = 10;

  /// `base` gives identity, max_bytes, segment_bytes (at least eight segments of four units), start and process_durable.
  LogSuite(Place& place, const LogOptions& base, Report& report) : place_(place), base_(base), report_(report) {}

  void prove(int number) {
    switch (number) {
      case 1: return append_at_the_end();
      case 2: return survive_the_process();
      case 3: return sync_makes_durable();
      case 4: return poison();
      case 5: return read_what_stands();
      case 6: return cut_and_go_on();
      case 7: return drop_segments();
      case 8: return keep_reserved_room();
      case 9: return refuse_foreign_logs();
      case 10: return leave_durable_units_alone();
    }
  }

 private:
  using Log = std::remove_cvref_t<decltype(std::declval<Place&>().open(LogOptions{}).value())>;
  using Data = std::vector<std::byte>;

  /// The byte at an LSN, different in every `life`.
  static std::byte byte_at(std::uint64_t lsn, unsigned life) {
    const std::uint64_t mixed = (lsn + 1) * 0x9e3779b97f4a7c15 + life * std::uint64_t{0xbf58476d1ce4e5b9};
    return static_cast<std::byte>((mixed ^ (mixed >> 32)) >> 24);
  }
  static Data made(Lsn at, std::uint64_t size, unsigned life = 0) {
    Data data(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = byte_at(number(at) + i, life);
    return data;
  }
  static bool stands(Log& log, Lsn from, std::uint64_t size, unsigned life = 0) {
    Data data(static_cast<std::size_t>(size));
    const auto got = log.read(from, data);
    return got && *got == size && data == made(from, size, life);
  }
  static bool append(Log& log, std::uint64_t size, unsigned life = 0) {
    const Lsn at = log.end();
    return log.append(made(at, size, life)).has_value() && log.end() == at + size;
  }

  LogOptions again() const {
    LogOptions options = base_;
    options.create = false;
    return options;
  }
  /// A new log in a new place, or none, reported.
  std::optional<Log> begin(const char* promise) {
    place_.fresh();
    LogOptions options = base_;
    options.create = true;
    return opened(options, promise);
  }
  std::optional<Log> opened(const LogOptions& options, const char* promise) {
    auto log = place_.open(options);
    if (log) return std::move(*log);
    report_(promise, false);
    return std::nullopt;
  }

  void append_at_the_end() {
    constexpr const char* promise = "1. append puts bytes at end()";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes(), far = base_.max_bytes / 2 / unit;
    report_("1. a new log is empty and begins at its start", log->begin() == base_.start && log->end() == base_.start && log->used_bytes() == 0);
    bool held = true;
    for (std::uint64_t units = 1, all = 0; all + units <= far; all += units, units = units % 7 + 1) held = held && append(*log, units * unit);
    const std::uint64_t size = log->end() - base_.start;
    report_(promise, held && stands(*log, base_.start, size));
    report_("1. appending nothing changes nothing", log->append({}).has_value() && log->end() == base_.start + size);
    const Data odd = made(log->end(), unit / 2 + 1);
    const auto refused = log->append(odd);
    if (base_.process_durable)
      report_("1. process_durable: any length is taken", refused.has_value() && stands(*log, base_.start, size + odd.size()));
    else
      report_("1. unless process_durable a broken unit is refused", !refused && log->end() == base_.start + size && append_after_refusal(*log, unit));
  }
  /// invalid_argument need not poison; what was refused has left nothing behind either way.
  static bool append_after_refusal(Log& log, std::uint64_t unit) {
    const Lsn end = log.end();
    const auto done = log.append(made(end, unit));
    return done ? stands(log, end, unit) : done.error().code() == Errc::engine_failed;
  }

  void survive_the_process() {
    constexpr const char* promise = "2. with process_durable an append that returned survives a killed process";
    if (!base_.process_durable) return report_("2. without process_durable nothing is promised", true);
    auto log = begin(promise);
    if (!log) return;
    std::uint64_t size = 0;
    bool held = true;
    for (std::uint64_t step = 1; size + step < base_.max_bytes / 2; step = step * 3 + 1) {
      held = held && append(*log, step);
      size += step;
      log.reset();
      log = opened(again(), promise);
      if (!log) return;
      held = held && stands(*log, base_.start, size);
      const std::uint64_t unit = log->unit_bytes(), whole = (size + unit - 1) / unit * unit;
      held = held && log->cut(base_.start + size / unit * unit).has_value() && append(*log, whole - size / unit * unit);
      size = whole;
    }
    report_(promise, held && size > 0);
  }

  void sync_makes_durable() {
    constexpr const char* promise = "3. sync makes durable everything appended before";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes();
    bool claimed = true;
    for (std::uint64_t units = 1; claimed && log->used_bytes() < base_.max_bytes / 2; units = units % 5 + 1) {
      claimed = append(*log, units * unit) && log->sync() && log->durable() >= log->end();
    }
    report_("3. durable() is then at least that end", claimed);
    const Lsn durable = log->end();
    report_("3. a second sync has nothing to do", log->sync().has_value() && log->durable() == durable && log->end() == durable);
    report_("3. durable() never overtakes end()", append(*log, unit) && log->durable() <= log->end());
    if constexpr (requires { place_.power_cut(); }) {
      if (!Log::durable_medium) return;
      place_.power_cut();
      log.reset();
      log = opened(again(), promise);
      if (!log) return;
      report_(promise, stands(*log, base_.start, durable - base_.start));
    }
  }

  void poison() {
    if constexpr (requires { place_.fail_next_change(); }) {
      constexpr const char* promise = "4. a failed append or sync poisons";
      auto log = begin(promise);
      if (!log) return;
      const std::uint64_t unit = log->unit_bytes();
      const bool before = append(*log, unit) && log->sync();
      const Lsn durable = log->durable();
      place_.fail_next_change();
      const auto appended = log->append(made(log->end(), unit));
      const auto synced = log->sync();
      report_(promise, before && (!appended || !synced) && !synced);
      const auto refused = [](const auto& result) { return !result && result.error().code() == Errc::engine_failed; };
      report_("4. everything after it fails with engine_failed", refused(log->append(made(log->end(), unit))) && refused(log->sync()) &&
                                                                    refused(log->reserve(unit)) && refused(log->cut(durable)));
      report_("4. nothing more is claimed durable", log->durable() == durable);
      log.reset();
      log = opened(again(), promise);
      if (log) report_("4. what was durable is found again", stands(*log, base_.start, durable - base_.start));
    } else {
      report_("4. this place cannot fail", true);
    }
  }

  void read_what_stands() {
    constexpr const char* promise = "5. read gives the bytes that stand at an LSN, synced or not";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes(), size = base_.max_bytes / 2 / unit * unit;
    bool held = append(*log, size / unit / 2 * unit) && log->sync() && append(*log, size - size / unit / 2 * unit);
    for (std::uint64_t at = 0, step = 1; at + step < size; at += step, step = step * 2 + 1)
      held = held && stands(*log, base_.start + at, step) && stands(*log, base_.start + (size - at - step), step);
    report_(promise, held);
    Data more(static_cast<std::size_t>(3 * unit));
    const auto got = log->read(base_.start + (size - unit - 1), more);
    report_("5. read is short where the log ends", got && *got == unit + 1);
    const auto none = log->read(log->end(), more), beyond = log->read(log->end() + unit, more);
    report_("5. read gives nothing at the end and beyond", none && *none == 0 && beyond && *beyond == 0);
  }

  void cut_and_go_on() {
    constexpr const char* promise = "6. cut forgets everything at or after an LSN and appends there next";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes(), size = base_.max_bytes / 2 / unit * unit;
    bool held = append(*log, size) && log->sync();
    std::uint64_t kept = size;
    unsigned life = 0;
    for (std::uint64_t at = size - unit; at > unit; at = at / 2 / unit * unit) {
      if (++life % 2 == 0) {
        log.reset();
        log = opened(again(), promise);
        if (!log) return;
      }
      held = held && log->cut(base_.start + at) && log->end() == base_.start + at && log->durable() == log->end();
      held = held && append(*log, 2 * unit, life) && log->sync();
      held = held && stands(*log, base_.start, at) && stands(*log, base_.start + at, 2 * unit, life);
      kept = at;
    }
    report_(promise, held && kept < size);
    log.reset();
    log = opened(again(), promise);
    if (!log) return;
    report_("6. the cut is still there in the next life",
            stands(*log, base_.start, kept) && stands(*log, base_.start + kept, 2 * unit, life) && log->cut(base_.start + (kept + 2 * unit)));
    cut_beyond(*log, unit, "6. a cut beyond the end appends there next, near");
    cut_beyond(*log, base_.max_bytes / unit * unit * 3, "6. a cut beyond the end appends there next, far");
    const Lsn end = log->end();
    log.reset();
    log = opened(again(), promise);
    if (log) report_("6. and the next life finds it", stands(*log, Lsn{number(end) - unit}, unit, 99) && log->cut(end));
  }
  void cut_beyond(Log& log, std::uint64_t distance, const char* promise) {
    const Lsn at = log.end() + distance;
    bool held = log.cut(at) && log.end() == at && log.durable() == at && log.begin() <= at;
    held = held && append(log, log.unit_bytes(), 99) && log.sync() && stands(log, at, log.unit_bytes(), 99);
    report_(promise, held);
  }

  void drop_segments() {
    constexpr const char* promise = "7. drop_before frees what lies below an LSN and nothing else";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes();
    bool held = true;
    std::uint64_t highest = 0;
    for (int round = 0; round < 16; ++round) {  // several times the log's bound
      while (held && log->reserve(3 * unit)) held = append(*log, 3 * unit);
      highest = log->used_bytes() > highest ? log->used_bytes() : highest;
      held = held && log->sync();
      const Lsn middle = log->begin() + log->used_bytes() / 2 / unit * unit, before = log->begin();
      held = held && log->drop_before(middle) && log->begin() > before && log->begin() <= middle;
      held = held && stands(*log, log->begin(), log->used_bytes());
      if (round % 8 == 7) {
        const Lsn first = log->begin(), end = log->end();
        log.reset();
        log = opened(again(), promise);
        if (!log) return;
        held = held && log->begin() == first && log->cut(end) && stands(*log, first, end - first);
      }
    }
    report_(promise, held);
    report_("7. used_bytes stays below max_bytes", highest <= base_.max_bytes);
    const Lsn end = log->end();
    report_("7. the end is never dropped", log->drop_before(end + 10 * base_.max_bytes) && log->end() == end && log->begin() <= end && append(*log, unit));
  }

  void keep_reserved_room() {
    constexpr const char* promise = "8. what reserve promised can be appended without no_space";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes(), quarter = base_.max_bytes / 4 / unit * unit;
    report_(promise, log->reserve(quarter) && append(*log, quarter));
    if constexpr (SparingLog<Log>) keep_promises_without_spares(*log, quarter / 2 / unit * unit);
    Errc refused = Errc::io;
    for (std::uint64_t tries = 0; tries <= base_.max_bytes / unit; ++tries) {
      if (const auto more = log->reserve(unit); !more) {
        refused = more.error().code();
        break;
      }
      if (!append(*log, unit)) break;
    }
    report_("8. busy when max_bytes would be passed", refused == Errc::busy && log->used_bytes() <= base_.max_bytes);
    const auto large = log->reserve(base_.max_bytes + unit);
    report_("8. more than max_bytes is never promised", !large && large.error().code() == Errc::busy);
    report_("8. after a drop there is room again",
            log->sync() && log->drop_before(log->end()) && log->reserve(quarter) && append(*log, quarter) && log->used_bytes() <= base_.max_bytes);
  }

  void keep_promises_without_spares(Log& log, std::uint64_t size) {
    const Lsn end = log.end();
    bool held = log.reserve(size).has_value();
    if (log.spare_due()) held = log.prepare_spare() && held;
    held = held && log.trim(true) && log.end() == end && append(log, size) && stands(log, end, size);
    report_("8. prepare_spare and trim change nothing and keep what reserve promised", held);
    report_("8. the last trim leaves a log that goes on", log.trim(false) && log.reserve(size) && append(log, size) && stands(log, end, 2 * size));
  }

  void refuse_foreign_logs() {
    constexpr const char* promise = "9. a log of another identity is refused with incompatible_format";
    auto log = begin(promise);
    if (!log) return;
    const std::uint64_t unit = log->unit_bytes();
    bool held = append(*log, 2 * unit) && log->sync();
    log.reset();
    const auto refused = [&](StoreIdentity identity) {
      LogOptions options = again();
      options.identity = identity;
      const auto other = place_.open(options);
      return !other && other.error().code() == Errc::incompatible_format;
    };
    held = held && refused({base_.identity.store + 1, base_.identity.lineage}) && refused({base_.identity.store, base_.identity.lineage + 1});
    log = opened(again(), promise);
    if (!log) return;
    report_(promise, held && stands(*log, base_.start, 2 * unit));
    if constexpr (requires { place_.lose_segment(); }) lose(std::move(*log), unit);
    log.reset();
    place_.fresh();
    const auto missing = place_.open(again());
    report_("9. a place without a log is corrupt_log", !missing && missing.error().code() == Errc::corrupt_log);
  }
  void lose(Log log, std::uint64_t unit) {
    bool held = log.cut(base_.start).has_value();
    while (held && log.reserve(unit)) held = append(log, unit);
    held = held && log.sync();
    { const Log closed = std::move(log); }
    place_.lose_segment();
    const auto broken = place_.open(again());
    report_("9. a missing segment is corrupt_log", held && !broken && broken.error().code() == Errc::corrupt_log);
  }

  void leave_durable_units_alone() {
    constexpr const char* promise = "10. no append or sync touches a unit that holds bytes already claimed durable";
    if constexpr (requires { place_.overwrote_durable(); }) {
      auto log = begin(promise);
      if (!log) return;
      const std::uint64_t unit = log->unit_bytes();
      bool held = true;
      for (std::uint64_t units = 1; held && log->reserve(units * unit); units = units % 4 + 1) held = append(*log, units * unit) && log->sync();
      report_(promise, held && !place_.overwrote_durable());
    } else {
      report_("10. this place cannot see it", true);
    }
  }

  Place& place_;
  LogOptions base_;
  Report& report_;
};

/// All promises, or the one that is asked for.
template <LogPlace Place, class Report>
void log_suite(Place& place, const LogOptions& base, Report&& report, int only = 0) {
  LogSuite suite{place, base, report};
  for (int number = 1; number <= suite.promises; ++number)
    if (only == 0 || only == number) suite.prove(number);
}

}  // namespace aegis::storage::testing
