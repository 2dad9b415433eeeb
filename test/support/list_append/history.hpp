// SPDX-License-Identifier: Apache-2.0
// What clients of a list-append workload did and saw: transactions that append unique elements to lists and read lists.
// The idea and the names of the anomalies are Elle's (Kingsbury, Alvaro, VLDB 2020; jepsen-io/elle) and Adya's. One
// history is written by one thread at a time; the threads of a workload keep one each and merge them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace aegis_test::list_append {

using Key = std::uint32_t;      // dense from 0
using Element = std::uint32_t;  // unique within its key

inline constexpr std::uint64_t never = ~std::uint64_t{0};
inline constexpr std::uint32_t none = ~std::uint32_t{0};

enum class Level : std::uint8_t { read_committed, snapshot_isolation, serializable, two_phase_locking };

/// ok: commit() succeeded. fail: it had no effect. info: only what is stored after a reopen tells.
enum class Status : std::uint8_t { ok, fail, info };

struct Operation {
  Key key = 0;
  Element value = 0;                            // what an append appends
  std::uint32_t first = 0, count = 0;           // what a read saw, in History::elements
  bool is_append = false;
  std::uint64_t published_before = 0, published_after = never;  // the engine's newest commit, for the white box alone
};

struct Transaction {
  Status status = Status::ok;
  bool is_snapshot = false;                     // a declared reader
  std::uint32_t thread = 0;
  std::uint32_t first = 0, count = 0;           // its operations, in History::operations
  std::uint64_t invoked = 0, returned = never;  // from one counter, just outside the first operation and commit()
  std::uint64_t snapshot = 0, commit = 0;       // the engine's timestamps; 0: none
};

struct History {
  std::vector<Transaction> transactions;
  std::vector<Operation> operations;
  std::vector<Element> elements;

  std::span<const Operation> operations_of(const Transaction& transaction) const { return {operations.data() + transaction.first, transaction.count}; }
  std::span<const Element> seen_by(const Operation& read) const { return {elements.data() + read.first, read.count}; }

  /// Operations that follow belong to it.
  Transaction& begin(std::uint64_t invoked) {
    transactions.push_back({.first = static_cast<std::uint32_t>(operations.size()), .invoked = invoked});
    return transactions.back();
  }
  Operation& read(Key key, std::span<const Element> seen) {
    Operation& done = add({.key = key, .first = static_cast<std::uint32_t>(elements.size()), .count = static_cast<std::uint32_t>(seen.size())});
    elements.insert(elements.end(), seen.begin(), seen.end());
    return done;
  }
  Operation& append(Key key, Element value) { return add({.key = key, .value = value, .is_append = true}); }

  void merge(const History& other) {
    const auto operations_before = static_cast<std::uint32_t>(operations.size()), elements_before = static_cast<std::uint32_t>(elements.size());
    for (Transaction transaction : other.transactions) {
      transaction.first += operations_before;
      transactions.push_back(transaction);
    }
    for (Operation operation : other.operations) {
      operation.first += elements_before;
      operations.push_back(operation);
    }
    elements.insert(elements.end(), other.elements.begin(), other.elements.end());
  }

 private:
  Operation& add(const Operation& operation) {
    ++transactions.back().count;
    operations.push_back(operation);
    return operations.back();
  }
};

/// The lists that one transaction read when all others had ended, by key: the order of versions that everybody must have seen.
using FinalRead = std::vector<std::vector<Element>>;

inline std::string text_of(std::span<const Element> list) {
  std::string text = "[";
  for (const Element element : list) text += (text.size() > 1 ? "," : "") + std::to_string(element);
  return text + "]";
}

inline std::string text_of(const History& history, const Transaction& transaction) {
  static constexpr const char* status_names[] = {"ok", "fail", "info"};
  std::string text = status_names[static_cast<int>(transaction.status)];
  if (transaction.is_snapshot) text += " snapshot";
  const auto time = [](std::uint64_t at) { return at == never ? std::string("inf") : std::to_string(at); };
  text += " thread " + std::to_string(transaction.thread) + " (" + time(transaction.invoked) + "," + time(transaction.returned) + ")";
  text += " snapshot@" + time(transaction.snapshot) + " commit@" + time(transaction.commit) + ":";
  for (const Operation& operation : history.operations_of(transaction)) {
    const std::string key = std::to_string(operation.key);
    text += operation.is_append ? " append(" + key + "," + std::to_string(operation.value) + ")" : " read(" + key + ")=" + text_of(history.seen_by(operation));
  }
  return text;
}

/// One line a transaction, then one a key. False when the file could not be written.
inline bool write_history(const std::string& path, const std::string& heading, const History& history, const FinalRead& final_read) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  std::fprintf(file, "%s\n", heading.c_str());
  for (std::size_t i = 0; i < history.transactions.size(); ++i) std::fprintf(file, "T%zu %s\n", i, text_of(history, history.transactions[i]).c_str());
  for (std::size_t key = 0; key < final_read.size(); ++key) std::fprintf(file, "final %zu=%s\n", key, text_of(final_read[key]).c_str());
  return std::fclose(file) == 0;
}

}  // namespace aegis_test::list_append
