// SPDX-License-Identifier: Apache-2.0
// Zstandard (link libzstd): the smallest of ours; Level 1 (fast) to 22 (small). Contexts are kept for the next call, a
// few per codec, so calls allocate only when more threads than that are at it at once. A copy begins with none.
// Memory per context: 160 KiB to read; to write, what the level asks for inputs of a block's size.
// When there is no memory for a context a block is stored raw, and decompress() is false.
#pragma once

#include <aegis/storage/codec/policy.hpp>
#include <aegis/storage/core/endian.hpp>

#include <zstd.h>

#include <array>
#include <atomic>

namespace aegis::storage {

/// Contexts not in use right now. take() and give() never wait, from any thread.
template <class Context, Context* (*make)(), std::size_t (*destroy)(Context*)>
class ZstdContexts {
 public:
  ZstdContexts() noexcept = default;
  ZstdContexts(const ZstdContexts&) noexcept {}
  ZstdContexts& operator=(const ZstdContexts&) noexcept { return *this; }
  ~ZstdContexts() {
    for (auto& slot : idle_) destroy(slot.load(std::memory_order_acquire));
  }

  /// nullptr only without memory.
  Context* take() noexcept {
    for (auto& slot : idle_)
      if (Context* context = slot.exchange(nullptr, std::memory_order_acquire); context != nullptr) return context;
    return make();
  }
  void give(Context* context) noexcept {
    for (auto& slot : idle_) {
      Context* none = nullptr;
      if (slot.compare_exchange_strong(none, context, std::memory_order_release, std::memory_order_relaxed)) return;
    }
    destroy(context);
  }

 private:
  std::array<std::atomic<Context*>, 4> idle_{};  // owned; nullptr: an empty place
};

template <int Level = 3>
class ZstdCodec {
  static_assert(Level >= 1 && Level <= 22, "ZstdCodec<Level>: levels are 1 to 22");

 public:
  static constexpr Axis axis = Axis::codec;
  static constexpr std::string_view name = "zstd";
  static constexpr CodecId id = CodecId::zstd;

  std::size_t bound(std::size_t raw) const noexcept {
    const std::size_t room = ZSTD_compressBound(raw);
    return ZSTD_isError(room) != 0 ? 0 : room;
  }

  std::size_t compress(Bytes raw, MutableBytes to) const noexcept {
    if (raw.empty()) return 0;
    ZSTD_CCtx* const context = compressors_.take();
    if (context == nullptr) return 0;
    const std::size_t used = ZSTD_compressCCtx(context, to.data(), to.size(), raw.data(), raw.size(), Level);
    compressors_.give(context);
    return ZSTD_isError(used) != 0 ? 0 : used;
  }

  bool decompress(Bytes stored, MutableBytes raw) const noexcept {
    if (raw.empty() || !is_one_frame(stored)) return false;
    ZSTD_DCtx* const context = decompressors_.take();
    if (context == nullptr) return false;
    const std::size_t made = ZSTD_decompressDCtx(context, raw.data(), raw.size(), stored.data(), stored.size());
    decompressors_.give(context);
    return made == raw.size();
  }

 private:
  /// Exactly one frame of today's format. The library would also take several, skippable ones, and old formats whose
  /// decoders nobody looks at any more.
  static bool is_one_frame(Bytes stored) {
    return stored.size() >= 4 && load_le<std::uint32_t>(stored.data()) == ZSTD_MAGICNUMBER &&
           ZSTD_findFrameCompressedSize(stored.data(), stored.size()) == stored.size();
  }

  mutable ZstdContexts<ZSTD_CCtx, ZSTD_createCCtx, ZSTD_freeCCtx> compressors_;
  mutable ZstdContexts<ZSTD_DCtx, ZSTD_createDCtx, ZSTD_freeDCtx> decompressors_;
};

static_assert(CodecPolicy<ZstdCodec<>>);

}  // namespace aegis::storage
