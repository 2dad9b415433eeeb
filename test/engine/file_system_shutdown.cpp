// SPDX-License-Identifier: Apache-2.0
// Real file systems that lose what was not synced: an ext4 and an XFS image behind a loop device are shut down under a
// working store (FS_IOC_SHUTDOWN without a flush of their log), unmounted, mounted and opened again; every acknowledged commit is
// there, nothing half, nothing that was lost once. Needs root, loop devices and mkfs; says why when it is skipped.
// AEGIS_ROUNDS=200 takes so many cycles of each.
#include "engine/kill_store.hpp"

#include "file/temporary_directory.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>

#include <fcntl.h>
#include <sys/ioctl.h>

using namespace aegis_test;

namespace {

/// Runs a command of the system; what it printed, or nothing when it failed.
bool succeeds(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

/// A file system of its own in a file.
class LoopMount {
 public:
  LoopMount(const TemporaryDirectory& place, std::string kind) : kind_(std::move(kind)), image_(place / (kind_ + ".img")), directory_(place / kind_) {
    if (::geteuid() != 0) missing_ = "not root";
    else if (!succeeds("command -v mkfs." + kind_)) missing_ = "no mkfs." + kind_;
    else if (::mkdir(directory_.c_str(), 0700) != 0 || !succeeds("truncate -s 400M " + image_) || !succeeds("mkfs." + kind_ + " -q " + image_)) missing_ = "mkfs." + kind_ + " failed";
    else if (!mount()) missing_ = "no loop device, or no right to mount one";
    else if (!shut_down() || !unmount() || !mount()) missing_ = "the kernel does not shut " + kind_ + " down";
  }
  LoopMount(const LoopMount&) = delete;
  ~LoopMount() {
    if (is_mounted_ && !unmount()) (void)succeeds("umount -l " + directory_);
  }

  const std::string& missing() const { return missing_; }
  std::string operator/(const std::string& name) const { return directory_ + "/" + name; }

  bool mount() { return is_mounted_ = succeeds("mount -t " + kind_ + " -o loop " + image_ + " " + directory_); }
  bool unmount() {
    is_mounted_ = !succeeds("umount " + directory_);
    return !is_mounted_;
  }
  /// Nothing that is not on the device now will ever be; every later call gives EIO, the first one perhaps too.
  bool shut_down() const {
    const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == EIO;
    constexpr std::uint32_t without_log_flush = 2;
    std::uint32_t flags = without_log_flush;
    const bool done = ::ioctl(fd, _IOR('X', 125, std::uint32_t), &flags) == 0 || errno == EIO;
    if (!done) MESSAGE("shutdown: " << std::strerror(errno));
    ::close(fd);
    return done;
  }

 private:
  std::string kind_, image_, directory_, missing_;
  bool is_mounted_ = false;
};

struct Counts {
  std::uint64_t cycles = 0, in_opening = 0, in_checkpoint = 0, at_work = 0, recoveries = 0, replayed = 0;
};

void run(const std::string& kind, std::uint64_t default_seed) {
  const TemporaryDirectory place;
  LoopMount mount{place, kind};
  if (!mount.missing().empty()) {
    MESSAGE("skipped: " << mount.missing());
    return;
  }
  const char* given = std::getenv("AEGIS_ROUNDS");
  const std::uint64_t cycles = given != nullptr ? std::strtoull(given, nullptr, 0) : 12, first = seed(default_seed);
  INFO("AEGIS_SEED=" << first << " test/engine/file_system_shutdown " << kind);
  Random random{first};
  Counts counts;
  KnownStore known;
  std::string store;
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t cycle = 0; cycle < cycles; ++cycle, ++counts.cycles) {
    if (cycle % 20 == 0) {  // a store of its own for every twenty generations
      if (!store.empty()) (void)succeeds("rm -r " + store);
      known = {};
      store = mount / ("store" + std::to_string(cycle));
    }
    const std::uint64_t child_seed = random.next(), events = random.below(400);
    RunningLife life{known, [&](int pipe) { KilledStore<DoomedSync>{store, known, child_seed, pipe}.live(~std::uint64_t{0}, 60); }};
    const bool early = random.one_in(4);
    if (early) life.run_until([](const Event& event) { return event.what == Event::What::opening; });
    else life.run_until([&, left = events](const Event& event) mutable { return event.what == Event::What::closing || (event.what == Event::What::tried && left-- == 0); });
    for (std::uint64_t spins = random.below(early ? 3'000'000 : 300'000); spins != 0; --spins) std::atomic_signal_fence(std::memory_order_seq_cst);
    REQUIRE(mount.shut_down());
    const bool was_open = life.was_open(), in_checkpoint = life.in_checkpoint();
    const bool killed = life.join();
    CAPTURE(cycle);
    INFO(life.wrong());
    REQUIRE(life.wrong().empty());
    CHECK_FALSE(killed);  // its calls fail; it lives on and says so
    counts.in_opening += !was_open;
    counts.in_checkpoint += in_checkpoint;
    counts.at_work += was_open && life.last().what == Event::What::failed;
    counts.recoveries += life.was_open() && cycle % 20 != 0;
    counts.replayed += life.was_open() ? life.opened().timestamp : 0;
    REQUIRE(mount.unmount());
    REQUIRE(mount.mount());
  }
  std::uint64_t commits = 0;
  for (const auto& client : known.client) commits += client.acknowledged;
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE(kind << ": " << counts.cycles << " shutdowns (" << counts.in_opening << " in an opening, " << counts.in_checkpoint << " in a checkpoint, " << counts.at_work
               << " at work), " << counts.recoveries << " recoveries of " << counts.replayed << " transactions, " << commits << " commits in the last store, "
               << static_cast<double>(counts.cycles) / took << " cycles a second");
  CHECK(counts.at_work > 0);
  CHECK(counts.recoveries > 0);
}

}  // namespace

TEST_CASE("what ext4 loses in a shutdown was not acknowledged") { run("ext4", 1); }

TEST_CASE("what XFS loses in a shutdown was not acknowledged") { run("xfs", 2); }
