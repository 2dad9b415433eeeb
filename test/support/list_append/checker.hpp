// SPDX-License-Identifier: Apache-2.0
// Judges a list-append history by the rules of a level, in linear time: elements, reads, then cycles of dependencies, with
// and without real time ("-rt"). Serializable and two-phase locking are strict, snapshot isolation strong; snapshots()
// obey snapshot isolation at every level. Names what a level forbids; no more than the first kind of cycle.
#pragma once

#include "support/list_append/cycles.hpp"
#include "support/list_append/read_checks.hpp"
#include "support/list_append/session_checks.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace aegis_test::list_append {

class Checker {
 public:
  Checker(const History& history, const FinalRead& final_read, Level level) : history_(history), order_(history, final_read), level_(level) {}

  Report run() {
    const Prefixes prefixes = ReadChecks{order_, report_}.run();
    SessionChecks{order_, prefixes, level_, report_}.run();
    relate(prefixes);
    add_real_time();
    for (Relation* relation : {&ww_, &wr_, &rw_, &rt_}) relation->sort(history_.transactions.size());
    // The union of everything that the level forbids; only when it has a cycle, which one is asked.
    const bool serial = level_ == Level::serializable || level_ == Level::two_phase_locking;
    if (graph({&ww_, &wr_, &rt_}, &rw_, !serial).cycle() && !name_cycle({}, serial)) name_cycle({&rt_}, serial);
    return std::move(report_);
  }

 private:
  void relate(const Prefixes& prefixes) {
    for (Key key = 0; key < order_.keys(); ++key)
      for (std::size_t position = 1; position < order_.order(key).size(); ++position) {
        const Append *const before = order_.at(key, position - 1), *const after = order_.at(key, position);
        if (before != nullptr && after != nullptr) ww_.add(before->transaction, after->transaction, key, after->value);
      }
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      const Transaction& transaction = history_.transactions[t];
      const bool overtakes_nobody = level_ != Level::read_committed || transaction.is_snapshot;
      for (std::uint32_t i = transaction.first; i < transaction.first + transaction.count; ++i) {
        const Operation& read = history_.operations[i];
        if (read.is_append || prefixes[i] == none) continue;
        if (prefixes[i] != 0)
          if (const Append* const last = order_.at(read.key, prefixes[i] - 1)) wr_.add(last->transaction, t, read.key, last->value);
        if (const Append* const next = order_.at(read.key, prefixes[i]); next != nullptr && overtakes_nobody) rw_.add(t, next->transaction, read.key, next->value);
      }
    }
  }

  /// A returned before B began, where nobody who lies between says so: as many edges a transaction as there are threads.
  void add_real_time() {
    struct Event {
      std::uint64_t at;
      bool is_return;
      std::uint32_t transaction;
    };
    std::vector<Event> events;
    for (std::uint32_t t = 0; t < history_.transactions.size(); ++t) {
      if (!order_.committed(t)) continue;
      const Transaction& transaction = history_.transactions[t];
      events.push_back({transaction.invoked, false, t});
      if (transaction.status == Status::ok) events.push_back({transaction.returned, true, t});
    }
    std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.at != b.at ? a.at < b.at : a.is_return < b.is_return; });
    std::vector<std::uint32_t> frontier;
    std::vector<std::vector<std::uint32_t>> before(history_.transactions.size());  // emptied at the return
    for (const Event& event : events) {
      if (!event.is_return) {
        before[event.transaction] = frontier;
        for (const std::uint32_t ended : frontier) rt_.add(ended, event.transaction);
        continue;
      }
      std::vector<std::uint32_t> covered;
      covered.swap(before[event.transaction]);
      std::erase_if(frontier, [&](std::uint32_t ended) { return std::find(covered.begin(), covered.end(), ended) != covered.end(); });
      frontier.push_back(event.transaction);
    }
  }

  Graph graph(std::vector<const Relation*> dependencies, const Relation* anti, bool layered) const {
    return Graph{history_.transactions.size(), std::move(dependencies), anti, layered};
  }

  /// From the gravest to the least; the same with real time when `more` has it.
  bool name_cycle(const std::vector<const Relation*>& more, bool serial) {
    const auto with = [&](std::vector<const Relation*> relations) {
      relations.insert(relations.end(), more.begin(), more.end());
      return relations;
    };
    const std::size_t shift = more.empty() ? 0 : static_cast<std::size_t>(Anomaly::g0_rt) - static_cast<std::size_t>(Anomaly::g0);
    const auto found = [&](const Graph& graph, Anomaly otherwise) {
      const std::optional<Cycle> cycle = graph.cycle();
      if (!cycle) return false;
      const auto anti = std::count_if(cycle->begin(), cycle->end(), [&](const Step& step) { return step.relation == &rw_; });
      const Anomaly kind = otherwise == Anomaly::g_nonadjacent && anti == 1 ? Anomaly::g_single : otherwise;
      report_.add(static_cast<Anomaly>(static_cast<std::size_t>(kind) + shift), [&] { return described(*cycle); });
      return true;
    };
    return found(graph(with({&ww_}), nullptr, false), Anomaly::g0) || found(graph(with({&ww_, &wr_}), nullptr, false), Anomaly::g1c) ||
           found(graph(with({&ww_, &wr_}), &rw_, true), Anomaly::g_nonadjacent) || (serial && found(graph(with({&ww_, &wr_}), &rw_, false), Anomaly::g2));
  }

  std::string described(const Cycle& cycle) const {
    std::string text;
    for (const Step& step : cycle) {
      text += named(step.edge.from) + " -" + step.relation->name();
      if (step.relation != &rt_) text += " (" + listed(step.edge.key, step.edge.value) + ")";
      text += "-> ";
    }
    text += named(cycle.front().edge.from);
    for (const Step& step : cycle) text += "\n    " + named(step.edge.from) + " " + text_of(history_, history_.transactions[step.edge.from]);
    return text;
  }

  const History& history_;
  VersionOrder order_;
  Level level_;
  Report report_;
  Relation ww_{"ww"}, wr_{"wr"}, rw_{"rw"}, rt_{"rt"};
};

inline Report check(const History& history, const FinalRead& final_read, Level level) { return Checker{history, final_read, level}.run(); }

}  // namespace aegis_test::list_append
