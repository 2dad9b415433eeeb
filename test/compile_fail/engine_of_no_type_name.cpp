// An option where a policy is wanted.
// expect: aegis: this is not a policy: it names no axis (static constexpr Axis axis)
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
using Mine = storage::Engine<storage::EngineOptions>;
#else
using Mine = storage::Engine<>;
#endif
static_assert(sizeof(Mine) > 0);
