// SPDX-License-Identifier: Apache-2.0
// What a check found: how often each anomaly, and in words for the first of each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace aegis_test::list_append {

enum class Anomaly : std::uint8_t {
  internal, future_read, garbage, duplicate, g1a, g1b, incompatible_order, lost_commit, resurrected_abort, torn_txn,
  lost_update, non_repeatable, non_monotone, mav, stale_read,
  g0, g1c, g_single, g_nonadjacent, g2, g0_rt, g1c_rt, g_single_rt, g_nonadjacent_rt, g2_rt,
  timestamps, version_order, wrong_snapshot, old_snapshot, not_serial,  // the white box
};
inline constexpr std::size_t anomaly_count = 30;
inline constexpr std::array<const char*, anomaly_count> anomaly_names = {
    "internal", "future-read", "garbage", "duplicate", "G1a", "G1b", "incompatible-order", "lost-commit", "resurrected-abort", "torn-txn",
    "lost-update", "non-repeatable", "non-monotone", "MAV", "stale-read",
    "G0", "G1c", "G-single", "G-nonadjacent", "G2", "G0-rt", "G1c-rt", "G-single-rt", "G-nonadjacent-rt", "G2-rt",
    "timestamps", "version-order", "wrong-snapshot", "old-snapshot", "not-serial"};

class Report {
 public:
  /// `words()` is asked for the first few of a kind only.
  template <class Words>
  void add(Anomaly kind, Words&& words) {
    Found& found = found_[static_cast<std::size_t>(kind)];
    if (found.count++ < told) found.words += "  " + std::string(words()) + "\n";
  }

  bool clean() const { return names().empty(); }
  std::size_t count(Anomaly kind) const { return found_[static_cast<std::size_t>(kind)].count; }
  bool has(Anomaly kind) const { return count(kind) != 0; }
  /// Of all anomalies found, in the order of the enumeration: "G1b, G-single".
  std::string names() const {
    std::string text;
    for (std::size_t i = 0; i < anomaly_count; ++i)
      if (found_[i].count != 0) text += (text.empty() ? "" : ", ") + std::string(anomaly_names[i]);
    return text;
  }
  std::string message() const {
    std::string text;
    for (std::size_t i = 0; i < anomaly_count; ++i)
      if (found_[i].count != 0) text += std::string(anomaly_names[i]) + ", " + std::to_string(found_[i].count) + " times:\n" + found_[i].words;
    return text;
  }

 private:
  struct Found {
    std::size_t count = 0;
    std::string words;
  };
  static constexpr std::size_t told = 3;

  std::array<Found, anomaly_count> found_;
};

}  // namespace aegis_test::list_append
