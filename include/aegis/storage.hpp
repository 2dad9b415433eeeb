// SPDX-License-Identifier: Apache-2.0
// Everything that links no library. Codecs that need one are included by name: <aegis/storage/codec/lz4.hpp> and -llz4.
#pragma once

#include <aegis/storage/backend/local.hpp>
#include <aegis/storage/backend/memory.hpp>
#include <aegis/storage/backend/storage_backend.hpp>
#include <aegis/storage/checksum/crc32.hpp>
#include <aegis/storage/checksum/crc32c.hpp>
#include <aegis/storage/checksum/none.hpp>
#include <aegis/storage/checksum/xxh3.hpp>
#include <aegis/storage/cipher/none.hpp>
#include <aegis/storage/codec/none.hpp>
#include <aegis/storage/core/version.hpp>
#include <aegis/storage/engine/engine.hpp>
#include <aegis/storage/eviction/clock.hpp>
#include <aegis/storage/eviction/lru.hpp>
#include <aegis/storage/isolation/read_committed.hpp>
#include <aegis/storage/isolation/serializable.hpp>
#include <aegis/storage/isolation/snapshot_isolation.hpp>
#include <aegis/storage/isolation/two_phase_locking.hpp>
#include <aegis/storage/latch/optimistic.hpp>
#include <aegis/storage/latch/plain.hpp>
#include <aegis/storage/lock/interval_lock_manager.hpp>
#include <aegis/storage/lock/lock_manager.hpp>
#include <aegis/storage/log/file.hpp>
#include <aegis/storage/log/memory.hpp>
#include <aegis/storage/txn/transaction_manager.hpp>
#include <aegis/storage/wal/durability.hpp>
#include <aegis/storage/wal/reader.hpp>
#include <aegis/storage/wal/wal.hpp>
