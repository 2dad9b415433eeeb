// SPDX-License-Identifier: Apache-2.0
// The workloads, written once against the adapters' common interface and instantiated for each engine. One JSON line a
// workload goes to standard output.
#pragma once

#include <concepts>
#include <exception>
#include <latch>
#include <optional>
#include <thread>

#include "common.hpp"

namespace bench {

struct Worker {
  unsigned id = 0;
  Rng rng{0};
  Histogram hist;
  u64 ops = 0, conflicts = 0, misses = 0, bad = 0;
  u64 start = 0, end = 0;
  std::vector<u32> picks;  ///< pre-drawn record numbers, so that drawing them costs nothing below
  std::string out;
  std::vector<char> buf;
  u32 pick(u64 i) const { return picks[i & (picks.size() - 1)]; }
};

struct Io {
  u64 read = 0, written = 0;
  static Io now() {
    Io io;
    if (FILE* f = std::fopen("/proc/self/io", "r")) {
      char line[128];
      while (std::fgets(line, sizeof line, f)) {
        std::sscanf(line, "read_bytes: %lu", &io.read);
        std::sscanf(line, "write_bytes: %lu", &io.written);
      }
      std::fclose(f);
    }
    return io;
  }
};

template <class E>
class Bench {
  using Session = typename E::Session;

 public:
  explicit Bench(const Config& c) : cfg_(c), values_(c.value_size, c.seed), records_(c.records) {}

  /// Runs the comma-separated workloads in order on one database.
  void run() {
    fresh_directory(cfg_.dir);
    const std::string list = cfg_.workload;
    db_.emplace(cfg_);
    if (cfg_.fill) fill();
    for (std::size_t p = 0; p <= list.size();) {
      const std::size_t q = std::min(list.find(',', p), list.size());
      const std::string w = list.substr(p, q - p);
      p = q + 1;
      one(w);
    }
    db_.reset();
  }

 private:
  // --- the workloads ---------------------------------------------------------------------------

  void one(const std::string& w) {
    if (w == "load") return load();
    if (w == "scan") return scan();
    if (w == "tpcb") return tpcb();
    if (w == "readrandom")
      return drive(w, [&](Worker& k) { uniform(k); }, [&](Session& s, Worker& k, u64 i) { read(s, k, k.pick(i)); });
    if (w == "fillrandom") {  // inserts into an empty database, in random key order, one per transaction
      std::atomic<u64> seq{0};
      drive(w, [](Worker&) {}, [&](Session& s, Worker& k, u64) { write(s, k, mix64(seq.fetch_add(1, std::memory_order_relaxed))); });
      records_ = seq;
      return;
    }
    if (w == "update" || w == "commit") {  // one upsert of a uniformly chosen record per transaction
      drive(w, [&](Worker& k) { uniform(k); }, [&](Session& s, Worker& k, u64 i) { write(s, k, k.pick(i)); }, w == "update");
      return;
    }
    fail("unknown workload: " + w);
  }

  /// Sequential load in transactions of `batch` records; time includes the engine's settling
  /// (checkpoint, flush, compaction), so that every engine ends with clean, durable data.
  void load() {
    const Meter m;
    Worker k;
    fill();
    k.ops = records_;
    report("load", m, m.seconds(), k);
  }
  void fill() {
    const u64 n = records_;
    {
      Session s(*db_);
      std::vector<char> buf(values_.size());
      for (u64 i = 0; i < n;) {
        s.begin(true);
        for (unsigned j = 0; j < cfg_.batch && i < n; ++j, ++i) s.load(Key(i, cfg_.key_size), values_.make(buf.data(), i, 0));
        if (s.commit() != Status::ok) fail("load: commit failed");
      }
    }
    db_->settle();
  }

  void scan() {
    const Meter m;
    Worker k;
    Session s(*db_);
    do {
      ScanSum sum;
      const u64 a = ticks();
      s.scan(Key(0, cfg_.key_size), ~u64{0} >> 1, sum);
      k.hist.add(ticks() - a);
      if (sum.rows < records_) ++k.bad;
      k.ops += sum.rows;
    } while (m.seconds() < cfg_.seconds);
    report("scan", m, m.seconds(), k);
  }

  /// TPC-B-like: branch, teller and account balances move by the same amount; a history row
  /// records it. Serializability of the balances is checked at the end: the four sums must agree.
  void tpcb() {
    const u64 branches = cfg_.branches, tellers = branches * 10, accounts = records_;
    enum : u64 { branch = 1ull << 56, teller = 2ull << 56, account = 3ull << 56, history = 4ull << 56 };
    {
      Session s(*db_);
      std::vector<char> buf(values_.size());
      auto fill = [&](u64 table, u64 n) {
        for (u64 i = 0; i < n;) {
          s.begin(true);
          for (unsigned j = 0; j < cfg_.batch && i < n; ++j, ++i) {
            values_.make(buf.data(), 0, i);
            s.load(Key(table | i, cfg_.key_size), {buf.data(), values_.size()});
          }
          if (s.commit() != Status::ok) fail("tpcb: load failed");
        }
      };
      fill(branch, branches), fill(teller, tellers), fill(account, accounts);
    }
    db_->settle();
    drive("tpcb", [](Worker&) {}, [&](Session& s, Worker& k, u64 i) {
      const u64 t = k.rng.below(tellers), b = t / 10, a = k.rng.below(accounts);
      const std::int64_t delta = static_cast<std::int64_t>(k.rng.below(1999999)) - 999999;
      const u64 keys[3] = {account | a, teller | t, branch | b};  // one order, hot rows last: no deadlocks
      k.buf.resize(values_.size());
      for (;;) {
        bool ok = true;
        s.begin(true);
        for (int j = 0; ok && j < 3; ++j) {
          const Key key(keys[j], cfg_.key_size);
          const Status g = s.tget(key, k.out);
          if (g == Status::not_found) fail("tpcb: row missing");
          if ((ok = g == Status::ok)) {
            std::int64_t balance;
            std::memcpy(&balance, k.out.data(), 8);
            balance += delta;
            std::memcpy(k.out.data(), &balance, 8);
            ok = s.tput(key, k.out) == Status::ok;
          }
        }
        if (ok) {
          values_.make(k.buf.data(), static_cast<u64>(delta), i);
          ok = s.tput(Key(history | (u64{k.id} << 40) | i, cfg_.key_size), {k.buf.data(), values_.size()}) == Status::ok;
        }
        if (ok) {
          if (s.commit() == Status::ok) return;
          if (!commit_failure_ends_txn()) s.abort();
        } else {
          s.abort();
        }
        ++k.conflicts;
      }
    }, false, [&](Worker& total) {
      Session s(*db_);
      std::int64_t sums[5] = {};
      auto add = [&](Slice key, Slice v) {
        std::int64_t x;
        std::memcpy(&x, v.data(), 8);
        sums[Key::id_of(key) >> 56] += x;
      };
      s.scan(Key(branch, cfg_.key_size), ~u64{0} >> 1, add);
      if (sums[1] != sums[2] || sums[1] != sums[3] || sums[1] != sums[4]) ++total.bad;
    });
  }

  // --- record operations -----------------------------------------------------------------------

  void read(Session& s, Worker& k, u64 id) {
    const Status st = s.get(Key(id, cfg_.key_size), k.out);
    if (st != Status::ok) {
      ++k.misses;
    } else if (!values_.check(k.out, id)) {
      ++k.bad;
    }
  }
  void write(Session& s, Worker& k, u64 id) {
    if (k.buf.size() < values_.size()) k.buf.resize(values_.size());
    const Key key(id, cfg_.key_size);
    const Slice v = values_.make(k.buf.data(), id, k.rng.next());
    while (s.put(key, v) != Status::ok) ++k.conflicts;
  }

  // --- machinery -------------------------------------------------------------------------------

  template <class F>
  void draw(Worker& k, F f) {
    std::size_t n = 1u << 20;
    if (cfg_.ops && cfg_.ops < n) n = std::bit_ceil(cfg_.ops);
    k.picks.resize(n);
    for (auto& p : k.picks) p = f();
  }
  void uniform(Worker& k) {
    draw(k, [&] { return static_cast<u32>(k.rng.below(records_)); });
  }

  struct Meter {
    double t0 = now_s(), c0 = (reset_peak_rss(), cpu_s());
    Io io0 = Io::now();
    double seconds() const { return now_s() - t0; }
  };

  static constexpr bool commit_failure_ends_txn() {
    if constexpr (requires { E::commit_failure_ends_txn; }) return E::commit_failure_ends_txn;
    return false;
  }

  template <class P, class O>
  void drive(const std::string& label, P prepare, O op, bool settle = false) {
    drive(label, prepare, op, settle, [](Worker&) {});
  }
  template <class P, class O, class C>
  void drive(const std::string& label, P prepare, O op, bool settle, C check) {
    const unsigned n = cfg_.threads;
    const unsigned sample = cfg_.sample ? cfg_.sample : cfg_.sync == Sync::commit ? 1 : 8;
    const u64 limit = cfg_.ops ? (cfg_.ops + n - 1) / n : ~u64{0};
    const u64 span = static_cast<u64>(cfg_.seconds * 1e9 / ns_per_tick());
    const bool durable = cfg_.sync == Sync::commit;
    auto probe = [&] { return durable ? probe_sync_us(cfg_.dir) : 0.0; };
    const double probe_before = probe();
    std::vector<Worker> workers(n);
    std::vector<std::exception_ptr> errors(n);
    std::latch ready(n), go(1);
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < n; ++t)
      threads.emplace_back([&, t] {
        Worker& k = workers[t];
        bool arrived = false;
        try {
          k.id = t;
          k.rng = Rng(cfg_.seed * 1000 + t);
          prepare(k);
          Session s(*db_);
          arrived = true;
          ready.count_down();
          go.wait();
          k.start = ticks();
          const u64 deadline = cfg_.ops ? ~u64{0} : k.start + span;
          u64 i = 0;
          while (i < limit) {
            const u64 a = ticks();
            op(s, k, i++);
            const u64 b = ticks();
            k.hist.add(b - a);
            if (b > deadline) break;
            for (unsigned j = 1; j < sample && i < limit; ++j) op(s, k, i++);
          }
          k.end = ticks();
          k.ops = i;
        } catch (...) {
          errors[t] = std::current_exception();
          if (!arrived) ready.count_down();
        }
      });
    ready.wait();
    const Meter m;
    go.count_down();
    threads.clear();
    for (auto& e : errors)
      if (e) std::rethrow_exception(e);
    Worker total;
    u64 first = ~u64{0}, last = 0;
    for (Worker& k : workers) {
      total.hist.merge(k.hist);
      total.ops += k.ops, total.conflicts += k.conflicts, total.misses += k.misses, total.bad += k.bad;
      first = std::min(first, k.start), last = std::max(last, k.end);
    }
    const double took = static_cast<double>(last - first) * ns_per_tick() * 1e-9;
    const double cpu = cpu_s() - m.c0;
    std::string extra;
    if (durable) {
      char b[96];
      std::snprintf(b, sizeof b, ",\"probe_before_us\":%.1f,\"probe_after_us\":%.1f", probe_before, probe());
      extra = b;
    }
    if (settle) {
      char b[96];
      const double t = now_s();
      db_->settle();
      std::snprintf(b, sizeof b, ",\"settle_s\":%.3f", now_s() - t);
      extra += b;
    }
    check(total);
    report(label, m, took, total, extra, cpu);
  }

  const char* sync_name() const { return cfg_.sync == Sync::none ? "none" : "commit"; }

  void report(const std::string& label, const Meter& m, double took, const Worker& k, const std::string& extra = "", double cpu = -1) {
    if (cpu < 0) cpu = cpu_s() - m.c0;
    const Io io = Io::now();
    const Disk disk = disk_usage(cfg_.dir);
    const double logical = static_cast<double>(records_) * (cfg_.key_size + cfg_.value_size);
    std::printf(
        "{\"engine\":\"%s\",\"workload\":\"%s\",\"tag\":\"%s\",\"records\":%lu,\"key\":%u,\"value\":%u,\"threads\":%u,\"sync\":\"%s\","
        "\"cache_mb\":%lu,\"isolation\":\"%s\",\"seconds\":%.3f,\"ops\":%lu,\"ops_s\":%.1f,\"p50_us\":%.3f,\"p99_us\":%.3f,"
        "\"p999_us\":%.3f,\"disk_bytes\":%lu,\"log_bytes\":%lu,\"space_amp\":%.3f,\"peak_rss_kb\":%lu,\"cpu_s\":%.3f,\"cpu_us_per_op\":%.3f,\"read_mb\":%.1f,\"written_mb\":%.1f,"
        "\"conflicts\":%lu,\"misses\":%lu,\"bad\":%lu%s}\n",
        std::string(E::name).c_str(), label.c_str(), cfg_.tag.c_str(), records_, cfg_.key_size, cfg_.value_size, cfg_.threads, sync_name(),
        cfg_.cache_mb, std::string(E::isolation).c_str(), took, k.ops, static_cast<double>(k.ops) / took,
        k.hist.percentile_us(0.5), k.hist.percentile_us(0.99), k.hist.percentile_us(0.999), disk.total, disk.log, static_cast<double>(disk.total - disk.log) / logical, peak_rss_kb(), cpu,
        k.ops ? cpu * 1e6 / static_cast<double>(k.ops) : 0, static_cast<double>(io.read - m.io0.read) / 1e6, static_cast<double>(io.written - m.io0.written) / 1e6,
        k.conflicts, k.misses, k.bad, extra.c_str());
    std::fflush(stdout);
  }

  Config cfg_;
  Values values_;
  u64 records_;
  std::optional<E> db_;
};

}  // namespace bench
