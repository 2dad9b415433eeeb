// Cutting the power of your own application, thousands of times in a second: the engine that ships runs on a simulated disk,
// which forgets what was not synced, whole, in part, or torn, and counts every call to the operating system. What the
// application was told is safe has to be there afterwards. Put your engine type and your transactions in the place of these.
#include <aegis/storage.hpp>
#include <aegis/storage/testing/simulated_files.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

namespace storage = aegis::storage;
namespace testing = aegis::storage::testing;
using storage::Result;

// As Engine<LocalBackend, ...>, on other files. Any other policies may stand beside it.
using Backend = storage::ExtentBackend<testing::SimulatedFiles>;
using Engine = storage::Engine<Backend>;

static Result<Engine> open_on(testing::SimulatedDisk& disk) {
  AEGIS_TRY(Backend backend, Backend::open(testing::SimulatedFiles{disk}, {.directory = "orders"}));
  return Engine::open(std::move(backend), {.pool_bytes = 256 << 10, .log_bytes = 256 << 10, .max_transactions = 8, .maintenance_thread = false});
}

// The application: order after order, each with a row of its own and a counter. `told` is what it told its customers.
static Result<void> take_orders(testing::SimulatedDisk& disk, int count, int& told) {
  AEGIS_TRY(Engine engine, open_on(disk));
  AEGIS_TRY(const Engine::Table orders, engine.table("orders"));
  for (int order = told + 1; order <= count; ++order) {
    AEGIS_TRY(engine.transact([&](Engine::Transaction& txn) -> Result<void> {
      AEGIS_TRY(txn.put(orders, "order " + std::to_string(order), std::string(static_cast<std::size_t>(order % 7) * 900, 'x')));
      return txn.put(orders, "count", std::to_string(order));
    }));
    told = order;
    if (order % 10 == 0) AEGIS_TRY(engine.checkpoint());
  }
  return engine.close();
}

// The auditor: every order that was told of, at most one more, each whole, and a sound store.
static Result<bool> is_all_there(testing::SimulatedDisk& disk, int told) {
  AEGIS_TRY(Engine engine, open_on(disk));
  AEGIS_TRY(const Engine::Table orders, engine.table("orders"));
  auto reader = engine.snapshot();
  AEGIS_TRY(const std::optional<std::string> counted, reader.get(orders, "count"));
  const int found = counted ? std::atoi(counted->c_str()) : 0;
  if (found < told || found > told + 1) return false;
  for (int order = 1; order <= found; ++order) {
    AEGIS_TRY(const auto row, reader.get(orders, "order " + std::to_string(order)));
    if (!row || row->size() != static_cast<std::size_t>(order % 7) * 900) return false;
  }
  AEGIS_TRY(const auto report, engine.verify());
  return report.ok();
}

static Result<bool> survives(const testing::PowerCut& cut, bool& was_cut) {
  testing::SimulatedDisk disk;
  disk.plan(cut);
  int told = 0;
  const Result<void> done = take_orders(disk, 30, told);  // ends with an error when the power goes
  was_cut = !disk.has_power();
  if (!done && !was_cut) return done.error();
  disk.power_up(cut.model, cut.seed);
  return is_all_there(disk, told);
}

int main(int count, char** arguments) {
  if (count > 1) {  // one cut again, as a failure printed it: power_cut 137-:sectors:5
    const auto cut = testing::parse_power_cut(arguments[1]);
    bool was_cut = false;
    const Result<bool> fine = cut ? survives(*cut, was_cut) : Result<bool>{storage::Errc::invalid_argument};
    std::printf("%s: %s\n", arguments[1], !fine ? fine.error().message().c_str() : *fine ? "nothing lost" : "LOST");
    return fine && *fine ? 0 : 1;
  }
  int cuts = 0;
  bool was_cut = true;
  for (std::uint64_t call = 1; was_cut; ++call)
    for (const testing::CutModel model : testing::cut_models) {
      const testing::PowerCut cut{.call = call, .after = call % 2 == 0, .model = model, .seed = call};
      const Result<bool> fine = survives(cut, was_cut);
      if (!fine || !*fine) {
        std::printf("lost by the power cut %s: %s\n", testing::to_string(cut).c_str(), fine ? "see is_all_there()" : fine.error().message().c_str());
        return 1;
      }
      cuts += was_cut;
    }
  std::printf("%d power cuts, nothing lost\n", cuts);
  return cuts > 500 ? 0 : 1;
}
