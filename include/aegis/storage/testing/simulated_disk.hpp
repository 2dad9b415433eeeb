// SPDX-License-Identifier: Apache-2.0
// A disk in memory for crash tests: SimulatedFiles (simulated_files.hpp) are the files on it, under the very backend and log
// that ship. It counts and records every call, loses power before or after any of them and then what was not synced, injects
// errors, short transfers, full disks and lying syncs. Seeded: the same calls give the same disk. Any thread.
#pragma once

#include <aegis/storage/core/result.hpp>
#include <aegis/storage/testing/cut_models.hpp>
#include <aegis/storage/testing/fault_plan.hpp>
#include <aegis/storage/testing/simulated_mapping.hpp>
#include <aegis/storage/testing/simulated_medium.hpp>

#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace aegis::storage::testing {

struct DiskTraits {
  bool direct = true;         ///< Files bypass the cache when asked to, 512 bytes aligned; misaligned calls then fail with EINVAL.
  bool mapping = true;        ///< Files can be mapped; else as on a file system that cannot.
  bool retries_names = true;  ///< Names of a failed sync of a directory wait for the next sync; else they are as lost as a file's bytes.
  std::uint64_t capacity_bytes = std::uint64_t{1} << 40;  ///< In pages of 4096 that files have; beyond it ENOSPC.
  std::uint64_t seed = 1;                                 ///< Of the entropy that stores draw their ids from.
};

/// One line of a disk's history. `change` moves a medium forward where has_effect is set.
struct RecordedCall {
  std::uint64_t number;  ///< From 1. Bytes stored through a mapping bear the number of the call that saw them.
  DiskChange change;
  int error;             ///< What the caller was given, 0: success.
  bool has_effect;
};

class SimulatedDisk {
 public:
  explicit SimulatedDisk(DiskTraits traits = {}, SimulatedMedium medium = {}) : traits_(traits), entropy_(traits.seed), medium_(std::move(medium)) {
    for (const auto& [number, file] : medium_.files) next_file_ = number >= next_file_ ? number + 1 : next_file_;
  }
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;

  std::uint64_t calls() const { return locked([&] { return calls_; }); }
  /// What is on it now; an image of it may serve as another disk's medium.
  SimulatedMedium medium() { return locked([&] { return see_stores(), medium_; }); }
  std::uint64_t used_bytes() const { return locked([&] { return room_taken(); }); }
  void set_capacity(std::uint64_t bytes) { locked([&] { traits_.capacity_bytes = bytes; }); }

  /// From now on every call is remembered, with the bytes that it wrote.
  void record() { locked([&] { recording_ = true; }); }
  std::vector<RecordedCall> history() const { return locked([&] { return history_; }); }

  /// At the cut's call, counted from the disk's first, the power goes: that call and all others of open handles fail, for
  /// ever. power_up() then makes the image that the cut names.
  void plan(const PowerCut& cut) { locked([&] { cut_ = cut; }); }
  bool has_power() const { return locked([&] { return powered_; }); }
  /// Cuts the power now if it is not gone yet; what is found is medium(), a new life begins, and no cut is planned any more.
  void power_up() { power_up(cut_.model, cut_.seed); }
  void power_up(CutModel model, std::uint64_t seed) {
    locked([&] {
      if (powered_) see_stores();
      medium_ = after_power_cut(medium_, model, seed);
      cut_ = {};
      powered_ = true;
      begin_life();
    });
  }
  /// The process dies, the power stays: locks are free, handles dead, nothing that was written is lost.
  void kill_process() {
    locked([&] {
      see_stores();
      begin_life();
    });
  }

  /// One fault at a time, until heal(). Of faults that fired, the count since inject().
  void inject(const Fault& fault) { locked([&] { faults_.set(fault); }); }
  void heal() { locked([&] { faults_.clear(); }); }
  std::uint64_t faults_fired() const { return locked([&] { return faults_.fired(); }); }
  /// Every so many-th sync returns success and does nothing: what a test of durability has to notice. 0: none.
  void lie_about_syncs(std::uint64_t every) { locked([&] { lie_every_ = every; }); }

 private:
  friend class SimulatedHandle;
  friend class SimulatedFile;
  friend class SimulatedMapping;
  friend class SimulatedDirectory;
  friend class SimulatedLock;
  friend struct SimulatedFiles;

  template <class Fn>
  std::invoke_result_t<Fn&> locked(Fn&& fn) const {
    const std::lock_guard guard{mutex_};
    return fn();
  }

  // What follows is asked by handles, with the mutex held.

  bool is_alive(std::uint64_t life) const { return life == life_ && powered_; }

  /// 0, or the error that this call of a handle of `life` ends with, then without effect. After effect() it may fail still.
  template <class Effect>
  int call(std::uint64_t life, DiskChange change, Effect&& effect) {
    if (!is_alive(life)) return EIO;
    see_stores();
    const DiskCall kind = change.call;
    if (++calls_ == cut_.call && !cut_.after) return cut_power();
    int error = faults_.meet(kind);
    if (error == EINTR && ++calls_ == cut_.call) return cut_power();  // made again
    if (error == EINTR || error == Fault::short_transfer) error = 0;
    const bool is_sync = syncs.contains(kind);
    bool has_effect = (error == 0 || faults_.fault().takes_effect) && is_change(kind);
    if (error == 0 && is_sync && lie_every_ != 0 && ++syncs_ % lie_every_ == 0) has_effect = false;
    if (error == 0 && !has_room(change)) error = ENOSPC, has_effect = false;
    const bool forgets = is_sync && (kind != DiskCall::sync_directory || !traits_.retries_names);
    if (error != 0 && forgets && !faults_.fault().takes_effect) change.failed = has_effect = true;
    if (error == 0 || has_effect) {
      const int refused = effect(change);
      has_effect = has_effect && refused == 0;
      error = error != 0 ? error : refused;
    }
    if (has_effect) medium_.apply(change);
    if (recording_) history_.push_back({calls_, change, error, has_effect});
    return calls_ == cut_.call ? cut_power() : error;
  }
  int call(std::uint64_t life, DiskChange change) {
    return call(life, std::move(change), [](DiskChange&) { return 0; });
  }
  /// How much of a transfer one call moves.
  std::size_t transfer(DiskCall kind, std::size_t wanted) {
    FaultPlan ahead = faults_;
    if (ahead.meet(kind) == 0 || wanted <= sector_bytes) return wanted;
    const bool is_short = faults_.fault().error == Fault::short_transfer || (faults_.fault().takes_effect && kind == DiskCall::write);
    return is_short ? (wanted / 2 + sector_bytes - 1) / sector_bytes * sector_bytes : wanted;
  }

  static bool is_change(DiskCall kind) { return changes.contains(kind) || syncs.contains(kind) || kind == DiskCall::drop_cache; }

  int cut_power() {
    powered_ = false;
    return EIO;
  }
  void begin_life() {
    ++life_;
    handles_.clear();
    locks_.clear();
    mapped_.clear();  // those who hold one keep its memory
  }
  /// The bytes that programs stored through mappings since the last look.
  void see_stores() {
    for (const auto& mapped : mapped_)
      mapped->for_each_store([&](std::uint64_t offset, Bytes bytes) {
        DiskChange change{.call = DiskCall::store, .file = mapped->file(), .offset = offset, .length = bytes.size()};
        change.bytes = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
        medium_.apply(change);
        if (recording_) history_.push_back({calls_ + 1, std::move(change), 0, true});
      });
  }

  bool has_room(const DiskChange& change) const {
    if (change.call != DiskCall::write && change.call != DiskCall::allocate) return true;
    const std::uint64_t missing = medium_.files.at(change.file).seen.room_missing(change.offset, change.length);
    return missing == 0 || room_taken() + missing <= traits_.capacity_bytes;
  }
  std::uint64_t room_taken() const {
    std::set<FileNumber> present;
    for (const auto& [path, directory] : medium_.directories)
      for (const auto& [name, file] : directory.names) present.insert(file);
    for (const auto& [file, count] : handles_) present.insert(file);
    std::uint64_t room = 0;
    for (const FileNumber file : present) room += medium_.files.at(file).seen.room_bytes();
    return room;
  }

  static constexpr std::size_t sector_bytes = 512;

  mutable std::recursive_mutex mutex_;  // guards everything; recursive, because handles die under it too
  DiskTraits traits_;
  Dice entropy_;
  SimulatedMedium medium_;
  std::uint64_t life_ = 1;    // of processes; handles of another are dead
  bool powered_ = true;
  PowerCut cut_{};            // call 0: none
  FaultPlan faults_;
  std::uint64_t lie_every_ = 0, syncs_ = 0;
  std::uint64_t calls_ = 0;
  FileNumber next_file_ = 1;
  std::map<FileNumber, std::uint64_t> handles_;      // open ones, by file
  std::set<std::string> locks_;                      // directory/name
  std::vector<std::shared_ptr<MappedBytes>> mapped_;
  bool recording_ = false;
  std::vector<RecordedCall> history_;
};

}  // namespace aegis::storage::testing
