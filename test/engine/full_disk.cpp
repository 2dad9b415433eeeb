// SPDX-License-Identifier: Apache-2.0
// A store that was closed and trimmed, and a disk that others have filled to the last byte since, and fill again whenever
// anything is given back: it opens, reads, checkpoints and closes, and rows can be erased until there are none, and put again.
#include "engine/simulated_store.hpp"
#include "file/temporary_directory.hpp"
#include "support/engines.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace storage = aegis::storage;
using namespace aegis_test;
using storage::Errc;
using SyncEngine = storage::Engine<SimulatedBackend>;
using AsyncEngine = storage::Engine<SimulatedBackend, storage::AsyncDurability>;

namespace {

constexpr std::size_t most_leaves = 12;  // that one transaction erases from

storage::EngineOptions full_disk_options(std::uint64_t log_bytes) {
  return {.pool_bytes = 1 << 20, .log_bytes = log_bytes, .version_bytes = 1 << 20, .max_transactions = 16, .maintenance_thread = false};
}
std::uint64_t rounds_or(std::uint64_t otherwise) {
  const char* const wanted = std::getenv("AEGIS_ROUNDS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : otherwise;
}
std::string key_of(std::uint64_t row) { return "row" + std::to_string(1'000'000 + row); }

template <class Engine>
class FullDisk {
 public:
  FullDisk(testing::DiskTraits traits, std::uint64_t seed, std::uint64_t log_bytes = 8 << 20) : disk_(traits), random_(seed), log_bytes_(log_bytes) {}

  /// A closed store with `rows` rows of about `length` bytes in table "t", on a disk with no byte left.
  void fill(std::uint64_t rows, std::size_t length) {
    open();
    for (std::uint64_t row = 0; row < rows; row += 40) {
      const auto done = engine_->transact([&](typename Engine::Transaction& transaction) -> Result<void> {
        AEGIS_TRY(const auto table, engine_->table("t"));
        for (std::uint64_t i = row; i < std::min(row + 40, rows); ++i) AEGIS_TRY(transaction.put(table, key_of(i), rows_[key_of(i)] = value(length)));
        return {};
      });
      REQUIRE(done);
    }
    close();
    others_fill_up();
  }
  void others_fill_up() { disk_.set_capacity(disk_.used_bytes()); }

  void open() {
    engine_.reset();
    auto opened = open_simulated<Engine>(disk_, "store", full_disk_options(log_bytes_));
    REQUIRE_MESSAGE(opened, opened.error().message());
    engine_.emplace(std::move(*opened));
  }
  void close() {
    const auto closed = engine_->close();
    REQUIRE_MESSAGE(closed, closed.error().message());
    engine_.reset();
  }
  void lose_power() {
    engine_.reset();
    disk_.power_up(CutModel::nothing, random_.below(1000));
  }

  /// Without losing anything that was acknowledged.
  void lose_power_safely() {
    if (!Engine::Store::Parts::Durability::wait) checkpoint();
    lose_power();
  }

  /// Erases rows in one transaction; they are in `most_leaves` leaves at most.
  void erase(const std::vector<std::string>& keys) {
    const auto done = engine_->transact([&](typename Engine::Transaction& transaction) -> Result<void> {
      AEGIS_TRY(const auto table, engine_->table("t"));
      for (const std::string& key : keys) AEGIS_TRY(transaction.erase(table, key));
      return {};
    });
    REQUIRE_MESSAGE(done, done.error().message() << ", " << rows_.size() << " rows left");
    for (const std::string& key : keys) rows_.erase(key);
    others_fill_up();
  }
  std::vector<std::string> some_rows() {
    std::set<std::string> keys;
    for (std::uint64_t i = 0, count = 1 + random_.below(most_leaves); i < count; ++i)
      keys.insert(std::next(rows_.begin(), static_cast<std::ptrdiff_t>(random_.below(rows_.size())))->first);
    return {keys.begin(), keys.end()};
  }
  /// What fits beside the reserve; the error that ended it.
  Errc put_until_refused(std::size_t length) {
    for (std::uint64_t row = 0;; ++row) {
      const std::string key = "new" + std::to_string(1'000'000 + row), content = value(length);
      const auto done = engine_->transact([&](typename Engine::Transaction& transaction) -> Result<void> {
        AEGIS_TRY(const auto table, engine_->table("t"));
        return transaction.put(table, key, content);
      });
      if (!done) return done.error().code();
      rows_[key] = content;
      others_fill_up();
      REQUIRE(row < 1'000'000);
    }
  }

  /// What the maintenance thread does between two commits.
  void background_round() {
    auto& upkeep = engine_->begin().hold().store().upkeep();
    upkeep.set_has_thread(true);
    const auto done = upkeep.background_round();
    REQUIRE_MESSAGE(done, done.error().message());
    others_fill_up();
  }
  void checkpoint() {
    const auto done = engine_->checkpoint();
    REQUIRE_MESSAGE(done, done.error().message());
    others_fill_up();
  }
  void look() {
    const auto state = state_of(*engine_);
    REQUIRE_MESSAGE(state, state.error().message());
    CHECK((state->contains("t") ? state->at("t") : TableRows{}) == rows_);
    const auto report = engine_->verify();
    REQUIRE(report);
    CHECK_MESSAGE(report->ok(), report->message());
  }

  Engine& engine() { return *engine_; }
  SimulatedDisk& disk() { return disk_; }
  TableRows& rows() { return rows_; }
  Random& random() { return random_; }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [key, content] : rows_) sum += key.size() + content.size();
    return sum;
  }

 private:
  std::string value(std::size_t length) { return std::string(length / 2 + random_.below(length), static_cast<char>('a' + random_.below(26))); }

  SimulatedDisk disk_;
  Random random_;
  std::uint64_t log_bytes_;
  std::optional<Engine> engine_;
  TableRows rows_;
};

template <class Engine>
void erase_all_at_random(testing::DiskTraits traits, std::uint64_t seed) {
  FullDisk<Engine> world{traits, seed, std::uint64_t{1 << 20} << seed % 3 * 2};
  world.fill(1500, 1000);
  const std::uint64_t before = world.bytes();
  world.open();
  world.look();
  while (!world.rows().empty()) {
    world.erase(world.some_rows());
    if (world.random().one_in(40)) world.checkpoint();
    if (world.random().one_in(60)) {
      if (world.random().one_in(2)) world.close();
      else world.lose_power_safely();
      world.others_fill_up();
      world.open();
      world.others_fill_up();
      if (world.random().one_in(3)) world.look();
    }
  }
  world.look();
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    CHECK(world.put_until_refused(1000) == Errc::no_space);
    MESSAGE(world.bytes() << " bytes put where " << before << " were erased");
    CHECK(world.bytes() > before / 2);
    world.look();
    if (round == 1) {
      world.lose_power_safely();
      world.open();
      world.look();
    }
    while (!world.rows().empty()) world.erase(world.some_rows());
  }
  world.close();
}

bool succeeds(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

/// A small file system of its own, and a file in it that takes what is left.
class SmallFileSystem {
 public:
  SmallFileSystem(const TemporaryDirectory& place, const std::string& kind) : directory_(place / kind) {
    const std::string image = place / (kind + ".img");
    if (::geteuid() != 0) missing_ = "not root";
    else if (::mkdir(directory_.c_str(), 0700) != 0) missing_ = "no directory";
    else if (kind == "tmpfs") is_mounted_ = succeeds("mount -t tmpfs -o size=24m tmpfs " + directory_);
    else if (!succeeds("command -v mkfs." + kind)) missing_ = "no mkfs." + kind;
    else is_mounted_ = succeeds("truncate -s 48M " + image + " && mkfs." + kind + " -q -m 0 " + image + " && mount -t " + kind + " -o loop " + image + " " + directory_);
    if (missing_.empty() && !is_mounted_) missing_ = "no right to mount one";
  }
  SmallFileSystem(const SmallFileSystem&) = delete;
  ~SmallFileSystem() {
    if (is_mounted_ && !succeeds("umount " + directory_)) (void)succeeds("umount -l " + directory_);
  }
  const std::string& missing() const { return missing_; }
  std::string operator/(const std::string& name) const { return directory_ + "/" + name; }

  /// To the last byte.
  void fill_up() const {
    const int file = ::open((directory_ + "/others").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    const std::string zeros(64 << 10, '0');
    for (std::size_t step = zeros.size(); step != 0;)
      if (const ::ssize_t put = ::write(file, zeros.data(), step); put <= 0) step = ::fsync(file) == 0 && step > 1 ? step / 4 : 0;
    ::close(file);
  }

 private:
  std::string directory_, missing_;
  bool is_mounted_ = false;
};

void erase_all_on_real_files(const std::string& kind) {
  using LocalEngine = storage::Engine<>;
  const TemporaryDirectory place;
  const SmallFileSystem full{place, kind};
  if (!full.missing().empty()) {
    MESSAGE(kind << " skipped: " << full.missing());
    return;
  }
  const storage::EngineOptions options{.directory = full / "store", .pool_bytes = 1 << 20, .log_bytes = 8 << 20};
  constexpr std::uint64_t rows = 2400, batch = 8;
  const auto all = [&](LocalEngine& engine, auto&& change) {
    for (std::uint64_t row = 0; row < rows; row += batch) {
      const auto done = engine.transact([&](LocalEngine::Transaction& transaction) -> Result<void> {
        AEGIS_TRY(const auto table, engine.table("t"));
        for (std::uint64_t i = 0; i < batch; ++i) AEGIS_TRY(change(transaction, table, key_of((row / batch + i * (rows / batch)))));  // far from each other
        return {};
      });
      REQUIRE_MESSAGE(done, done.error().message());
      if (row % (10 * batch) == 0) full.fill_up();
    }
  };
  const auto put = [](auto& transaction, const auto& table, const std::string& key) { return transaction.put(table, key, std::string(1000, 'v')); };
  {
    auto engine = LocalEngine::open(options);
    REQUIRE(engine);
    for (std::uint64_t row = 0; row < rows; row += 100)
      REQUIRE(engine->transact([&](LocalEngine::Transaction& transaction) -> Result<void> {
        AEGIS_TRY(const auto table, engine->table("t"));
        for (std::uint64_t i = row; i < row + 100; ++i) AEGIS_TRY(put(transaction, table, key_of(i)));
        return {};
      }));
    REQUIRE(engine->close());
  }
  full.fill_up();
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    auto engine = LocalEngine::open(options);
    REQUIRE_MESSAGE(engine, engine.error().message());
    CHECK(state_of(*engine).value()["t"].size() == (round == 0 ? rows : rows / 2));
    const auto erase = [&](auto& transaction, const auto& table, const std::string& key) -> Result<void> {
      AEGIS_TRY(transaction.erase(table, key));
      return {};
    };
    all(*engine, erase);
    const auto checkpoint = engine->checkpoint();
    CHECK_MESSAGE(checkpoint, checkpoint.error().message());
    CHECK(state_of(*engine).value()["t"].empty());
    for (std::uint64_t row = 0; row < rows / 2; ++row) {
      const auto done = engine->transact([&](LocalEngine::Transaction& transaction) -> Result<void> {
        AEGIS_TRY(const auto table, engine->table("t"));
        return put(transaction, table, key_of(row));
      });
      REQUIRE_MESSAGE(done, done.error().message());
    }
    full.fill_up();
    REQUIRE(engine->verify()->ok());
    const auto closed = engine->close();
    CHECK_MESSAGE(closed, closed.error().message());
  }
}

}  // namespace

TEST_CASE("on a disk that others filled after the close, rows are erased until none is left, and others put in their place") {
  const std::uint64_t seed = aegis_test::seed(1), rounds = rounds_or(2);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    CAPTURE(seed + i);
    erase_all_at_random<SyncEngine>({.direct = i % 2 == 0}, seed + i);
  }
}

TEST_CASE("the same under AsyncDurability") {
  const std::uint64_t seed = aegis_test::seed(100), rounds = rounds_or(1);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    CAPTURE(seed + i);
    erase_all_at_random<AsyncEngine>({}, seed + i);
  }
}

TEST_CASE("the same while a maintenance thread writes pages back between the erases") {
  for (const bool direct : {true, false})
    for (const std::uint64_t rows : {1500u, 3000u}) {
      CAPTURE(direct);
      CAPTURE(rows);
      FullDisk<SyncEngine> world{{.direct = direct}, 300 + rows};
      world.fill(rows, 1000);
      world.open();
      for (int round = 0; round < 60; ++round) {
        world.erase(world.some_rows());
        world.background_round();
      }
      world.look();
      world.close();
    }
}

TEST_CASE("a full disk does not keep a table from being dropped") {
  FullDisk<SyncEngine> world{{}, 5};
  world.fill(3000, 1000);
  world.open();
  const auto dropped = world.engine().drop_table("t");
  REQUIRE_MESSAGE(dropped, dropped.error().message());
  world.rows().clear();
  world.others_fill_up();
  world.checkpoint();
  world.look();
  CHECK(world.put_until_refused(1000) == Errc::no_space);
  CHECK(world.bytes() > 1'500'000);
  world.look();
  world.close();
}

TEST_CASE("a store is opened, read, checkpointed and closed on a full disk again and again") {
  for (const std::uint64_t rows : {0u, 1u, 30u, 400u, 700u, 1000u}) {
    CAPTURE(rows);
    FullDisk<SyncEngine> world{{}, 7 + rows};
    world.fill(rows, 1000);
    for (int round = 0; round < 40; ++round) {
      world.open();
      world.look();
      if (round % 2 == 0) world.checkpoint();
      if (round % 3 == 0) world.lose_power();
      else world.close();
      world.others_fill_up();
    }
  }
}

TEST_CASE("the same on real files: on file systems that are full, tmpfs and ext4 where they can be mounted") {
  erase_all_on_real_files("tmpfs");
  erase_all_on_real_files("ext4");
}
