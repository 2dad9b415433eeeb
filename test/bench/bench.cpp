// SPDX-License-Identifier: Apache-2.0
// One command line, several storage engines, the same workloads, one JSON line a run. Which peers take part is decided by
// which of their libraries the build found. See run.sh for the usual way to call it.
#include "aegis.hpp"
#include "workloads.hpp"
#if __has_include(<lmdb.h>) && !defined(BENCH_WITHOUT_LMDB)
#include "lmdb.hpp"
#define BENCH_LMDB , bench::Lmdb
#else
#define BENCH_LMDB
#endif
#if __has_include(<rocksdb/db.h>) && !defined(BENCH_WITHOUT_ROCKSDB)
#include "rocksdb.hpp"
#define BENCH_ROCKSDB , bench::Rocks
#else
#define BENCH_ROCKSDB
#endif

namespace bench {

template <class E>
bool maybe(const Config& c, bool list) {
  if (list) {
    std::printf("%s\n", std::string(E::name).c_str());
    return false;
  }
  if (c.engine != E::name) return false;
  if constexpr (requires { E::accepts(c); }) {  // an engine whose durability is a type comes as several adapters with one name
    if (!E::accepts(c)) return false;
  }
  Bench<E>(c).run();
  return true;
}

template <class... E>
bool dispatch(const Config& c, bool list) {
  return (maybe<E>(c, list) || ...);
}
bool all(const Config& c, bool list = false) {
  return dispatch<Aegis<aegis::storage::SyncDurability>, Aegis<aegis::storage::AsyncDurability> BENCH_LMDB BENCH_ROCKSDB>(c, list);
}

[[noreturn]] void usage() {
  std::fputs(
      "usage: bench --engine=E --workload=W[,W...] [options]    or: bench --list\n"
      "workloads: load readrandom fillrandom update commit scan tpcb\n"
      "  --records=N --key-size=8|16 --value-size=N --threads=N --ops=N | --seconds=S --cache-mb=N\n"
      "  --dir=PATH (bench.data) --sync=none|commit --batch=N --sample=N --branches=N --seed=N --tag=TEXT\n"
      "  --fill: load first, without reporting it\n",
      stderr);
  std::exit(2);
}

Config parse(int argc, char** argv) {
  Config c;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const std::size_t eq = a.find('=');
    const std::string n = a.substr(0, eq), v = eq == std::string::npos ? "" : a.substr(eq + 1);
    const auto num = [&] { return static_cast<u64>(std::strtod(v.c_str(), nullptr)); };
    if (n == "--list") all(c, true), std::exit(0);
    else if (n == "--engine") c.engine = v;
    else if (n == "--workload") c.workload = v;
    else if (n == "--records") c.records = num();
    else if (n == "--key-size") c.key_size = static_cast<unsigned>(num());
    else if (n == "--value-size") c.value_size = static_cast<unsigned>(num());
    else if (n == "--threads") c.threads = static_cast<unsigned>(num());
    else if (n == "--ops") c.ops = num();
    else if (n == "--seconds") c.seconds = std::strtod(v.c_str(), nullptr);
    else if (n == "--cache-mb") c.cache_mb = num();
    else if (n == "--dir") c.dir = v;
    else if (n == "--sync" && v == "none") c.sync = Sync::none;
    else if (n == "--sync" && v == "commit") c.sync = Sync::commit;
    else if (n == "--batch") c.batch = static_cast<unsigned>(num());
    else if (n == "--sample") c.sample = static_cast<unsigned>(num());
    else if (n == "--branches") c.branches = static_cast<unsigned>(num());
    else if (n == "--seed") c.seed = num();
    else if (n == "--tag") c.tag = v;
    else if (n == "--fill") c.fill = true;
    else usage();
  }
  if (c.engine.empty() || c.workload.empty() || (c.key_size != 8 && c.key_size != 16) || c.threads == 0) usage();
  c.transactional = c.workload.find("tpcb") != std::string::npos;
  return c;
}

}  // namespace bench

int main(int argc, char** argv) {
  const bench::Config c = bench::parse(argc, argv);
  try {
    if (!bench::all(c)) bench::usage();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s: %s\n", c.engine.c_str(), c.workload.c_str(), e.what());
    return 1;
  }
}
