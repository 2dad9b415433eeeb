// The log comes with its backend; another one cannot fail and recover together with it.
// expect: aegis: a backend opens only the log it names
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
using Mine = storage::Engine<storage::LocalBackend, storage::MemoryLog>;
#else
using Mine = storage::Engine<storage::MemoryBackend, storage::MemoryLog>;
#endif
static_assert(sizeof(Mine) > 0);
