// SPDX-License-Identifier: Apache-2.0
// An engine that is nothing but lists with timestamps, stepped by one thread, and that can be told to have one of thirteen
// bugs: what the checker must find is planted here. First committer wins at snapshot isolation; serializable validates
// what was read. Everything follows from the seed.
#pragma once

#include "support/list_append/history.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis_test::list_append {

enum class Bug : std::uint8_t {
  nothing,
  overwrites,           // a newer version is no conflict
  reads_newest,         // and not its snapshot
  old_snapshot,         // up to three commits behind
  aborted_leaks,        // one failed transaction in twenty is stored all the same
  intermediate_leaks,   // all but the last append to a key are visible one commit too early
  key_by_key,           // all keys but the first become visible one commit later
  drops_acknowledged,   // one commit in 300
  ignores_absent,       // reads of lists that are empty are not validated
  validates_nothing,
  long_fork,            // a snapshot misses one of the newest commits
  applies_twice,        // one commit in 300
  dirty_read,           // one read in 300 sees what somebody has not committed
  half_applied,         // of undecided transactions
};

class SimulatedEngine {
 public:
  SimulatedEngine(Level level, Bug bug, std::uint64_t seed) : random_(seed), level_(level), bug_(bug) {}

  void run(std::size_t transactions) {
    for (std::size_t begun = 0; begun < transactions;) {
      Client& client = clients_[random_.below(clients_.size())];
      if (!client.open) begin(client), ++begun;
      else if (client.left-- > 0) operate(client);
      else end(client);
    }
    for (Client& client : clients_)
      if (client.open) end(client);
    ++now_;  // what was visible too late is visible now
  }

  History history() const {
    History merged;
    for (const Client& client : clients_) merged.merge(client.history);
    return merged;
  }
  FinalRead final_read() const {
    FinalRead lists(stored_.size());
    for (Key key = 0; key < lists.size(); ++key)
      for (const Stored& stored : stored_[key]) lists[key].push_back(stored.value);
    return lists;
  }

 private:
  struct Stored {
    Element value;
    std::uint64_t visible;  // from this commit on
  };
  struct Seen {
    Key key;
    bool empty;
  };
  struct Client {
    History history;
    bool open = false;
    std::uint64_t left = 0, snapshot = 0, missed = 0;  // of the open transaction
    std::vector<std::pair<Key, Element>> writes;
    std::vector<Seen> reads;
  };
  static constexpr Key live_keys = 6;
  static constexpr std::size_t appends_a_key = 28;

  void begin(Client& client) {
    client.history.begin(clock_++);
    client.open = true;
    client.left = 1 + random_.below(5);
    client.snapshot = now_;
    client.missed = bug_ == Bug::long_fork && random_.one_in(4) ? now_ - std::min(now_, random_.below(3)) : 0;
    if (bug_ == Bug::old_snapshot) client.snapshot -= std::min(now_, random_.below(4));
    client.writes.clear();
    client.reads.clear();
  }

  void operate(Client& client) {
    const auto slot = static_cast<Key>(random_.below(live_keys));
    const Key key = slot + live_keys * static_cast<Key>(appended_[slot] / appends_a_key);
    if (stored_.size() <= key) stored_.resize(key + std::size_t{1});
    const bool appends = random_.one_in(2);
    if (!appends || random_.one_in(2)) read(client, key);
    if (!appends) return;
    client.history.append(key, ++values_);
    client.writes.emplace_back(key, values_);
  }
  void read(Client& client, Key key) {
    if (level_ == Level::read_committed) client.snapshot = now_;
    const std::uint64_t at = bug_ == Bug::reads_newest ? now_ : client.snapshot;
    std::vector<Element> list;
    for (const Stored& stored : stored_[key])
      if (stored.visible <= at && (client.missed == 0 || stored.visible != client.missed)) list.push_back(stored.value);
    client.reads.push_back({key, list.empty()});
    if (bug_ == Bug::dirty_read && random_.one_in(300))
      for (const Client& other : clients_)
        for (const auto& [written, value] : other.writes)
          if (&other != &client && other.open && written == key) list.push_back(value);
    for (const auto& [written, value] : client.writes)
      if (written == key) list.push_back(value);
    client.history.read(key, list);
  }

  bool newer(const Client& client, Key key) const { return !stored_[key].empty() && stored_[key].back().visible > client.snapshot; }
  bool conflicts(const Client& client) const {
    if (level_ == Level::read_committed || client.writes.empty()) return false;
    if (bug_ != Bug::overwrites)
      for (const auto& write : client.writes)
        if (newer(client, write.first)) return true;
    if (level_ == Level::snapshot_isolation || bug_ == Bug::validates_nothing) return false;
    return std::any_of(client.reads.begin(), client.reads.end(), [&](const Seen& seen) { return newer(client, seen.key) && !(bug_ == Bug::ignores_absent && seen.empty); });
  }

  void end(Client& client) {
    Transaction& record = client.history.transactions.back();
    client.open = false;
    if (random_.one_in(20) || conflicts(client)) {
      record.status = Status::fail;
      if (bug_ == Bug::aborted_leaks && random_.one_in(20)) install(client, client.writes.size());
    } else if (random_.one_in(100)) {
      record.status = Status::info;
      if (bug_ == Bug::half_applied) install(client, (client.writes.size() + 1) / 2);
      else if (random_.one_in(2)) install(client, client.writes.size());
    } else if (!client.writes.empty() && !(bug_ == Bug::drops_acknowledged && random_.one_in(300))) {
      install(client, client.writes.size());
      if (bug_ == Bug::applies_twice && random_.one_in(300)) install(client, client.writes.size());
    }
    record.returned = record.status == Status::info ? never : clock_++;
  }
  void install(const Client& client, std::size_t count) {
    ++now_;
    for (std::size_t i = 0; i < count; ++i) {
      const Key key = client.writes[i].first;
      const bool is_last = std::none_of(client.writes.begin() + static_cast<std::ptrdiff_t>(i) + 1, client.writes.end(), [&](const auto& later) { return later.first == key; });
      const bool is_first = std::none_of(client.writes.begin(), client.writes.begin() + static_cast<std::ptrdiff_t>(i), [&](const auto& earlier) { return earlier.first == key; });
      const bool late = (bug_ == Bug::intermediate_leaks && is_last && !is_first) || (bug_ == Bug::key_by_key && key != client.writes.front().first);
      stored_[key].push_back({client.writes[i].second, late ? now_ + 1 : now_});
      ++appended_[key % live_keys];
    }
  }

  Random random_;
  Level level_;
  Bug bug_;
  std::array<Client, 8> clients_;
  std::vector<std::vector<Stored>> stored_;          // by key
  std::array<std::size_t, live_keys> appended_{};    // by slot, to all of its keys
  std::uint64_t clock_ = 1, now_ = 1;                // now_: the newest commit
  Element values_ = 0;
};

}  // namespace aegis_test::list_append
