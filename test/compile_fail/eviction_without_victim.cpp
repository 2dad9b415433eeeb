// An eviction policy that names no victim.
// expect: aegis: the eviction policy must model EvictionPolicy
// names: victim
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::LruEviction {
#ifdef MISTAKE
  void victim() = delete;
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
