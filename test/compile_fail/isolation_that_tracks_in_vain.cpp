// A level whose transactions carry a footprint although it tracks no reads.
// expect: aegis: the isolation level must model IsolationPolicy
// names: tracks_reads
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::SnapshotIsolation {
#ifdef MISTAKE
  using Footprint = storage::Serializable::Footprint;
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
