// SPDX-License-Identifier: Apache-2.0
// The calls of a FilePolicy as a simulated disk counts them, and which of them is to fail, how, once or from then on.
// Deterministic: faults go by count. Not synchronised; the disk's lock is held.
#pragma once

#include <aegis/storage/file/posix_file.hpp>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace aegis::storage::testing {

/// Each system call stands for itself: write_durable_at is a write and then a sync_data, making a directory is make_directory
/// and then a sync_directory of its parent, open makes a file by create.
enum class DiskCall : std::uint8_t {
  open_directory, make_directory, open, create, exists, list, rename, unlink, sync_directory, space, lock,
  read, write, sync_data, sync_all, size, truncate, allocate, punch, drop_cache, map,
  store,  ///< Bytes that came through a mapping: no call, cannot fail, is seen before the next call.
};
inline constexpr unsigned disk_call_count = static_cast<unsigned>(DiskCall::store) + 1;

constexpr std::string_view name_of(DiskCall call) {
  constexpr std::string_view names[] = {"open_directory", "make_directory", "open", "create", "exists", "list", "rename", "unlink", "sync_directory", "space", "lock",
                                        "read", "write", "sync_data", "sync_all", "size", "truncate", "allocate", "punch", "drop_cache", "map", "store"};
  return names[static_cast<unsigned>(call)];
}

class DiskCalls {
 public:
  constexpr DiskCalls(std::initializer_list<DiskCall> calls) {
    for (const DiskCall call : calls) bits_ |= bit(call);
  }
  static constexpr DiskCalls all() {
    DiskCalls every{};
    every.bits_ = bit(DiskCall::store) - 1;
    return every;
  }
  constexpr bool contains(DiskCall call) const { return (bits_ & bit(call)) != 0; }

 private:
  static constexpr std::uint32_t bit(DiskCall call) { return std::uint32_t{1} << static_cast<unsigned>(call); }
  std::uint32_t bits_ = 0;
};

inline constexpr DiskCalls syncs{DiskCall::sync_data, DiskCall::sync_all, DiskCall::sync_directory};
inline constexpr DiskCalls changes{DiskCall::make_directory, DiskCall::create,   DiskCall::rename,   DiskCall::unlink,
                                   DiskCall::write,          DiskCall::truncate, DiskCall::allocate, DiskCall::punch};
/// Where a full disk or quota can be met.
inline constexpr DiskCalls room_takers{DiskCall::make_directory, DiskCall::create,    DiskCall::rename,   DiskCall::write,         DiskCall::allocate,
                                       DiskCall::punch,          DiskCall::sync_data, DiskCall::sync_all, DiskCall::sync_directory};
/// Where descriptors can run out.
inline constexpr DiskCalls openers{DiskCall::open_directory, DiskCall::open, DiskCall::create, DiskCall::list, DiskCall::lock};
/// Where permissions are asked for.
inline constexpr DiskCalls guarded{DiskCall::open_directory, DiskCall::make_directory, DiskCall::open, DiskCall::create,
                                   DiskCall::rename,         DiskCall::unlink,         DiskCall::lock, DiskCall::truncate};

struct Fault {
  static constexpr int short_transfer = -1;  ///< As an error: reads and writes move half of their bytes, 512 at least.

  DiskCalls calls = DiskCalls::all();
  std::uint64_t nth = 1;      ///< The n-th of these calls from now on; 1 is the next one.
  int error = EIO;            ///< An errno. EINTR interrupts, and as the policy promises the call is made again; short_transfer likewise.
  bool sticky = false;        ///< All of these calls from the n-th on.
  bool takes_effect = false;  ///< The call does its work, a write half of it, and fails all the same.
};

class FaultPlan {
 public:
  void set(const Fault& fault) {
    fault_ = fault;
    seen_ = fired_ = 0;
    set_ = true;
  }
  void clear() { set_ = false; }
  std::uint64_t fired() const { return fired_; }
  const Fault& fault() const { return fault_; }

  /// What this call meets: 0, or the fault's error.
  int meet(DiskCall call) {
    if (!set_ || !fault_.calls.contains(call)) return 0;
    ++seen_;
    if (fault_.sticky ? seen_ < fault_.nth : seen_ != fault_.nth) return 0;
    ++fired_;
    return fault_.error;
  }

 private:
  Fault fault_;
  std::uint64_t seen_ = 0, fired_ = 0;  // since it was set
  bool set_ = false;
};

}  // namespace aegis::storage::testing
