// SPDX-License-Identifier: Apache-2.0
// An engine on a MemoryDisk beside a std::map that is told of every acknowledged commit. Random transactions, scans,
// snapshots, checkpoints, drops and reopenings go to both; the power fails at random calls, recovery included, and what
// is found afterwards must be what was acknowledged, with or without the one commit that was under way.
#pragma once

#include "support/random.hpp"

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aegis_test {

namespace storage = aegis::storage;

/// How long a random test may run: `otherwise`, or AEGIS_SECONDS from the environment.
inline std::chrono::duration<double> seconds(double otherwise) {
  const char* given = std::getenv("AEGIS_SECONDS");
  return std::chrono::duration<double>(given != nullptr ? std::strtod(given, nullptr) : otherwise);
}

using ModelValue = std::shared_ptr<const std::string>;  // shared, so that a copy of a state costs little
using ModelRows = std::map<std::string, ModelValue>;
using ModelState = std::map<std::string, ModelRows>;

inline bool same_rows(const ModelRows& a, const ModelRows& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return x.first == y.first && (x.second == y.second || *x.second == *y.second); });
}
inline bool same_state(const ModelState& a, const ModelState& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return x.first == y.first && same_rows(x.second, y.second); });
}

struct ModelCounts {
  std::uint64_t transactions = 0, commits = 0, operations = 0, rows_compared = 0, scans = 0, checkpoints = 0, drops = 0, loads = 0, conflicts = 0;
  std::uint64_t crashes = 0, crashes_in_recovery = 0, kills = 0, closes = 0, reopenings = 0, undecided = 0, undecided_kept = 0, verifications = 0;
};

/// One disk through several lives of an engine, from one seed.
template <class Engine, bool waits>
class EngineModel {
 public:
  using Table = typename Engine::Table;
  using Transaction = typename Engine::Transaction;
  using ReadTransaction = typename Engine::ReadTransaction;

  EngineModel(std::uint64_t seed, ModelCounts& counts) : random_(seed), counts_(counts) {
    const std::size_t keys = random_.one_in(6) ? 4'000 : 20 + random_.below(300);  // many: trees of three levels
    for (std::size_t i = 0; i < keys; ++i) keys_.push_back(draw_key());
    keys_.push_back("");
  }

  void run(std::size_t steps) {
    start();
    for (std::size_t i = 0; i < steps; ++i) step();
    crash_now();
    start();
    if (engine_) close();
  }

 private:
  struct Reader {
    ReadTransaction transaction;
    ModelState state;
    std::map<std::string, Table> tables;
  };

  // Drawing.

  std::string draw_key() {
    static constexpr char few[] = {'a', 'b', '\0', '\xff'};
    std::string key = random_.one_in(2) ? "shared/prefix/" : "";
    const std::size_t size = random_.one_in(10) ? random_.below(187) : random_.below(12);
    const bool narrow = random_.one_in(2);
    for (std::size_t i = 0; i < size; ++i) key.push_back(narrow ? few[random_.below(4)] : static_cast<char>(random_.next()));
    return key;
  }
  const std::string& any_key() { return keys_[random_.below(keys_.size())]; }
  ModelValue draw_value() {
    const std::uint64_t kind = random_.below(400);
    const std::size_t limit = kind < 160 ? 40 : kind < 320 ? 500 : kind < 380 ? 9'000 : kind < 399 ? 30'001 : 100'001;
    return std::make_shared<const std::string>(random_.bytes(random_.below(limit)));
  }
  storage::EngineOptions draw_options() {
    static constexpr std::uint64_t log_sizes[] = {std::uint64_t{512} << 10, std::uint64_t{2} << 20, std::uint64_t{8} << 20};
    storage::EngineOptions options;
    options.pool_bytes = 8 * 8192;
    options.log_bytes = log_sizes[random_.below(3)];
    options.max_transactions = 8;
    options.version_bytes = scarce_versions_ ? std::size_t{256} << 10 : std::size_t{64} << 20;
    options.lock_timeout = std::chrono::milliseconds{1};
    options.maintenance_thread = false;
    return options;
  }

  // Lives.

  bool crashed() const { return armed_at_ != 0 && disk_.mutating_calls() >= armed_at_; }
  void arm(std::uint64_t most_calls) {
    const std::uint64_t calls = 1 + random_.below(most_calls);
    disk_.crash_after(calls, random_.one_in(2) ? storage::CrashPoint::before_the_call : storage::CrashPoint::after_the_call);
    armed_at_ = disk_.mutating_calls() + calls;
  }
  void disarm() {
    disk_.crash_after(0);
    armed_at_ = 0;
  }
  /// False when the crash that was ordered explains it.
  bool unexpected(const char* what, const storage::Error& error) {
    if (crashed()) return false;
    FAIL(std::string(what) << " said " << error.message());
    std::abort();
  }
  [[noreturn]] void wrong(const std::string& what) {
    FAIL(what);
    std::abort();
  }
  void require(bool held, const char* what) {
    if (!held) wrong(what);
  }

  void end_life() {
    readers_.clear();
    tables_.clear();
    engine_.reset();
  }
  void crash_now() {
    disarm();
    disk_.crash();
    ++counts_.crashes;
    lost_power_ = true;
    end_life();
  }
  void kill_now() {
    disarm();
    if (random_.one_in(2)) disk_.kill();
    ++counts_.kills;
    end_life();
  }
  /// The ordered crash came, and something said so.
  void after_crash() {
    ++counts_.crashes;
    lost_power_ = true;
    end_life();
    disarm();
    start();
  }
  void close() {
    readers_.clear();
    if (auto closed = engine_->close(); !closed) {
      if (!unexpected("close", closed.error())) return after_crash();
    }
    require(!engine_->table("anything"), "a closed engine took a call");
    ++counts_.closes;
    end_life();
    closed_ = true;
    start();
  }

  void start() {
    for (;;) {
      if (random_.one_in(3)) arm(200);
      scarce_versions_ = random_.one_in(4);
      auto backend = storage::MemoryBackend::open(disk_);
      require(static_cast<bool>(backend), "the disk could not be opened");
      auto opened = Engine::open(std::move(*backend), draw_options());
      ++counts_.reopenings;
      if (opened && !crashed()) {
        if (closed_) require(opened->stats().recovery.transactions == 0 && opened->stats().recovery.clean, "a closed store had something to recover");
        engine_.emplace(std::move(*opened));
        break;
      }
      if (!opened && unexpected("open", opened.error())) return;
      ++counts_.crashes_in_recovery;
      lost_power_ = true;
      closed_ = false;
      disarm();
    }
    disarm();
    closed_ = false;
    settle();
  }

  /// Which of the states that a crash may leave is there; it is the only one from now on.
  void settle() {
    ModelState found;
    {
      auto reader = engine_->snapshot();
      auto names = engine_->tables();
      require(static_cast<bool>(names), "no list of tables");
      for (const std::string& name : *names) {
        auto table = engine_->table(name);
        require(static_cast<bool>(table), "a listed table could not be opened");
        tables_.emplace(name, *table);
        ModelRows& rows = found[name];
        auto cursor = reader.scan(*table);
        for (; cursor.valid(); cursor.next()) rows.emplace(std::string(cursor.key()), std::make_shared<const std::string>(cursor.value()));
        require(static_cast<bool>(cursor.status()), "the scan of a recovered table failed");
      }
    }
    bool known = same_state(found, sure_);
    if (!known && in_flight_ && same_state(found, *in_flight_)) {
      known = true;
      ++counts_.undecided_kept;
      newest_timestamp_ = 0;  // of a commit that nobody was told of
    }
    for (std::size_t i = 0; !waits && lost_power_ && !known && i < history_.size(); ++i) known = same_state(found, history_[i]);
    if (!known) explain(found);
    sure_ = std::move(found);
    in_flight_.reset();
    history_.clear();
    changed_.clear();
    lost_power_ = false;
    verify();
  }
  void explain(const ModelState& found) {
    std::string text = "the recovered state is none that was acknowledged or under way;";
    for (const auto& [name, rows] : sure_)
      if (!found.count(name)) text += " table lost: " + std::to_string(rows.size()) + " rows;";
    for (const auto& [name, rows] : found) {
      if (!sure_.count(name)) {
        text += " table back: " + std::to_string(rows.size()) + " rows;";
        continue;
      }
      const ModelRows& wanted = sure_.at(name);
      std::size_t lost = 0, extra = 0, other = 0;
      for (const auto& [key, value] : wanted) lost += rows.count(key) == 0;
      for (const auto& [key, value] : rows) {
        const auto at = wanted.find(key);
        extra += at == wanted.end();
        other += at != wanted.end() && *at->second != *value;
      }
      text += " of " + std::to_string(wanted.size()) + " rows lost " + std::to_string(lost) + ", too many " + std::to_string(extra) + ", other value " + std::to_string(other) + ";";
    }
    wrong(text);
  }

  void verify() {
    auto report = engine_->verify();
    if (!report) {
      if (!unexpected("verify", report.error())) after_crash();
      return;
    }
    if (!report->ok() && crashed()) return after_crash();
    if (!report->ok()) wrong("verify: " + report->message());
    std::uint64_t rows = 0;
    for (const auto& [name, table] : sure_) rows += table.size();
    if (report->tables == sure_.size()) require(report->rows == rows, "verify counted other rows");  // else a dropped one is still read
    ++counts_.verifications;
  }

  // Steps.

  void step() {
    if (!armed_at_ && random_.one_in(12)) arm(random_.one_in(3) ? 2'000 : 60);
    const std::uint64_t kind = random_.below(100);
    if (tables_.size() < 3 && kind < 3) return load_table();
    if (tables_.empty() || (tables_.size() < 3 && kind < 6)) return create_table();
    if (kind < 61) return transact();
    if (kind < 65) return erase_run();
    if (kind < 71) return checkpoint();
    if (kind < 73) return drop_table();
    if (kind < 80) return begin_reading();
    if (kind < 90) return read_again();
    if (kind < 94) return conflict();
    if (kind < 97) return verify();
    if (kind == 97) return close();
    if (kind == 98) {
      kill_now();
      return start();
    }
    crash_now();
    start();
  }

  void create_table() {
    const std::string name = random_.one_in(4) ? std::string("../x\0y", 6) : "table" + std::to_string(random_.below(4));
    auto table = engine_->table(name);
    if (!table && table.error().code() == storage::Errc::busy && !readers_.empty()) return readers_.clear();
    if (!sure_.count(name)) {
      in_flight_ = sure_;
      (*in_flight_)[name];
    }
    if (!table) {
      if (!unexpected("table", table.error())) after_crash();
      return;
    }
    if (in_flight_) acknowledge();
    tables_[name] = *table;
  }
  /// A table that is loaded, or given up on the way, or broken off by a crash.
  void load_table() {
    const std::string name = "loaded" + std::to_string(random_.below(2));
    auto loader = engine_->load_table(name);
    if (!loader) {
      if (loader.error().code() == storage::Errc::key_exists && (sure_.count(name) != 0 || !readers_.empty())) return;
      if (!unexpected("load_table", loader.error())) after_crash();
      return;
    }
    require(sure_.count(name) == 0, "a table that is there was loaded");
    ModelRows rows;
    for (const std::string& key : keys_)
      if (!random_.one_in(4)) rows[key] = keys_.size() < 1'000 ? draw_value() : std::make_shared<const std::string>(random_.bytes(random_.below(100)));
    for (const auto& [key, value] : rows) {
      if (auto taken = loader->append(key, *value); !taken) {
        if (unexpected("append to a loader", taken.error())) return;
        loader = storage::Error{storage::Errc::engine_failed};
        return after_crash();
      }
    }
    if (random_.one_in(4)) return;
    in_flight_ = sure_;
    (*in_flight_)[name] = std::move(rows);
    auto table = loader->finish();
    if (!table) {
      if (unexpected("finish of a loader", table.error())) return;
      loader = storage::Error{storage::Errc::engine_failed};
      return after_crash();
    }
    acknowledge();
    tables_[name] = *table;
    ++counts_.loads;
  }
  /// Erases many neighbouring rows in one transaction, so that leaves run empty.
  void erase_run() {
    const std::string name = any_table();
    auto transaction = engine_->begin();
    ModelState view = sure_;
    ModelRows& rows = view.at(name);
    std::map<std::string, std::map<std::string, bool>> touched;
    std::uint64_t left = 10 + random_.below(600);
    for (auto at = rows.lower_bound(any_key()); at != rows.end() && left != 0; --left) {
      const auto done = transaction.erase(tables_.at(name), at->first);
      if (!done && done.error().code() == storage::Errc::too_large) break;
      if (!done) {
        (void)transaction.abort();
        if (!unexpected("erase", done.error())) after_crash();
        return;
      }
      require(*done, "erase missed a row");
      touched[name][at->first] = true;
      at = rows.erase(at);
    }
    commit(transaction, std::move(view), touched);
  }
  void drop_table() {
    const std::string name = tables_.begin()->first;
    in_flight_ = sure_;
    in_flight_->erase(name);
    const auto dropped = engine_->drop_table(name);
    if (!dropped) {
      if (!unexpected("drop_table", dropped.error())) after_crash();
      return;
    }
    acknowledge();
    tables_.erase(name);
    changed_.erase(name);
    ++counts_.drops;
  }
  void checkpoint() {
    const auto done = engine_->checkpoint();
    if (!done) {
      if (!unexpected("checkpoint", done.error())) after_crash();
      return;
    }
    history_.clear();  // no crash goes back behind it
    ++counts_.checkpoints;
  }
  void acknowledge() {
    if constexpr (!waits) history_.push_back(sure_);
    sure_ = std::move(*in_flight_);
    in_flight_.reset();
  }

  const std::string& any_table() {
    auto at = tables_.begin();
    std::advance(at, random_.below(tables_.size()));
    return at->first;
  }

  void transact() {
    ++counts_.transactions;
    auto transaction = engine_->begin();
    ModelState view = sure_;
    std::map<std::string, std::map<std::string, bool>> touched;
    const std::uint64_t operations = random_.one_in(5) ? 1 + random_.below(50) : 1 + random_.below(8);
    for (std::uint64_t i = 0; i < operations; ++i) {
      if (!operate(transaction, view, touched)) {
        (void)transaction.abort();
        return after_crash();
      }
    }
    if (random_.one_in(6)) {
      require(static_cast<bool>(transaction.abort()), "abort failed");
      const auto again = transaction.commit();
      require(!again && again.error().code() == storage::Errc::transaction_closed, "a commit after abort");
      return;
    }
    commit(transaction, std::move(view), touched);
  }

  void commit(Transaction& transaction, ModelState&& view, const std::map<std::string, std::map<std::string, bool>>& touched) {
    in_flight_ = std::move(view);
    const auto committed = transaction.commit();
    if (!committed) {
      ++counts_.undecided;
      if (!unexpected("commit", committed.error())) after_crash();
      return;
    }
    acknowledge();
    ++counts_.commits;
    ++commit_number_;
    for (const auto& [name, keys] : touched)
      for (const auto& [key, written] : keys) changed_[name][key] = commit_number_;
    const std::uint64_t timestamp = number(committed->timestamp);
    if (touched.empty()) return;
    require(timestamp > newest_timestamp_ || timestamp == 0, "a timestamp came twice or went back");
    newest_timestamp_ = std::max(timestamp, newest_timestamp_);
    if (!waits && committed->durable) history_.clear();
  }

  /// One random operation on both; false when the crash came.
  bool operate(Transaction& transaction, ModelState& view, std::map<std::string, std::map<std::string, bool>>& touched) {
    ++counts_.operations;
    const std::string& name = any_table();
    const Table& table = tables_.at(name);
    ModelRows& rows = view.at(name);
    const std::string& key = any_key();
    const auto at = rows.find(key);
    const bool present = at != rows.end();
    const std::uint64_t kind = random_.below(100);
    if (kind < 35) return write(transaction.put(table, key, *(drawn_ = draw_value())), "put", rows, key, touched[name]);
    if (kind < 45) {
      const auto done = transaction.insert(table, key, *(drawn_ = draw_value()));
      if (!done && done.error().code() == storage::Errc::key_exists && present) return true;
      if (done) require(!present, "insert took a key that is there");
      return write(done, "insert", rows, key, touched[name]);
    }
    if (kind < 55) {
      const auto done = transaction.update(table, key, *(drawn_ = draw_value()));
      if (!done && done.error().code() == storage::Errc::key_not_found && !present) return true;
      if (done) require(present, "update took a key that is absent");
      return write(done, "update", rows, key, touched[name]);
    }
    if (kind < 75) {
      const auto done = transaction.erase(table, key);
      if (!done && done.error().code() == storage::Errc::too_large) return true;
      if (!done) return unexpected("erase", done.error());
      require(*done == present, "erase found something else");
      if (present) touched[name][key] = true;
      rows.erase(key);
      return true;
    }
    if (kind < 90) return compare_get(random_.one_in(4) ? transaction.get_for_update(table, key) : transaction.get(table, key), rows, key);
    return scan(transaction, table, rows, &touched[name]);
  }
  bool write(const storage::Result<void>& done, const char* what, ModelRows& rows, const std::string& key, std::map<std::string, bool>& touched) {
    if (!done && done.error().code() == storage::Errc::too_large) return true;  // the transaction's own limit; nothing was written
    if (!done) return unexpected(what, done.error());
    rows[key] = drawn_;
    touched[key] = true;
    return true;
  }
  bool compare_get(const storage::Result<std::optional<std::string>>& got, const ModelRows& rows, const std::string& key) {
    if (!got) return too_old(got.error()) || unexpected("get", got.error());
    const auto at = rows.find(key);
    require(got->has_value() == (at != rows.end()), "get found a key that is absent, or missed one");
    if (*got) require(**got == *at->second, "get found another value");
    ++counts_.rows_compared;
    return true;
  }
  bool too_old(const storage::Error& error) const { return scarce_versions_ && error.code() == storage::Errc::snapshot_too_old; }

  /// Walks a random range in a random direction beside the model, with jumps, and writes ahead when `touched` is given.
  template <class Reader>
  bool scan(Reader& reader, const Table& table, ModelRows& rows, std::map<std::string, bool>* touched) {
    ++counts_.scans;
    std::string from = any_key(), to = any_key();
    storage::KeyRange range;
    std::string low;
    std::optional<std::string> high;
    const std::uint64_t shape = random_.below(5);
    if (shape == 1 || shape == 3) range.from = low = from;
    if (shape == 2 || shape == 3) range.to = *(high = to);
    std::string prefix;
    if (shape == 4) {
      prefix = from.substr(0, random_.below(from.size() + 1));
      range = storage::KeyRange::prefix(prefix);
      low = prefix;
    }
    const auto inside = [&](const std::string& key) { return key >= low && (!high || key < *high) && key.compare(0, prefix.size(), prefix) == 0; };
    const bool forward = random_.one_in(2);
    auto cursor = reader.scan(table, range, forward ? storage::Direction::forward : storage::Direction::reverse);
    // The model's position: the next row is the first at or past `position` (strictly past it unless `inclusive`).
    std::optional<std::string> position;
    bool inclusive = true;
    const auto expected = [&]() -> const ModelRows::value_type* {
      if (forward) {
        for (auto at = !position ? rows.begin() : inclusive ? rows.lower_bound(*position) : rows.upper_bound(*position); at != rows.end(); ++at)
          if (inside(at->first)) return &*at;
        return nullptr;
      }
      for (auto at = !position ? rows.end() : inclusive ? rows.upper_bound(*position) : rows.lower_bound(*position); at != rows.begin();)
        if (--at; inside(at->first)) return &*at;
      return nullptr;
    };
    const std::uint64_t steps = random_.one_in(8) ? 1'000 : random_.below(20);
    for (std::uint64_t i = 0; i < steps; ++i) {
      const auto* wanted = expected();
      if (auto status = cursor.status(); !status) return too_old(status.error()) || unexpected("scan", status.error());
      require(cursor.valid() == (wanted != nullptr), "a cursor ended early or late");
      if (wanted != nullptr) {
        require(cursor.key() == wanted->first, "a cursor stands on another key");
        require(cursor.value() == *wanted->second, "a cursor shows another value");
        ++counts_.rows_compared;
        position = wanted->first;
        inclusive = false;
      }
      if (touched != nullptr && random_.one_in(10) && wanted != nullptr && !write_ahead(reader, table, rows, *touched, *position, forward)) return false;
      if (random_.one_in(15)) {
        position = any_key();
        inclusive = true;
        cursor.seek(*position);
        continue;
      }
      if (wanted == nullptr) return true;
      cursor.next();
    }
    return true;
  }
  /// Changes the current row or one that the cursor has still to come to.
  bool write_ahead(ReadTransaction&, const Table&, ModelRows&, std::map<std::string, bool>&, const std::string&, bool) { return true; }
  bool write_ahead(Transaction& transaction, const Table& table, ModelRows& rows, std::map<std::string, bool>& touched, const std::string& position, bool forward) {
    const std::string key = random_.one_in(2) ? position : any_key();
    if (key != position && (forward ? key < position : key > position)) return true;
    if (random_.one_in(2)) return write(transaction.put(table, key, *(drawn_ = draw_value())), "put ahead of a cursor", rows, key, touched);
    const auto done = transaction.erase(table, key);
    if (!done && done.error().code() == storage::Errc::too_large) return true;
    if (!done) return unexpected("erase under a cursor", done.error());
    if (rows.erase(key) != 0) touched[key] = true;
    return true;
  }

  void begin_reading() {
    if (readers_.size() == 3) readers_.pop_front();
    readers_.push_back(Reader{engine_->snapshot(), sure_, tables_});
    Reader& reader = readers_.back();
    const auto seen = reader.transaction.get(tables_.begin()->second, any_key());  // takes the snapshot
    if (!seen && !unexpected("the first read of a snapshot", seen.error())) after_crash();
  }
  /// A snapshot shows what it showed, whatever was committed, dropped or checkpointed since.
  void read_again() {
    if (readers_.empty()) return;
    Reader& reader = readers_[random_.below(readers_.size())];
    auto at = reader.tables.begin();
    std::advance(at, random_.below(reader.tables.size()));
    ModelRows& rows = reader.state.at(at->first);
    const std::string& key = any_key();
    const bool held = compare_get(reader.transaction.get(at->second, key), rows, key) && scan(reader.transaction, at->second, rows, nullptr);
    if (!held) after_crash();
  }

  /// Two writers: the second one's write is a conflict iff the key changed after its snapshot.
  void conflict() {
    const std::string name = any_table();
    const Table table = tables_.at(name);
    auto late = engine_->begin();
    const auto first = late.get(table, any_key());
    if (!first) {
      (void)late.abort();
      if (!unexpected("get", first.error())) after_crash();
      return;
    }
    const std::uint64_t since = commit_number_;
    ModelState view = sure_;
    std::map<std::string, std::map<std::string, bool>> touched;
    {
      auto early = engine_->begin();
      for (int i = 0; i < 3; ++i)
        if (!operate(early, view, touched)) {
          (void)late.abort();
          (void)early.abort();
          return after_crash();
        }
      in_flight_ = view;
      const auto committed = early.commit();
      if (!committed) {
        (void)late.abort();
        if (!unexpected("commit", committed.error())) after_crash();
        return;
      }
      acknowledge();
      newest_timestamp_ = std::max(newest_timestamp_, number(committed->timestamp));
      ++commit_number_;
      for (const auto& [table_name, keys] : touched)
        for (const auto& [key, written] : keys) changed_[table_name][key] = commit_number_;
    }
    std::string key = any_key();
    if (!touched[name].empty() && random_.one_in(2)) key = touched[name].begin()->first;
    const ModelRows& before = sure_.at(name);
    const bool changed = changed_[name][key] > since;
    drawn_ = draw_value();
    const auto done = late.put(table, key, *drawn_);
    if (!done && done.error().code() == storage::Errc::conflict) {
      // A key that was inserted and erased again by one transaction counts as touched here, but did not change.
      require(changed, "a conflict over a key that nobody changed");
      ++counts_.conflicts;
      const auto after = late.commit();
      require(!after, "a transaction lost to a conflict committed");
      return;
    }
    if (!done && (done.error().code() == storage::Errc::too_large || too_old(done.error()))) return;
    if (!done) {
      (void)late.abort();
      if (!unexpected("put", done.error())) after_crash();
      return;
    }
    if (changed) require(before.count(key) == 0, "a lost update: the key was changed after the snapshot");
    ModelState next = sure_;
    next.at(name)[key] = drawn_;
    commit(late, std::move(next), {{name, {{key, true}}}});
  }

  Random random_;
  ModelCounts& counts_;
  storage::MemoryDisk disk_;
  std::vector<std::string> keys_;
  ModelState sure_;                          // every acknowledged commit, nothing else
  std::optional<ModelState> in_flight_;      // the state that the commit under way would make
  std::deque<ModelState> history_;           // without waiting for durability: what a power cut may go back to
  std::map<std::string, std::map<std::string, std::uint64_t>> changed_;
  std::uint64_t commit_number_ = 0;
  std::uint64_t newest_timestamp_ = 0;
  std::uint64_t armed_at_ = 0;               // the mutating call at which the ordered crash comes; 0: none ordered
  bool lost_power_ = false, closed_ = false, scarce_versions_ = false;
  ModelValue drawn_;
  std::optional<Engine> engine_;
  std::map<std::string, Table> tables_;
  std::deque<Reader> readers_;
};

/// Rounds of a model, each on a disk of its own, until the time is over. The first one has the given seed itself.
template <class Engine, bool waits>
void run_engine_model(std::uint64_t seed, double default_seconds, std::size_t steps, const char* program) {
  const auto end = std::chrono::steady_clock::now() + seconds(default_seconds);
  ModelCounts counts;
  std::uint64_t rounds = 0;
  for (std::uint64_t round_seed = seed; rounds == 0 || std::chrono::steady_clock::now() < end; ++rounds, round_seed = Random(round_seed).next()) {
    INFO(replay(round_seed, program));
    if (std::getenv("AEGIS_SECONDS") != nullptr) std::fprintf(stderr, "%s\n", replay(round_seed, program).c_str());  // known after an abort, too
    EngineModel<Engine, waits>{round_seed, counts}.run(steps);
  }
  MESSAGE("seed " << seed << ": " << rounds << " disks, " << counts.operations << " operations in " << counts.transactions << " transactions, " << counts.commits << " commits ("
                  << counts.undecided << " undecided, " << counts.undecided_kept << " of them kept), " << counts.scans << " scans, " << counts.rows_compared << " rows compared, " << counts.checkpoints
                  << " checkpoints, " << counts.drops << " drops, " << counts.loads << " loads, " << counts.conflicts << " conflicts, " << counts.crashes << " crashes, " << counts.crashes_in_recovery
                  << " in recovery, " << counts.kills << " kills, " << counts.closes << " closes, " << counts.reopenings << " reopenings, " << counts.verifications << " verifications");
  CHECK(counts.commits > 0);
}

}  // namespace aegis_test
