#include <aegis/storage.hpp>

#include <cstdio>
#include <string>

namespace storage = aegis::storage;
using Engine = storage::Engine<>;  // every policy at its default: on disk, snapshot isolation, durable commits

storage::Result<void> greet() {
  AEGIS_TRY(auto engine, Engine::open({.directory = "greetings"}));  // made when absent, recovered when it crashed
  AEGIS_TRY(auto hello, engine.table("hello"));
  auto committed = engine.transact([&](Engine::Transaction& txn) -> storage::Result<void> {
    AEGIS_TRY(txn.put(hello, "de", "Hallo"));
    return txn.put(hello, "en", "Hello");
  });  // both rows or none; once it returns, they survive a power cut
  if (!committed) return committed.error();

  {
    auto reader = engine.snapshot();  // sees one state, whatever is committed meanwhile
    for (auto row = reader.scan(hello); row.valid(); row.next())
      std::printf("%s: %s\n", std::string(row.key()).c_str(), std::string(row.value()).c_str());
  }
  return engine.close();
}

int main() {
  const auto done = greet();
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
