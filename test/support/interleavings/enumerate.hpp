// SPDX-License-Identifier: Apache-2.0
// All interleavings of a suite's programs, a seeded sample of them, and the exhaustive small scope: every multiset of
// programs of so many reads and writes of two keys, each followed by a commit, in every interleaving.
#pragma once

#include "support/interleavings/programs.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <utility>

namespace aegis_test {

inline Order first_order(const Suite& suite) {
  Order order;
  for (std::size_t t = 0; t < suite.programs.size(); ++t) order.insert(order.end(), suite.programs[t].steps(), static_cast<std::uint8_t>(t));
  return order;
}

/// How many interleavings the suite has: the multinomial coefficient of its programs' steps.
inline std::uint64_t interleavings_of(const Suite& suite) {
  std::uint64_t count = 1, steps = 0;
  for (const Program& program : suite.programs)
    for (std::uint64_t i = 1; i <= program.steps(); ++i) count = count * ++steps / i;
  return count;
}

/// Calls fn(order) with each.
template <class Fn>
void for_each_interleaving(const Suite& suite, Fn&& fn) {
  Order order = first_order(suite);
  do fn(std::as_const(order));
  while (std::next_permutation(order.begin(), order.end()));
}

/// Each interleaving is as likely as any other.
inline Order random_interleaving(const Suite& suite, Random& random) {
  Order order = first_order(suite);
  for (std::size_t left = order.size(); left > 1; --left) std::swap(order[left - 1], order[random.below(left)]);
  return order;
}

/// The multisets of `transactions` programs out of {r1, r2, w1, w2}^operations. Each write has a value of its own.
class SmallScope {
 public:
  SmallScope(std::size_t transactions, std::size_t operations) : transactions_(transactions), operations_(operations) {
    for (std::size_t i = 0; i < operations; ++i) program_count_ *= 4;
    chosen_.assign(transactions, 0);
  }

  /// Calls fn(suite) with each multiset.
  template <class Fn>
  void for_each(Fn&& fn) {
    std::vector<std::size_t> chosen(transactions_, 0);
    for (;;) {
      fn(std::as_const(suite(chosen)));
      std::size_t at = transactions_;
      while (at > 0 && chosen[at - 1] + 1 == program_count_) --at;
      if (at == 0) return;
      std::fill(chosen.begin() + static_cast<std::ptrdiff_t>(at) - 1, chosen.end(), chosen[at - 1] + 1);
    }
  }
  const Suite& random(Random& random) {
    for (std::size_t& program : chosen_) program = random.below(program_count_);
    return suite(chosen_);
  }
  std::string name() const { return std::to_string(transactions_) + " x " + std::to_string(operations_); }

 private:
  const Suite& suite(const std::vector<std::size_t>& chosen) {
    if (suite_.name.empty()) {
      suite_.name = name();
      suite_.initial = no_rows;
      suite_.initial[1] = 1;
      suite_.initial[2] = 2;
      suite_.programs.resize(transactions_);
      for (Program& program : suite_.programs) program.operations.resize(operations_ + 1);
    }
    for (std::size_t t = 0; t < transactions_; ++t) {
      auto& operations = suite_.programs[t].operations;
      std::size_t code = chosen[t];
      for (std::size_t i = 0; i < operations_; ++i, code /= 4) {
        operations[i] = {};
        operations[i].verb = code % 4 < 2 ? 'r' : 'w';
        operations[i].key = static_cast<std::uint8_t>(1 + code % 2);
        if (operations[i].verb == 'w') operations[i].value.constant = static_cast<Value>(10 * (t + 1) + i + 1);
      }
      operations[operations_].verb = 'c';
    }
    return suite_;
  }

  std::size_t transactions_, operations_, program_count_ = 1;
  std::vector<std::size_t> chosen_;
  Suite suite_;
};

}  // namespace aegis_test
