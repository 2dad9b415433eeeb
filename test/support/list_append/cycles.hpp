// SPDX-License-Identifier: Apache-2.0
// Relations between transactions, and cycles in unions of them: components by Tarjan (1972), without recursion, and the
// shortest cycle of the smallest one. In a layered graph no two anti-dependencies follow each other, which is snapshot
// isolation's condition (Cerone, Gotsman 2016; Elle's :extension). Linear in the edges.
#pragma once

#include "support/list_append/history.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace aegis_test::list_append {

/// Edges from transactions to transactions, each with the key and the element that justify it.
class Relation {
 public:
  struct Edge {
    std::uint32_t from, to;
    Key key;
    Element value;
  };

  explicit Relation(const char* name) : name_(name) {}
  void add(std::uint32_t from, std::uint32_t to, Key key = 0, Element value = 0) {
    if (from != to) edges_.push_back({from, to, key, value});
  }
  /// Once, before it is asked.
  void sort(std::size_t transactions) {
    begin_.assign(transactions + 1, 0);
    for (const Edge& edge : edges_) ++begin_[edge.from + 1];
    for (std::size_t i = 0; i < transactions; ++i) begin_[i + 1] += begin_[i];
    std::vector<std::uint32_t> next(begin_.begin(), begin_.end() - 1);
    std::vector<Edge> sorted(edges_.size());
    for (const Edge& edge : edges_) sorted[next[edge.from]++] = edge;
    edges_.swap(sorted);
  }

  const char* name() const { return name_; }
  const std::vector<Edge>& edges() const { return edges_; }
  std::uint32_t begin(std::uint32_t from) const { return begin_[from]; }
  std::uint32_t end(std::uint32_t from) const { return begin_[from + 1]; }

 private:
  const char* name_;
  std::vector<Edge> edges_;           // by `from` once sorted
  std::vector<std::uint32_t> begin_;
};

struct Step {
  const Relation* relation;
  Relation::Edge edge;
};
using Cycle = std::vector<Step>;

/// A union of dependencies and, where given, anti-dependencies.
class Graph {
 public:
  Graph(std::size_t transactions, std::vector<const Relation*> dependencies, const Relation* anti, bool layered)
      : transactions_(transactions), relations_(std::move(dependencies)), layered_(layered) {
    dependencies_ = relations_.size();
    if (anti != nullptr) relations_.push_back(anti);
  }

  /// The shortest cycle through any of some nodes of the smallest component; nothing when the graph has no cycle.
  std::optional<Cycle> cycle() const {
    const std::vector<std::uint32_t> component = smallest_component();
    if (component.empty()) return {};
    std::vector<std::uint8_t> inside(nodes(), 0);
    for (const std::uint32_t node : component) inside[node] = 1;
    Cycle shortest;
    for (std::size_t i = 0; i < component.size() && i < starts; ++i) {
      Cycle found = cycle_from(component[i], inside);
      if (!found.empty() && (shortest.empty() || found.size() < shortest.size())) shortest = std::move(found);
    }
    return shortest;
  }

 private:
  struct Walk {
    std::uint32_t node;
    std::uint32_t relation = 0, edge = none;  // where it goes on
  };
  static constexpr std::size_t starts = 64;

  // A layered graph has two nodes a transaction: reached by a dependency (even), by an anti-dependency (odd).
  std::size_t nodes() const { return layered_ ? 2 * transactions_ : transactions_; }
  std::uint32_t transaction(std::uint32_t node) const { return layered_ ? node / 2 : node; }
  bool leaves_by(std::uint32_t node, std::size_t relation) const { return !(layered_ && relation == dependencies_ && node % 2 == 1); }
  std::uint32_t reached(std::uint32_t to, std::size_t relation) const { return layered_ ? 2 * to + (relation == dependencies_ ? 1 : 0) : to; }

  /// The next node in turn, or none; `walk.edge - 1` of `walk.relation` led there.
  std::uint32_t next(Walk& walk) const {
    const std::uint32_t from = transaction(walk.node);
    for (; walk.relation < relations_.size(); ++walk.relation, walk.edge = none) {
      if (!leaves_by(walk.node, walk.relation)) continue;
      const Relation& relation = *relations_[walk.relation];
      if (walk.edge == none) walk.edge = relation.begin(from);
      if (walk.edge < relation.end(from)) return reached(relation.edges()[walk.edge++].to, walk.relation);
    }
    return none;
  }

  /// Empty when every component is a single node.
  std::vector<std::uint32_t> smallest_component() const {
    std::vector<std::uint32_t> order(nodes(), none), low(nodes(), 0), stack, smallest;
    std::vector<std::uint8_t> on_stack(nodes(), 0);
    std::vector<Walk> walks;
    std::uint32_t count = 0;
    const auto enter = [&](std::uint32_t node) {
      order[node] = low[node] = count++;
      stack.push_back(node);
      on_stack[node] = 1;
      walks.push_back({.node = node});
    };
    for (std::uint32_t root = 0; root < nodes(); ++root) {
      if (order[root] != none) continue;
      enter(root);
      while (!walks.empty()) {
        const std::uint32_t node = walks.back().node, to = next(walks.back());
        if (to != none) {
          if (order[to] == none) enter(to);
          else if (on_stack[to] != 0) low[node] = std::min(low[node], order[to]);
          continue;
        }
        walks.pop_back();
        if (!walks.empty()) low[walks.back().node] = std::min(low[walks.back().node], low[node]);
        if (low[node] != order[node]) continue;
        const auto first = std::find(stack.rbegin(), stack.rend(), node).base() - 1;
        const auto size = static_cast<std::size_t>(stack.end() - first);
        if (size > 1 && (smallest.empty() || size < smallest.size())) smallest.assign(first, stack.end());
        std::for_each(first, stack.end(), [&](std::uint32_t member) { on_stack[member] = 0; });
        stack.erase(first, stack.end());
      }
    }
    return smallest;
  }

  /// Breadth first, within the component.
  Cycle cycle_from(std::uint32_t start, const std::vector<std::uint8_t>& inside) const {
    struct Reached {
      std::uint32_t node, before;  // `before` in `queue`
      Step step;
    };
    std::vector<Reached> queue{{start, none, {}}};
    std::vector<std::uint8_t> seen(nodes(), 0);
    for (std::uint32_t at = 0; at < queue.size(); ++at) {
      Walk walk{.node = queue[at].node};
      for (std::uint32_t to = next(walk); to != none; to = next(walk)) {
        if (inside[to] == 0 || seen[to] != 0) continue;
        seen[to] = 1;
        const Relation* const relation = relations_[walk.relation];
        queue.push_back({to, at, {relation, relation->edges()[walk.edge - 1]}});
        if (to != start) continue;
        Cycle cycle;
        for (std::uint32_t back = static_cast<std::uint32_t>(queue.size() - 1); back != 0; back = queue[back].before) cycle.push_back(queue[back].step);
        std::reverse(cycle.begin(), cycle.end());
        return cycle;
      }
    }
    return {};
  }

  std::size_t transactions_;
  std::vector<const Relation*> relations_;  // dependencies, then the anti-dependencies if any
  std::size_t dependencies_ = 0;
  bool layered_;
};

}  // namespace aegis_test::list_append
