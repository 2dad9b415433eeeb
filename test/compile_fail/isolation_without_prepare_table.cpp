// An isolation level that tracks reads and does not hear of dropped tables.
// expect: aegis: the isolation level must model IsolationPolicy
// names: prepare_table
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct Mine : storage::Serializable {
#ifdef MISTAKE
  struct Validator : Serializable::Validator {
    storage::Result<Commit> prepare_table(storage::TableId) = delete;
  };
#endif
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, Mine>) > 0);
