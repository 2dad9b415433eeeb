// Two eviction policies: which one is meant?
// expect: aegis: two policies for one axis
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
using Mine = storage::Engine<storage::LruEviction, storage::MemoryBackend, storage::ClockEviction>;
#else
using Mine = storage::Engine<storage::LruEviction, storage::MemoryBackend>;
#endif
static_assert(sizeof(Mine) > 0);
