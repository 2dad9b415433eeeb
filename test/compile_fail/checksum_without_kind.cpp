// A checksum must say which kind stands in the block header.
// expect: aegis: the checksum must model ChecksumPolicy
// names: Checksum::kind
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::Xxh3Checksum {
#ifdef MISTAKE
  static constexpr storage::Bytes kind{};
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
