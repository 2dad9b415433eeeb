// SPDX-License-Identifier: Apache-2.0
// aegis-storage: B+tree with in-memory versions, logical log, checkpoints; snapshot isolation. sync=none is
// AsyncDurability, which a killed process survives.
#pragma once
#include <aegis/storage.hpp>

#include "common.hpp"

#include <optional>

namespace bench {

template <class Durability>
class Aegis {
  using Engine = aegis::storage::Engine<aegis::storage::LocalBackend, aegis::storage::SnapshotIsolation, Durability>;

 public:
  static constexpr Slice name = "aegis";
  static constexpr Slice isolation = "snapshot";
  static constexpr bool commit_failure_ends_txn = true;
  static bool accepts(const Config& c) { return (c.sync == Sync::commit) == std::same_as<Durability, aegis::storage::SyncDurability>; }

  explicit Aegis(const Config& c)
      : engine_(need(Engine::open({.directory = c.dir, .pool_bytes = c.cache_mb << 20, .log_bytes = std::uint64_t{256} << 20}))), table_(need(engine_.table("t"))) {}
  void settle() { need(engine_.checkpoint()); }

  class Session {
   public:
    explicit Session(Aegis& e) : e_(e) {}
    Status get(Slice k, std::string& out) {
      auto reader = e_.engine_.snapshot();
      return need(reader.read(e_.table_, k, [&](Slice v) { out.assign(v); })) ? Status::ok : Status::not_found;
    }
    Status put(Slice k, Slice v) {
      begin(true);
      if (tput(k, v) == Status::ok) return commit();
      abort();
      return Status::conflict;
    }
    void load(Slice k, Slice v) {
      if (tput(k, v) != Status::ok) fail("aegis: load: conflict");
    }
    template <class F>
    void scan(Slice from, u64 n, F& f) {
      auto reader = e_.engine_.snapshot();
      auto rows = reader.scan(e_.table_, aegis::storage::KeyRange{.from = from}, aegis::storage::Direction::forward);
      for (; n > 0 && rows.valid(); rows.next(), --n) f(rows.key(), rows.value());
      need(rows.status());
    }
    void begin(bool) { txn_.emplace(e_.engine_.begin()); }
    Status tget(Slice k, std::string& out) {
      auto value = txn_->get_for_update(e_.table_, k);
      if (!value) return status(value.error());
      if (!*value) return Status::not_found;
      out = std::move(**value);
      return Status::ok;
    }
    Status tput(Slice k, Slice v) {
      const auto done = txn_->put(e_.table_, k, v);
      return done ? Status::ok : status(done.error());
    }
    Status commit() {
      const auto done = txn_->commit();
      return done ? Status::ok : status(done.error());
    }
    void abort() { txn_.reset(); }

   private:
    Aegis& e_;
    std::optional<typename Engine::Transaction> txn_;
  };

 private:
  static Status status(const aegis::storage::Error& error) {
    if (aegis::storage::is_retryable(error.code())) return Status::conflict;
    fail("aegis: " + error.message());
  }
  template <class R>
  static auto need(R&& result) {
    if (!result) fail("aegis: " + result.error().message());
    if constexpr (!std::is_void_v<decltype(*result)>) return std::move(*result);
  }
  Engine engine_;
  typename Engine::Table table_;
};

}  // namespace bench
