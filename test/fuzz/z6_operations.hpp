// SPDX-License-Identifier: Apache-2.0
// Z6: a sequence of operations against a std::map, with lost power, killed processes, failing and full disks, and damaged
// files between them. After each reopening the store is at the last acknowledged commit, or at the one that was under
// way; after damage to its log perhaps at an earlier one; or the error is typed. Input: steps of four bytes.
#pragma once

#include "fuzz/harness.hpp"
#include "fuzz/z5_directory.hpp"

#include <cerrno>
#include <deque>
#include <optional>

namespace aegis_fuzz {

struct OperationsHarness {
  static constexpr const char* name = "z6_operations";

  static void run(Bytes bytes) {
    Input input{bytes};
    Life life;
    life.live(input);
  }

  static void mutate(Data& data, Dice& dice) {
    if (data.size() < 8 || dice.one_in(8)) return mutate_bytes(data, dice, longest);
    const std::size_t steps = data.size() / 4, at = dice.below(steps) * 4;
    const auto begin = data.begin() + static_cast<std::ptrdiff_t>(at);
    switch (dice.below(5)) {
      case 0:
      case 1: data[at + dice.below(4)] = static_cast<std::byte>(dice.next()); return;
      case 2: {
        std::array<std::byte, 4> step;
        for (std::byte& byte : step) byte = static_cast<std::byte>(dice.next());
        if (data.size() + 4 <= longest) data.insert(begin, step.begin(), step.end());
        return;
      }
      case 3: data.erase(begin, begin + 4); return;
      default: {
        const std::size_t count = std::min<std::size_t>(data.size() - at, 4 * (1 + dice.below(12)));
        const Data piece(begin, begin + static_cast<std::ptrdiff_t>(count));
        const auto to = data.begin() + static_cast<std::ptrdiff_t>(dice.below(steps) * 4);
        if (data.size() + count <= longest) data.insert(to, piece.begin(), piece.end());
      }
    }
  }

  static std::vector<Data> seeds() {
    std::vector<Data> all;
    const std::vector<std::vector<unsigned>> ends = {{close_step}, {kill_step}, {cut_step}, {plan_step, put, commit_step}, {fault_step, put, commit_step, kill_step}, {damage_step}, {checkpoint_step, damage_step}, {drop_step, put, cut_step}};
    unsigned number = 0;
    for (const auto& end : ends) {
      Output output;
      Dice dice{++number};
      for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 6; ++i) {
          for (int k = 0; k < 3; ++k) step(output, put, dice);
          step(output, i % 2 == 0 ? erase : scan, dice);
          step(output, i == 3 ? savepoint_step : get, dice);
          step(output, i == 4 ? rollback_step : commit_step, dice);
        }
        for (const unsigned what : end) step(output, what, dice);
      }
      all.push_back(output.data);
    }
    return all;
  }

 private:
  static constexpr std::size_t longest = 600;
  enum Step : unsigned { put, put_again, put_long, erase, get, scan, commit_step, commit_again, abort_step, savepoint_step, rollback_step, checkpoint_step, close_step, kill_step, cut_step, plan_step, fault_step, damage_step,
                         drop_step, verify_step, steps };
  // A step of any number: more of what makes a history than of what ends one.
  static unsigned step_of(std::uint8_t code) {
    constexpr Step usual[] = {put, put, put_long, put_long, erase, erase, get, scan, commit_step, commit_step, savepoint_step, checkpoint_step};
    const std::size_t step = code % (steps + std::size(usual));
    return step < steps ? static_cast<unsigned>(step) : usual[step - steps];
  }
  static void step(Output& output, unsigned what, Dice& dice) {
    output.byte(static_cast<std::uint8_t>(what)).put(static_cast<std::uint8_t>(dice.next())).put(static_cast<std::uint16_t>(dice.next()));
  }

  class Life {
   public:
    void live(Input& input) {
      disks_.push_back(std::make_unique<SimulatedDisk>());
      reopen();
      for (int left = 150; !input.empty() && left > 0 && openings_ < 16 && !over_; --left) {
        const std::uint8_t what = input.byte(), a = input.byte();
        const std::uint16_t b = input.take<std::uint16_t>();
        take(step_of(what), a, b);
      }
      if (over_) return;
      kill();
      if (over_) return;
      const auto report = engine_->verify();
      require(report.has_value() || damaged_, report ? "" : "verify: " + report.error().message());
      require(!report || report->ok() || damaged_, report ? report->message() : "");
    }

   private:
    using Txn = FuzzEngine::Transaction;

    /// Whether it succeeded. Without faults and damage nothing fails.
    template <class T>
    bool worked(const Result<T>& result, const char* what) {
      if (result) return true;
      if (result.error().code() == Errc::too_large) return false;  // the transaction's own limit
      require(troubled_ || damaged_, std::string{what} + " failed though nothing was wrong: " + result.error().message());
      if (!damaged_) return false;
      require_one_of(result.error(), {Errc::corrupt_block, Errc::corrupt_page, Errc::corrupt_log, Errc::incompatible_format, Errc::block_not_found, Errc::engine_failed, Errc::commit_undecided, Errc::io, Errc::no_space}, what);
      over_ = !troubled_;
      return false;
    }
    static std::string key_of(unsigned a) { return a % 16 == 0 ? std::string(a * 2, 'K') : "key" + std::to_string(a % 40); }

    void take(unsigned what, unsigned a, unsigned b) {
      switch (what) {
        case put:
        case put_again:
        case put_long: {
          const std::string key = key_of(a), value(what == put_long ? b % 12'000 : b % 300, static_cast<char>('a' + b % 26));
          if (!begin()) return;
          const auto put_done = txn_->put(table_, key, value);
          if (worked(put_done, "put")) view_[key] = value;
          return;
        }
        case erase: {
          if (!begin()) return;
          const std::string key = key_of(a);
          const auto erased = txn_->erase(table_, key);
          if (!worked(erased, "erase")) return;
          require(undecided() || *erased == view_.contains(key), "erase tells of another key");
          view_.erase(key);
          return;
        }
        case get: return look_at(key_of(a));
        case scan: return walk(key_of(a), b);
        case commit_step:
        case commit_again: return commit();
        case abort_step: return end();
        case savepoint_step: {
          if (!begin()) return;
          auto point = txn_->savepoint();
          if (worked(point, "savepoint")) points_.emplace_back(*point, view_);
          return;
        }
        case rollback_step: {
          if (!txn_ || points_.empty()) return;
          const std::size_t to = b % points_.size();
          if (!worked(txn_->rollback_to(points_[to].first), "rollback")) return;
          view_ = points_[to].second;
          points_.erase(points_.begin() + static_cast<std::ptrdiff_t>(to) + 1, points_.end());
          return;
        }
        case checkpoint_step: (void)worked(engine_->checkpoint(), "checkpoint"); return;
        case close_step: return close();
        case kill_step: return kill();
        case cut_step: return cut(a, b);
        case plan_step: {
          disk().plan({.call = disk().calls() + 1 + b % 60, .after = a % 2 == 0, .model = testing::cut_models[a / 2 % std::size(testing::cut_models)], .seed = b});
          troubled_ = true;
          return;
        }
        case fault_step: {
          constexpr int errors[] = {EIO, ENOSPC, EDQUOT, EINTR, testing::Fault::short_transfer, EMFILE};
          disk().inject({.nth = 1u + b % 40, .error = errors[a % std::size(errors)], .sticky = a % 16 > 7});
          troubled_ = true;
          return;
        }
        case damage_step: return damage(a, b);
        case drop_step: return drop();
        default: {
          const auto report = engine_->verify();
          if (worked(report, "verify")) require(report->ok() || damaged_ || troubled_, report->message());
        }
      }
    }

    bool begin() {
      if (txn_) return true;
      if (!has_table_) {
        in_flight_ = StoreState{{"t", {}}};
        auto made = engine_->table("t");
        if (!worked(made, "table")) return decide(), false;
        table_ = *made;
        has_table_ = true;
        sure(*in_flight_);
      }
      txn_.emplace(engine_->begin());
      begun_with_ = view_ = sure_.contains("t") ? sure_["t"] : TableRows{};
      return true;
    }
    void end() {
      txn_.reset();
      points_.clear();
    }
    /// What may have happened or not is asked of the store after the next opening.
    void decide() {
      if (!over_) kill();
    }
    void sure(const StoreState& state) {
      history_.push_back(sure_);
      sure_ = state;
      in_flight_.reset();
    }
    void commit() {
      if (!txn_) return;
      if (undecided()) {
        const bool wrote = view_ != begun_with_;
        const auto refused = txn_->commit();
        require(!refused || !wrote, "an engine that failed takes another commit");
        return end();
      }
      in_flight_ = StoreState{{"t", view_}};
      const auto committed = txn_->commit();
      end();
      if (committed) return sure(*in_flight_);
      if (committed.error().code() != Errc::commit_undecided && committed.error().code() != Errc::engine_failed) in_flight_.reset();
      if (!worked(committed, "commit") && undecided() && !over_) look_at_acknowledged();
    }
    /// Writers may read a commit that was published and then not made durable; theirs is never acknowledged.
    bool undecided() const { return in_flight_.has_value(); }
    /// Readers never do: they are shown what no crash can take back.
    void look_at_acknowledged() {
      const auto state = state_of(*engine_);
      if (worked(state, "reading what was acknowledged")) require(*state == sure_, "a snapshot shows a commit that was never acknowledged");
    }
    void drop() {
      if (!has_table_) return;
      end();
      if (undecided()) return require(!engine_->drop_table("t"), "an engine that failed drops a table");
      in_flight_ = StoreState{};
      if (!worked(engine_->drop_table("t"), "drop_table")) return decide();
      has_table_ = false;
      sure({});
    }

    void look_at(const std::string& key) {
      if (!begin()) return;
      const auto got = txn_->get(table_, key);
      if (!worked(got, "get")) return;
      const auto wanted = view_.find(key);
      require(undecided() || (got->has_value() == (wanted != view_.end()) && (!*got || **got == wanted->second)), "get shows another value");
    }
    void walk(const std::string& from, unsigned b) {
      if (!begin()) return;
      const std::string to = key_of(b & 255);
      const bool forward = (b & 256) != 0, bounded = (b & 512) != 0;
      TableRows expected;
      for (const auto& [key, value] : view_)
        if (!bounded || (key >= from && key < to)) expected.emplace(key, value);
      TableRows found;
      auto cursor = txn_->scan(table_, bounded ? KeyRange{.from = from, .to = to} : KeyRange{}, forward ? Direction::forward : Direction::reverse);
      for (std::string before; cursor.valid(); cursor.next()) {
        require(found.empty() || (forward ? before < cursor.key() : before > cursor.key()), "a scan shows rows out of order");
        before = std::string{cursor.key()};
        found.emplace(cursor.key(), cursor.value());
      }
      if (worked(cursor.status(), "scan")) require(undecided() || found == expected, "a scan shows other rows");
    }

    void close() {
      end();
      if (!worked(engine_->close(), "close")) {
        if (!over_) kill();
        return;
      }
      kill();
    }
    void kill() {
      disk().heal();
      if (!disk().has_power()) return cut(0, 0);
      disk().plan({});
      end();
      disk().kill_process();
      engine_.reset();
      reopen();
    }
    /// Lost power; a planned cut that came already is what it was planned to be.
    void cut(unsigned a, unsigned b) {
      disk().heal();
      end();
      if (disk().has_power())
        disk().power_up(testing::cut_models[a % std::size(testing::cut_models)], b);
      else
        disk().power_up();
      engine_.reset();
      reopen();
    }
    /// A flipped bit, some bytes of another place, or a piece of zeros, in one of the files of a store that is not open.
    void damage(unsigned a, unsigned b) {
      kill();
      if (over_) return;
      end();
      disk().kill_process();
      engine_.reset();
      SimulatedMedium medium = disk().medium();
      auto file = medium.directories["store"].names.begin();
      std::advance(file, a % medium.directories["store"].names.size());
      SimulatedMedium::File& content = medium.files[file->second];
      if (content.size == 0) return reopen();
      // Most of a file is empty: bytes that are something are looked for from the place that is named.
      std::uint64_t at = content.size * b / 65'536;
      std::array<std::byte, 4096> page;
      for (int left = 64; left > 0; --left, at = (at + 4096) % content.size) {
        content.seen.read(at, page);
        if (std::any_of(page.begin(), page.end(), [](std::byte byte) { return byte != std::byte{}; })) break;
      }
      const std::size_t length = a / 16 % 3 == 0 ? 1 : 512;
      for (std::size_t i = 0; i < length; ++i) page[i] = a / 16 % 3 == 2 ? std::byte{} : page[i] ^ static_cast<std::byte>(1u << b % 8);
      content.seen.write(at, Bytes{page}.first(std::min<std::uint64_t>(length, content.size - at)));
      content.durable = content.seen;
      content.pending.clear();
      damaged_ = true;
      damaged_log_ = damaged_log_ || file->first != "data";
      disks_.push_back(std::make_unique<SimulatedDisk>(testing::DiskTraits{}, medium));
      reopen();
    }

    void reopen() {
      ++openings_;
      troubled_ = false;
      has_table_ = false;
      auto engine = open_engine(disk());
      if (!worked(engine, "open")) {
        over_ = true;
        return;
      }
      engine_.emplace(std::move(*engine));
      const auto state = state_of(*engine_);
      if (!worked(state, "reading everything")) return;
      bool allowed = *state == sure_ || (in_flight_ && *state == *in_flight_);
      for (const StoreState& earlier : history_) allowed = allowed || (damaged_log_ && *state == earlier);
      require(allowed, "after a reopening the store shows what was never committed, or not what was");
      sure_ = *state;
      in_flight_.reset();
      if (!state->contains("t")) return;
      auto table = engine_->table("t");
      if (!worked(table, "table")) return;
      table_ = *table;
      has_table_ = true;
    }

    SimulatedDisk& disk() { return *disks_.back(); }

    std::vector<std::unique_ptr<SimulatedDisk>> disks_;  // the last is in use
    std::optional<FuzzEngine> engine_;
    std::optional<Txn> txn_;
    FuzzEngine::Table table_;
    bool has_table_ = false, over_ = false;
    int openings_ = 0;                      // what an input's time goes to
    bool troubled_ = false;                 // a fault or a cut may come any time
    bool damaged_ = false, damaged_log_ = false;
    StoreState sure_;
    std::optional<StoreState> in_flight_;
    std::deque<StoreState> history_;
    TableRows view_, begun_with_;
    std::vector<std::pair<Savepoint, TableRows>> points_;
  };
};

}  // namespace aegis_fuzz
