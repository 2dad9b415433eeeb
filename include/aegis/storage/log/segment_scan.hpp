// SPDX-License-Identifier: Apache-2.0
// From the files of a directory to the SegmentChain of a log. What a dead process left in the page cache is made durable
// and then read from the device; nothing is believed, and nothing of the log is changed, before the whole chain was proved.
#pragma once

#include <aegis/storage/core/ids.hpp>
#include <aegis/storage/core/owned.hpp>
#include <aegis/storage/core/result.hpp>
#include <aegis/storage/core/sort.hpp>
#include <aegis/storage/file/policy.hpp>
#include <aegis/storage/log/policy.hpp>
#include <aegis/storage/log/segment.hpp>
#include <aegis/storage/log/segment_chain.hpp>
#include <aegis/storage/log/segment_file.hpp>

#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aegis::storage {

template <FilePolicy Files>
class SegmentScan {
 public:
  using Chain = SegmentChain<Files>;
  using Segment = SegmentFile<Files>;
  using Directory = typename Files::Directory;

  static constexpr std::uint64_t most_segments = 1024;              // of a log with one max_bytes
  static constexpr std::uint64_t most_found = 2 * most_segments;  // a former life may have left as many of another size

  /// corrupt_log: a segment is missing or damaged; incompatible_format: another store's, or another format. The error's
  /// id is the segment's number. With options.create what stands there is the leftover of a creation that never ended.
  static Result<Owned<Chain>> open(Directory directory, const LogOptions& options) {
    const std::uint64_t segment_bytes = options.segment_bytes != 0 ? options.segment_bytes : options.max_bytes / 8;
    const bool sizes_fit = options.max_bytes >= 2 * Segment::smallest_bytes && segment_bytes <= options.max_bytes / 2 &&
                           options.max_bytes / most_segments <= std::max(segment_bytes, Segment::smallest_bytes);
    if (!sizes_fit) return Error{Errc::invalid_argument, "max_bytes and segment_bytes of the log"};
    if (options.create && number(options.start) % Chain::unit_bytes != 0) return Error{Errc::invalid_argument, "start of the log"};
    Owned<Chain> chain{new (std::nothrow) Chain{std::move(directory), options}};
    if (!chain) return Error{Errc::out_of_memory, "log"};
    SegmentScan scan{*chain, options};
    AEGIS_TRY(scan.find_files());
    if (!options.create) AEGIS_TRY(scan.prove_chain());
    AEGIS_TRY(scan.adopt_files());
    AEGIS_TRY(scan.clear_leftovers());
    return chain;
  }

  static Result<bool> log_exists(Directory& directory) {
    AEGIS_TRY(const std::vector<std::string> names, directory.list());
    for (const std::string& name : names)
      if (SegmentName::parse(SegmentRole::wal, name)) return true;
    return false;
  }

 private:
  using Segments = std::vector<Owned<Segment>>;

  SegmentScan(Chain& chain, const LogOptions& options) : chain_(chain), options_(options) {}

  /// Before any is opened: there may be more of them than descriptors.
  static Result<void> check_count(const std::vector<std::string>& names) {
    std::uint64_t segments = 0;
    for (const std::string& name : names) segments += SegmentName::parse(SegmentRole::wal, name) ? 1 : 0;
    if (segments > most_found) return Error{Errc::corrupt_log, "log of more segments than can be, which are", segments};
    return {};
  }

  Result<void> find_files() {
    AEGIS_TRY(const std::vector<std::string> names, chain_.directory().list());
    AEGIS_TRY(check_count(names));
    for (const std::string& name : names) {
      if (const auto sequence = SegmentName::parse(SegmentRole::wal, name)) AEGIS_TRY(take(SegmentRole::wal, *sequence, segments_));
      const auto spare = SegmentName::parse(SegmentRole::spare, name);
      const bool is_left_over = (spare && spares_.size() == most_segments) || SegmentName::parse(SegmentRole::fresh, name);
      if (is_left_over) leftovers_.push_back(name);
      else if (spare) AEGIS_TRY(take(SegmentRole::spare, *spare, spares_));
    }
    for (const auto& segment : segments_)
      if (segment->id() == ~std::uint64_t{0}) return Error{Errc::corrupt_log, "number of log segment", segment->id()};  // none can follow
    if (segments_.empty() && !options_.create) return Error{Errc::corrupt_log, "log without any segment"};
    for (Segments* owned : {&segments_, &spares_})
      sort(owned->data(), owned->size(), [](const Owned<Segment>& a, const Owned<Segment>& b) { return a->id() < b->id(); });
    AEGIS_TRY(chain_.directory().sync());
    for (const Segments* owned : {&segments_, &spares_})
      for (const auto& file : *owned) AEGIS_TRY(file->forget_cache());
    return {};
  }

  Result<void> take(SegmentRole role, std::uint64_t id, Segments& into) {
    AEGIS_TRY(Owned<Segment> file, Segment::open(chain_.directory(), role, id, chain_.direct()));
    AEGIS_TRY(file->settle());
    into.push_back(std::move(file));
    return {};
  }

  /// From the newest segment down to the one where the log restarted, or to the oldest.
  Result<void> prove_chain() {
    headers_.reset(new (std::nothrow) SegmentHeader[segments_.size()]);
    if (!headers_) return Error{Errc::out_of_memory, "headers of log segments", segments_.size()};
    for (std::size_t i = segments_.size(); i-- > 0;) {
      const std::uint64_t sequence = segments_[i]->id();
      if (i + 1 < segments_.size() && headers_[i + 1].sequence != sequence + 1)
        return Error{Errc::corrupt_log, "missing log segment", headers_[i + 1].sequence - 1};
      AEGIS_TRY(headers_[i], segments_[i]->read_header(sequence));
      AEGIS_TRY(check(headers_[i], i + 1 < segments_.size() ? &headers_[i + 1] : nullptr));
      first_ = i;
      if (headers_[i].restart) break;
    }
    return {};
  }

  Result<void> check(const SegmentHeader& header, const SegmentHeader* successor) const {
    const std::uint64_t sequence = header.sequence;
    const StoreIdentity found = header.identity, expected = options_.identity;
    if (found.store != expected.store)
      return Error::foreign("store id of log segment", expected.store, found.store, sequence);
    if (found.lineage != expected.lineage)
      return Error::foreign("lineage id of log segment", expected.lineage, found.lineage, sequence);
    if (header.unit_bytes != Chain::unit_bytes)
      return Error::mismatch(Errc::incompatible_format, "unit size of log segment", Chain::unit_bytes, header.unit_bytes, sequence);
    const bool sane = number(header.first) % Chain::unit_bytes == 0 && header.segment_bytes % Chain::unit_bytes == 0 &&
                      header.segment_bytes >= Segment::smallest_bytes;
    if (!sane) return Error{Errc::corrupt_log, "header of log segment", sequence};
    if (successor == nullptr) return {};
    const bool joined = successor->first > header.first && successor->first - header.first <= header.segment_bytes - SegmentHeader::bytes;
    if (!joined) return Error{Errc::corrupt_log, "first LSN of log segment", successor->sequence};
    return {};
  }

  Result<void> adopt_files() {
    const std::uint64_t newest = segments_.empty() ? 0 : segments_.back()->id();
    if (options_.create) first_ = segments_.size();
    for (std::size_t i = first_; i < segments_.size(); ++i) AEGIS_TRY(chain_.add_segment(std::move(segments_[i]), headers_[i]));
    for (auto& spare : spares_) {
      const std::uint64_t id = spare->id(), size = spare->size_bytes();
      const bool fits = !options_.create || size <= options_.max_bytes / 2;  // a new log keeps room for its second file
      if (fits && size % Chain::unit_bytes == 0 && size >= Segment::smallest_bytes && id < SegmentName::spare_limit) {
        AEGIS_TRY(chain_.add_spare(std::move(spare)));
        continue;
      }
      leftovers_.emplace_back(SegmentName{SegmentRole::spare, id});
    }
    AEGIS_TRY(unlink_leftovers());  // before a new spare may get the number of one
    for (std::size_t i = 0; i < first_; ++i) leftovers_.emplace_back(SegmentName{SegmentRole::wal, segments_[i]->id()});
    if (options_.create) AEGIS_TRY(chain_.start(options_.start, newest + 1));
    return {};
  }
  Result<void> unlink_leftovers() {
    for (const std::string& name : leftovers_) AEGIS_TRY(chain_.directory().unlink(name));
    any_left_over_ = any_left_over_ || !leftovers_.empty();
    leftovers_.clear();
    return {};
  }

  /// Then the spare that a log always has; an old log opens without it on a full disk.
  Result<void> clear_leftovers() {
    AEGIS_TRY(unlink_leftovers());
    AEGIS_TRY(chain_.trim(options_.max_bytes, false));
    if (any_left_over_) AEGIS_TRY(chain_.directory().sync());
    const auto spare = chain_.ensure_spares(1);
    const bool bearable = spare || (!options_.create && (spare.error().code() == Errc::no_space || spare.error().code() == Errc::busy));
    if (!bearable) return spare.error();
    return {};
  }

  Chain& chain_;
  const LogOptions& options_;
  Segments segments_, spares_;
  Owned<SegmentHeader[]> headers_;      // of segments_, from first_ on
  std::size_t first_ = 0;               // where the chain begins in segments_
  std::vector<std::string> leftovers_;  // files that no log needs
  bool any_left_over_ = false;          // and some were removed
};

}  // namespace aegis::storage
