// A latch that cannot be released.
// expect: aegis: the latch must model LatchPolicy
// names: unlock()
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::PlainLatch {
#ifdef MISTAKE
  void unlock() = delete;
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
