// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/version/version_store.hpp>

#include <support/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace aegis::storage;

namespace {

constexpr TableId table{7};

struct Store {
  Owned<VersionStore> versions;
  SnapshotRegistry registry;

  explicit Store(std::uint64_t cap = ~0ULL) : versions(std::move(VersionStore::open(cap).value())), registry(std::move(SnapshotRegistry::open(256).value())) {}

  SnapshotRegistry::Slot* snapshot(std::uint64_t timestamp) {
    auto* slot = registry.claim();
    registry.take(*slot, [=] { return Timestamp{timestamp}; });
    return slot;
  }
  void save(std::string_view key, std::uint64_t until, std::optional<std::string> old, std::uint64_t acknowledged = 0, bool deleted = false) {
    auto prepared = versions->prepare(table, key, old ? old->size() : 0);
    REQUIRE(prepared);
    versions->save(*std::move(prepared), Timestamp{until}, {.existence = old ? Existence::present : Existence::absent, .deleted = deleted},
                   bytes_of(old ? std::string_view{*old} : std::string_view{}), Timestamp{acknowledged}, registry);
  }
  /// "page": the page's row; "-": absent; else the value.
  std::string seen(std::string_view key, std::uint64_t snapshot, TableId in = table) const {
    return versions->lookup(in, key, Timestamp{snapshot}, [](const Version* version) {
      if (version == nullptr) return std::string{"page"};
      return version->existence() == Existence::absent ? std::string{"-"} : std::string{text_of(version->cell())};
    });
  }
  std::uint64_t reclaim(std::uint64_t acknowledged) { return versions->reclaim(Timestamp{acknowledged}, registry); }
  std::uint64_t count() const { return versions->stats().versions; }
};

}  // namespace

TEST_CASE("a lookup gives the state that the snapshot saw: the first one replaced after it") {
  Store store;
  auto* slot = store.snapshot(0);
  store.save("k", 5, std::nullopt);
  store.save("k", 9, "five");
  store.save("k", 12, "nine");
  CHECK(store.seen("k", 0) == "-");
  CHECK(store.seen("k", 4) == "-");
  CHECK(store.seen("k", 5) == "five");
  CHECK(store.seen("k", 8) == "five");
  CHECK(store.seen("k", 9) == "nine");
  CHECK(store.seen("k", 11) == "nine");
  CHECK(store.seen("k", 12) == "page");
  CHECK(store.seen("other", 0) == "page");
  store.registry.release(*slot);
}

TEST_CASE("an empty value is a value, a deleted row is absent, and the empty key is a key") {
  Store store;
  store.save("", 5, "");
  CHECK(store.seen("", 4) == "");
  store.save("", 6, std::nullopt);
  CHECK(store.seen("", 5) == "-");
}

TEST_CASE("equal keys of two tables never meet") {
  Store store;
  store.save("k", 5, "seven");
  CHECK(store.seen("k", 1, TableId{8}) == "page");
  CHECK(store.versions->newest_change(TableId{8}, "k") == never_committed);
  CHECK_FALSE(store.versions->holds(TableId{8}, "k"));
}

TEST_CASE("a version tells its interval and whether it refers to an overflow chain") {
  Store store;
  auto* slot = store.snapshot(0);
  store.save("k", 5, "a");
  auto prepared = store.versions->prepare(table, "k", 3);
  REQUIRE(prepared);
  CHECK(prepared->capacity() == 3);
  store.versions->save(*std::move(prepared), Timestamp{8}, {.overflow = true}, bytes_of("ref"), Timestamp{0}, store.registry);
  store.versions->lookup(table, "k", Timestamp{6}, [](const Version* version) {
    REQUIRE(version != nullptr);
    CHECK(version->from() == Timestamp{5});
    CHECK(version->until() == Timestamp{8});
    CHECK(version->is_overflow());
    CHECK(version->key() == "k");
    CHECK(version->table() == table);
    return 0;
  });
  store.registry.release(*slot);
}

TEST_CASE("the newest change is the last commit kept, and 0 when nothing is") {
  Store store;
  CHECK(store.versions->newest_change(table, "k") == never_committed);
  store.save("k", 5, "a");
  store.save("k", 9, "b");
  CHECK(store.versions->newest_change(table, "k") == Timestamp{9});
  CHECK(store.versions->holds(table, "k"));
  CHECK(store.reclaim(9) == 2);
  CHECK(store.versions->newest_change(table, "k") == never_committed);
  CHECK_FALSE(store.versions->holds(table, "k"));
}

TEST_CASE("a version goes only when it ended at or below the acknowledged commit and every snapshot") {
  Store store;
  auto* slot = store.snapshot(5);
  store.save("k", 5, "old");
  store.save("k", 6, "five");
  store.save("k", 7, "six");
  CHECK(store.reclaim(4) == 0);
  CHECK(store.reclaim(7) == 1);
  CHECK(store.seen("k", 5) == "five");
  store.registry.release(*slot);
  CHECK(store.reclaim(6) == 1);
  CHECK(store.reclaim(7) == 1);
}

TEST_CASE("D14: after all transactions ended and reclaiming ran the store is empty and holds no byte") {
  Store store;
  auto* slot = store.snapshot(0);
  for (std::uint64_t i = 1; i <= 1000; ++i) store.save("key " + std::to_string(i % 10), i, std::string(i, 'x'));
  CHECK(store.versions->stats().bytes > 0);
  store.registry.release(*slot);
  store.reclaim(1000);
  const VersionStats stats = store.versions->stats();
  CHECK(stats.versions == 0);
  CHECK(stats.keys == 0);
  CHECK(stats.bytes == 0);
  CHECK(stats.saved == 1000);
  CHECK(stats.reclaimed == 1000);
}

TEST_CASE("room that was prepared and not used is no version") {
  Store store;
  { CHECK(store.versions->prepare(table, "k", 100)); }
  CHECK(store.count() == 0);
  CHECK(store.versions->stats().bytes == 0);
}

TEST_CASE("saving a key drops its middle versions, however old the oldest reader is") {
  Store store;
  auto* slot = store.snapshot(1);
  for (std::uint64_t i = 2; i <= 10000; ++i) {
    store.save("hot", i, "state " + std::to_string(i - 1), i - 1);
    REQUIRE(store.count() <= 3);
  }
  CHECK(store.seen("hot", 1) == "state 1");
  store.registry.release(*slot);
}

TEST_CASE("the full pass drops middle versions of keys that are never saved again") {
  Store store;
  auto* oldest = store.snapshot(1);
  auto* middle = store.snapshot(5);
  for (std::uint64_t i = 2; i <= 10; ++i) store.save("k", i, "state " + std::to_string(i - 1));
  CHECK(store.versions->reclaim_all(Timestamp{8}, store.registry) == 5);
  CHECK(store.seen("k", 1) == "state 1");
  CHECK(store.seen("k", 5) == "state 5");
  CHECK(store.seen("k", 8) == "state 8");
  CHECK(store.seen("k", 9) == "state 9");
  for (auto* slot : {oldest, middle}) store.registry.release(*slot);
}

TEST_CASE("a deletion whose key has no version left is reported, once, and no other key") {
  Store store;
  std::multiset<std::string> reported;
  const auto report = [&](TableId in, std::string_view key) {
    CHECK(in == table);
    CHECK_FALSE(store.versions->holds(in, key));
    reported.emplace(key);
  };
  SUBCASE("in order") {
    store.save("erased", 2, "x", 0, true);
    store.save("updated", 3, "x");
    store.save("erased and back", 4, "x", 0, true);
    store.save("erased and back", 5, std::nullopt);
    store.save("twice erased", 6, "x", 0, true);
    store.save("twice erased", 7, std::nullopt);
    store.save("twice erased", 8, "y", 0, true);
    store.versions->reclaim(Timestamp{8}, store.registry, report);
    CHECK(reported == std::multiset<std::string>{"erased", "twice erased"});
  }
  SUBCASE("when the deletion's own version went before an older one") {
    auto* slot = store.snapshot(1);
    store.save("k", 2, "one");
    store.save("k", 3, "two", 0, true);
    store.versions->reclaim_all(Timestamp{3}, store.registry, report);
    CHECK(store.count() == 1);
    CHECK(reported.empty());
    store.registry.release(*slot);
    store.versions->reclaim(Timestamp{3}, store.registry, report);
    CHECK(reported == std::multiset<std::string>{"k"});
  }
}

TEST_CASE("a quantum bounds what one call reclaims") {
  Store store;
  for (std::uint64_t i = 1; i <= 100; ++i) store.save(std::to_string(i), i, "x");
  CHECK(store.versions->reclaim(Timestamp{100}, store.registry, NoGhostReport{}, 7) == 7);
  CHECK(store.count() == 93);
  CHECK(store.reclaim(100) == 93);
}

TEST_CASE("over the cap the oldest reader is revoked first, and only as many as needed") {
  Store store{64 * 1024};
  auto* old_reader = store.snapshot(1);
  auto* young_reader = store.snapshot(90);
  for (std::uint64_t i = 2; i <= 100; ++i) store.save(std::to_string(i), i, std::string(1000, 'x'));
  REQUIRE(store.versions->over_cap());
  CHECK(store.versions->relieve(0, Timestamp{100}, store.registry));
  CHECK_FALSE(store.versions->over_cap());
  CHECK(store.registry.is_revoked(*old_reader));
  CHECK_FALSE(store.registry.is_revoked(*young_reader));
  CHECK(store.seen("95", 90) == std::string(1000, 'x'));
  CHECK(store.versions->stats().revoked == 1);
  for (auto* slot : {old_reader, young_reader}) store.registry.release(*slot);
}

TEST_CASE("versions of commits that are not acknowledged are never freed for memory") {
  Store store{1000};
  store.save("k", 5, std::string(2000, 'x'));
  CHECK_FALSE(store.versions->relieve(0, Timestamp{4}, store.registry));
  CHECK(store.count() == 1);
  CHECK(store.versions->relieve(0, Timestamp{5}, store.registry));
  CHECK(store.count() == 0);
}

TEST_CASE("D17: a chain of a million versions is reclaimed, and another one destroyed, without recursion") {
  constexpr std::uint64_t length = 1'000'000;
  Store store;
  auto* slot = store.snapshot(0);
  for (std::uint64_t i = 1; i <= length; ++i) store.save("k", i, "v");
  CHECK(store.count() == length);
  store.registry.release(*slot);
  SUBCASE("reclaimed") {
    CHECK(store.reclaim(length) == length);
    CHECK(store.versions->stats().bytes == 0);
  }
  SUBCASE("reclaimed by the full pass") { CHECK(store.versions->reclaim_all(Timestamp{length}, store.registry) == length); }
  SUBCASE("pruned by the next save of the key") {
    store.save("k", length + 1, "v", length);
    CHECK(store.count() == 1);
  }
  SUBCASE("destroyed") { store.versions.reset(); }
}

TEST_CASE("every snapshot sees what a model sees, whatever is reclaimed in between") {
  const std::uint64_t seed = aegis_test::seed(20240517);
  INFO(aegis_test::replay(seed, "test/version/version_store"));
  aegis_test::Random random{seed};
  Store store;
  using State = std::map<std::string, std::optional<std::string>>;
  std::map<std::uint64_t, State> history{{0, {}}};
  struct Reader {
    SnapshotRegistry::Slot* slot;
    std::uint64_t timestamp;
  };
  std::vector<Reader> readers;
  std::uint64_t now = 0, acknowledged = 0;
  for (int step = 0; step < 20000; ++step) {
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2: {
        State state = history[now++];
        for (std::uint64_t n = 1 + random.below(3), base = random.below(20); n > 0; --n) {
          const std::string key = "k" + std::to_string((base + n) % 20);
          const auto old = state.contains(key) ? state[key] : std::nullopt;
          const bool erase = old && random.one_in(3);
          store.save(key, now, old, acknowledged, erase);
          state[key] = erase ? std::nullopt : std::optional{random.bytes(random.below(30))};
        }
        history[now] = state;
        break;
      }
      case 3: acknowledged += random.below(now - acknowledged + 1); break;
      case 4:
        if (const std::uint64_t at = random.one_in(2) ? now : acknowledged; readers.size() < 12) readers.push_back({store.snapshot(at), at});
        break;
      case 5:
        if (!readers.empty()) {
          const std::size_t at = random.below(readers.size());
          store.registry.release(*readers[at].slot);
          readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(at));
        }
        break;
      case 6: random.one_in(4) ? store.versions->reclaim_all(Timestamp{acknowledged}, store.registry) : store.reclaim(acknowledged); break;
      default:
        for (const Reader& reader : readers) {
          const std::string key = "k" + std::to_string(random.below(20));
          const auto shown = [&](std::uint64_t at) {
            const State& state = history[at];
            const auto found = state.find(key);
            return found == state.end() || !found->second ? std::string{"-"} : *found->second;
          };
          const std::string seen = store.seen(key, reader.timestamp);
          INFO("step ", step, " key ", key, " snapshot ", reader.timestamp);
          REQUIRE((seen == "page" ? shown(now) : seen) == shown(reader.timestamp));
          // Whether the key changed after the snapshot is told rightly (some commit wrote it).
          if (shown(now) != shown(reader.timestamp)) REQUIRE(store.versions->newest_change(table, key) > Timestamp{reader.timestamp});
        }
    }
  }
  for (const Reader& reader : readers) store.registry.release(*reader.slot);
  store.reclaim(now);
  CHECK(store.versions->stats().bytes == 0);
}

TEST_CASE("D15: readers never see half of a commit while versions are saved and reclaimed") {
  // Two rows are always written together; a row is its page value plus its versions, as the engine keeps them.
  Store store;
  std::array<std::atomic<std::uint64_t>, 2> page{};  // the row's value is the timestamp that wrote it
  std::atomic<std::uint64_t> published{0};
  std::atomic<bool> stop{false}, wrong{false};
  std::atomic<int> reads{0};
  constexpr const char* keys[] = {"x", "y"};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      auto* slot = store.registry.claim();
      do {
        const Timestamp at = store.registry.take(*slot, [&] { return Timestamp{published.load()}; });
        std::array<std::uint64_t, 2> values{};
        for (std::size_t row = 0; row < 2; ++row) {
          values[row] = page[row].load(std::memory_order_acquire);
          if (values[row] <= number(at)) continue;
          store.versions->lookup(table, keys[row], at, [&](const Version* version) {
            if (version == nullptr)
              wrong = true;
            else
              values[row] = std::stoull(std::string{text_of(version->cell())});
            return 0;
          });
        }
        if (values[0] != values[1]) wrong = true;
        store.registry.clear(*slot);
        ++reads;
      } while (!stop);
      store.registry.release(*slot);
    });
  for (std::uint64_t now = 1; now <= 20000 || reads < 1000; ++now) {
    const std::uint64_t acknowledged = published.load();
    for (std::size_t row = 0; row < 2; ++row) {
      const std::string old = std::to_string(page[row].load());
      auto prepared = store.versions->prepare(table, keys[row], old.size());
      store.versions->save(*std::move(prepared), Timestamp{now}, {}, bytes_of(old), Timestamp{acknowledged}, store.registry);
      page[row].store(now, std::memory_order_release);
    }
    published.store(now);
    if (now % 3 == 0) store.reclaim(now);
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  CHECK_FALSE(wrong);
  store.reclaim(published);
  CHECK(store.count() == 0);
}

TEST_CASE("a reader that was revoked learns it after the lookup that missed its version") {
  Store store{0};
  std::atomic<std::uint64_t> page{0};
  std::atomic<bool> stop{false}, wrong{false};
  std::atomic<int> revoked{0};
  std::atomic<std::uint64_t> published{0};
  std::thread reader{[&] {
    auto* slot = store.registry.claim();
    do {
      const Timestamp at = store.registry.take(*slot, [&] { return Timestamp{published.load()}; });
      for (int look = 0; look < 50; ++look) {
        std::uint64_t value = page.load(std::memory_order_acquire);
        if (value > number(at))
          store.versions->lookup(table, "k", at, [&](const Version* version) {
            if (version != nullptr) value = std::stoull(std::string{text_of(version->cell())});
            return 0;
          });
        if (store.registry.is_revoked(*slot)) {
          ++revoked;
          break;
        }
        if (value != number(at)) wrong = true;
      }
    } while (!stop);
    store.registry.release(*slot);
  }};
  for (std::uint64_t now = 1; now <= 5000 || revoked < 20; ++now) {
    store.save("k", now, std::to_string(now - 1), now - 1);
    page.store(now, std::memory_order_release);
    published.store(now);
    store.versions->relieve(0, Timestamp{now}, store.registry);
  }
  stop = true;
  reader.join();
  CHECK_FALSE(wrong);
}
