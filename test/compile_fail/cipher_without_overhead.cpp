// A cipher must say how much longer a sealed block is.
// expect: aegis: the cipher must model CipherPolicy
// names: Cipher::overhead
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::NoCipher {
#ifdef MISTAKE
  static constexpr storage::Bytes overhead{};
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
