// SPDX-License-Identifier: Apache-2.0
// What the tests of the pool share: a backend that fails on request, and pages that say which page and state they are.
#pragma once

#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/buffer/buffer_pool.hpp>
#include <aegis/storage/eviction/clock.hpp>
#include <aegis/storage/latch/plain.hpp>

#include <support/latch_of_threads.hpp>

#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace aegis_test {

namespace storage = aegis::storage;
using storage::PageId;

using TestLatch = LatchOfThreads;

/// What went wrong with it is decided from outside, while it is in use.
struct Faults {
  std::atomic<bool> fail_reads{false}, fail_writes{false};
  std::atomic<std::uint64_t> reads{0}, writes{0};
};

class FaultyBackend {
 public:
  using Log = storage::MemoryLog;
  static constexpr storage::Axis axis = storage::Axis::backend;
  static constexpr std::string_view name = "faulty";
  static constexpr bool durable_medium = false;

  explicit FaultyBackend(Faults& faults, storage::MemoryBackend below = {}) : below_(std::move(below)), faults_(&faults) {}

  storage::Result<std::size_t> read(storage::BlockId id, storage::MutableBytes into) {
    faults_->reads.fetch_add(1);
    if (faults_->fail_reads) return storage::Error{storage::Errc::io, "read", storage::number(id)};
    return below_.read(id, into);
  }
  storage::Result<void> write(storage::BlockId id, storage::Bytes from) {
    faults_->writes.fetch_add(1);
    if (faults_->fail_writes) return storage::Error{storage::Errc::io, "write", storage::number(id)};
    return below_.write(id, from);
  }
  storage::Result<void> erase(storage::BlockId id) { return below_.erase(id); }
  storage::Result<bool> exists(storage::BlockId id) { return below_.exists(id); }
  storage::Result<void> sync() { return below_.sync(); }
  template <class Fn>
  storage::Result<void> for_each(Fn&& fn) { return below_.for_each(fn); }
  storage::Result<Log> open_log(const storage::LogOptions& options) { return below_.open_log(options); }
  storage::Result<bool> has_log() { return below_.has_log(); }
  bool is_new() const { return below_.is_new(); }
  std::size_t max_block_bytes() const { return below_.max_block_bytes(); }
  storage::BackendStats stats() const { return below_.stats(); }
  std::uint64_t draw_id() { return below_.draw_id(); }

 private:
  storage::MemoryBackend below_;
  Faults* faults_;
};

template <class Pool>
aegis::storage::Owned<Pool> open_pool(auto& backend, std::size_t frames, std::size_t copies = 4) {
  auto pool = Pool::open(backend, {.frames = frames, .copy_buffers = copies});
  return pool ? *std::move(pool) : nullptr;
}

inline std::string stamp(std::uint64_t page, std::uint64_t state) { return "page " + std::to_string(page) + " state " + std::to_string(state); }

/// Makes the page say `state`.
template <class Handle>
void write_state(Handle& handle, std::uint64_t state, bool fresh) {
  if (fresh) handle.page().format(storage::PageType::data, storage::TableId{1});
  const std::string text = stamp(storage::number(handle.id()), state);
  if (handle.page().slot_count() == 0) {
    static_cast<void>(handle.page().insert_at(0, 0, storage::bytes_of(text)));
  } else {
    static_cast<void>(handle.page().replace_at(0, storage::bytes_of(text)));
  }
}

/// What a page says, or why it cannot be read.
template <class Pool>
std::string read_state(Pool& pool, std::uint64_t page) {
  struct Text {
    char bytes[48];
    std::size_t size;
  };
  const auto text = pool.read(PageId{page}, [](const auto& it) {
    Text copy{};
    if (const auto tuple = it.at(0); tuple && tuple->size() <= sizeof copy.bytes) {
      copy.size = tuple->size();
      std::memcpy(copy.bytes, tuple->data(), copy.size);
    }
    return copy;
  });
  if (!text) return std::string{storage::name_of(text.error().code())};
  return {text->bytes, text->size};
}

}  // namespace aegis_test
