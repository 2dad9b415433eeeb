// SPDX-License-Identifier: Apache-2.0
// Transactions as small programs over eight keys, what one of them saw when it ran among others, and their notation. The
// same notation names suites and replays one interleaving:
//
//   {1:10 2:20 snapshot:3} r1(1) w2(1,11) r3(1) c3 c1 c2     rows at the start; transactions that run as snapshot(); steps
//
//   r1(1) get   f1(1) get_for_update   w1(1,11) put   i1(3,30) insert   d1(1) erase   s1 scan   s1[3,6) scan a range
//   c1 commit   a1 abort               r1(1)&w1(1,12) two operations in one step, nothing else between them
//
// A value may depend on what was read: `$2+5` is the value last read of key 2, plus 5; `$2-60<60:skip` writes nothing if
// all values read so far add up to less than 60; `$2-10<10:-11` adds -11 instead of -10 then.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace aegis_test {

constexpr std::size_t key_count = 8, max_transactions = 4, max_operations = 6;

using Value = std::int16_t;
constexpr Value absent = INT16_MIN, untouched = INT16_MIN + 1;  // no row; neither read nor written
using KeyMask = std::uint8_t;                                   // a bit for each key

struct State : std::array<Value, key_count> {
  bool operator==(const State& other) const { return std::memcmp(data(), other.data(), sizeof(State)) == 0; }
};
inline constexpr State no_rows{{absent, absent, absent, absent, absent, absent, absent, absent}};
inline constexpr State no_touch{{untouched, untouched, untouched, untouched, untouched, untouched, untouched, untouched}};

struct Expression {
  Value constant = 0;
  std::int8_t from = -1;          // a key, to whose last read value the constant is added
  bool conditional = false;
  bool skip = false;              // below the threshold: write nothing ...
  Value threshold = 0, below = 0; // ... or use this constant
};

struct Operation {
  char verb = 0;
  bool step_goes_on = false;  // the next operation belongs to the same step
  std::uint8_t key = 0;       // scans: the range's first key
  std::uint8_t to = 0;        // scans: past its last key
  Expression value;

  bool is_scan() const { return verb == 's'; }
  bool reads() const { return verb == 'r' || verb == 's'; }
  bool writes() const { return verb == 'w' || verb == 'i' || verb == 'd'; }
  bool ends() const { return verb == 'c' || verb == 'a'; }
  /// The keys it is about.
  KeyMask keys() const {
    if (ends()) return 0;
    if (!is_scan()) return static_cast<KeyMask>(1U << key);
    return static_cast<KeyMask>(((1U << to) - 1U) & ~((1U << key) - 1U));
  }
};

struct Program {
  std::vector<Operation> operations;

  std::size_t steps() const {
    std::size_t count = 0;
    for (const Operation& operation : operations) count += operation.step_goes_on ? 0 : 1;
    return count;
  }
  bool only_reads() const {
    for (const Operation& operation : operations)
      if (!operation.reads() && operation.verb != 'c') return false;
    return true;
  }
};

struct Suite {
  std::string name;
  State initial;
  std::vector<Program> programs;
  std::uint8_t snapshots = 0;  // a bit for each program that runs as snapshot()
};

using Order = std::vector<std::uint8_t>;  // the transaction of each step

/// What an operation said: a value or absent; for insert and erase whether they did it; for scans the rows.
struct Seen {
  Value value = untouched;
  State rows = no_touch;

  bool operator==(const Seen& other) const { return value == other.value && (value != untouched || rows == other.rows); }
};

/// The values that a transaction has read, on which its writes may depend.
struct Reads {
  State last = no_touch;

  void note(const Operation& operation, const Seen& seen) {
    if (operation.verb == 'r' || operation.verb == 'f') last[operation.key] = seen.value;
    else if (operation.is_scan())
      for (std::size_t key = operation.key; key < operation.to; ++key) last[key] = seen.rows[key];
  }
  /// untouched: nothing is to be written.
  Value of(const Expression& expression) const {
    int value = expression.constant;
    if (expression.conditional) {
      int sum = 0;
      for (const Value read : last) sum += read == absent || read == untouched ? 0 : read;
      if (sum < expression.threshold) {
        if (expression.skip) return untouched;
        value = expression.below;
      }
    }
    if (expression.from < 0) return static_cast<Value>(value);
    const Value base = last[static_cast<std::size_t>(expression.from)];
    return static_cast<Value>(value + (base == absent || base == untouched ? 0 : base));
  }
};

/// Performs an operation that is neither commit nor abort on rows that nobody else uses.
inline Seen perform_alone(const Operation& operation, Value value, State& rows) {
  Seen seen;
  switch (operation.verb) {
    case 'r':
    case 'f': seen.value = rows[operation.key]; break;
    case 'w':
      if (value != untouched) rows[operation.key] = value;
      seen.value = 1;
      break;
    case 'i':
      seen.value = rows[operation.key] == absent || value == untouched ? 1 : 0;
      if (seen.value == 1 && value != untouched) rows[operation.key] = value;
      break;
    case 'd':
      seen.value = rows[operation.key] == absent ? 0 : 1;
      rows[operation.key] = absent;
      break;
    default:
      for (std::size_t key = operation.key; key < operation.to; ++key) seen.rows[key] = rows[key];
  }
  return seen;
}

namespace notation {

inline Value number(std::string_view& text) {
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  int value = 0;
  for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1)) value = value * 10 + (text[0] - '0');
  return static_cast<Value>(negative ? -value : value);
}
inline std::uint8_t key(std::string_view& text) { return static_cast<std::uint8_t>(number(text)); }

inline Expression expression(std::string_view text) {
  Expression result;
  if (!text.empty() && text[0] == '$') {
    text.remove_prefix(1);
    result.from = static_cast<std::int8_t>(text[0] - '0');
    text.remove_prefix(1);
  }
  result.constant = number(text);
  if (text.empty() || text[0] != '<') return result;
  text.remove_prefix(1);
  result.conditional = true;
  result.threshold = number(text);
  text.remove_prefix(1);
  result.skip = text == "skip";
  if (!result.skip) result.below = number(text);
  return result;
}
inline std::string text_of(const Expression& expression) {
  std::string text = expression.from < 0 ? "" : "$" + std::to_string(expression.from) + (expression.constant < 0 ? "" : "+");
  text += std::to_string(expression.constant);
  if (expression.conditional) text += "<" + std::to_string(expression.threshold) + ":" + (expression.skip ? "skip" : std::to_string(expression.below));
  return text;
}

inline Operation operation(std::string_view text) {
  Operation result;
  result.verb = text[0];
  result.to = key_count;
  text.remove_prefix(2);
  if (text.empty()) return result;
  text.remove_prefix(1);
  result.key = key(text);
  if (text[0] != ',') return result;
  text.remove_prefix(1);
  if (!result.is_scan()) result.value = expression(text.substr(0, text.size() - 1));
  else if (text[0] != ')') result.to = key(text);
  return result;
}
inline std::string text_of(const Operation& operation, std::size_t transaction) {
  std::string text{operation.verb};
  text += static_cast<char>('1' + transaction);
  if (operation.ends()) return text;
  if (operation.is_scan()) {
    if (operation.key == 0 && operation.to == key_count) return text;
    return text + "[" + std::to_string(operation.key) + "," + (operation.to == key_count ? "" : std::to_string(operation.to)) + ")";
  }
  text += "(" + std::to_string(operation.key);
  return text + (operation.verb == 'w' || operation.verb == 'i' ? "," + text_of(operation.value) : "") + ")";
}

/// Takes the next word off the text, and the separator.
inline std::string_view word(std::string_view& text, char separator) {
  const std::string_view taken = text.substr(0, text.find(separator));
  text.remove_prefix(taken.size() == text.size() ? text.size() : taken.size() + 1);
  return taken;
}

}  // namespace notation

/// Reads a suite from the notation; the steps' order goes to `order`.
inline Suite suite_of(std::string name, std::string_view text, Order& order) {
  Suite suite;
  suite.name = std::move(name);
  suite.initial = no_rows;
  order.clear();
  std::string_view rows = text.substr(1, text.find('}') - 1);
  text.remove_prefix(text.find('}') + 1);
  while (!rows.empty()) {
    std::string_view row = notation::word(rows, ' ');
    if (row.substr(0, 9) == "snapshot:") {
      suite.snapshots = static_cast<std::uint8_t>(suite.snapshots | 1U << (row[9] - '1'));
    } else if (!row.empty()) {
      const std::uint8_t key = notation::key(row);
      row.remove_prefix(1);
      suite.initial[key] = notation::number(row);
    }
  }
  while (!text.empty()) {
    std::string_view step = notation::word(text, ' ');
    if (step.empty()) continue;
    const auto transaction = static_cast<std::size_t>(step[1] - '1');
    if (suite.programs.size() <= transaction) suite.programs.resize(transaction + 1);
    order.push_back(static_cast<std::uint8_t>(transaction));
    while (!step.empty()) {
      suite.programs[transaction].operations.push_back(notation::operation(notation::word(step, '&')));
      suite.programs[transaction].operations.back().step_goes_on = !step.empty();
    }
  }
  return suite;
}

/// The interleaving in the notation, to be read by suite_of.
inline std::string text_of(const Suite& suite, const Order& order) {
  std::string text = "{";
  for (std::size_t key = 0; key < key_count; ++key)
    if (suite.initial[key] != absent) text += (text.size() > 1 ? " " : "") + std::to_string(key) + ":" + std::to_string(suite.initial[key]);
  for (std::size_t t = 0; t < suite.programs.size(); ++t)
    if ((suite.snapshots >> t & 1U) != 0) text += (text.size() > 1 ? " snapshot:" : "snapshot:") + std::to_string(t + 1);
  text += "}";
  std::array<std::size_t, max_transactions> at{};
  for (const std::uint8_t t : order) {
    const auto& operations = suite.programs[t].operations;
    for (char before = ' ';; before = '&') {
      const Operation& operation = operations[at[t]++];
      text += before + notation::text_of(operation, t);
      if (!operation.step_goes_on) break;
    }
  }
  return text;
}

/// The suites of published anomalies, one a line; names and shapes follow Hermitage (M. Kleppmann, CC-BY 4.0), PostgreSQL's
/// isolation specifications (receipt-report, two-ids, read-only-anomaly, temporal-range-integrity, project-manager,
/// classroom-scheduling, total-cash, multiple-row-versions), and Fekete, O'Neil, O'Neil (2004).
struct SuiteText {
  const char* name;
  const char* text;
};
inline const std::vector<SuiteText>& suite_texts() {
  static const std::vector<SuiteText> texts{
      {"write skew", "{1:10 2:20} r1(1) r1(2) w1(1,11) c1 r2(1) r2(2) w2(2,21) c2"},
      {"lost update", "{1:10} r1(1) w1(1,$1+1) c1 r2(1) w2(1,$1+1) c2"},
      {"locked update", "{1:10} f1(1) w1(1,$1+1) c1 f2(1) w2(1,$1+1) c2"},
      {"circular information flow", "{1:10 2:20} w1(1,11) r1(2) c1 w2(2,22) r2(1) c2"},
      {"read skew", "{1:10 2:20} r1(1) r1(2) c1 w2(1,12) w2(2,18) c2"},
      {"predicate read", "{1:10 2:20} s1 s1 c1 i2(3,30) c2"},
      {"predicate skew", "{1:10 2:20} s1 i1(3,30) c1 s2 i2(4,42) c2"},
      {"temporal range", "{1:10} s1[3,) w1(1,11) c1 r2(1) i2(4,42) c2"},
      {"project manager", "{1:1} r1(1) i1(3,1) c1 s2[3,) w2(1,0) c2"},
      {"classroom", "{1:5 2:9} s1[3,6) i1(3,7) c1 s2[3,6) i2(4,7) c2"},
      {"put if absent ring", "{} r1(5) i1(6,1) c1 r2(6) i2(5,1) c2"},
      {"total cash", "{1:50 2:50} r1(1) r1(2) w1(1,$1-60<60:skip) c1 r2(1) r2(2) w2(2,$2-60<60:skip) c2"},
      {"two edges", "{1:10 2:20} s1 w1(1,0) c1 w2(2,25) c2 s3 c3"},
      {"receipt report", "{1:5} r1(1)&i1(3,7<5:skip)&w1(4,7) c1 w2(1,2) c2 r3(1) s3[3,4) c3"},
      {"two ids", "{1:1 2:1} r1(1)&w1(1,$1+1) c1 r2(1)&w2(2,$1+1) c2 r3(2) c3"},
      {"read-only anomaly", "{1:0 2:0} r1(2) w1(2,$2+20) c1 r2(1) r2(2) w2(1,$1-10<10:-11) c2 r3(1) r3(2) c3"},
      {"observed transaction vanishes", "{1:10 2:20} w1(1,11) w1(2,19) c1 w2(1,12) w2(2,18) c2 r3(1) r3(2) c3"},
      {"ring of three", "{1:10 2:20 3:30} r1(1) w1(2,21) c1 r2(2) w2(3,31) c2 r3(3) w3(1,11) c3"},
      {"long fork", "{1:10 2:20} w1(1,11) c1 w2(2,21) c2 r3(1) r3(2) c3 r4(1) r4(2) c4"},
      {"multiple row versions", "{1:1 2:2 3:3} r1(3) w1(1,101) c1 w2(3,102) c2 w3(3,103) r3(2) c3 w4(2,104) r4(1) c4"},
  };
  return texts;
}

/// All of them, and those in which a program only reads once more, with it as snapshot().
inline std::vector<Suite> named_suites() {
  std::vector<Suite> suites;
  for (const SuiteText& text : suite_texts()) {
    Order order;
    suites.push_back(suite_of(text.name, text.text, order));
    Suite with_snapshots = suites.back();
    for (std::size_t t = 0; t < with_snapshots.programs.size(); ++t)
      if (with_snapshots.programs[t].only_reads()) with_snapshots.snapshots = static_cast<std::uint8_t>(with_snapshots.snapshots | 1U << t);
    with_snapshots.name += ", snapshot";
    if (with_snapshots.snapshots != 0) suites.push_back(with_snapshots);
  }
  return suites;
}

}  // namespace aegis_test
