// SPDX-License-Identifier: Apache-2.0
// Is the order of commits a serial order? Random transactions run beside each other and write down what every operation
// told them; afterwards they are run again, one after the other by commit timestamp, over a map. Whatever reads differently
// there was not serializable. Transactions without writes stand at their snapshot, which makes the check a strict one.
#pragma once

#include "support/engines.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aegis_test {

struct ReplayCounts {
  std::size_t commits = 0, conflicts = 0, reads = 0, wrong_reads = 0;
};

/// g get, f get_for_update, w put, i insert, u update, e erase, o open a cursor, n next, k seek.
struct ReplayOp {
  char verb = 'g';
  std::size_t table = 0;
  std::string key, value;         // of a cursor: the range's ends
  bool forward = true, bounded = true;
  std::string result;
};
struct ReplayLog {
  aegis::storage::Timestamp at{};  // the commit, or the snapshot of a transaction that wrote nothing
  bool wrote = false;
  std::vector<ReplayOp> ops;
};

/// The operations over a map. apply() gives what the operation would tell.
class ReplayModel {
 public:
  static constexpr std::size_t tables = 2;

  std::string apply(const ReplayOp& op) {
    Rows& rows = rows_[op.table];
    const auto found = rows.find(op.key);
    const bool present = found != rows.end();
    switch (op.verb) {
      case 'g':
      case 'f': return present ? found->second : "-";
      case 'w': rows[op.key] = op.value; return "ok";
      case 'i': return present ? "key_exists" : (rows[op.key] = op.value, "ok");
      case 'u': return present ? (rows[op.key] = op.value, "ok") : "key_not_found";
      case 'e': return rows.erase(op.key) != 0 ? "erased" : "-";
      case 'o':
        cursor_ = op;
        return op.forward ? place(rows.lower_bound(op.key)) : before(op.bounded ? rows.lower_bound(op.value) : rows.end());
      case 'k': return seek(op.key);
      default: return next();
    }
  }
  const Rows& rows(std::size_t table) const { return rows_[table]; }

 private:
  std::string place(Rows::const_iterator at) {
    const Rows& rows = rows_[cursor_.table];
    position_.reset();
    if (at == rows.end() || at->first < cursor_.key || (cursor_.bounded && at->first >= cursor_.value)) return "-";
    position_ = at->first;
    return at->first + ":" + at->second;
  }
  std::string before(Rows::const_iterator at) {
    const Rows& rows = rows_[cursor_.table];
    return place(at == rows.begin() ? rows.end() : std::prev(at));
  }
  std::string next() {
    if (!position_) return "-";
    const Rows& rows = rows_[cursor_.table];
    return cursor_.forward ? place(rows.upper_bound(*position_)) : before(rows.lower_bound(*position_));
  }
  std::string seek(const std::string& key) {
    const Rows& rows = rows_[cursor_.table];
    if (cursor_.forward) return place(rows.lower_bound(std::max(key, cursor_.key)));
    return before(cursor_.bounded && key >= cursor_.value ? rows.lower_bound(cursor_.value) : rows.upper_bound(key));
  }

  std::array<Rows, tables> rows_;
  ReplayOp cursor_;
  std::optional<std::string> position_;
};

/// Runs the logs in their order; the model is then what must be stored.
inline ReplayCounts replay_logs(std::vector<ReplayLog> logs, ReplayModel& model) {
  std::sort(logs.begin(), logs.end(), [](const ReplayLog& a, const ReplayLog& b) { return a.at != b.at ? a.at < b.at : a.wrote && !b.wrote; });
  ReplayCounts counts;
  for (const ReplayLog& log : logs) {
    ++counts.commits;
    for (const ReplayOp& op : log.ops) {
      ++counts.reads;
      counts.wrong_reads += model.apply(op) != op.result;
    }
  }
  return counts;
}

/// One transaction and what it was told.
template <class Engine>
class ReplayClient {
 public:
  using Errc = aegis::storage::Errc;
  using Tables = std::array<typename Engine::Table, ReplayModel::tables>;

  explicit ReplayClient(Engine& engine) : txn_(engine.begin()) {}

  /// False: a retryable error ended it.
  bool perform(const Tables& tables, ReplayOp op) {
    const auto& table = tables[op.table];
    switch (op.verb) {
      case 'g': return told(op, txn_.get(table, op.key), [](const auto& value) { return value.value_or("-"); });
      case 'f': return told(op, txn_.get_for_update(table, op.key), [](const auto& value) { return value.value_or("-"); });
      case 'w': return told(op, txn_.put(table, op.key, op.value));
      case 'i': return told(op, txn_.insert(table, op.key, op.value));
      case 'u': return told(op, txn_.update(table, op.key, op.value));
      case 'e': return told(op, txn_.erase(table, op.key), [](bool erased) { return erased ? "erased" : "-"; });
      case 'o': {
        aegis::storage::KeyRange range{.from = op.key};
        if (op.bounded) range.to = op.value;
        cursor_.emplace(txn_.scan(table, range, op.forward ? aegis::storage::Direction::forward : aegis::storage::Direction::reverse));
        break;
      }
      case 'k':
        if (!cursor_) return true;
        cursor_->seek(op.key);
        break;
      default:
        if (!cursor_) return true;
        cursor_->next();
    }
    return told(op, cursor_->status(), [&] { return cursor_->valid() ? std::string(cursor_->key()) + ":" + std::string(cursor_->value()) : "-"; });
  }
  /// Nothing if it was refused.
  std::optional<ReplayLog> commit() {
    log_.at = txn_.snapshot();
    cursor_.reset();
    const auto committed = txn_.commit();
    if (!committed) {
      CHECK_MESSAGE(wrote_, "a transaction without writes was refused: " << committed.error().message());
      return std::nullopt;
    }
    log_.wrote = committed->timestamp != aegis::storage::Timestamp{};
    if (log_.wrote) log_.at = committed->timestamp;
    return log_.ops.empty() ? std::nullopt : std::optional{std::move(log_)};
  }

 private:
  template <class T, class Show>
  bool told(ReplayOp& op, const aegis::storage::Result<T>& result, Show&& show) {
    if (result) {
      if constexpr (std::is_void_v<T>) op.result = show();
      else op.result = show(*result);
      wrote_ = wrote_ || op.result == "ok" || op.result == "erased";
    } else {
      if (aegis::storage::is_retryable(result.error().code())) return false;
      op.result = aegis::storage::name_of(result.error().code());
    }
    log_.ops.push_back(op);
    return true;
  }
  bool told(ReplayOp& op, const aegis::storage::Result<void>& result) {
    return told(op, result, [] { return "ok"; });
  }

  typename Engine::Transaction txn_;
  std::optional<typename Engine::Cursor> cursor_;
  ReplayLog log_;
  bool wrote_ = false;
};

/// Twelve keys, two tables, everything that a transaction can do.
inline ReplayOp random_op(Random& random, std::uint64_t number) {
  static constexpr char verbs[] = "ggggfwwiiueooonnnnnkk";
  const auto key = [&] { return std::string(1, static_cast<char>('a' + random.below(12))); };
  ReplayOp op;
  op.verb = verbs[random.below(sizeof verbs - 1)];
  op.table = random.below(ReplayModel::tables);
  op.key = key();
  op.value = std::to_string(number) + std::string(random.one_in(10) ? 300 : 0, 'v');
  if (op.verb == 'o') {
    op.value = key();
    op.forward = random.one_in(2);
    op.bounded = random.one_in(2);
  }
  return op;
}
inline bool locks_key(const ReplayOp& op) { return std::string_view{"fwiue"}.find(op.verb) != std::string_view::npos; }

template <class Engine>
ReplayCounts checked(Engine& engine, const typename ReplayClient<Engine>::Tables& tables, std::vector<ReplayLog> logs, std::size_t conflicts) {
  ReplayModel model;
  ReplayCounts counts = replay_logs(std::move(logs), model);
  counts.conflicts = conflicts;
  for (std::size_t table = 0; table < ReplayModel::tables; ++table) counts.wrong_reads += contents(engine, tables[table]) != model.rows(table);
  check_at_rest(engine);
  return counts;
}

/// Five transactions at a time, interleaved in one thread; who would wait for a lock does something else.
template <class Engine>
ReplayCounts interleave(std::uint64_t seed, std::uint64_t steps) {
  Random random{seed};
  aegis::storage::MemoryDisk disk;
  Engine engine = open_on<Engine>(disk, small_options<Engine>());
  const typename ReplayClient<Engine>::Tables tables{table_of(engine, "A"), table_of(engine, "B")};
  std::vector<ReplayLog> logs;
  std::size_t conflicts = 0;
  {
    std::array<std::optional<ReplayClient<Engine>>, 5> clients;
    std::map<std::pair<std::size_t, std::string>, std::size_t> locked;
    const auto end = [&](std::size_t who) {
      clients[who].reset();
      std::erase_if(locked, [&](const auto& lock) { return lock.second == who; });
    };
    for (std::uint64_t step = 0; step < steps; ++step) {
      const std::size_t who = random.below(clients.size());
      if (!clients[who]) clients[who].emplace(engine);
      if (random.one_in(300)) CHECK(engine.checkpoint().has_value());
      if (random.one_in(7)) {
        if (auto log = clients[who]->commit()) logs.push_back(std::move(*log));
        else ++conflicts;
        end(who);
      } else if (random.one_in(50)) {
        end(who);
      } else {
        const ReplayOp op = random_op(random, step);
        if (locks_key(op)) {
          const auto [lock, fresh] = locked.try_emplace({op.table, op.key}, who);
          if (lock->second != who) continue;
        }
        if (clients[who]->perform(tables, op)) continue;
        ++conflicts;
        end(who);
      }
    }
  }
  return checked(engine, tables, std::move(logs), conflicts);
}

/// A snapshot() that reads one table whole, and every key of the other.
template <class Engine>
ReplayLog snapshot_log(Engine& engine, const typename ReplayClient<Engine>::Tables& tables, Random& random) {
  ReplayLog log;
  auto reader = engine.snapshot();
  const std::size_t table = random.below(ReplayModel::tables);
  auto cursor = reader.scan(tables[table]);
  for (ReplayOp op{.verb = 'o', .table = table, .key = {}, .value = {}, .bounded = false, .result = {}};; op.verb = 'n') {
    op.result = cursor.valid() ? std::string(cursor.key()) + ":" + std::string(cursor.value()) : "-";
    log.ops.push_back(op);
    if (!cursor.valid()) break;
    std::this_thread::yield();
    cursor.next();
  }
  CHECK(cursor.status().has_value());
  for (char key = 'a'; key <= 'l'; ++key) {
    const auto value = reader.get(tables[1 - table], std::string(1, key));
    REQUIRE(value.has_value());
    log.ops.push_back({.verb = 'g', .table = 1 - table, .key = std::string(1, key), .value = {}, .result = value->value_or("-")});
  }
  log.at = reader.snapshot();
  return log;
}

/// The same in threads, which wait for locks and run into deadlocks; snapshots among them.
template <class Engine>
ReplayCounts race(std::uint64_t seed, std::size_t thread_count, int transactions) {
  aegis::storage::MemoryDisk disk;
  auto options = small_options<Engine>();
  options.maintenance_thread = true;
  Engine engine = open_on<Engine>(disk, options);
  const typename ReplayClient<Engine>::Tables tables{table_of(engine, "A"), table_of(engine, "B")};
  std::vector<ReplayLog> logs;
  std::size_t conflicts = 0;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (std::size_t id = 0; id < thread_count; ++id)
    threads.emplace_back([&, id] {
      Random random{seed * 1000 + id};
      std::uint64_t number = id << 32;
      for (int i = 0; i < transactions; ++i) {
        if (random.one_in(10)) {
          ReplayLog seen = snapshot_log(engine, tables, random);
          const std::lock_guard lock{mutex};
          logs.push_back(std::move(seen));
        }
        ReplayClient<Engine> client{engine};
        bool alive = true;
        for (std::uint64_t left = 1 + random.below(7); alive && left > 0; --left) {
          alive = client.perform(tables, random_op(random, ++number));
          if (random.one_in(4)) std::this_thread::yield();
        }
        auto log = alive ? client.commit() : std::nullopt;
        const std::lock_guard lock{mutex};
        if (log) logs.push_back(std::move(*log));
        else ++conflicts;
      }
    });
  for (std::thread& thread : threads) thread.join();
  return checked(engine, tables, std::move(logs), conflicts);
}

}  // namespace aegis_test
