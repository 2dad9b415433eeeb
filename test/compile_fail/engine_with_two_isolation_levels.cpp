// One store never meets transactions of two levels: the level belongs to the engine's type.
// expect: aegis: two policies for one axis
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
static_assert(sizeof(storage::Engine<storage::MemoryBackend, storage::Serializable, storage::SnapshotIsolation>) > 0);
#else
static_assert(sizeof(storage::Engine<storage::MemoryBackend, storage::Serializable>) > 0);
#endif
