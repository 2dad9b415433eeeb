// Commits would be acknowledged into memory beside a disk that forgets them.
// expect: aegis: a durable backend needs a durable log
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct MyBackend : storage::MemoryBackend {
#ifdef MISTAKE
  static constexpr bool durable_medium = true;
#endif
};
static_assert(sizeof(storage::Engine<MyBackend>) > 0);
