// Choosing the backend at run time: StorageBackend holds any backend (and its log) behind one type, at the price of a virtual
// call for each block that is read or written. All else stays composed at compile time.
#include <aegis/storage.hpp>

#include <cstdio>
#include <string>
#include <string_view>

namespace storage = aegis::storage;
using Engine = storage::Engine<storage::StorageBackend>;

storage::Result<storage::StorageBackend> open_backend(std::string_view where) {
  if (where == "memory") return storage::StorageBackend::of(storage::MemoryBackend{});
  AEGIS_TRY(auto local, storage::LocalBackend::open({.directory = std::string(where)}));
  return storage::StorageBackend::of(std::move(local));
}

storage::Result<void> count(std::string_view where) {
  AEGIS_TRY(auto backend, open_backend(where));
  AEGIS_TRY(auto engine, Engine::open(std::move(backend), {.pool_bytes = 8 << 20}));
  AEGIS_TRY(auto counters, engine.table("counters"));
  long runs = 0;
  auto done = engine.transact([&](Engine::Transaction& txn) -> storage::Result<void> {
    AEGIS_TRY(auto before, txn.get_for_update(counters, "runs"));  // absence is no error: an empty optional
    runs = before ? std::stol(*before) + 1 : 1;
    return txn.put(counters, "runs", std::to_string(runs));
  });
  if (!done) return done.error();
  std::printf("%.*s: run number %ld\n", static_cast<int>(where.size()), where.data(), runs);
  return engine.close();
}

// Without arguments: once in memory, twice on disk. With arguments: once for each, `memory` or a directory.
int main(int argc, char** argv) {
  const char* usual[] = {argv[0], "memory", "counted", "counted"};
  const char* const* places = argc > 1 ? argv : usual;
  for (int i = 1, n = argc > 1 ? argc : 4; i < n; ++i) {
    if (const auto done = count(places[i]); !done) {
      std::fprintf(stderr, "%s: %s\n", places[i], done.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
