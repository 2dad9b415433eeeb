// SPDX-License-Identifier: Apache-2.0
// Proves that a backend keeps the numbered promises of backend/policy.hpp and of the refinements it offers, in any test
// framework: `report` is called as report(std::string_view promise, bool held); the promise begins with its number. To
// drop a backend is taken for what a killed process does. What a place cannot do is left out, and what it would show.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/testing/backend_model.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace aegis::storage::testing {

/// Where the backends of a suite stand. open() opens the same place again and again. May also have:
///   power_cut()               what is not durable is gone; called while no backend is open
///   fail_next_change()        the next change of the medium fails with an I/O error
///   die_at_change(n)          the power fails at the n-th change from now: it and all later ones fail; 0: not any more
///   limit_room(bytes)         how much the place may take in all
///   static constexpr bool one_thread = true    the place is for one thread
///   static constexpr bool any_opener = true    the place cannot tell a second opener
///   static constexpr bool fixed_ids = true     the place draws no random numbers
template <class P>
concept BackendPlace = requires(P place) {
  { place.fresh() } -> std::same_as<void>;
  { place.open().value() };
};

template <BackendPlace Place, class Report>
class BackendSuite {
  using Backend = std::remove_cvref_t<decltype(std::declval<Place&>().open().value())>;
  using Model = BackendModel<Backend>;
  static_assert(BackendPolicy<Backend>);

 public:
  BackendSuite(Place& place, Report& report, std::uint64_t seed) : place_(place), report_(report), random_{seed} {}

  void prove() {
    read_what_was_written();
    write_any_block();
    keep_old_content();
    erase_and_enumerate();
    publish_at_sync();
    survive_any_crash();
    poison();
    sync_beside_writers();
    open_once();
    make_the_log();
    tell_what_is_new();
    if constexpr (SealableBackend<Backend>) seal();
    if constexpr (PinnableBackend<Backend>) pin();
    if constexpr (ReservableBackend<Backend>) reserve();
  }

 private:
  struct Found {
    Errc code{};  // meaningful unless there is content
    std::optional<std::string> content;
  };
  template <class Source>
  static Found found(Source& source, BlockId id, std::size_t room = 64 << 10) {
    std::string buffer(room, '\0');
    const auto got = source.read(id, MutableBytes{reinterpret_cast<std::byte*>(buffer.data()), room});
    if (!got) return {got.error().code(), std::nullopt};
    return {{}, buffer.substr(0, *got)};
  }
  template <class R>
  static bool fails(const R& result, Errc code) {
    return !result && result.error().code() == code;
  }

  std::optional<Backend> begin() {
    place_.fresh();
    return again();
  }
  std::optional<Backend> again() {
    auto opened = place_.open();
    if (!opened) {
      report_("0. the place can be opened", false);
      return std::nullopt;
    }
    return std::move(opened).value();
  }
  void power_cut() {
    if constexpr (requires { place_.power_cut(); }) place_.power_cut();
  }

  void read_what_was_written() {
    auto backend = begin();
    if (!backend) return;
    const std::string content = random_.bytes(777);
    report_("1. an absent block is block_not_found", found(*backend, BlockId{5}).code == Errc::block_not_found);
    const bool written = backend->write(BlockId{5}, bytes_of(content)).has_value();
    report_("1. read gives the bytes last written, and how many", written && found(*backend, BlockId{5}).content == content);
    report_("1. the exact length is room enough", found(*backend, BlockId{5}, 777).content == content);
    report_("1. a buffer that is too small is too_large", found(*backend, BlockId{5}, 776).code == Errc::too_large);
    const bool synced = backend->sync().has_value();
    report_("1. sync changes nothing that is read", synced && found(*backend, BlockId{5}).content == content);
  }

  void write_any_block() {
    auto backend = begin();
    if (!backend) return;
    Model model(*backend);
    bool any_id = true, any_length = true;
    for (const std::uint64_t id : std::initializer_list<std::uint64_t>{0, 1, 255, 256, std::uint64_t{1} << 40, std::uint64_t{1} << 63, ~std::uint64_t{0}})
      any_id = any_id && model.write(BlockId{id}, random_.bytes(100)).has_value() && model.holds_now();
    report_("2. any id", any_id && model.sync().has_value() && model.holds_now());
    const std::size_t limit = backend->max_block_bytes();
    for (const std::size_t bytes : std::initializer_list<std::size_t>{0, 1, 511, 512, 4096, 8191, 65'536, limit - 1, limit, 3, 0})
      if (bytes <= limit) any_length = any_length && model.write(BlockId{1}, random_.bytes(bytes)).has_value() && model.holds_now();
    report_("2. any length up to the limit, each replacing the whole", any_length && model.sync().has_value() && model.holds_now());
    const std::string too_much(limit + 1, 'x');
    report_("2. a longer block is too_large and the old content stays", fails(backend->write(BlockId{0}, bytes_of(too_much)), Errc::too_large) && model.holds_now());
  }

  void keep_old_content() {
    if constexpr (requires { place_.fail_next_change(); }) {
      auto backend = begin();
      if (!backend) return;
      Model model(*backend);
      bool kept = model.write(BlockId{1}, random_.bytes(5000)).has_value() && model.sync().has_value();
      for (int round = 0; kept && round < 40; ++round) {
        if (round % 8 == 0) place_.fail_next_change();
        if (!model.write(BlockId{1}, random_.bytes(backend->max_block_bytes()))) kept = model.holds_now();
      }
      report_("2. on failure the old content stays readable", kept && model.holds_now());
    }
  }

  void erase_and_enumerate() {
    auto backend = begin();
    if (!backend) return;
    Model model(*backend);
    report_("3. erasing what is absent is fine", backend->erase(BlockId{9}).has_value() && model.holds_now());
    bool told = true;
    for (std::uint64_t i = 0; i < 600; ++i) told = told && model.write(BlockId{i * i}, random_.bytes(i % 50)).has_value();
    for (std::uint64_t i = 0; i < 600; i += 2) told = told && model.erase(BlockId{i * i}).has_value();
    const auto there = backend->exists(BlockId{9}), gone = backend->exists(BlockId{4});
    report_("3. erase makes the id absent, exists tells", told && there && *there && gone && !*gone && found(*backend, BlockId{4}).code == Errc::block_not_found);
    report_("3. for_each tells the current state", model.holds_now());
    const BackendStats stats = backend->stats();
    std::uint64_t bytes = 0;
    for (const auto& [id, content] : model.now()) bytes += content.size();
    report_("3. statistics equal a full count", stats.blocks == model.now().size() && stats.stored_bytes == bytes);
  }

  void publish_at_sync() {
    auto backend = begin();
    if (!backend) return;
    Model model(*backend);
    bool kept = true;
    for (int life = 0; kept && life < 4; ++life) {
      kept = change_at_random(model, random_, 150).has_value() && model.sync().has_value() && model.sync().has_value() && model.holds_now();  // the first may end at a seal
      const BackendState published = model.published();
      const BackendStats before = backend->stats();
      kept = kept && model.write(BlockId{3}, "unpublished").has_value() && model.erase(published.begin()->first).has_value();
      backend.reset();
      power_cut();
      backend = again();
      if (!backend) return;
      kept = kept && holds(*backend, published) && backend->stats().blocks == before.blocks && backend->stats().stored_bytes == before.stored_bytes;
      model = Model(*backend, published);
    }
    report_("4. reopening yields the state of the last sync, statistics too, and nothing later", kept);
  }

  void survive_any_crash() {
    if constexpr (requires { place_.die_at_change(std::uint64_t{1}); }) {
      bool legal = true, goes_on = true;
      std::uint64_t died = 0;
      for (std::uint64_t change = 1; legal && goes_on && change < 400; change += 1 + change / 12) {
        auto backend = begin();
        if (!backend) return;
        Model model(*backend);
        if (!change_at_random(model, random_, 30) || !model.sync()) return report_("4. a sound place fails nothing", false);
        place_.die_at_change(change);
        died += change_at_random(model, random_, 400) ? 0 : 1;
        backend.reset();
        place_.die_at_change(0);
        power_cut();
        backend = again();
        if (!backend) return;
        legal = model.is_legal_after_crash(*backend);
        Model next(*backend, holds(*backend, model.published()) ? model.published() : BackendState{});
        goes_on = next.published().empty() || (change_at_random(next, random_, 30).has_value() && next.sync().has_value() && next.holds_now());
      }
      report_("4. after a crash at any change: the last sync that returned or, if one was running, its successor", legal && died > 20);
      report_("4. after a crash the place works on", goes_on);
    }
  }

  void poison() {
    if constexpr (requires { place_.fail_next_change(); }) {
      auto backend = begin();
      if (!backend) return;
      Model model(*backend);
      const bool before = model.write(BlockId{1}, "kept").has_value() && model.sync().has_value() && model.write(BlockId{2}, "lost").has_value();
      place_.fail_next_change();
      const bool failed = !model.sync();
      report_("5. after a failed sync every write, erase and sync is engine_failed",
              before && failed && fails(backend->sync(), Errc::engine_failed) && fails(backend->write(BlockId{3}, {}), Errc::engine_failed) &&
                  fails(backend->erase(BlockId{1}), Errc::engine_failed) && fails(backend->erase(BlockId{77}), Errc::engine_failed) && fails(backend->sync(), Errc::engine_failed));
      backend.reset();
      power_cut();
      backend = again();
      if (backend) report_("5. a failed sync published all of its set or nothing", model.is_legal_after_crash(*backend));
    }
  }

  /// One thread writes n to block 1, then to block 2, then n + 1 ...: whatever a sync publishes shows them at most one apart.
  void sync_beside_writers() {
    if constexpr (!requires { requires Place::one_thread; }) {
      auto backend = begin();
      if (!backend) return;
      std::atomic<bool> done{false}, sound{true};
      std::thread writer([&] {
        for (std::uint64_t n = 1; !done; ++n)
          for (const BlockId id : {BlockId{1}, BlockId{2}})
            if (!backend->write(id, bytes_of(std::to_string(n)))) sound = false;
      });
      std::thread reader([&] {
        while (!done)
          for (const BlockId id : {BlockId{2}, BlockId{1}})
            if (const Found got = found(*backend, id); !got.content && got.code != Errc::block_not_found) sound = false;
      });
      bool consistent = true;
      for (int round = 0; round < 60; ++round) {
        consistent = consistent && backend->sync().has_value();
        if constexpr (PinnableBackend<Backend>)
          if (auto pin = backend->pin()) consistent = consistent && one_moment(*pin);
      }
      done = true;
      writer.join();
      reader.join();
      backend.reset();
      power_cut();
      backend = again();
      if (backend) report_("6. a write beside a sync is wholly in it or wholly after it", consistent && sound && one_moment(*backend));
    }
  }
  template <class Source>
  static bool one_moment(Source& source) {
    const Found first = found(source, BlockId{1}), second = found(source, BlockId{2});
    const std::uint64_t one = first.content ? std::stoull(*first.content) : 0, two = second.content ? std::stoull(*second.content) : 0;
    return one == two || one == two + 1;
  }

  void open_once() {
    if constexpr (!requires { requires Place::any_opener; }) {
      auto backend = begin();
      if (!backend) return;
      const bool refused = fails(place_.open(), Errc::already_open) && fails(place_.open(), Errc::already_open);
      backend.reset();
      report_("7. a second open is already_open, until the first is dropped", refused && again().has_value());
    }
  }

  void make_the_log() {
    auto backend = begin();
    if (!backend) return;
    LogOptions options{.identity = {3, 4}, .max_bytes = 1 << 20, .segment_bytes = 128 << 10, .create = true};
    const auto before = backend->has_log();
    bool made = backend->open_log(options).has_value() && backend->sync().has_value();
    const auto after = backend->has_log();
    backend.reset();
    backend = again();
    if (!backend) return;
    const auto later = backend->has_log();
    options.create = false;
    made = made && backend->open_log(options).has_value();
    report_("8. open_log makes the log of this place, has_log tells", made && before && !*before && after && *after && later && *later);
  }

  void tell_what_is_new() {
    auto backend = begin();
    if (!backend) return;
    const bool before = backend->is_new() && backend->write(BlockId{1}, {}).has_value() && backend->is_new();
    backend.reset();
    backend = again();
    if (!backend) return;
    const bool still = backend->is_new() && backend->sync().has_value() && !backend->is_new();
    backend.reset();
    backend = again();
    report_("9. is_new until the first sync ever returned", before && still && backend && !backend->is_new());
    if constexpr (!requires { requires Place::fixed_ids; })
      report_("9. draw_id gives bits", backend && backend->draw_id() != backend->draw_id() && backend->draw_id() != backend->draw_id());
  }

  void seal() {
    auto backend = begin();
    if (!backend) return;
    Model model(*backend);
    bool ended = true;
    for (int round = 0; ended && round < 8; ++round) {
      ended = change_at_random(model, random_, 20).has_value();
      model.seal();
      for (int i = 0; ended && i < 20; ++i) {
        const BlockId id{random_.below(40)};
        ended = (i % 4 == 0 ? model.erase(id) : model.write(id, random_.bytes(300))).has_value();
      }
      ended = ended && model.holds_now() && model.sync().has_value() && model.holds_now();
    }
    const BackendState sealed = model.published();
    backend.reset();
    power_cut();
    backend = again();
    report_("seal. it ends the set that the next sync publishes; later changes belong to the one after", ended && backend && holds(*backend, sealed));
  }

  void pin() {
    auto backend = begin();
    if (!backend) return;
    Model model(*backend);
    bool kept = change_at_random(model, random_, 100).has_value() && model.sync().has_value();
    {
      const BackendState first = model.published();
      auto pin = backend->pin();
      kept = kept && pin && holds(*pin, first);
      for (int round = 0; kept && round < 6; ++round) {
        kept = change_at_random(model, random_, 100).has_value() && model.sync().has_value() && holds(*pin, first);
        const BackendState newest = model.published();
        auto second = backend->pin();
        kept = kept && second && model.write(BlockId{1}, random_.bytes(64)).has_value() && holds(*second, newest);
      }
    }
    report_("pin. the published generation stays readable and enumerable until it is released", kept && model.holds_now());
    report_("pin. released, nothing is lost", change_at_random(model, random_, 100).has_value() && model.sync().has_value() && model.holds_now());
  }

  void reserve() {
    auto backend = begin();
    if (!backend) return;
    if constexpr (requires { place_.limit_room(std::uint64_t{1}); }) {
      place_.limit_room(12 << 20);
      Model model(*backend);
      constexpr std::uint64_t each = 16 << 10;
      std::uint64_t reserved = 0;
      Result<void> last{};
      while (reserved < (64 << 20) && (last = backend->reserve(each))) reserved += each;
      bool kept = fails(last, Errc::no_space) && reserved != 0;
      for (std::uint64_t id = 0; kept && id < reserved / each; ++id) kept = model.write(BlockId{id}, random_.bytes(8192)).has_value();
      report_("reserve. writes within it never get no_space, nor does the sync after them", kept && model.sync().has_value() && model.holds_now());
      backend->release(reserved);
      bool freed = true;
      for (std::uint64_t id = 0; freed && id < reserved / each; ++id) freed = model.erase(BlockId{id}).has_value();
      report_("reserve. released and erased room can be reserved again", freed && model.sync().has_value() && backend->reserve(reserved / 2).has_value());
      place_.limit_room(std::numeric_limits<std::uint64_t>::max());
    } else {
      const bool granted = backend->reserve(1 << 20).has_value() && backend->write(BlockId{1}, bytes_of("in it")).has_value();
      backend->release(1 << 20);
      report_("reserve. it is granted while there is room", granted && fails(backend->reserve(std::uint64_t{1} << 62), Errc::no_space));
    }
  }

  Place& place_;
  Report& report_;
  BackendSuiteRandom random_;
};

/// Proves every promise that the place can show.
template <BackendPlace Place, class Report>
void backend_suite(Place& place, Report&& report, std::uint64_t seed = 1) {
  BackendSuite<Place, Report>{place, report, seed}.prove();
}

}  // namespace aegis::storage::testing
