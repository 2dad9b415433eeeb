// A backend that names no log.
// expect: aegis: the backend names no log
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct MyBackend : storage::MemoryBackend {
#ifdef MISTAKE
 private:
#endif
  using Log = storage::MemoryLog;
};
static_assert(sizeof(storage::Engine<MyBackend>) > 0);
