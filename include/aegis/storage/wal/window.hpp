// SPDX-License-Identifier: Apache-2.0
// A moving view of a log's bytes, and the frames in it. Memory follows bytes that were really read, in doubling steps up to
// the largest frame, never a number found in them. An I/O error is passed on as it is: it is neither an end nor a hole.
// One thread at a time; nothing may append meanwhile.
#pragma once

#include <aegis/storage/core/maybe.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/wal/format.hpp>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace aegis::storage {

struct LogFrame {
  Lsn lsn{};
  LogFrameHeader header{};
  Timestamp timestamp{};  ///< Whole; filled in by LogWalker.
  Bytes payload{};        ///< Valid until the window moves.

  Lsn end() const { return lsn + header.frame_bytes(); }
};

template <LogPolicy Log>
class LogWindow {
 public:
  explicit LogWindow(Log& log) : log_(&log) {}
  LogWindow(LogWindow&& other) noexcept
      : log_(other.log_), data_(std::exchange(other.data_, nullptr)), begin_(other.begin_), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}
  LogWindow& operator=(LogWindow&&) = delete;
  ~LogWindow() { std::free(data_); }

  /// All bytes at hand from `at`, at least `wanted` unless the log ends before.
  Result<Bytes> view(Lsn at, std::size_t wanted) {
    if (at < begin_ || at > begin_ + size_)
      size_ = 0;
    else if (at + wanted > begin_ + size_)
      forget_before(page_of(at));
    if (size_ == 0) begin_ = page_of(at);
    while (begin_ + size_ < at + wanted) {
      AEGIS_TRY(grow());
      const std::size_t room = capacity_ - size_;
      AEGIS_TRY(const std::size_t got, log_->read(begin_ + size_, {data_ + size_, room}));
      size_ += std::min(got, room);
      if (got == 0) break;
    }
    const std::size_t skip = static_cast<std::size_t>(at - begin_);
    return Bytes{data_ + std::min(skip, size_), size_ - std::min(skip, size_)};
  }

  const Log& log() const { return *log_; }

 private:
  // Long reads into whole pages of memory from whole pages of the log: nothing is copied on the way where reads are direct.
  static constexpr std::size_t page_bytes = 4096, first_bytes = std::size_t{1} << 20;

  Lsn page_of(Lsn at) const {
    const Lsn page{number(at) / page_bytes * page_bytes};
    return page < log_->begin() ? at : page;
  }
  void forget_before(Lsn at) {
    if (at <= begin_) return;
    const std::size_t gone = static_cast<std::size_t>(at - begin_);
    std::memmove(data_, data_ + gone, size_ - gone);
    size_ -= gone;
    begin_ = at;
  }
  Result<void> grow() {
    if (size_ < capacity_) return {};
    const std::uint64_t there = log_->end() > begin_ ? log_->end() - begin_ : 0;
    const std::size_t first = there < first_bytes ? (static_cast<std::size_t>(there) / page_bytes + 1) * page_bytes : first_bytes;
    const std::size_t wanted = capacity_ == 0 ? first : capacity_ * 2;
    void* const larger = std::aligned_alloc(page_bytes, wanted);
    if (larger == nullptr) return Error{Errc::out_of_memory, "window of the log"};
    if (size_ != 0) std::memcpy(larger, data_, size_);
    std::free(data_);
    data_ = static_cast<std::byte*>(larger);
    capacity_ = wanted;
    return {};
  }

  Log* log_;
  std::byte* data_ = nullptr;  // [begin_, begin_ + size_) of the log
  Lsn begin_{};
  std::size_t size_ = 0, capacity_ = 0;
};

/// Which headers are worth proving.
struct FrameWanted {
  std::uint32_t lowest_generation = 0, highest_generation = 0;
  std::uint32_t max_payload = 0;
};

template <LogPolicy Log, ChecksumPolicy Checksum>
class FrameProbe {
 public:
  FrameProbe(Log& log, StoreIdentity identity) : window_(log), codec_(identity), begin_(log.begin()), end_(log.end()) {}

  Lsn log_begin() const { return begin_; }
  Lsn log_end() const { return end_; }
  LogWindow<Log>& window() { return window_; }
  /// What is wrong at `lsn`, with the place in a file where the log knows it.
  Error broken(const char* what, Lsn lsn) const {
    const Error error{Errc::corrupt_log, what, number(lsn)};
    if constexpr (LocatingLog<Log>) return window_.log().located(error, lsn);
    return error;
  }

  LogFrameHeader header_at(const std::byte* at, Lsn lsn) const { return codec_.decode(at, lsn); }
  bool plausible(const LogFrameHeader& header, Lsn lsn, const FrameWanted& wanted) const {
    return header.generation >= wanted.lowest_generation && header.generation <= wanted.highest_generation &&
           header.length <= wanted.max_payload && lsn + header.frame_bytes() <= end_;
  }

  /// The frame that stands at `lsn`, proved; none when there is no such frame. incompatible_format for a proved frame of an
  /// unknown type, corrupt_log for one whose payload has an impossible length.
  Result<Maybe<LogFrame>> at(Lsn lsn, const FrameWanted& wanted) {
    AEGIS_TRY(Bytes bytes, window_.view(lsn, log_frame_header_bytes));
    if (bytes.size() < log_frame_header_bytes) return Maybe<LogFrame>{};
    const LogFrameHeader header = codec_.decode(bytes.data(), lsn);
    if (!plausible(header, lsn, wanted)) return Maybe<LogFrame>{};
    const auto size = static_cast<std::size_t>(header.frame_bytes());
    AEGIS_TRY(bytes, window_.view(lsn, size));
    if (bytes.size() < size || !codec_.proves(bytes.first(size), lsn)) return Maybe<LogFrame>{};
    if (!is_known(header.type)) return Error{Errc::incompatible_format, "log frame type", static_cast<std::uint64_t>(header.type)};
    if (!fits(header)) return broken("length of the frame at LSN", lsn);
    return Maybe<LogFrame>{LogFrame{lsn, header, {}, bytes.subspan(log_frame_header_bytes, header.length)}};
  }

 private:
  static constexpr bool fits(const LogFrameHeader& header) {
    switch (header.type) {
      case LogFrameType::transaction: return true;
      case LogFrameType::pad: return true;
      case LogFrameType::piece: return header.length >= 8;
      case LogFrameType::checkpoint: return header.length == LogCheckpointPayload::bytes;
      case LogFrameType::open: return header.length == LogOpenPayload::bytes;
      case LogFrameType::close: return header.length == 8;
    }
    return false;
  }

  LogWindow<Log> window_;
  LogFrameCodec<Checksum> codec_;
  Lsn begin_, end_;  // of what the log holds; nothing beyond is ever believed
};

}  // namespace aegis::storage
