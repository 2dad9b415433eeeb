// SPDX-License-Identifier: Apache-2.0
// What a backend should hold, kept beside it: the current state, and what may be there after a crash. For the backend
// suite and for tests of your own. One thread.
#pragma once

#include <aegis/storage/backend/policy.hpp>
#include <aegis/storage/core/bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace aegis::storage::testing {

using BackendState = std::map<BlockId, std::string>;

/// Whether `source`, a backend or a pin, holds exactly `wanted`: every block, its length, nothing else.
template <class Source>
bool holds(Source& source, const BackendState& wanted) {
  std::string buffer;
  for (const auto& [id, content] : wanted) {
    buffer.resize(content.size());
    const auto got = source.read(id, MutableBytes{reinterpret_cast<std::byte*>(buffer.data()), buffer.size()});
    if (!got || *got != content.size() || buffer != content) return false;
  }
  std::size_t listed = 0;
  bool same = true;
  const Result<void> walked = source.for_each([&](BlockId id, std::size_t bytes) {
    const auto found = wanted.find(id);
    same = same && found != wanted.end() && found->second.size() == bytes;
    ++listed;
  });
  return walked && same && listed == wanted.size();
}

/// A backend and its model under one hand.
template <BackendPolicy Backend>
class BackendModel {
 public:
  explicit BackendModel(Backend& backend, BackendState state = {}) : backend_(&backend), now_(std::move(state)), published_(now_) {}

  Result<void> write(BlockId id, std::string content) {
    AEGIS_TRY(backend_->write(id, bytes_of(content)));
    now_[id] = std::move(content);
    return {};
  }
  Result<void> erase(BlockId id) {
    AEGIS_TRY(backend_->erase(id));
    now_.erase(id);
    return {};
  }
  void seal() {
    backend_->seal();
    sealed_ = now_;
    is_sealed_ = true;
  }
  Result<void> sync() {
    if (!is_sealed_) sealed_ = now_;
    is_sealed_ = false;
    syncing_ = true;
    AEGIS_TRY(backend_->sync());
    syncing_ = false;
    published_ = sealed_;
    return {};
  }

  bool holds_now() { return holds(*backend_, now_); }
  /// Whether `reopened` is what a crash may leave: the last sync that returned or, if one was running, its successor.
  template <class Reopened>
  bool is_legal_after_crash(Reopened& reopened) const {
    return holds(reopened, published_) || (syncing_ && holds(reopened, sealed_));
  }

  const BackendState& now() const { return now_; }
  const BackendState& published() const { return published_; }

 private:
  Backend* backend_;
  BackendState now_, published_, sealed_;
  bool is_sealed_ = false;
  bool syncing_ = false;  // a sync was called and did not succeed
};

struct BackendSuiteRandom {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  std::string bytes(std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(next());
    return text;
  }
};

/// `steps` random changes of about `blocks` ids, syncs among them. Stops at the first error, which is the answer.
template <BackendPolicy Backend>
Result<void> change_at_random(BackendModel<Backend>& model, BackendSuiteRandom& random, int steps, std::uint64_t blocks = 40) {
  for (int step = 0; step < steps; ++step) {
    const BlockId id{random.below(20) == 0 ? random.next() << 32 : random.below(blocks)};
    const std::uint64_t what = random.below(32);
    if (what < 20) AEGIS_TRY(model.write(id, random.bytes(static_cast<std::size_t>(random.below(4) == 0 ? random.below(20'000) : random.below(600)))));
    else if (what < 28) AEGIS_TRY(model.erase(id));
    else if (what < 30) {
      if constexpr (SealableBackend<Backend>) model.seal();
    } else AEGIS_TRY(model.sync());
  }
  return {};
}

}  // namespace aegis::storage::testing
