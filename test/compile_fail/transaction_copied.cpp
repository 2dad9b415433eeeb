// Two owners of one transaction would both commit it.
// expect: deleted
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

using Mine = storage::Engine<storage::MemoryBackend>;

void caller(Mine& engine) {
  auto transaction = engine.begin();
#ifdef MISTAKE
  auto copy = transaction;
#else
  auto copy = std::move(transaction);
#endif
  static_cast<void>(copy.state());
}
