// SPDX-License-Identifier: Apache-2.0
// Real files ask the kernel for durability: a process forbids itself fsync, fdatasync and writes with RWF_DSYNC (they give EIO,
// by a seccomp filter, which needs no rights), and whatever promises durability has to fail then. What a simulated disk cannot
// see: a file policy that keeps its promises in words only.
#include "file/temporary_directory.hpp"
#include "support/processes.hpp"

#include <aegis/storage.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

using namespace aegis::storage;
using aegis_test::TemporaryDirectory;

namespace {

/// For this process, from now on and for good. False where the kernel has no filters.
bool forbid_syncs() {
  constexpr auto number = static_cast<std::uint32_t>(offsetof(::seccomp_data, nr)), flags = static_cast<std::uint32_t>(offsetof(::seccomp_data, args) + 5 * sizeof(std::uint64_t));
  ::sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fsync, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fdatasync, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_pwritev2, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, RWF_DSYNC | RWF_SYNC, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
  };
  const ::sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// check() in a process that may not sync, after before() in the same one: 0 when it holds.
template <class Before, class Check>
int without_syncs(Before&& before, Check&& check) {
  return aegis_test::in_process([&] {
    auto prepared = before();
    if (!prepared) return 2;
    if (!forbid_syncs()) return 3;
    return check(*prepared) ? 0 : 1;
  });
}
bool can_forbid() {
  if (aegis_test::in_process([] { return forbid_syncs() ? 0 : 1; }) == 0) return true;
  MESSAGE("skipped: no seccomp filters here");
  return false;
}

EngineOptions options(const TemporaryDirectory& place) {
  return {.directory = place / "store", .pool_bytes = 1 << 20, .log_bytes = 1 << 20, .max_transaction_bytes = 256 << 10, .version_bytes = 1 << 20, .maintenance_thread = false};
}
bool put(Engine<>& engine, const char* key) {
  const auto table = engine.table("t");
  if (!table) return false;
  auto transaction = engine.begin();
  return transaction.put(*table, key, "value") && transaction.commit();
}

}  // namespace

TEST_CASE("a file and a directory whose syncs the kernel refuses say so, each by its own call") {
  if (!can_forbid()) return;
  const TemporaryDirectory place;
  enum class Call { data, all, durable_write, directory, plain_write };
  for (const bool direct : {false, true})
    for (const Call call : {Call::data, Call::all, Call::durable_write, Call::directory, Call::plain_write}) {
      CAPTURE(direct);
      CAPTURE(static_cast<int>(call));
      alignas(4096) static std::byte bytes[4096] = {};
      std::optional<PosixDirectory> directory;  // opened by the process that uses it
      const auto opened = [&] {
        directory.emplace(*PosixFiles{}.open_directory(place.path(), false));
        return directory->open("data", {.create = true, .direct = direct});
      };
      const auto refused = [](const Result<void>& done) { return !done && done.error().code() == Errc::io; };
      CHECK(without_syncs(opened, [&](PosixFile& file) {
              switch (call) {
                case Call::data: return refused(file.sync_data());
                case Call::all: return refused(file.sync_all());
                case Call::durable_write: return refused(file.write_durable_at(0, bytes));
                case Call::directory: return refused(directory->sync());
                case Call::plain_write: return file.write_at(0, bytes).has_value();
              }
              return false;
            }) == 0);
    }
}

TEST_CASE("where the kernel refuses to sync, no commit is acknowledged, no checkpoint is made and no store is opened") {
  if (!can_forbid()) return;
  const TemporaryDirectory place;
  const auto opened = [&]() -> std::optional<Engine<>> {
    auto engine = Engine<>::open(options(place));
    if (!engine || !put(*engine, "before")) return std::nullopt;
    return std::move(*engine);
  };
  CHECK(without_syncs(opened, [](Engine<>& engine) { return !put(engine, "refused"); }) == 0);
  CHECK(without_syncs(opened, [](Engine<>& engine) { return !engine.checkpoint(); }) == 0);
  const auto nothing = [] { return std::optional<int>{0}; };
  CHECK(without_syncs(nothing, [&](int) { return !Engine<>::open(options(place)); }) == 0);
  CHECK(without_syncs(nothing, [&](int) { return !Engine<>::open({.directory = place / "new"}); }) == 0);
  CHECK(aegis_test::in_process([&] { return opened() ? 0 : 1; }) == 0);
}
