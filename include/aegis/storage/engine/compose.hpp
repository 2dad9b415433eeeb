// SPDX-License-Identifier: Apache-2.0
// The door: policies in any order become one positional engine type, so the same set always is the same type.
// Everything a combination cannot honour is refused here, with a sentence.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/checksum/policy.hpp>
#include <aegis/storage/cipher/policy.hpp>
#include <aegis/storage/codec/policy.hpp>
#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/concepts.hpp>
#include <aegis/storage/eviction/policy.hpp>
#include <aegis/storage/isolation/policy.hpp>
#include <aegis/storage/latch/policy.hpp>
#include <aegis/storage/wal/durability.hpp>

#include <cstddef>
#include <type_traits>

namespace aegis::storage {

/// The size of a page in memory: 4, 8, 16, 32 or 64 KiB. Larger pages suit scans and compression, smaller ones updates.
template <std::size_t Bytes>
struct PageSize {
  static_assert(Bytes == 4096 || Bytes == 8192 || Bytes == 16384 || Bytes == 32768 || Bytes == 65536,
                "aegis: a page has 4096, 8192, 16384, 32768 or 65536 bytes");
  static constexpr Axis axis = Axis::page_size;
  static constexpr std::size_t bytes = Bytes;
};

template <class Policy>
concept NamesAnAxis = requires { { Policy::axis } -> ConvertsTo<Axis>; };

/// "Take the log that the backend names": the default of the log axis.
struct BackendsOwnLog {};

template <Axis wanted, class Default, class... Policies>
struct ChoiceOf {
  using type = Default;
};
template <Axis wanted, class Default, class First, class... Rest>
struct ChoiceOf<wanted, Default, First, Rest...>
    : std::conditional_t<First::axis == wanted, std::type_identity<First>, ChoiceOf<wanted, Default, Rest...>> {};

template <class... Policies>
constexpr bool each_axis_once() {
  if constexpr (sizeof...(Policies) > 0) {
    const Axis axes[] = {Policies::axis...};
    for (std::size_t i = 0; i < sizeof...(Policies); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (axes[i] == axes[j]) return false;
  }
  return true;
}

/// The policies of one engine, each by its axis. `Defaults` names a default for every axis.
template <class Defaults, class... Policies>
struct Composition {
  static_assert((NamesAnAxis<Policies> && ...), "aegis: this is not a policy: it names no axis (static constexpr Axis axis)");
  static_assert(each_axis_once<Policies...>(), "aegis: two policies for one axis");

  template <Axis wanted, class Default>
  using Choice = typename ChoiceOf<wanted, Default, Policies...>::type;

  using Backend = Choice<Axis::backend, typename Defaults::Backend>;
  using LogChoice = Choice<Axis::log, BackendsOwnLog>;
  using Codec = Choice<Axis::codec, typename Defaults::Codec>;
  using Checksum = Choice<Axis::checksum, typename Defaults::Checksum>;
  using Cipher = Choice<Axis::cipher, typename Defaults::Cipher>;
  using Eviction = Choice<Axis::eviction, typename Defaults::Eviction>;
  using Latch = Choice<Axis::latch, typename Defaults::Latch>;
  using Isolation = Choice<Axis::isolation, typename Defaults::Isolation>;
  using Durability = Choice<Axis::durability, typename Defaults::Durability>;
  using Page = Choice<Axis::page_size, typename Defaults::Page>;
};

/// Checked once for a chosen set; the first error line is the sentence, the second names the missing expression.
template <class Chosen>
constexpr bool check_composition() {
  using Backend = typename Chosen::Backend;
  using Log = typename Chosen::LogChoice;
  static_assert(requires { typename Backend::Log; }, "aegis: the backend names no log (using Log = ...); an engine cannot be durable without one");
  static_assert(BackendPolicy<Backend>,
                "aegis: the backend must model BackendPolicy (name, durable_medium, Log, read, write, erase, exists, sync, for_each, open_log, has_log, is_new, max_block_bytes, stats, draw_id)");
  static_assert(CodecPolicy<typename Chosen::Codec>, "aegis: the codec must model CodecPolicy (name, id, bound, compress, decompress)");
  static_assert(ChecksumPolicy<typename Chosen::Checksum>, "aegis: the checksum must model ChecksumPolicy (name, kind, operator())");
  static_assert(CipherPolicy<typename Chosen::Cipher>, "aegis: the cipher must model CipherPolicy (name, id, overhead, key_id, seal, open)");
  static_assert(EvictionPolicy<typename Chosen::Eviction>, "aegis: the eviction policy must model EvictionPolicy (name, resize, admit, remove, access, victim)");
  static_assert(LatchPolicy<typename Chosen::Latch>, "aegis: the latch must model LatchPolicy (name, optimistic, lock, unlock, lock_shared, unlock_shared)");
  static_assert(IsolationPolicy<typename Chosen::Isolation>, "aegis: the isolation level must model IsolationPolicy");
  static_assert(DurabilityPolicy<typename Chosen::Durability>, "aegis: the durability must model DurabilityPolicy (name, wait)");
  if constexpr (BackendPolicy<Backend>) {
    static_assert(std::is_same_v<Log, BackendsOwnLog> || std::is_same_v<Log, typename Backend::Log>,
                  "aegis: a backend opens only the log it names, so that both fail and recover as one; leave the log axis out");
    static_assert(!Backend::durable_medium || Backend::Log::durable_medium,
                  "aegis: a durable backend needs a durable log: with MemoryLog a restart would lose every commit since the last checkpoint");
    static_assert(!Backend::durable_medium || Chosen::Checksum::kind != ChecksumKind::none,
                  "aegis: NoChecksum cannot be used with a durable backend: rotten and misplaced blocks would be believed");
  }
  return true;
}

}  // namespace aegis::storage
