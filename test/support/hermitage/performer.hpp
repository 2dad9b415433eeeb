// SPDX-License-Identifier: Apache-2.0
// Carries out the steps of one transaction, of either kind, and puts what the engine answers into words.
#pragma once

#include "support/hermitage/steps.hpp"

#include <aegis/storage/engine/engine.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace aegis_test::hermitage {

template <class Engine, class Txn>
class Performer {
 public:
  using Table = typename Engine::Table;
  using Answer = aegis::storage::Result<std::string>;

  Performer(Txn& txn, const std::vector<Table>& tables) : txn_(txn), tables_(tables) {}

  /// key_exists and key_not_found are answers; other errors are errors.
  Answer perform(const Step& step) {
    Answer answer = is_read(step.verb) ? read(step) : end_or_write(step);
    if (!answer && (answer.error().code() == aegis::storage::Errc::key_exists || answer.error().code() == aegis::storage::Errc::key_not_found))
      return std::string{aegis::storage::name_of(answer.error().code())};
    return answer;
  }

 private:
  using Cursor = typename Engine::Cursor;
  using Hits = std::vector<std::pair<std::string, std::string>>;
  static constexpr bool reads_only = std::is_same_v<Txn, typename Engine::ReadTransaction>;

  static bool is_read(char verb) { return std::string_view{"rsnmp"}.find(verb) != std::string_view::npos; }

  Answer read(const Step& step) {
    if (step.verb == 'r') {
      const Place place = place_of(step.first);
      AEGIS_TRY(const std::optional<std::string> value, txn_.get(tables_[place.table], place.key));
      return value.value_or("-");
    }
    if (step.verb == 'm') {
      const Cursor cursor = txn_.scan(tables_[0], {}, aegis::storage::Direction::reverse);
      AEGIS_TRY(cursor.status());
      return cursor.valid() ? shown_key(cursor.key()) : "-";
    }
    if (step.verb == 'p') return stand(step);
    AEGIS_TRY(const Hits rows, scan(step));
    if (step.verb == 'n') return std::to_string(rows.size());
    std::string text;
    for (const auto& [key, value] : rows) append_row(text, key, value);
    return text;
  }
  aegis::storage::Result<Hits> scan(const Step& step) {
    const std::string from = key_bytes(step.first), to = key_bytes(step.second);
    aegis::storage::KeyRange range;
    if (!step.first.empty()) range.from = from;
    if (!step.second.empty()) range.to = to;
    return collect(txn_.scan(tables_[0], range));
  }
  static aegis::storage::Result<Hits> collect(Cursor cursor) {
    Hits rows;
    for (; cursor.valid(); cursor.next()) rows.emplace_back(cursor.key(), cursor.value());
    AEGIS_TRY(cursor.status());
    return rows;
  }
  /// The cursor stays open, and on that key, as long as the transaction.
  Answer stand(const Step& step) {
    const std::string from = key_bytes(step.first), on = key_bytes(step.second);
    standing_.emplace(txn_.scan(tables_[0], {.from = from}));
    std::string text;
    for (; standing_->valid(); standing_->next()) {
      append_row(text, standing_->key(), standing_->value());
      if (standing_->key() == on) break;
    }
    AEGIS_TRY(standing_->status());
    return text;
  }

  Answer end_or_write(const Step& step) {
    if constexpr (reads_only) {
      return std::string{"ok"};  // it ends with its steps
    } else {
      if (step.verb == 'c') return done(txn_.commit());
      if (step.verb == 'a') return done(txn_.abort());
      return std::string_view{"*UDLE"}.find(step.verb) != std::string_view::npos ? write_many(step) : write(step);
    }
  }
  template <class T>
  static Answer done(const aegis::storage::Result<T>& result) {
    AEGIS_TRY(result);
    return std::string{"ok"};
  }

  Answer write(const Step& step) {
    const Place place = place_of(step.first);
    const Table& table = tables_[place.table];
    switch (step.verb) {
      case 'f': {
        AEGIS_TRY(const std::optional<std::string> value, txn_.get_for_update(table, place.key));
        return value.value_or("-");
      }
      case 'w': return done(txn_.put(table, place.key, step.second));
      case 'u': return done(txn_.update(table, place.key, step.second));
      case 'i': return done(txn_.insert(table, place.key, step.second));
      case 'd': {
        AEGIS_TRY(const bool erased, txn_.erase(table, place.key));
        return std::string{erased ? "erased" : "-"};
      }
      default: {  // '+'
        AEGIS_TRY(const std::optional<std::string> value, txn_.get(table, place.key));
        return done(txn_.put(table, place.key, std::to_string(std::stoi(value.value_or("0")) + std::stoi(step.second))));
      }
    }
  }
  Answer write_many(const Step& step) {
    const Table& table = tables_[0];
    if (step.verb == 'L' || step.verb == 'E') {
      for (int i = 0, first = std::stoi(step.first), count = std::stoi(step.second); i < count; ++i) {
        const std::string key = key_bytes(std::to_string(first + i));
        if (step.verb == 'L') AEGIS_TRY(txn_.insert(table, key, bulk_value()));
        else AEGIS_TRY(txn_.erase(table, key));
      }
      return std::string{"ok"};
    }
    AEGIS_TRY(const Hits rows, collect(txn_.scan(table)));
    std::string hits;
    for (const auto& [key, value] : rows) {
      if (step.verb == '*') AEGIS_TRY(txn_.put(table, key, std::to_string(std::stoi(value) + std::stoi(step.first))));
      if (step.verb == '*' || value != step.first) continue;
      hits.append(hits.empty() ? "" : ",").append(shown_key(key));
      if (step.verb == 'U') AEGIS_TRY(txn_.put(table, key, step.second));
      else AEGIS_TRY(txn_.erase(table, key));
    }
    return step.verb == '*' ? "ok" : hits;
  }

  Txn& txn_;
  const std::vector<Table>& tables_;
  std::optional<Cursor> standing_;
};

}  // namespace aegis_test::hermitage
