// The same policy twice is a mistake too: one of them was meant to be another.
// expect: aegis: two policies for one axis
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
using Mine = storage::Engine<storage::MemoryBackend, storage::NoCodec, storage::NoCodec>;
#else
using Mine = storage::Engine<storage::MemoryBackend, storage::NoCodec>;
#endif
static_assert(sizeof(Mine) > 0);
