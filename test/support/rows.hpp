// SPDX-License-Identifier: Apache-2.0
// What tests of whole engines do to them and ask of them, whatever their policies.
#pragma once

#include <aegis/storage/engine/engine.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
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

/// A whole file, read in one piece.
inline std::string bytes_of_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary | std::ios::ate};
  std::string bytes(file ? static_cast<std::size_t>(file.tellg()) : 0, '\0');
  file.seekg(0);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}
inline void overwrite(const std::string& path, std::uint64_t at, const std::string& bytes) {
  std::fstream file{path, std::ios::binary | std::ios::in | std::ios::out};
  file.seekp(static_cast<std::streamoff>(at));
  file << bytes;
  REQUIRE(file.flush());
}

inline Rows numbered(const std::string& prefix, int count, std::size_t value_bytes) {
  Rows rows;
  for (int i = 0; i < count; ++i) rows[prefix + std::to_string(100'000 + i)] = std::string(value_bytes + static_cast<std::size_t>(i % 50), static_cast<char>('a' + i % 26));
  return rows;
}

}  // namespace aegis_test
