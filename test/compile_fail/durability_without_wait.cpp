// A durability that does not say whether a commit waits.
// expect: aegis: the durability must model DurabilityPolicy
// names: ::wait
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::SyncDurability {
#ifdef MISTAKE
  static constexpr storage::Bytes wait{};
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
