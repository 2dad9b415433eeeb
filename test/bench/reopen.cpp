// SPDX-License-Identifier: Apache-2.0
// What a reopening costs after kill -9: a child fills a log and is killed, another one opens the store, of which nothing is in
// the system's cache, and says how long that took up to the first answered read and what memory it needed: for a short log and
// a long one, with one thing done over and over in each, and for two pools. Times are only printed; a row that is missing or
// wrong afterwards ends the program with 1.
#include <aegis/storage.hpp>

#include "results.hpp"

#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

namespace storage = aegis::storage;
namespace fs = std::filesystem;
using Db = storage::Engine<>;                                  // what is measured
using Filler = storage::Engine<storage::AsyncDurability>;       // the same layout, filled in less time
constexpr std::size_t mib = 1 << 20;

struct Workload {
  const char* name;
  u64 rows;            // in the table before the log is filled, up to a checkpoint
  std::size_t value_bytes;
  bool random, fresh;  // keys in random order; of rows that are not there yet
  bool alone;          // one row a transaction, with a key of eight bytes instead of twenty; otherwise 100,000 bytes of rows
};
constexpr Workload workloads[] = {
    {"an empty table, rows of 100 bytes at random, one a commit", 0, 100, true, true, true},
    {"an empty table, rows of 100 bytes at random", 0, 100, true, true, false},
    {"an empty table, rows of 100 bytes in order", 0, 100, false, true, false},
    {"1,000,000 rows of 100 bytes, rewritten at random", 1'000'000, 100, true, false, false},
    {"20,000 rows of 1,000 bytes, rewritten in order", 20'000, 1000, false, false, false},
};

storage::EngineOptions options_of(const std::string& directory, std::size_t log_mib, std::size_t pool_mib) {
  storage::EngineOptions options;
  options.directory = directory;
  options.pool_bytes = pool_mib * mib;
  options.log_bytes = std::uint64_t{log_mib} * 4 * mib;  // so far from its bound that no checkpoint comes of itself
  return options;
}

std::size_t status_kib(const char* field) {
  std::size_t kib = 0;
  if (FILE* f = std::fopen("/proc/self/status", "r")) {
    for (char line[256]; std::fgets(line, sizeof line, f) != nullptr;)
      if (std::strncmp(line, field, std::strlen(field)) == 0) kib = std::strtoull(line + std::strlen(field) + 1, nullptr, 10);
    std::fclose(f);
  }
  return kib;
}

double processor_s() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Outcome {
  u64 rows = 0, transactions = 0, sum = 0;  // sum: over rows, of the number that each was written with last
  double seconds = 0, processor_seconds = 0;
  std::size_t peak_kib = 0;                 // resident, beyond what the process began with
};

/// Runs fn() -> Outcome in a child, which then kills itself.
template <class Fn>
Outcome in_killed_child(Fn&& fn) {
  int ends[2];
  if (::pipe(ends) != 0) fail("pipe");
  const ::pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    const Outcome outcome = fn();
    if (::write(ends[1], &outcome, sizeof outcome) == static_cast<::ssize_t>(sizeof outcome)) ::kill(::getpid(), SIGKILL);
    std::_Exit(1);
  }
  ::close(ends[1]);
  Outcome outcome;
  const bool told = ::read(ends[0], &outcome, sizeof outcome) == static_cast<::ssize_t>(sizeof outcome);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!told) std::exit(1);
  return outcome;
}

u64 key_number(const Workload& work, u64 i) {
  if (work.rows != 0) i = work.random ? (i * 0x9E3779B97F4A7C15u >> 20) % work.rows : i % work.rows;
  else if (work.random) i *= 0x9E3779B97F4A7C15u;  // odd, so no two are equal
  return i;
}

std::string key_of(const Workload& work, u64 i) {
  char key[24];
  if (!work.alone) return {key, static_cast<std::size_t>(std::snprintf(key, sizeof key, "%020llu", static_cast<unsigned long long>(i)))};
  for (int byte = 0; byte < 8; ++byte) key[byte] = static_cast<char>(i >> (56 - 8 * byte));
  return {key, 8};
}

void put_rows(Filler& engine, const Filler::Table& table, const Workload& work, u64 from, u64 to, bool loading) {
  std::string value(work.value_bytes, 'v');
  const auto done = engine.transact([&](auto& txn) -> aegis::storage::Result<void> {
    for (u64 i = from; i < to; ++i) {
      std::snprintf(value.data(), value.size(), "%llu", static_cast<unsigned long long>(loading ? 0 : i));
      AEGIS_TRY(txn.put(table, key_of(work, loading ? i : key_number(work, i)), value));
    }
    return {};
  });
  need(done, "commit");
}

template <class Engine>
Outcome count(Engine& engine, const typename Engine::Table& table) {
  Outcome outcome;
  auto reader = engine.snapshot();
  auto cursor = reader.scan(table);
  for (; cursor.valid(); cursor.next()) {
    ++outcome.rows;
    outcome.sum += std::strtoull(std::string{cursor.value().substr(0, 20)}.c_str(), nullptr, 10);
  }
  need(cursor.status(), "scan");
  return outcome;
}

Outcome fill(const std::string& directory, std::size_t log_mib, const Workload& work) {
  auto options = options_of(directory, log_mib, 1024);
  options.maintenance_thread = false;
  auto engine = need(Filler::open(options), "open");
  const auto table = need(engine.table("rows"), "table");
  for (u64 i = 0; i < work.rows; i += 1000) put_rows(engine, table, work, i, std::min(i + 1000, work.rows), true);
  need(engine.checkpoint(), "checkpoint");
  const u64 step = work.alone ? 1 : std::max<u64>(1, 100'000 / work.value_bytes);
  u64 next = 0;
  while (engine.stats().log_bytes < log_mib * mib)
    for (int i = 0; i < (work.alone ? 1000 : 1); ++i, next += step) put_rows(engine, table, work, next, next + step, false);
  return count(engine, table);
}

/// Takes what is stored out of the system's cache.
void make_cold(const std::string& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const int file = ::open(entry.path().c_str(), O_RDWR);
    if (file < 0 || ::fsync(file) != 0 || ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) fail("a file of the store");
    ::close(file);
  }
}

Outcome reopen(const std::string& directory, std::size_t log_mib, std::size_t pool_mib, const Workload& work) {
  const std::size_t before = status_kib("VmRSS");
  const double start = now_s(), processor_start = processor_s();
  auto engine = need(Db::open(options_of(directory, log_mib, pool_mib)), "reopen");
  const auto table = need(engine.table("rows"), "table");
  must(need(engine.snapshot().get(table, key_of(work, key_number(work, 0))), "get").has_value(), "the first row is missing");
  const double seconds = now_s() - start, processor_seconds = processor_s() - processor_start;
  const std::size_t peak = status_kib("VmHWM") - before;
  Outcome outcome = count(engine, table);
  outcome.seconds = seconds;
  outcome.processor_seconds = processor_seconds;
  outcome.peak_kib = peak;
  outcome.transactions = engine.stats().recovery.transactions;
  return outcome;
}

void measure(const std::string& directory, std::size_t log_mib, std::size_t pool_mib, const Workload& work) {
  fs::remove_all(directory);
  const Outcome filled = in_killed_child([&] { return fill(directory, log_mib, work); });
  make_cold(directory);
  const Outcome found = in_killed_child([&] { return reopen(directory, log_mib, pool_mib, work); });
  must(found.rows == filled.rows && found.sum == filled.sum, "rows are missing or old after the reopening");
  std::printf("%-58s %8zu %9zu %12llu %9.2f %6.2f %10.1f\n", work.name, log_mib, pool_mib, static_cast<unsigned long long>(found.transactions), found.seconds,
              found.processor_seconds, static_cast<double>(found.peak_kib) / 1024);
  std::fflush(stdout);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) try {
  using namespace bench;
  std::size_t log_mib = 256;
  std::vector<std::size_t> pools{64, 512};
  std::string directory = "reopen.data", only;
  for (int i = 1; i < argc; i += 2) {
    const std::string word = argv[i];
    if (i + 1 == argc) fail(word + " wants a value");
    if (word == "--log-mib") log_mib = std::strtoull(argv[i + 1], nullptr, 10);
    else if (word == "--pool-mib") pools = {std::strtoull(argv[i + 1], nullptr, 10)};
    else if (word == "--only") only = argv[i + 1];
    else if (word == "--dir") directory = argv[i + 1];
    else fail("unknown option " + word);
  }
  std::printf("%-58s %8s %9s %12s %9s %6s %10s\n", "log written by", "log, MiB", "pool, MiB", "transactions", "reopen, s", "cpu, s", "peak, MiB");
  for (const Workload& work : workloads) {
    if (std::strstr(work.name, only.c_str()) == nullptr) continue;
    for (const std::size_t pool : pools)
      for (const std::size_t log : {log_mib / 4, log_mib}) measure(directory, log, pool, work);
  }
  fs::remove_all(directory);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
