// SPDX-License-Identifier: Apache-2.0
// Shared pieces of the benchmark. Configuration, deterministic keys and values, generators, latency
// histogram and process/file-system meters. Nothing here knows about any engine.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using Slice = std::string_view;

/// Durability class of a commit. All engines are mapped onto the same two.
enum class Sync {
  none,    ///< commit has reached the OS; survives kill -9, not a power cut
  commit,  ///< commit waits for fdatasync (or stronger); survives a power cut
};

struct Config {
  std::string engine, workload, dir = "bench.data", tag;
  u64 records = 1'000'000;
  unsigned key_size = 8;
  unsigned value_size = 100;
  unsigned threads = 1;
  u64 ops = 0;           ///< operations in total; 0: run for `seconds`
  double seconds = 3;
  u64 cache_mb = 4096;
  Sync sync = Sync::none;
  unsigned batch = 1000; ///< records per transaction in bulk loads
  unsigned sample = 0;   ///< time one operation in `sample`; 0: 1 when syncing, 8 otherwise
  unsigned branches = 10;
  u64 seed = 42;
  bool fill = false;     ///< load the records before the first workload, unreported
  bool transactional = false;  ///< set by the driver when the workload needs multi-record transactions
};

enum class Status { ok, not_found, conflict };

[[noreturn]] inline void fail(const std::string& what) { throw std::runtime_error(what); }

// --- numbers -----------------------------------------------------------------------------------

constexpr u64 mix64(u64 x) {  // splitmix64 finalizer: a bijection
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

struct Rng {
  u64 s;
  explicit Rng(u64 seed) : s(mix64(seed)) {}
  u64 next() { return mix64(s += 0x9e3779b97f4a7c15ull); }
  u64 below(u64 n) { return next() % n; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

// --- records -----------------------------------------------------------------------------------

inline void store_be(char* p, u64 v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, 8);
}
inline u64 load_be(const char* p) {
  u64 v;
  std::memcpy(&v, p, 8);
  return __builtin_bswap64(v);
}

/// A key for `id`: 8 bytes big-endian, or 16 bytes as (id / 256, id), a composite key whose first
/// half is shared by 256 neighbours. Byte order is id order for both.
struct Key {
  char b[16];
  unsigned n;
  Key(u64 id, unsigned size) : n(size) {
    if (size == 8) {
      store_be(b, id);
    } else {
      store_be(b, id >> 8);
      store_be(b + 8, id);
    }
  }
  operator Slice() const { return {b, n}; }
  static u64 id_of(Slice k) { return load_be(k.data() + k.size() - 8); }
};

/// Half-compressible values: id (8 bytes), salt (8 bytes), random bytes up to half the size, then
/// text that repeats. The id lets every read be verified.
class Values {
 public:
  explicit Values(unsigned size, u64 seed = 7) : size_(std::max(size, 16u)), pool_(1u << 16) {
    Rng rng(seed);
    for (std::size_t i = 0; i + 8 <= pool_.size(); i += 8) {
      const u64 r = rng.next();
      std::memcpy(pool_.data() + i, &r, 8);
    }
    static constexpr Slice text = "the quick brown fox jumps over the lazy dog; ";
    for (unsigned i = 0; i < size_; ++i) tail_.push_back(text[i % text.size()]);
  }
  unsigned size() const { return size_; }
  /// Writes the value into `out` (at least size() bytes).
  Slice make(char* out, u64 id, u64 salt) const {
    const unsigned half = std::max(16u, size_ / 2);
    std::memcpy(out, &id, 8);
    std::memcpy(out + 8, &salt, 8);
    if (half > 16) std::memcpy(out + 16, pool_.data() + (mix64(id ^ salt) & 0x7fff), half - 16);
    if (size_ > half) std::memcpy(out + half, tail_.data(), size_ - half);
    return {out, size_};
  }
  bool check(Slice v, u64 id) const { return v.size() == size_ && std::memcmp(v.data(), &id, 8) == 0; }

 private:
  unsigned size_;
  std::vector<char> pool_;
  std::string tail_;
};

// --- time --------------------------------------------------------------------------------------

inline double now_s() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
inline u64 ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
#endif
}
inline double ns_per_tick() {
  static const double v = [] {
    const double t0 = now_s();
    const u64 c0 = ticks();
    while (now_s() - t0 < 0.02) {
    }
    return (now_s() - t0) * 1e9 / static_cast<double>(ticks() - c0);
  }();
  return v;
}

/// Log-linear histogram of tick counts: 32 sub-buckets per power of two (error below 3.2 %).
class Histogram {
 public:
  void add(u64 v) { ++counts_[index(v)], ++total_; }
  void merge(const Histogram& o) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += o.counts_[i];
    total_ += o.total_;
  }
  double percentile_us(double p) const {
    if (total_ == 0) return 0;
    u64 want = static_cast<u64>(std::ceil(p * static_cast<double>(total_))), seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if ((seen += counts_[i]) >= want) return static_cast<double>(value(i)) * ns_per_tick() / 1e3;
    return 0;
  }

 private:
  static constexpr unsigned sub = 5;
  static std::size_t index(u64 v) {
    if (v < (1u << sub)) return v;
    const unsigned e = 63 - static_cast<unsigned>(std::countl_zero(v));
    return (static_cast<std::size_t>(e - sub + 1) << sub) + ((v >> (e - sub)) & ((1u << sub) - 1));
  }
  static u64 value(std::size_t i) {
    if (i < (1u << sub)) return i;
    const unsigned e = static_cast<unsigned>(i >> sub) + sub - 1;
    return (u64{1} << e) + ((i & ((1u << sub) - 1)) << (e - sub));
  }
  std::array<u64, 60u << sub> counts_{};
  u64 total_ = 0;
};

// --- meters ------------------------------------------------------------------------------------

inline double cpu_s() {
  rusage r;
  getrusage(RUSAGE_SELF, &r);
  return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}
inline void reset_peak_rss() {
  if (FILE* f = std::fopen("/proc/self/clear_refs", "w")) {
    std::fputs("5", f);
    std::fclose(f);
  }
}
inline u64 peak_rss_kb() {
  u64 kb = 0;
  if (FILE* f = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, f))
      if (std::sscanf(line, "VmHWM: %lu", &kb) == 1) break;
    std::fclose(f);
  }
  return kb;
}
/// Write-ahead log files, by the names the engines give them.
inline bool is_log(const std::string& file) {
  return file.starts_with("WiredTigerLog") || file.starts_with("WiredTigerPrep") || file.starts_with("log.") || file.ends_with("-wal") || file.ends_with(".log");
}
/// Allocated bytes (not apparent size: some engines keep sparse or preallocated files).
struct Disk {
  u64 total = 0, log = 0;
};
inline Disk disk_usage(const std::string& dir) {
  Disk sum;
  std::error_code ec;
  for (auto it = std::filesystem::recursive_directory_iterator(dir, ec);
       !ec && it != std::filesystem::recursive_directory_iterator(); it.increment(ec)) {
    struct stat st;
    if (::stat(it->path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    const u64 bytes = static_cast<u64>(st.st_blocks) * 512;
    sum.total += bytes;
    if (is_log(it->path().filename())) sum.log += bytes;
  }
  return sum;
}
/// Empties `dir`, or creates it. Refuses to touch a directory that no earlier run has made, so that a
/// mistyped --dir costs nobody a home directory.
inline void fresh_directory(const std::string& dir) {
  namespace fs = std::filesystem;
  const fs::path mark = fs::path(dir) / ".aegis-bench";
  if (fs::exists(dir) && !fs::is_empty(dir) && !fs::exists(mark)) fail(dir + " holds files that are not the benchmark's: choose another --dir");
  fs::remove_all(dir);
  fs::create_directories(dir);
  if (FILE* f = std::fopen(mark.c_str(), "w")) std::fclose(f);
}
/// Virtual disks vary from second to second. These probes, run right before and after a disk-bound
/// workload, give the raw latency at that moment, so that results compare as ratios.
/// Median microseconds of a 4 KiB overwrite + fdatasync of a fully written file next to `dir`.
inline double probe_sync_us(const std::string& dir) {
  const std::string path = dir + ".probe";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0644);
  if (fd < 0) return 0;
  constexpr int pages = 64;
  std::vector<char> page(4096 * pages, 'p');
  std::vector<double> us;
  if (::pwrite(fd, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size()) && ::fsync(fd) == 0)
    for (int i = 0; i < pages; ++i) {
      const double t = now_s();
      if (::pwrite(fd, page.data(), 4096, i * 4096) != 4096 || ::fdatasync(fd) != 0) break;
      us.push_back((now_s() - t) * 1e6);
    }
  ::close(fd);
  ::unlink(path.c_str());
  if (us.empty()) return 0;
  std::sort(us.begin(), us.end());
  return us[us.size() / 2];
}
/// What an engine's scan hands its rows to: touches every value so that nothing is skipped.
struct ScanSum {
  u64 rows = 0, sum = 0;
  void operator()(Slice k, Slice v) {
    ++rows;
    u64 a;
    std::memcpy(&a, v.data(), 8);
    sum += a + static_cast<u8>(k.back());
  }
  ~ScanSum() { asm volatile("" ::"r"(sum)); }  // keeps the optimizer from dropping in-memory scans
};

}  // namespace bench
