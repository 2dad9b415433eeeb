// SPDX-License-Identifier: Apache-2.0
// The memory of an engine is bounded by its options: a child process whose address space is limited to a stated sum fills a
// log, is killed, and another one replays it. What the replay needs does not grow with the log. Sanitizers take address
// space of their own, so this is skipped under them. AEGIS_LOG_MIB sets the longer log's size (64; the long form: 256).
#include <aegis/storage.hpp>

#include "support/other_allocator.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace aegis::storage;
namespace fs = std::filesystem;
using Db = Engine<>;  // under AsyncDurability the segments that are mapped, an eighth of the log each, would be address space too

constexpr std::size_t mib = 1 << 20;
constexpr std::size_t pool_bytes = 4 * mib, transaction_bytes = 2 * mib, version_bytes = 2 * mib;
/// What the process may have beyond what it began with: the pool; a transaction's writes, its frame, and the window in
/// which a frame is read again, each at most doubled as it grows; versions; and 24 MiB for log buffers, translation, map
/// blocks and heap.
constexpr std::size_t bound_bytes = pool_bytes + 6 * transaction_bytes + version_bytes + 24 * mib;

EngineOptions options_of(const std::string& directory, std::size_t log_mib) {
  EngineOptions options;
  options.directory = directory;
  options.pool_bytes = pool_bytes;
  options.log_bytes = std::uint64_t{log_mib} * 4 * mib;  // so far from its bound that no checkpoint comes of itself
  options.max_transaction_bytes = transaction_bytes;
  options.version_bytes = version_bytes;
  options.max_transactions = 8;
  options.maintenance_thread = false;
  return options;
}

/// A field of /proc/self/status, in bytes.
std::size_t status_bytes(const char* field) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return 0;
  std::size_t kib = 0;
  for (char line[256]; std::fgets(line, sizeof line, file) != nullptr;)
    if (std::strncmp(line, field, std::strlen(field)) == 0) kib = std::strtoull(line + std::strlen(field) + 1, nullptr, 10);
  std::fclose(file);
  return kib * 1024;
}

void limit_address_space(std::size_t more) {
  rlimit limit{};
  limit.rlim_cur = limit.rlim_max = status_bytes("VmSize") + more;
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(90);
}

struct Outcome {
  int code = -1;                   // 0: as it should be
  std::uint64_t log_bytes = 0;     // replayed
  std::uint64_t transactions = 0;
  std::uint64_t rows = 0;
  std::size_t peak_bytes = 0;      // resident, beyond what the child began with
  double milliseconds = 0;         // of the opening
  char said[200] = {};             // of an error
};

/// Runs fn(Outcome&) in a child; `killed`: it ends by SIGKILL of its own.
template <class Fn>
Outcome in_child(Fn&& fn) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Outcome outcome;
    fn(outcome);
    const bool told = ::write(ends[1], &outcome, sizeof outcome) == static_cast<::ssize_t>(sizeof outcome);
    if (told) ::kill(::getpid(), SIGKILL);
    std::_Exit(91);
  }
  ::close(ends[1]);
  Outcome outcome;
  const bool read = ::read(ends[0], &outcome, sizeof outcome) == static_cast<::ssize_t>(sizeof outcome);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!read) std::snprintf(outcome.said, sizeof outcome.said, "the child ended with status %d", status);
  return outcome;
}

void say(Outcome& outcome, int code, const Error& error) {
  outcome.code = code;
  std::snprintf(outcome.said, sizeof outcome.said, "%s", error.message().c_str());
}

constexpr unsigned keys = 20'000;  // of a kilobyte each: several times what replay may gather, and the pool
void key_of(unsigned i, char (&key)[24]) { std::snprintf(key, sizeof key, "account%08u", i); }

/// So many MiB of log, in transactions of a quarter of one; the same rows over and over, each with the round that wrote it.
void fill_log(Outcome& outcome, const std::string& directory, std::size_t log_mib, std::size_t bound) {
  limit_address_space(bound);
  auto engine = Db::open(options_of(directory, log_mib));
  if (!engine) return say(outcome, 1, engine.error());
  const auto table = engine->table("accounts");
  if (!table) return say(outcome, 2, table.error());
  std::string value(1000, 'v');
  unsigned next = 0, round = 0;
  while (engine->stats().log_bytes < log_mib * mib) {
    std::snprintf(value.data(), value.size(), "round %u", ++round);
    const auto done = engine->transact([&](auto& txn) -> Result<void> {
      for (unsigned i = 0; i < 256; ++i, next = (next + 1) % keys) {
        char key[24];
        key_of(next, key);
        AEGIS_TRY(txn.put(*table, key, value));
      }
      return {};
    });
    if (!done) return say(outcome, 3, done.error());
  }
  outcome.log_bytes = engine->stats().log_bytes;
  outcome.rows = round * 256 < keys ? round * 256 : keys;
  outcome.code = 0;
}

void replay_log(Outcome& outcome, const std::string& directory, std::size_t log_mib, std::size_t bound) {
  limit_address_space(bound);
  const std::size_t before = status_bytes("VmRSS");
  const auto start = std::chrono::steady_clock::now();
  auto engine = Db::open(options_of(directory, log_mib));
  outcome.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  if (!engine) return say(outcome, 1, engine.error());
  outcome.peak_bytes = status_bytes("VmHWM") - before;
  outcome.transactions = engine->stats().recovery.transactions;
  const auto table = engine->table("accounts");
  if (!table) return say(outcome, 2, table.error());
  auto reader = engine->snapshot();
  auto cursor = reader.scan(*table);
  for (; cursor.valid(); cursor.next()) outcome.rows += cursor.value().size() == 1000 && cursor.value().substr(0, 6) == "round " ? 1 : 0;
  if (!cursor.status()) return say(outcome, 3, cursor.status().error());
  outcome.code = 0;
}

std::size_t longer_log_mib() {
  if (const char* given = std::getenv("AEGIS_LOG_MIB"); given != nullptr) return std::strtoull(given, nullptr, 10);
  return std::getenv("AEGIS_FULL") != nullptr ? 256 : 64;
}

struct Folder {
  Folder() : path(fs::temp_directory_path() / ("aegis-memory-bound-" + std::to_string(::getpid()))) { fs::create_directories(path); }
  ~Folder() {
    std::error_code none;
    fs::remove_all(path, none);
  }
  fs::path path;
};

}  // namespace

TEST_CASE("an engine works and recovers within the stated address space, and replay needs no more memory for a longer log") {
#ifdef AEGIS_TEST_OTHER_ALLOCATOR
  MESSAGE("skipped: a sanitizer's own memory cannot be told from the engine's");
#else
  const Folder folder;
  const std::size_t sizes[] = {16, longer_log_mib()};
  Outcome replayed[2];
  for (int i = 0; i < 2; ++i) {
    const std::string directory = (folder.path / std::to_string(sizes[i])).string();
    const Outcome filled = in_child([&](Outcome& outcome) { fill_log(outcome, directory, sizes[i], bound_bytes); });
    REQUIRE_MESSAGE(filled.code == 0, filled.said);
    REQUIRE(filled.log_bytes >= sizes[i] * mib);
    replayed[i] = in_child([&](Outcome& outcome) { replay_log(outcome, directory, sizes[i], bound_bytes); });
    REQUIRE_MESSAGE(replayed[i].code == 0, replayed[i].said);
    CHECK(replayed[i].rows == filled.rows);
    CHECK(replayed[i].transactions >= sizes[i] * mib / (400 << 10));  // the log was replayed, not a checkpoint read
    MESSAGE("a log of " << sizes[i] << " MiB, " << replayed[i].transactions << " transactions: replayed in " << replayed[i].milliseconds << " ms with " << replayed[i].peak_bytes / 1024
                        << " KiB resident at most, within " << bound_bytes / mib << " MiB of address space");
    CHECK(replayed[i].peak_bytes <= bound_bytes);
    fs::remove_all(directory);
  }
  // Both logs hold more than replay gathers at once; what grew with the log would be 48 MiB more, and a sixteenth of that is too much.
  CHECK(replayed[1].peak_bytes <= replayed[0].peak_bytes + 2 * mib);
  CHECK(replayed[1].transactions > replayed[0].transactions);
#endif
}

TEST_CASE("an address space below what the options ask for is out_of_memory, not a crash") {
#ifdef AEGIS_TEST_OTHER_ALLOCATOR
  MESSAGE("skipped: a sanitizer's own memory cannot be told from the engine's");
#else
  const Folder folder;
  const std::string directory = (folder.path / "store").string();
  const Outcome outcome = in_child([&](Outcome& told) {
    limit_address_space(pool_bytes / 2);
    const auto engine = Db::open(options_of(directory, 8));
    told.code = engine ? 1 : engine.error().code() == Errc::out_of_memory ? 0 : 2;
  });
  CHECK_MESSAGE(outcome.code == 0, outcome.said);
  const Outcome again = in_child([&](Outcome& told) { fill_log(told, directory, 1, bound_bytes); });
  CHECK_MESSAGE(again.code == 0, again.said);
#endif
}
