// SPDX-License-Identifier: Apache-2.0
// Where the next frame goes and how it gets there: into a buffer for the next flush, or, when commits only have to survive
// the process, straight into the log. Every flush ends at a unit's end, so no later one touches a unit that is durable.
// Not synchronised; the Wal's mutex is.
#pragma once

#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/wal/format.hpp>
#include <aegis/storage/wal/log_buffer.hpp>

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace aegis::storage {

/// A payload and its checksum, which is drawn before any lock is taken.
struct LogPayload {
  Bytes bytes{};
  std::uint64_t checksum = 0;
};

template <LogPolicy Log, ChecksumPolicy Checksum, bool buffered>
class FrameWriter {
 public:
  FrameWriter(Log& log, StoreIdentity identity) : log_(&log), codec_(identity), unit_bytes_(log.unit_bytes()) {}
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;
  ~FrameWriter() { std::free(zeros_); }

  Result<void> open() {
    zeros_ = static_cast<std::byte*>(std::calloc(2, unit_bytes_));
    if (zeros_ == nullptr) return Error{Errc::out_of_memory, "log padding"};
    return {};
  }

  Lsn end() const { return end_; }
  Timestamp last() const { return last_; }
  std::uint32_t generation() const { return generation_; }
  std::uint32_t unit_bytes() const { return unit_bytes_; }
  LogBuffer& buffer() { return buffer_; }

  /// What a frame of such a payload may take at most: an Open frame before it and the padding of its own flush included.
  std::uint64_t cost(std::uint64_t payload_bytes) const {
    return payload_bytes + 2 * log_frame_header_bytes + LogOpenPayload::bytes + 2 * std::uint64_t{unit_bytes_};
  }

  /// Cuts the log and makes Open{generation} durable there: the first frame of a life, written at once.
  Result<void> start_generation(std::uint32_t generation, Timestamp first, Lsn cut) {
    const Lsn at{round_up(number(cut), unit_bytes_)};
    AEGIS_TRY(log_->cut(at));
    end_ = log_->end();
    AEGIS_ASSERT(end_ >= at && number(end_) % unit_bytes_ == 0);
    generation_ = generation;
    last_ = Timestamp{number(first) - 1};
    auto* unit = static_cast<std::byte*>(std::aligned_alloc(std::max<std::size_t>(LogBuffer::alignment, unit_bytes_), round_up(unit_bytes_, LogBuffer::alignment)));
    if (unit == nullptr) return Error{Errc::out_of_memory, "first frame of the log"};
    std::memset(unit, 0, unit_bytes_);
    constexpr std::size_t open_bytes = log_frame_header_bytes + LogOpenPayload::bytes;
    LogOpenPayload{first, cut}.encode(unit + log_frame_header_bytes);
    encode(unit, end_, LogFrameType::open, last_, {unit + log_frame_header_bytes, LogOpenPayload::bytes}, end_);
    const std::size_t pad = unit_bytes_ - open_bytes - log_frame_header_bytes;
    encode(unit + open_bytes, end_ + open_bytes, LogFrameType::pad, last_, {zeros_, pad}, end_);
    (void)log_->reserve(unit_bytes_);  // the append itself tells when there is no room
    Result<void> written = log_->append({unit, unit_bytes_});
    std::free(unit);
    AEGIS_TRY(written);
    end_ = end_ + unit_bytes_;
    return log_->sync();
  }

  /// Memory for everything that is reserved and `more`; out_of_memory changes nothing.
  Result<void> prepare(std::uint64_t bytes) {
    if constexpr (buffered) return buffer_.prepare(bytes);
    return {};
  }

  /// Appends one frame; with a buffer it cannot fail. `timestamp` is last() or later, and becomes last().
  Result<void> put(LogFrameType type, Timestamp timestamp, LogPayload payload, Lsn durable) {
    if (number(timestamp) - number(last_) >= timestamp_span) AEGIS_TRY(rebase(timestamp, durable));
    std::array<std::byte, small_frame_bytes> frame;
    const auto length = static_cast<std::uint32_t>(payload.bytes.size());
    codec_.encode(frame.data(), end_, {type, length, generation_, number(timestamp), durable}, payload.checksum);
    last_ = timestamp;
    if (payload.bytes.size() <= small_frame_bytes - log_frame_header_bytes && !buffered) {
      copy_bytes(MutableBytes{frame}.subspan(log_frame_header_bytes), payload.bytes);
      return send(Bytes{frame}.first(log_frame_header_bytes + payload.bytes.size()));
    }
    AEGIS_TRY(send(Bytes{frame}.first(log_frame_header_bytes)));
    return send(payload.bytes);
  }

  /// Fills the unit with a Pad frame, and the next one where a frame does not fit.
  Result<void> pad(Lsn durable) {
    std::uint64_t gap = round_up(number(end_), unit_bytes_) - number(end_);
    if (gap == 0) return {};
    if (gap < log_frame_header_bytes) gap += unit_bytes_;
    padding_bytes_ += gap;
    const Bytes zeros{zeros_, static_cast<std::size_t>(gap - log_frame_header_bytes)};
    return put(LogFrameType::pad, last_, {zeros, codec_.payload_checksum(zeros)}, durable);
  }

  /// Writes what take() took, which ends at a unit's end. Without the mutex.
  Result<void> write(const LogBuffer::Batch& batch) {
    for (const LogBuffer::Chunk* chunk = batch.first; chunk != nullptr; chunk = chunk->next) AEGIS_TRY(log_->append(chunk->bytes()));
    return {};
  }

  std::uint64_t padding_bytes() const { return padding_bytes_; }

 private:
  static constexpr std::size_t small_frame_bytes = buffered ? log_frame_header_bytes : 2048;

  void encode(std::byte* at, Lsn lsn, LogFrameType type, Timestamp timestamp, Bytes payload, Lsn durable) const {
    codec_.encode(at, lsn, {type, static_cast<std::uint32_t>(payload.size()), generation_, number(timestamp), durable}, codec_.payload_checksum(payload));
  }

  /// A timestamp that does not fit into 40 bits after the last one needs an Open frame of the same generation before it.
  Result<void> rebase(Timestamp first, Lsn durable) {
    std::array<std::byte, LogOpenPayload::bytes> payload;
    LogOpenPayload{first, end_}.encode(payload.data());
    last_ = first;
    return put(LogFrameType::open, first, {payload, codec_.payload_checksum(payload)}, durable);
  }

  Result<void> send(Bytes bytes) {
    if constexpr (buffered)
      buffer_.put(bytes);
    else
      AEGIS_TRY(log_->append(bytes));
    end_ = end_ + bytes.size();
    return {};
  }

  Log* log_;
  LogFrameCodec<Checksum> codec_;
  LogBuffer buffer_;               // empty for ever unless buffered
  std::uint32_t unit_bytes_;
  std::byte* zeros_ = nullptr;     // two units
  Lsn end_{};                      // of what was appended, written or not
  Timestamp last_{};               // of the newest frame
  std::uint32_t generation_ = 0;   // 0: none begun yet
  std::uint64_t padding_bytes_ = 0;
};

}  // namespace aegis::storage
