#include "composed.hpp"

#include <aegis/storage.hpp>

namespace composed {

namespace storage = aegis::storage;

template <class Engine>
bool put_get_scan(Engine& engine) {
  const auto table = engine.table("rows");
  if (!table) return false;
  const auto wrote = engine.transact([&](typename Engine::Transaction& txn) -> storage::Result<void> {
    AEGIS_TRY(txn.put(*table, "a", "1"));
    AEGIS_TRY(txn.insert(*table, "b", "2"));
    AEGIS_TRY(txn.update(*table, "b", "22"));
    AEGIS_TRY(txn.put(*table, "c", "3"));
    AEGIS_TRY(bool was_there, txn.erase(*table, "c"));
    return was_there ? storage::Result<void>{} : storage::Errc::key_not_found;
  });
  if (!wrote) return false;

  auto reader = engine.snapshot();
  const auto value = reader.get(*table, "b");
  if (!value || *value != "22") return false;
  std::size_t seen = 0;
  const auto found = reader.read(*table, "a", [&](std::string_view bytes) { seen = bytes.size(); });
  if (!found || !*found || seen != 1) return false;

  std::size_t rows = 0;
  auto forward = reader.scan(*table, storage::KeyRange{}, storage::Direction::forward);
  for (; forward.valid(); forward.next()) rows += forward.key().size();
  if (!forward.status()) return false;
  auto reverse = reader.scan(*table, storage::KeyRange::prefix("b"), storage::Direction::reverse);
  for (; reverse.valid(); reverse.next()) rows += reverse.value().size();
  return reverse.status() && rows == 4;
}

template <class Engine>
bool whole_life(storage::EngineOptions options) {
  auto engine = Engine::open(std::move(options));
  return engine && put_get_scan(*engine) && engine->checkpoint() && engine->close();
}

bool exercise_memory() { return whole_life<storage::Engine<storage::MemoryBackend>>({}); }
bool exercise_local(const char* directory) { return whole_life<storage::Engine<storage::LocalBackend>>({.directory = directory}); }

}  // namespace composed
