// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/isolation/recent_commits.hpp>

#include <doctest/doctest.h>
#include <support/random.hpp>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace aegis::storage;

namespace {

using Key = std::pair<std::uint32_t, std::string>;

// What a manager hands to prepare(): keys by table.
struct Writes {
  std::vector<Key> keys;
  template <class Fn>
  void for_each_key(Fn&& fn) const {
    for (const auto& [table, key] : keys) fn(TableId{table}, std::string_view{key});
  }
};

constexpr isolation::NoLostKey nobody;

RecentCommits ring_of(std::uint64_t bytes) {
  auto commits = RecentCommits::open(bytes);
  REQUIRE(commits.has_value());
  return *std::move(commits);
}
void commit(RecentCommits& commits, std::uint64_t timestamp, Writes writes) {
  auto prepared = commits.prepare(writes);
  REQUIRE(prepared.has_value());
  commits.remember(*std::move(prepared), Timestamp{timestamp});
}
bool is_conflict(const Result<Timestamp>& result) { return !result && result.error().code() == Errc::conflict; }

struct Counts {
  std::size_t valid = 0, lost = 0, needless = 0, wrong = 0;  // wrong: a conflict that was not seen
};

// Random commits, and footprints validated from random places, against a list of everything that was committed.
// skew: how much too late the validation begins, 0 for the real thing.
Counts run(std::uint64_t seed, std::uint64_t bytes, std::uint64_t reach, std::uint64_t skew) {
  aegis_test::Random random{seed};
  RecentCommits commits = ring_of(bytes);
  std::vector<Writes> history{{}};
  Counts counts;
  const auto key = [&] { return Key{static_cast<std::uint32_t>(1 + random.below(2)), std::string(9 * random.below(3), 'k') + std::to_string(random.below(30))}; };
  for (std::uint64_t now = 1; now < 2000; ++now) {
    Writes writes;
    for (std::uint64_t left = 1 + random.below(random.one_in(50) ? 60 : 3); left > 0; --left) writes.keys.push_back(key());
    if (writes.keys.size() > 1) std::sort(writes.keys.begin(), writes.keys.end());
    history.push_back(writes);
    commit(commits, now, std::move(writes));
    if (random.one_in(40)) commits.forget(Timestamp{now - std::min<std::uint64_t>(now, reach + random.below(20))});

    IntervalSet read;
    for (std::uint64_t left = random.below(3); left > 0; --left) {
      const auto [table, name] = key();
      if (random.one_in(3)) CHECK(read.note_range(TableId{table}, {name, name + "2"}).has_value());
      else CHECK(read.note_point(TableId{table}, name).has_value());
    }
    const std::uint64_t after = now - std::min(now, random.below(reach + 1));
    bool changed = false;
    for (std::uint64_t at = after + 1; at <= now; ++at)
      for (const auto& [table, name] : history[at].keys) changed = changed || read.contains(TableId{table}, name);
    const auto found = commits.validate(read, Timestamp{std::min(after + skew, now)}, nobody);
    if (found) {
      CHECK(*found == Timestamp{now});
      ++(changed ? counts.wrong : counts.valid);
    } else {
      CHECK(is_conflict(found));
      ++(changed ? counts.lost : counts.needless);
    }
  }
  return counts;
}

}  // namespace

TEST_CASE("a footprint is valid exactly if no later commit wrote what it holds") {
  const std::uint64_t seed = aegis_test::seed(1);
  INFO(aegis_test::replay(seed, "recent_commits"));
  const Counts counts = run(seed, 1 << 20, 30, 0);
  CHECK(counts.wrong == 0);
  CHECK(counts.needless == 0);
  CHECK(counts.valid > 100);
  CHECK(counts.lost > 100);
}

TEST_CASE("a ring that is too small for what is asked loses no conflict") {
  const std::uint64_t seed = aegis_test::seed(2);
  INFO(aegis_test::replay(seed, "recent_commits"));
  std::size_t needless = 0;
  for (const std::uint64_t bytes : {0u, 50u, 100u, 300u, 1000u, 1111u, 4000u}) {
    const Counts counts = run(seed + bytes, bytes, 30, 0);
    CHECK_MESSAGE(counts.wrong == 0, "ring of " << bytes);
    CHECK(counts.lost > 100);
    needless += counts.needless;
  }
  CHECK(needless > 100);
}

TEST_CASE("the model finds a validation that begins one commit late") { CHECK(run(aegis_test::seed(3), 1 << 20, 30, 1).wrong > 0); }

TEST_CASE("who is older than the tail has lost, whatever made it so; who read nothing has not") {
  IntervalSet read, nothing;
  CHECK(read.note_point(TableId{1}, "never written").has_value());
  Key long_key{1, std::string(500, 'x')};
  SUBCASE("the ring was full") {
    RecentCommits commits = ring_of(1000);
    commit(commits, 1, {{{1, "a"}}});
    CHECK(commits.validate(read, Timestamp{0}, nobody).has_value());
    for (std::uint64_t at = 2; at < 40; ++at) commit(commits, at, {{{1, "a"}}});
    CHECK(is_conflict(commits.validate(read, Timestamp{0}, nobody)));
    CHECK(is_conflict(commits.validate(read, Timestamp{1}, nobody)));
    CHECK(commits.validate(read, Timestamp{38}, nobody).has_value());
    CHECK(commits.validate(nothing, Timestamp{0}, nobody).has_value());
  }
  SUBCASE("one write set did not fit") {
    RecentCommits commits = ring_of(100);
    Writes many;
    for (std::uint32_t table = 1; table < 100; ++table) many.keys.emplace_back(table, "k");
    commit(commits, 1, {{{1, "a"}}});
    CHECK(commits.validate(read, Timestamp{0}, nobody).has_value());
    commit(commits, 2, many);
    CHECK(is_conflict(commits.validate(read, Timestamp{0}, nobody)));
    CHECK(is_conflict(commits.validate(read, Timestamp{1}, nobody)));
    CHECK(commits.validate(read, Timestamp{2}, nobody).has_value());
    commit(commits, 3, {{{1, "b"}}});
    CHECK(commits.validate(read, Timestamp{2}, nobody).has_value());
    CHECK(is_conflict(commits.validate(read, Timestamp{1}, nobody)));
  }
  SUBCASE("it was told to forget") {
    RecentCommits commits = ring_of(1 << 16);
    for (std::uint64_t at = 1; at <= 10; ++at) commit(commits, at, {{{1, "a"}}});
    commits.forget(Timestamp{7});
    CHECK(commits.size() == 3);
    CHECK(is_conflict(commits.validate(read, Timestamp{6}, nobody)));
    CHECK(commits.validate(read, Timestamp{7}, nobody).has_value());
    commits.forget(Timestamp{100});
    CHECK(commits.size() == 0);
    CHECK(commits.validate(read, Timestamp{10}, nobody).has_value());
    commit(commits, 101, {{long_key}});
    CHECK(commits.validate(read, Timestamp{100}, nobody).has_value());
  }
}

TEST_CASE("a table that was dropped or loaded, and write sets of very many or very long keys, conflict with the whole table") {
  RecentCommits commits = ring_of(4000);
  IntervalSet first, second;
  CHECK(first.note_point(TableId{1}, "never written").has_value());
  CHECK(second.note_range(TableId{2}, {"a", "b"}).has_value());
  SUBCASE("by the engine") {
    auto prepared = commits.prepare_table(TableId{1});
    REQUIRE(prepared.has_value());
    commits.remember(*std::move(prepared), Timestamp{1});
  }
  SUBCASE("very many keys") {
    Writes many;
    for (int i = 0; i < 1000; ++i) many.keys.emplace_back(1, "k" + std::to_string(i));
    commit(commits, 1, many);
  }
  SUBCASE("very long keys") { commit(commits, 1, {{{1, std::string(10'000, 'x')}}}); }
  CHECK(is_conflict(commits.validate(first, Timestamp{0}, nobody)));
  CHECK(commits.validate(second, Timestamp{0}, nobody).has_value());
}

TEST_CASE("the key that a conflict was lost on is told") {
  RecentCommits commits = ring_of(4000);
  commit(commits, 1, {{{1, "a"}, {1, "b"}, {2, "c"}}});
  IntervalSet read;
  CHECK(read.note_range(TableId{1}, {"aa", "bb"}).has_value());
  std::string lost;
  CHECK(is_conflict(commits.validate(read, Timestamp{0}, [&](TableId table, std::string_view key) { lost = std::to_string(number(table)) + " " + std::string(key); })));
  CHECK(lost == "1 b");
}

namespace {

// A footprint that is asked slowly: meanwhile so much is committed that the entry being looked at is overwritten.
struct SlowlyRead {
  RecentCommits& commits;
  mutable std::uint64_t now;
  bool before_look, within_entry;  // when that happens

  void overtake() const {
    for (int i = 0; i < 50; ++i) commit(commits, ++now, {{{1, "other" + std::to_string(i)}}});
  }
  bool empty() const { return before_look && (overtake(), false); }
  bool may_contain(std::uint64_t) const { return !within_entry || (overtake(), true); }
  bool contains(TableId, std::string_view key) const { return key == "read"; }
  bool touches(TableId) const { return false; }
};

}  // namespace

TEST_CASE("an entry that is overwritten while it is looked at is a conflict, not an answer") {
  RecentCommits commits = ring_of(500);
  commit(commits, 1, {{{1, "read"}}});
  CHECK(is_conflict(commits.validate(SlowlyRead{commits, 1, false, false}, Timestamp{0}, nobody)));
  bool before_look = false;
  SUBCASE("before the first look") { before_look = true; }
  SUBCASE("between a key's hash and the key") {}
  std::string lost;
  const SlowlyRead slow{commits, 1, before_look, !before_look};
  CHECK(is_conflict(commits.validate(slow, Timestamp{0}, [&](TableId, std::string_view key) { lost = key; })));
  CHECK(lost.empty());
  CHECK(slow.now > 1);
}

TEST_CASE("validation beside a committer sees every commit, however fast the ring turns") {
  // The commit t writes the key t % period, among others: so anybody knows what was written between two timestamps.
  std::uint64_t period = 64, bytes = 1 << 14, commits_at_least = 20'000;
  SUBCASE("a ring of many commits") {}
  SUBCASE("a ring of a few commits, so that readers are overtaken in the middle of an entry") { period = 5, bytes = 1 << 9, commits_at_least = 300'000; }
  RecentCommits commits = ring_of(bytes);
  std::atomic<std::uint64_t> published{0}, valid{0}, lost{0}, too_old{0}, wrong{0};
  std::atomic<bool> stop{false};
  const auto name = [&](std::uint64_t of) { return "key" + std::to_string(of % period); };
  std::vector<std::thread> readers;
  for (std::uint64_t id = 0; id < 3; ++id)
    readers.emplace_back([&, id] {
      aegis_test::Random random{aegis_test::seed(7) + id};
      IntervalSet read;
      while (!stop.load()) {
        const std::uint64_t mine = random.below(period), after = published.load();
        const bool range = random.one_in(4);
        (void)(range ? read.note_range(TableId{1}, {name(mine), name(mine), true}) : read.note_point(TableId{1}, name(mine)));
        const std::uint64_t distance = random.below(2 * period);
        while (published.load() < after + distance && !stop.load()) std::this_thread::yield();
        const std::uint64_t before = published.load();
        bool told = false;
        const auto found = commits.validate(read, Timestamp{after}, [&](TableId, std::string_view key) { told = key == name(mine); });
        const std::uint64_t next_write = after + 1 + (mine + period - (after + 1) % period) % period;  // the first write of it
        if (found) {
          ++valid;
          if (number(*found) < before || next_write <= number(*found)) ++wrong;
        } else if (told) {
          ++lost;
          if (next_write > published.load() + 1) ++wrong;
        } else {
          ++too_old;
        }
        read.clear();
      }
    });
  // Until each outcome was seen often enough; how long that takes is the scheduler's business.
  const auto seen = [&] { return valid > 500 && lost > 500 && too_old > 100; };
  aegis_test::Random random{aegis_test::seed(8)};
  for (std::uint64_t now = 1; now < commits_at_least || (!seen() && now < 20'000'000); ++now) {
    Writes writes{{{1, name(now)}}};
    for (std::uint64_t more = random.below(4); more > 0; --more) writes.keys.emplace_back(2, std::string(random.below(60), 'f'));
    commit(commits, now, std::move(writes));
    published.store(now);
    if (random.one_in(100)) commits.forget(Timestamp{now - std::min<std::uint64_t>(now, random.below(80))});
    if (random.one_in(8)) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  MESSAGE(valid.load() << " valid, " << lost.load() << " lost, " << too_old.load() << " too old, " << published.load() << " commits");
  CHECK(wrong == 0);
  CHECK(valid > 0);
  CHECK(lost > 0);
  CHECK(too_old > 0);
}
