// A backend that cannot publish.
// expect: aegis: the backend must model BackendPolicy
// names: backend.sync()
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct MyBackend : storage::MemoryBackend {
#ifdef MISTAKE
  void sync() = delete;
#endif
};
static_assert(sizeof(storage::Engine<MyBackend>) > 0);
