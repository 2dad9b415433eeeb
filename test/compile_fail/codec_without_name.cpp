// A codec whose name is no text.
// expect: aegis: the codec must model CodecPolicy
// names: Codec::name
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::NoCodec {
#ifdef MISTAKE
  static constexpr int name = 7;
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
