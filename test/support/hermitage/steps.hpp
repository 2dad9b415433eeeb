// SPDX-License-Identifier: Apache-2.0
// Schedules as they are written: steps divided by spaces, each a verb, the transaction's digit, and what it works on.
//
//   r1(1) get   f1(1) get_for_update   w1(1,11) put   u1(1,11) update   i1(1,11) insert   d1(1) erase   c1 commit   a1 abort
//   s1 scan   s1[2,9) scan a range, either end may be missing   n1[,9) count it   m1 largest key   p1[0,2] scan and stay on 2
//   +1(1,5) get and put the sum   *1(10) add to every row   U1(10,12) scan and put 12 in rows of 10   D1(20) scan and erase
//   them   L1(1000,2000) insert 2000 rows from key 1000 on   E1(1000,2000) erase them
//
// A key of table B is written B.1. "step->answer" says what the step answers wherever an outcome does not say otherwise.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace aegis_test::hermitage {

struct Step {
  char verb = 0, txn = 0;
  std::string first, second;  // key and value; a range's ends; value and new value
  std::string text;           // as written, without its answer
  bool has_answer = false;
  std::string answer;
  std::string name;           // text, with #n where it occurs for the n-th time
};

/// Of a value and a new value, and the like; "[2,)" has an empty second.
inline void split_operands(std::string_view operands, Step& step) {
  if (operands.empty()) return;
  const std::string_view inner = operands.substr(1, operands.size() - 2);
  const std::size_t comma = inner.find(',');
  step.first = inner.substr(0, comma);
  if (comma != std::string_view::npos) step.second = inner.substr(comma + 1);
}

inline std::vector<std::string_view> split(std::string_view text, std::string_view by) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(by);
    if (end != 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + by.size());
  }
  return parts;
}

inline std::vector<Step> steps_of(std::string_view schedule) {
  std::vector<Step> steps;
  std::map<std::string, int> occurrences;
  for (const std::string_view written : split(schedule, " ")) {
    Step step;
    const std::size_t arrow = written.find("->");
    step.text = written.substr(0, arrow);
    step.has_answer = arrow != std::string_view::npos;
    if (step.has_answer) step.answer = written.substr(arrow + 2);
    step.verb = step.text[0];
    step.txn = step.text[1];
    split_operands(std::string_view{step.text}.substr(2), step);
    const int occurrence = ++occurrences[step.text];
    step.name = occurrence == 1 ? step.text : step.text + "#" + std::to_string(occurrence);
    steps.push_back(step);
  }
  return steps;
}

/// The transactions of a schedule that only read.
inline std::string readers_of(std::string_view schedule) {
  std::string all, writers;
  for (const Step& step : steps_of(schedule)) {
    if (all.find(step.txn) == std::string::npos) all.push_back(step.txn);
    if (std::string_view{"rsnmpca"}.find(step.verb) == std::string_view::npos) writers.push_back(step.txn);
  }
  std::string readers;
  for (const char txn : all)
    if (writers.find(txn) == std::string::npos) readers.push_back(txn);
  return readers;
}

/// Numbers order as numbers in a store that orders bytes: keys of four digits.
inline std::string key_bytes(std::string_view written) { return std::string(written.size() < 4 ? 4 - written.size() : 0, '0').append(written); }
inline std::string shown_key(std::string_view bytes) {
  while (bytes.size() > 1 && bytes.front() == '0') bytes.remove_prefix(1);
  return std::string{bytes};
}

/// Which table a key is in, and its bytes there.
struct Place {
  std::size_t table = 0;
  std::string key;
};
inline Place place_of(std::string_view written) {
  if (written.size() < 2 || written[1] != '.') return {0, key_bytes(written)};
  return {static_cast<std::size_t>(written[0] - 'A'), key_bytes(written.substr(2))};
}

inline void append_row(std::string& text, std::string_view key, std::string_view value) { text.append(text.empty() ? "" : ",").append(shown_key(key)).append(":").append(value); }
inline std::string bulk_value() { return std::string(100, 'v'); }

}  // namespace aegis_test::hermitage
