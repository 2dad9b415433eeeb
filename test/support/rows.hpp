// SPDX-License-Identifier: Apache-2.0
// What tests of whole engines do to them and ask of them, whatever their policies.
#pragma once

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>

namespace aegis_test {

using Rows = std::map<std::string, std::string>;
using State = std::map<std::string, Rows>;  // by table name

/// Everything that a snapshot taken now shows.
template <class Engine>
State content(Engine& engine) {
  State state;
  const auto names = engine.tables();
  REQUIRE(names);
  auto reader = engine.snapshot();
  for (const std::string& name : *names) {
    const auto table = engine.table(name);
    REQUIRE(table);
    Rows& rows = state[name];
    auto cursor = reader.scan(*table);
    for (; cursor.valid(); cursor.next()) rows.emplace(cursor.key(), cursor.value());
    REQUIRE(cursor.status());
  }
  return state;
}

template <class Engine>
void check_structure(Engine& engine) {
  const auto report = engine.verify();
  REQUIRE(report);
  INFO(report->message());
  REQUIRE(report->ok());
}

/// One transaction.
template <class Engine>
aegis::storage::Result<aegis::storage::CommitInfo> put(Engine& engine, const std::string& name, const Rows& rows) {
  AEGIS_TRY(const auto table, engine.table(name));
  auto transaction = engine.begin();
  for (const auto& [key, value] : rows) AEGIS_TRY(transaction.put(table, key, value));
  return transaction.commit();
}

inline Rows numbered(const std::string& prefix, int count, std::size_t value_bytes) {
  Rows rows;
  for (int i = 0; i < count; ++i) rows[prefix + std::to_string(100'000 + i)] = std::string(value_bytes + static_cast<std::size_t>(i % 50), static_cast<char>('a' + i % 26));
  return rows;
}

}  // namespace aegis_test
