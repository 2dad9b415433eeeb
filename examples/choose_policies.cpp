// Choosing parts: name the policies that matter, in any order; the rest keeps its default. What was not named is neither
// compiled nor linked. This program needs -llz4 and -lzstd because it includes these two codecs, and for no other reason.
#include <aegis/storage.hpp>
#include <aegis/storage/codec/lz4.hpp>
#include <aegis/storage/codec/zstd.hpp>

#include <cstdio>
#include <string>
#include <type_traits>

namespace storage = aegis::storage;

// A queue of small jobs: a commit returns once a killed process cannot take it back, it does not wait for the disk.
using Queue = storage::Engine<storage::LocalBackend, storage::AsyncDurability>;

// A read-mostly archive: compressed hard, in pages large enough for that to pay, checked with the checksum of iSCSI and ext4.
using Archive = storage::Engine<storage::ZstdCodec<9>, storage::PageSize<32768>, storage::Crc32cChecksum>;

// A cache that may vanish with the process: no disk, no checksum, the newest committed value at every read.
using Cache = storage::Engine<storage::MemoryBackend, storage::NoChecksum, storage::ReadCommitted, storage::LruEviction>;

// The same archive with a faster codec: another type, and another layout on disk.
using FastArchive = storage::Engine<storage::Lz4Codec, storage::PageSize<32768>, storage::Crc32cChecksum>;

// The order of policies makes no difference: it is one and the same type.
static_assert(std::is_same_v<Cache, storage::Engine<storage::LruEviction, storage::ReadCommitted, storage::NoChecksum, storage::MemoryBackend>>);

// One function serves them all: what differs is what the compiler puts together.
template <class Engine>
storage::Result<void> fill(const char* what, storage::EngineOptions options) {
  AEGIS_TRY(auto engine, Engine::open(options));
  AEGIS_TRY(auto table, engine.table("rows"));
  storage::CommitInfo last{};
  for (int batch = 0; batch < 20; ++batch) {
    auto done = engine.transact([&](typename Engine::Transaction& txn) -> storage::Result<void> {
      for (int i = 0; i < 100; ++i)
        AEGIS_TRY(txn.put(table, "row " + std::to_string(batch * 100 + i), "the same words, over and over, so that a codec has something to do"));
      return {};
    });
    if (!done) return done.error();
    last = *done;
  }
  AEGIS_TRY(engine.checkpoint());
  const auto stats = engine.stats();
  std::printf("%-12s last commit %llu, %llu bytes in blocks\n", what, static_cast<unsigned long long>(number(last.timestamp)),
              static_cast<unsigned long long>(stats.backend.stored_bytes));
  return engine.close();
}

storage::Result<void> run() {
  AEGIS_TRY(fill<Queue>("queue", {.directory = "queue"}));
  AEGIS_TRY(fill<Archive>("archive", {.directory = "archive"}));
  AEGIS_TRY(fill<FastArchive>("fast archive", {.directory = "fast_archive"}));
  AEGIS_TRY(fill<Cache>("cache", {.pool_bytes = 4 << 20}));  // numbers are options, at run time; only code is a policy

  // The store remembers its layout. Another one is refused with a sentence, and nothing is harmed.
  const auto wrong = FastArchive::open({.directory = "archive"});
  if (wrong || wrong.error().code() != storage::Errc::incompatible_format) return storage::Errc::invalid_argument;
  std::printf("as expected: %s\n", wrong.error().message().c_str());

  // Durability, isolation, eviction and latch are no part of the layout: the queue may be opened to be read with other ones.
  using QueueReader = storage::Engine<storage::LocalBackend, storage::SyncDurability, storage::ReadCommitted>;
  AEGIS_TRY(auto again, QueueReader::open({.directory = "queue"}));
  return again.close();
}

int main() {
  const auto done = run();
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
