// A read-only transaction has nothing to write with.
// expect: put
#include <aegis/storage.hpp>

namespace storage = aegis::storage;
using Engine = storage::Engine<storage::MemoryBackend, storage::Serializable>;

storage::Result<void> change(Engine& engine, Engine::Table table) {
#ifdef MISTAKE
  auto txn = engine.snapshot();
#else
  auto txn = engine.begin();
#endif
  return txn.put(table, "key", "value");
}
