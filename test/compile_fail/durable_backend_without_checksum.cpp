// Nothing would notice rotten blocks on a disk.
// expect: aegis: NoChecksum cannot be used with a durable backend
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
using Mine = storage::Engine<storage::LocalBackend, storage::NoChecksum>;
#else
using Mine = storage::Engine<storage::MemoryBackend, storage::NoChecksum>;
#endif
static_assert(sizeof(Mine) > 0);
