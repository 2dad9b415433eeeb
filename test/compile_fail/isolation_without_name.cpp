// An isolation level whose name is no text.
// expect: aegis: the isolation level must model IsolationPolicy
// names: ::name
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::SnapshotIsolation {
#ifdef MISTAKE
  static constexpr int name = 7;
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
