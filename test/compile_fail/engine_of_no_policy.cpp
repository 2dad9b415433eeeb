// A type that is no policy at all.
// expect: aegis: this is not a policy: it names no axis (static constexpr Axis axis)
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Lz4 {};  // no codec of ours

#ifdef MISTAKE
using Mine = storage::Engine<storage::MemoryBackend, Lz4>;
#else
using Mine = storage::Engine<storage::MemoryBackend, storage::NoCodec>;
#endif
static_assert(sizeof(Mine) > 0);
