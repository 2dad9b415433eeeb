// SPDX-License-Identifier: Apache-2.0
// What may become of a row. Alternatives are divided by " / ", what one says by '|':
//   fail=2:ERR,3:deadlock   who gets a retryable error, any or that one; nobody, where it is left out
//   Q=1:11,2:20             what is there afterwards; every alternative says it
//   r1(2)=20                what a step answers, where the schedule does not say or says otherwise
//   waits=0                 nobody waits
//   needless                the errors are ones that no serial order asks for; they are counted
#pragma once

#include "support/hermitage/schedule.hpp"
#include "support/hermitage/steps.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace aegis_test::hermitage {

struct Expected {
  std::map<char, std::string> failed;
  std::map<std::string, std::string> said;
  std::string rows;
  bool nobody_waits = false, is_needless = false;
  std::string mistake;  // what is wrong with the row itself
};

/// A write is expected to succeed and an erase to find its key; what is read has to be told.
inline const char* usual_answer(char verb) {
  if (verb == 'd') return "erased";
  return std::string_view{"wuica+*LE"}.find(verb) != std::string_view::npos ? "ok" : nullptr;
}

inline Expected expected_of(const std::vector<Step>& steps, std::string_view alternative) {
  Expected expected;
  std::map<std::string, std::string> told;
  bool tells_rows = false;
  for (const std::string_view token : split(alternative, "|")) {
    const std::size_t equals = token.find('=');
    const std::string what{token.substr(0, equals)}, value{equals == std::string_view::npos ? std::string_view{} : token.substr(equals + 1)};
    if (what == "Q") expected.rows = value, tells_rows = true;
    else if (what == "waits") expected.nobody_waits = true;
    else if (what == "needless") expected.is_needless = true;
    else if (what == "fail")
      for (const std::string_view one : split(value, ",")) expected.failed[one[0]] = one.substr(2);
    else told[what] = value;
  }
  if (!tells_rows) expected.mistake = "it does not tell the rows";
  for (const Step& step : steps) {
    const auto found = told.find(step.name);
    if (!expected.failed.contains(step.txn)) {
      const char* const usual = usual_answer(step.verb);
      if (found != told.end()) expected.said[step.name] = found->second;
      else if (step.has_answer) expected.said[step.name] = step.answer;
      else if (usual != nullptr) expected.said[step.name] = usual;
      else expected.mistake = "it does not tell the answer of " + step.name;
    }
    if (found != told.end()) told.erase(found);
  }
  if (!told.empty()) expected.mistake = "no step is called " + told.begin()->first;
  return expected;
}

/// How an outcome differs from what is expected; empty when it does not.
inline std::string difference(const Outcome& outcome, const Expected& expected) {
  if (!expected.mistake.empty()) return "the row is wrong: " + expected.mistake;
  for (const auto& [txn, error] : outcome.failed) {
    const auto found = expected.failed.find(txn);
    if (found == expected.failed.end()) return std::string("T") + txn + " got " + error;
    if (found->second != "ERR" && found->second != error) return std::string("T") + txn + " got " + error + ", not " + found->second;
  }
  for (const auto& [txn, error] : expected.failed)
    if (!outcome.failed.contains(txn)) return std::string("T") + txn + " got no error";
  for (const auto& [step, answer] : expected.said) {
    const auto found = outcome.said.find(step);
    if (found == outcome.said.end()) return step + " was not run";
    if (found->second != answer) return step + " answered \"" + found->second + "\", not \"" + answer + "\"";
  }
  if (outcome.rows != expected.rows) return "Q is {" + outcome.rows + "}, not {" + expected.rows + "}";
  if (expected.nobody_waits && outcome.waits != 0) return "somebody waited";
  return {};
}

struct Verdict {
  bool is_within = false, is_needless = false;
  std::string why_not;  // for each alternative
};

inline Verdict judge(const Outcome& outcome, const std::vector<Step>& steps, std::string_view allowed) {
  Verdict verdict;
  if (outcome.committed_after_error) return {false, false, "a transaction committed after a retryable error"};
  for (const std::string_view alternative : split(allowed, " / ")) {
    const Expected expected = expected_of(steps, alternative);
    const std::string why = difference(outcome, expected);
    if (why.empty()) return {true, expected.is_needless, {}};
    verdict.why_not.append("\n  not \"").append(alternative).append("\": ").append(why);
  }
  return verdict;
}

/// What readers answer under `readers_set`, everything else as in `set`: for levels whose snapshots see more than they do.
inline std::string with_answers_of(std::string_view readers, std::string_view set, std::string_view readers_set) {
  std::string answers;
  const auto is_of_reader = [&](std::string_view token) {
    return token.size() > 1 && std::string_view{"rsnmp"}.find(token[0]) != std::string_view::npos && readers.find(token[1]) != std::string_view::npos;
  };
  for (const std::string_view token : split(split(readers_set, " / ").front(), "|"))
    if (is_of_reader(token)) answers.append("|").append(token);
  std::string combined;
  for (const std::string_view alternative : split(set, " / ")) {
    combined.append(combined.empty() ? "" : " / ");
    std::string kept;
    for (const std::string_view token : split(alternative, "|"))
      if (!is_of_reader(token)) kept.append(kept.empty() ? "" : "|").append(token);
    combined.append(kept).append(answers);
  }
  return combined;
}

}  // namespace aegis_test::hermitage
