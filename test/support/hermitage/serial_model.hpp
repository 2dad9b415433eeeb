// SPDX-License-Identifier: Apache-2.0
// What a transaction answers, and leaves behind, when it runs alone: the serial result that a retry is held against.
// A map for each table, and nothing of the engine.
#pragma once

#include "support/hermitage/steps.hpp"

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace aegis_test::hermitage {

class SerialModel {
 public:
  using Table = std::map<std::string, std::string, std::less<>>;

  /// From rows as they are written: "1:10,2:20,B.3:30".
  explicit SerialModel(std::string_view rows) {
    for (const std::string_view row : split(rows, ",")) {
      const std::size_t colon = row.find(':');
      const Place place = place_of(row.substr(0, colon));
      tables_[place.table][place.key] = row.substr(colon + 1);
    }
  }

  /// All rows, as they are written.
  std::string rows() const {
    std::string text;
    for (std::size_t table = 0; table < tables_.size(); ++table)
      for (const auto& [key, value] : tables_[table]) {
        if (table == 0) append_row(text, key, value);
        else text.append(text.empty() ? "" : ",").append(1, static_cast<char>('A' + table)).append(".").append(shown_key(key)).append(":").append(value);
      }
    return text;
  }
  const Table& table(std::size_t index) const { return tables_[index]; }

  /// One transaction from beginning to end: what each step answers.
  std::vector<std::string> run(const std::vector<Step>& steps) {
    const auto before = tables_;
    std::vector<std::string> answers;
    for (const Step& step : steps) {
      if (step.verb == 'a') tables_ = before;
      answers.push_back(perform(step));
    }
    return answers;
  }

 private:
  std::string perform(const Step& step) {
    const Place place = place_of(step.first);
    Table& table = tables_[place.table];
    const auto found = table.find(place.key);
    const bool exists = found != table.end();
    switch (step.verb) {
      case 'r':
      case 'f': return exists ? found->second : "-";
      case 'w': return table[place.key] = step.second, "ok";
      case 'u': return exists ? (found->second = step.second, "ok") : "key_not_found";
      case 'i': return exists ? "key_exists" : (table[place.key] = step.second, "ok");
      case 'd': return exists ? (table.erase(found), "erased") : "-";
      case '+': return table[place.key] = std::to_string((exists ? std::stoi(found->second) : 0) + std::stoi(step.second)), "ok";
      default: return perform_on_many(step);
    }
  }
  std::string perform_on_many(const Step& step) {
    Table& table = tables_[0];
    switch (step.verb) {
      case 's':
      case 'n':
      case 'p': {
        const bool closed = step.text.back() == ']';
        std::string text;
        std::size_t count = 0;
        for (const auto& [key, value] : table)
          if ((step.first.empty() || key >= key_bytes(step.first)) && (step.second.empty() || key < key_bytes(step.second) || (closed && key == key_bytes(step.second)))) {
            append_row(text, key, value);
            ++count;
          }
        return step.verb == 'n' ? std::to_string(count) : text;
      }
      case 'm': return table.empty() ? "-" : shown_key(table.rbegin()->first);
      case '*':
        for (auto& [key, value] : table) value = std::to_string(std::stoi(value) + std::stoi(step.first));
        return "ok";
      case 'U':
      case 'D': {
        std::string hits;
        for (auto row = table.begin(); row != table.end();) {
          const bool is_hit = row->second == step.first;
          if (is_hit) hits.append(hits.empty() ? "" : ",").append(shown_key(row->first));
          if (is_hit && step.verb == 'U') row->second = step.second;
          if (is_hit && step.verb == 'D') row = table.erase(row);
          else ++row;
        }
        return hits;
      }
      case 'L':
      case 'E':
        for (int i = 0, first = std::stoi(step.first), count = std::stoi(step.second); i < count; ++i) {
          const std::string key = key_bytes(std::to_string(first + i));
          if (step.verb == 'L') table[key] = bulk_value();
          else table.erase(key);
        }
        return "ok";
      default: return "ok";
    }
  }

  std::array<Table, 2> tables_;
};

}  // namespace aegis_test::hermitage
