// SPDX-License-Identifier: Apache-2.0
// What isolation costs, as ratios of two measurements taken in turns, so that whatever else the machine does hits both:
// a commit beside 100,000 locks of another, writers beside a reader that stays open, 8 threads on one hot row. Ratios are
// only printed; a wrong answer, a lost update or memory above its cap ends the program with 1.
#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/isolation/two_phase_locking.hpp>
#include <aegis/storage/wal/durability.hpp>

#include "results.hpp"

#include <optional>
#include <thread>

namespace bench {
namespace {

namespace storage = aegis::storage;
using storage::Errc;

template <class Isolation>
using MemoryEngine = storage::Engine<storage::MemoryBackend, storage::AsyncDurability, Isolation>;

struct Sizes {
  u64 updates = 200'000;  // beside an open reader
  unsigned rounds = 15;
  double seconds = 0.1;   // of one measurement on the hot row
  unsigned threads = 8;
};

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}
/// The ratios of all rounds as a cell: the median, and the lowest and highest.
std::string spread(const std::vector<double>& ratios) {
  char text[64];
  const auto [low, high] = std::minmax_element(ratios.begin(), ratios.end());
  std::snprintf(text, sizeof text, "%.2f (%.2f to %.2f)", median(ratios), *low, *high);
  return text;
}

double thread_s() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
/// Seconds of one call: on the clock, and of the calling thread's processor, which others on the machine disturb less.
struct Time {
  double wall = 0, processor = 0;
};
template <class Fn>
Time timed(Fn&& fn) {
  const double wall = now_s(), processor = thread_s();
  fn();
  return {now_s() - wall, thread_s() - processor};
}

u64 resident_kb() {
  long total = 0, resident = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%ld %ld", &total, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return static_cast<u64>(resident) * static_cast<u64>(sysconf(_SC_PAGESIZE)) / 1024;
}

// --- a commit beside the locks of another --------------------------------------------------------

/// One-write transactions beside an open transaction that has locked so many other keys.
template <class Isolation>
class Locked {
 public:
  explicit Locked(u64 locks) : engine_(need(Engine::open(options()), "open")), table_(need(engine_.table("t"), "table")), holder_(engine_.begin()) {
    for (u64 i = 0; i < locks; ++i) need(holder_.put(table_, Key(first_locked + i, 8), "held"), "put of the holder");
    must(lock_count() >= locks, "the holder holds its locks");
  }
  void commit_some(u64 count) {
    for (u64 i = 0; i < count; ++i) {
      auto transaction = engine_.begin();
      need(transaction.put(table_, Key(next_++ % 1000, 8), "written"), "put");
      need(transaction.commit(), "commit");
    }
  }
  u64 lock_count() { return holder_.hold().store().manager().locks().stats().locks; }

 private:
  using Engine = MemoryEngine<Isolation>;
  static constexpr u64 first_locked = 1'000'000;
  static storage::EngineOptions options() {
    storage::EngineOptions options;
    options.max_transaction_bytes = std::size_t{32} << 20;
    return options;
  }

  Engine engine_;
  typename Engine::Table table_;
  typename Engine::Transaction holder_;
  u64 next_ = 0;
};

template <class Isolation>
void commit_beside_locks(const Sizes& sizes) {
  constexpr u64 locks = 100'000, count = 2'000;
  Locked<Isolation> few{1}, many{locks};
  std::vector<double> wall, processor, alone;
  few.commit_some(count), many.commit_some(count);
  for (unsigned round = 0; round < 2 * sizes.rounds; ++round) {
    Time without, with;
    const auto measure_few = [&] { without = timed([&] { few.commit_some(count); }); };
    const auto measure_many = [&] { with = timed([&] { many.commit_some(count); }); };
    if (round % 2 == 0) measure_few(), measure_many();
    else measure_many(), measure_few();
    wall.push_back(with.wall / without.wall);
    processor.push_back(with.processor / without.processor);
    alone.push_back(without.processor / count * 1e6);
  }
  must(many.lock_count() >= locks, "the locks were held throughout");
  std::printf("| %-18s | %8.2f us | %-22s | %-22s |\n", std::string{Isolation::name}.c_str(), median(alone), spread(processor).c_str(), spread(wall).c_str());
  std::fflush(stdout);
}

// --- writers beside a reader that stays open -----------------------------------------------------

constexpr u64 row_count = 1'000;
constexpr unsigned row_bytes = 100;

/// A writer's engine: rows (id, number of the update). With readers, two that stay open: a snapshot() and a begin().
template <class Isolation>
class Updated {
 public:
  Updated(std::size_t cap, bool with_readers) : cap_(cap), engine_(need(Engine::open(options(cap)), "open")), table_(need(engine_.table("t"), "table")), versions_of_(row_count) {
    update(row_count);
    if (!with_readers) return;
    snapshot_.emplace(engine_.snapshot());
    seen_by_snapshot_ = versions_of_;
    check(*snapshot_, seen_by_snapshot_, snapshot_is_old_);
    update(row_count / 2);  // so that the second one sees another state
    transaction_.emplace(engine_.begin());
    seen_by_transaction_ = versions_of_;
    check(*transaction_, seen_by_transaction_, transaction_is_old_);
  }

  void update(u64 count) {
    char room[row_bytes];
    for (u64 i = 0; i < count; ++i) {
      const u64 id = next_ % row_count;
      auto transaction = engine_.begin();
      need(transaction.put(table_, Key(id, 8), values_.make(room, id, next_)), "put");
      need(transaction.commit(), "commit");
      versions_of_[id] = next_++;
      if (i % 64 == 0) must(engine_.begin().hold().store().manager().versions().stats().bytes <= cap_, "memory of versions above its cap");
    }
  }
  /// All rows, by both readers: what they saw first, or snapshot_too_old ever after.
  void check_readers() {
    if (snapshot_) check(*snapshot_, seen_by_snapshot_, snapshot_is_old_);
    if (transaction_) check(*transaction_, seen_by_transaction_, transaction_is_old_);
  }
  void end_readers() {
    snapshot_.reset();
    transaction_.reset();
    while (engine_.begin().hold().store().upkeep().after_commit(), engine_.stats().transactions.versions != 0)
      must(++rounds_of_rest_ < 1'000'000, "versions are left when nobody reads");
    must(engine_.stats().transactions.version_bytes == 0, "version memory is left when nobody reads");
  }
  std::string readers_said() const {
    return std::string{snapshot_is_old_ ? "too old" : "right"} + ", " + (transaction_is_old_ ? "too old" : "right");
  }
  bool both_old() const { return snapshot_is_old_ && transaction_is_old_; }
  u64 version_bytes() { return engine_.stats().transactions.version_bytes; }

 private:
  using Engine = MemoryEngine<Isolation>;
  static storage::EngineOptions options(std::size_t cap) {
    storage::EngineOptions options;
    options.version_bytes = cap;
    options.log_bytes = std::uint64_t{16} << 20;
    return options;
  }
  template <class Reader>
  void check(Reader& reader, const std::vector<u64>& seen, bool& is_old) {
    for (u64 id = 0; id < row_count; ++id) {
      bool right = false;
      char room[row_bytes];
      const auto read = reader.read(table_, Key(id, 8), [&](Slice value) { right = value == values_.make(room, id, seen[id]); });
      if (!read) {
        must(read.error().code() == Errc::snapshot_too_old, "a reader got " + read.error().message());
        is_old = true;
      } else {
        must(!is_old, "a snapshot that was too old answers again");
        must(*read && right, "a reader saw another state than its own");
      }
    }
  }

  std::size_t cap_;
  Values values_{row_bytes};
  Engine engine_;
  typename Engine::Table table_;
  std::vector<u64> versions_of_, seen_by_snapshot_, seen_by_transaction_;  // the number of the update that each row has
  std::optional<typename Engine::ReadTransaction> snapshot_;
  std::optional<typename Engine::Transaction> transaction_;
  bool snapshot_is_old_ = false, transaction_is_old_ = false;
  u64 next_ = 0, rounds_of_rest_ = 0;
};

template <class Isolation>
void writers_beside_reader(const Sizes& sizes, std::size_t cap, bool fits) {
  Updated<Isolation> alone{cap, false}, read{cap, true};
  const u64 slices = std::max<u64>(40, sizes.updates / 100'000), slice = std::max<u64>(1, sizes.updates / slices);
  u64 resident_at_first = 0, most_resident = 0, most_bytes = 0;
  std::vector<double> wall, processor, rate;
  for (u64 i = 0; i < slices; ++i) {
    Time without, with;
    const auto measure_alone = [&] { without = timed([&] { alone.update(slice); }); };
    const auto measure_read = [&] { with = timed([&] { read.update(slice); }); };
    if (i % 2 == 0) measure_alone(), measure_read();
    else measure_read(), measure_alone();
    wall.push_back(with.wall / without.wall);
    processor.push_back(with.processor / without.processor);
    rate.push_back(static_cast<double>(slice) / without.wall);
    most_bytes = std::max(most_bytes, read.version_bytes());
    most_resident = std::max(most_resident, resident_kb());
    if (i == 0) resident_at_first = most_resident;
    read.check_readers();
  }
  must(fits || read.both_old(), "readers whose versions cannot fit must be told that they are too old");
  read.end_readers();
  std::printf("| %-18s | %8zu KiB | %10llu | %8.0f/s | %-22s | %-22s | %8llu KiB | %+7lld KiB | %-16s |\n", std::string{Isolation::name}.c_str(), cap >> 10,
              static_cast<unsigned long long>(slices * slice), median(rate), spread(processor).c_str(), spread(wall).c_str(), static_cast<unsigned long long>(most_bytes >> 10),
              static_cast<long long>(most_resident - resident_at_first), read.readers_said().c_str());
  std::fflush(stdout);
}

// --- one hot row ---------------------------------------------------------------------------------

/// A counter that all threads add to.
template <class Isolation>
class Hot {
 public:
  explicit Hot(bool locks) : locks_(locks), engine_(need(Engine::open(storage::EngineOptions{}), "open")), table_(need(engine_.table("t"), "table")) {
    need(engine_.transact([&](auto& transaction) { return transaction.put(table_, "hot", Key(0, 8)); }), "first put");
  }

  /// Commits a second of so many threads.
  double rate(unsigned threads, double seconds) {
    std::atomic<bool> stop{false};
    std::atomic<u64> done{0};
    std::vector<std::thread> crew;
    const double begun = now_s();
    for (unsigned i = 0; i < threads; ++i)
      crew.emplace_back([&] {
        u64 mine = 0;
        for (; !stop.load(std::memory_order_relaxed); ++mine) retries_.fetch_add(add_one(), std::memory_order_relaxed);
        done.fetch_add(mine);
      });
    timespec span{};
    span.tv_nsec = static_cast<long>(seconds * 1e9);
    nanosleep(&span, nullptr);
    stop.store(true);
    for (std::thread& each : crew) each.join();
    const double took = now_s() - begun;
    total_ += done.load();
    return static_cast<double>(done.load()) / took;
  }
  /// Nothing was lost, where the level says so.
  void check() {
    auto reader = engine_.snapshot();
    const auto value = need(reader.get(table_, "hot"), "last get");
    must(value.has_value(), "the hot row is there");
    const u64 counted = load_be(value->data());
    if (locks_ || Isolation::conflict_on_newer_version || Isolation::reads_take_locks) must(counted == total_, "an update of the hot row was lost");
  }
  double retries_per_commit() const { return total_ == 0 ? 0 : static_cast<double>(retries_.load()) / static_cast<double>(total_); }
  void forget_retries() { retries_.store(0); }

 private:
  using Engine = MemoryEngine<Isolation>;

  u64 add_one() {
    const auto committed = engine_.transact(
        [&](typename Engine::Transaction& transaction) -> storage::Result<void> {
          auto value = locks_ ? transaction.get_for_update(table_, "hot") : transaction.get(table_, "hot");
          if (!value) return value.error();
          return transaction.put(table_, "hot", Key(load_be((*value)->data()) + 1, 8));
        },
        1'000'000);
    if (!committed) fail("transact: " + committed.error().message());
    return committed->retries;
  }

  bool locks_;
  Engine engine_;
  typename Engine::Table table_;
  u64 total_ = 0;
  std::atomic<u64> retries_{0};
};

template <class Isolation>
void hot_row(const Sizes& sizes, bool locks) {
  Hot<Isolation> hot{locks};
  (void)hot.rate(1, sizes.seconds);
  std::vector<double> ratios, one_thread;
  for (unsigned round = 0; round < sizes.rounds; ++round) {
    double one = 0, many = 0;
    if (round % 2 == 0) one = hot.rate(1, sizes.seconds), many = hot.rate(sizes.threads, sizes.seconds);
    else many = hot.rate(sizes.threads, sizes.seconds), one = hot.rate(1, sizes.seconds);
    ratios.push_back(many / one);
    one_thread.push_back(one);
  }
  hot.check();
  std::printf("| %-18s | %-20s | %8.0f/s | %-22s | %7.2f |\n", std::string{Isolation::name}.c_str(), locks ? "get_for_update, put" : "get, put", median(one_thread), spread(ratios).c_str(),
              hot.retries_per_commit());
  std::fflush(stdout);
}

template <class Fn>
void every_level(Fn&& fn) {
  fn(storage::ReadCommitted{});
  fn(storage::SnapshotIsolation{});
  fn(storage::Serializable{});
  fn(storage::TwoPhaseLocking{});
}

void run(const Sizes& sizes, const std::string& only) {
  if (only.empty() || only == "locks") {
    std::printf("\nbegin, one put, commit: beside another's 100,000 locks against beside one (ratios, 1.00: they cost nothing)\n\n");
    std::printf("| %-18s | %-11s | %-22s | %-22s |\n", "isolation", "beside one", "processor time", "time");
    every_level([&]<class Isolation>(Isolation) { commit_beside_locks<Isolation>(sizes); });
  }
  if (only.empty() || only == "reader") {
    std::printf("\nupdates of 1,000 rows: beside a snapshot() and a begin() that stay open against nobody (ratios, at most 1.30 wanted)\n\n");
    std::printf("| %-18s | %-12s | %-10s | %-10s | %-22s | %-22s | %-12s | %-11s | %-16s |\n", "isolation", "version cap", "updates", "alone", "processor time", "time", "versions", "resident", "readers");
    writers_beside_reader<storage::SnapshotIsolation>(sizes, std::size_t{8} << 20, true);
    writers_beside_reader<storage::SnapshotIsolation>(sizes, std::size_t{128} << 10, false);
    writers_beside_reader<storage::Serializable>(sizes, std::size_t{8} << 20, true);
  }
  if (only.empty() || only == "hot") {
    std::printf("\none hot row, read, raised by one, written, with transact: %u threads against one (ratio of throughputs, at least 0.50 wanted)\n\n", sizes.threads);
    std::printf("| %-18s | %-20s | %-10s | %-22s | %-7s |\n", "isolation", "reads with", "one thread", "ratio", "retries");
    for (const bool locks : {true, false}) every_level([&]<class Isolation>(Isolation) { hot_row<Isolation>(sizes, locks); });
  }
}

u64 number_from(const char* name, u64 otherwise) {
  const char* given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    bench::Sizes sizes;
    std::string only;
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (word == "--long") sizes.updates = 10'000'000, sizes.rounds = 31;
      else if (word == "locks" || word == "reader" || word == "hot") only = word;
      else bench::fail("usage: isolation_costs [--long] [locks | reader | hot]");
    }
    sizes.updates = bench::number_from("AEGIS_UPDATES", sizes.updates);
    sizes.rounds = static_cast<unsigned>(bench::number_from("AEGIS_ROUNDS", sizes.rounds));
    bench::run(sizes, only);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "isolation_costs: %s\n", error.what());
    return 1;
  }
}
