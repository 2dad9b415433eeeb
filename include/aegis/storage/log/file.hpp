// SPDX-License-Identifier: Apache-2.0
// The log on files: written, recycled segments of one directory, bounded by max_bytes. Without process_durable an append
// goes past the page cache where the file system can and is durable when it returned; with it an append is a copy into a
// mapped segment, and sync makes it durable. An open must be followed by cut() at the end that the reader found.
// Threading: LogPolicy's; cut has the log for itself.
#pragma once

#include <aegis/storage/core/axis.hpp>
#include <aegis/storage/core/bytes.hpp>
#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/mutex.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/log/segment_chain.hpp>
#include <aegis/storage/log/segment_file.hpp>
#include <aegis/storage/log/segment_scan.hpp>

#include <atomic>
#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

namespace aegis::storage {

template <FilePolicy Files>
class FileLog {
 public:
  using Directory = typename Files::Directory;

  static constexpr Axis axis = Axis::log;
  static constexpr std::string_view name = "file";
  static constexpr bool durable_medium = true;

  /// The directory is the log's own handle and locked by the caller. options.create is for a store of which nothing was
  /// ever acknowledged: segments that stand there are thrown away. end() is then options.start; otherwise where the last
  /// segment's room ends, until cut() says how much of it is true.
  static Result<FileLog> open(Directory directory, const LogOptions& options) {
    Owned<State> state{new (std::nothrow) State{options.process_durable}};
    if (!state || !state->bounce || !state->read_bounce) return Error{Errc::out_of_memory, "log"};
    AEGIS_TRY(state->chain, SegmentScan<Files>::open(std::move(directory), options));
    state->stand_at(options.create ? options.start : state->chain->tail().limit());
    return FileLog{std::move(state)};
  }

  static Result<bool> exists(Directory& directory) { return SegmentScan<Files>::log_exists(directory); }

  /// Within reserved room only a failing device can stop it. Beyond it a segment is made, and when that is refused (busy,
  /// no_space) nothing was written and the log lives on. Any other failure poisons, that of naming the next segment's file
  /// too: it is named when the first byte comes to it, and by then frames have their LSNs and others have theirs after them.
  Result<void> append(Bytes bytes) {
    AEGIS_TRY(alive());
    if (!state_->process_durable && bytes.size() % unit_bytes() != 0) return Error{Errc::invalid_argument, "length of an append to the log"};
    Lsn at = end();
    Chain& chain = *state_->chain;
    if (bytes.size() > chain.tail().limit() - at) {
      chain.promise(at + bytes.size());  // a trim that comes now leaves the room that is counted here
      if (bytes.size() > chain.full_room() - at) AEGIS_TRY(chain.reserve(at + bytes.size()));
    }
    while (!bytes.empty()) {
      if (at == chain.tail().limit()) AEGIS_TRY(poisoning(chain.advance(at)));
      Segment& segment = chain.tail();
      const std::uint64_t left = segment.limit() - at;
      const std::size_t step = bytes.size() < left ? bytes.size() : static_cast<std::size_t>(left);
      AEGIS_TRY(poisoning(segment.write(at, bytes.first(step), state_->bounce.bytes())));
      state_->end.store(number(at + step), std::memory_order_release);
      if (segment.durable_writes() && durable() == at) raise_durable(at + step);
      at = at + step;
      bytes = bytes.subspan(step);
    }
    return {};
  }

  Result<void> sync() {
    const Lsn target = end();
    AEGIS_TRY(alive());
    if (durable() >= target) return {};
    const Guard one_syncer{state_->syncing};
    AEGIS_TRY(alive());
    for (Lsn at = durable(); at < target;) {
      Segment* const segment = state_->chain->at(at);  // stays: only what is durable is dropped
      AEGIS_ASSERT(segment != nullptr);
      AEGIS_TRY(poisoning(segment->sync()));
      at = segment->limit();
    }
    raise_durable(target);
    return {};
  }

  /// Also while poisoned. invalid_argument below begin(). The range is not dropped meanwhile.
  Result<std::size_t> read(Lsn lsn, MutableBytes into) {
    if (lsn < begin()) return Error{Errc::invalid_argument, "reading below the log's begin, at LSN", number(lsn)};
    const Lsn stop = end();
    if (lsn >= stop) return std::size_t{0};
    if (into.size() > stop - lsn) into = into.first(static_cast<std::size_t>(stop - lsn));
    const Guard one_reader{state_->reading};
    for (std::size_t done = 0; done < into.size();) {
      const Lsn at = lsn + done;
      Segment* const segment = state_->chain->at(at);
      if (segment == nullptr) return Error{Errc::invalid_argument, "reading below the log's begin, at LSN", number(at)};
      const std::uint64_t left = segment->limit() - at;
      const std::size_t step = into.size() - done < left ? into.size() - done : static_cast<std::size_t>(left);
      AEGIS_TRY(segment->read(at, into.subspan(done, step), state_->read_bounce.bytes()));
      done += step;
    }
    return into.size();
  }

  Error located(const Error& error, Lsn lsn) const {
    const Segment* const segment = state_->chain->at(lsn);
    return segment != nullptr ? segment->located(error, lsn) : error;
  }

  /// `lsn` is a multiple of unit_bytes(), not below begin(). Bytes below it that were appended are durable on return.
  /// Beyond what the last segment holds, the log begins anew there. Any failure poisons, want of room too; the next open
  /// finds what lies below the cut.
  Result<void> cut(Lsn lsn) {
    AEGIS_TRY(alive());
    if (lsn < begin() || number(lsn) % unit_bytes() != 0) return Error{Errc::invalid_argument, "cut of the log at LSN", number(lsn)};
    AEGIS_TRY(sync());
    if (const auto done = state_->chain->cut(lsn); !done) {
      state_->failed.store(true, std::memory_order_release);
      return done;
    }
    state_->stand_at(lsn);
    return {};
  }

  /// Never more than is durable; what is freed becomes spare. A segment whose file cannot be renamed stays, and is dropped by
  /// a later call; only where max_bytes lets the log not grow instead is that an error, which does not poison.
  Result<void> drop_before(Lsn lsn) {
    AEGIS_TRY(alive());
    const Result<void> dropped = state_->chain->drop_before(lsn < durable() ? lsn : durable());
    return state_->chain->failed() ? poisoning(dropped) : dropped;
  }

  /// So many bytes from end() on. Not cumulative: who lets several appends come at once asks for their sum. What it
  /// promises is written already; one spare segment is left beside it, or half of one where the disk is full. no_space when
  /// the disk cannot hold it.
  Result<void> reserve(std::uint64_t bytes) {
    AEGIS_TRY(alive());
    if (bytes > max_bytes()) return Error{Errc::busy, "log smaller than the bytes wanted, which are", bytes};
    return state_->chain->reserve(end() + bytes);
  }

  bool spare_due() const { return state_->chain->spare_due(end()); }
  Result<void> prepare_spare() {
    AEGIS_TRY(alive());
    return state_->chain->prepare_spare(end());
  }
  Result<void> trim(bool keep_promised) {
    AEGIS_TRY(alive());
    return state_->chain->trim(0, keep_promised);
  }

  Lsn begin() const { return state_->chain->begin(); }
  Lsn end() const { return Lsn{state_->end.load(std::memory_order_acquire)}; }
  Lsn durable() const { return Lsn{state_->durable.load(std::memory_order_acquire)}; }
  std::uint32_t unit_bytes() const { return Chain::unit_bytes; }
  std::uint64_t used_bytes() const { return end() - begin(); }  ///< Of the stream; files with room and spares are file_bytes().
  std::uint64_t max_bytes() const { return state_->chain->max_bytes(); }
  std::uint64_t file_bytes() const { return state_->chain->file_bytes(); }

 private:
  using Chain = SegmentChain<Files>;
  using Segment = typename Chain::Segment;

  struct State {
    explicit State(bool survives_process) : process_durable(survives_process) {}
    void stand_at(Lsn lsn) {
      end.store(number(lsn), std::memory_order_release);
      durable.store(number(lsn), std::memory_order_release);
    }

    Owned<Chain> chain;
    const bool process_durable;
    AlignedBuffer bounce{std::size_t{256} << 10};       // the appender's
    AlignedBuffer read_bounce{std::size_t{256} << 10};  // under `reading`
    Mutex syncing, reading;                        // taken before any of the chain's, never both
    std::atomic<std::uint64_t> end{0};                  // written by the appender; everything below is filled
    std::atomic<std::uint64_t> durable{0};              // rises only, but for cut; at most end
    std::atomic<bool> failed{false};                    // never cleared
  };

  explicit FileLog(Owned<State> state) : state_(std::move(state)) {}

  Result<void> alive() const {
    if (state_->failed.load(std::memory_order_acquire) || state_->chain->failed()) return Error{Errc::engine_failed, "log"};
    return {};
  }

  /// A failure leaves nothing known of what the device holds: the log is over, and says so with the first cause.
  Result<void> poisoning(const Result<void>& done) {
    if (done) return {};
    state_->failed.store(true, std::memory_order_release);
    const Error& cause = done.error();
    return Error::os(Errc::engine_failed, cause.os_error(), cause.subject().data(), cause.id());
  }

  void raise_durable(Lsn lsn) {
    std::uint64_t seen = state_->durable.load(std::memory_order_relaxed);
    while (seen < number(lsn) && !state_->durable.compare_exchange_weak(seen, number(lsn), std::memory_order_acq_rel)) {}
  }

  Owned<State> state_;  // null only when moved from
};

}  // namespace aegis::storage
