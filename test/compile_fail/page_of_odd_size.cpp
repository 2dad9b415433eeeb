// A page has one of five sizes.
// expect: aegis: a page has 4096, 8192, 16384, 32768 or 65536 bytes
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
using Mine = storage::Engine<storage::MemoryBackend, storage::PageSize<5000>>;
#else
using Mine = storage::Engine<storage::MemoryBackend, storage::PageSize<4096>>;
#endif
static_assert(sizeof(Mine) > 0);
