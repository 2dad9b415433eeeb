// A codec of your own: five members, and nothing to register. This one writes runs of equal bytes as (count, byte), which
// is what pages of counters and of padded records are made of. include/aegis/storage/codec/policy.hpp has the whole contract.
#include <aegis/storage.hpp>
#include <aegis/storage/testing/codec_suite.hpp>  // the conformance suite that our own codecs pass

#include <cstdio>
#include <string>

namespace storage = aegis::storage;

struct RunLengthCodec {
  static constexpr storage::Axis axis = storage::Axis::codec;  // what it is a choice of
  static constexpr std::string_view name = "runs";             // at most eight characters, for messages
  static constexpr storage::CodecId id{128};                   // stands in every block; 128 to 255 are yours

  // The room that compress() may need. Never more than two bytes for one.
  std::size_t bound(std::size_t raw) const noexcept { return 2 * raw; }

  // The bytes used, or 0 when it does not fit or is not worth it: then the block is stored as it is.
  std::size_t compress(storage::Bytes raw, storage::MutableBytes to) const noexcept {
    std::size_t used = 0;
    for (std::size_t at = 0; at < raw.size();) {
      std::size_t run = 1;
      while (run < 255 && at + run < raw.size() && raw[at + run] == raw[at]) ++run;
      if (used + 2 > to.size()) return 0;
      to[used++] = static_cast<std::byte>(run);
      to[used++] = raw[at];
      at += run;
    }
    return used;
  }

  // True only if `stored` is exactly raw.size() bytes of run-length code. It may be any bytes: a damaged disk is no excuse to
  // write outside `raw`, or to believe a count.
  bool decompress(storage::Bytes stored, storage::MutableBytes raw) const noexcept {
    if (stored.empty() || stored.size() % 2 != 0) return false;
    std::size_t made = 0;
    for (std::size_t at = 0; at < stored.size(); at += 2) {
      const auto run = static_cast<std::size_t>(stored[at]);
      if (run == 0 || run > raw.size() - made) return false;
      for (std::size_t i = 0; i < run; ++i) raw[made++] = stored[at + 1];
    }
    return made == raw.size();
  }
};
static_assert(storage::CodecPolicy<RunLengthCodec>);  // checked here, so that a mistake is told at its place

using Engine = storage::Engine<RunLengthCodec>;

storage::Result<void> run() {
  bool kept = true;  // every numbered promise of the contract, tried with thousands of good and hostile inputs
  storage::testing::check_codec<RunLengthCodec>([&](std::string_view promise, bool held) {
    if (!held) std::fprintf(stderr, "broken promise %s\n", std::string(promise).c_str());
    kept = kept && held;
  });
  if (!kept) return storage::Errc::invalid_argument;
  {
    AEGIS_TRY(auto engine, Engine::open({.directory = "runs"}));
    AEGIS_TRY(auto table, engine.table("padded"));
    auto done = engine.transact([&](Engine::Transaction& txn) { return txn.put(table, "one", std::string(3000, '.')); });
    if (!done) return done.error();
    AEGIS_TRY(engine.close());
  }
  AEGIS_TRY(auto engine, Engine::open({.directory = "runs"}));  // read back through decompress()
  AEGIS_TRY(auto table, engine.table("padded"));
  AEGIS_TRY(auto value, engine.snapshot().get(table, "one"));
  if (value != std::string(3000, '.')) return storage::Errc::corrupt_block;
  std::printf("3000 bytes came back; all blocks take %llu bytes\n", static_cast<unsigned long long>(engine.stats().backend.stored_bytes));
  return engine.close();
}

int main() {
  const auto done = run();
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
