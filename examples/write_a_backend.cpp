// A backend of your own: where blocks rest. This one keeps a small store in a single file, read whole when it is opened and
// written whole by sync(), under another name that then takes the old one's place. That is what the contract asks for: after a
// crash the store is exactly at a completed sync(). Everything else (log, transactions, recovery) comes with the engine.
// include/aegis/storage/backend/policy.hpp has the whole contract.
#include <aegis/storage.hpp>

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace storage = aegis::storage;
using storage::BlockId, storage::Bytes, storage::MutableBytes, storage::Result;

class OneFileBackend {
 public:
  using Log = storage::FileLog<storage::PosixFiles>;  // commits go there first; it lies in the same directory
  static constexpr storage::Axis axis = storage::Axis::backend;
  static constexpr std::string_view name = "onefile";
  static constexpr bool durable_medium = true;

  static Result<OneFileBackend> open(const storage::BackendOptions& options) {
    AEGIS_TRY(auto directory, storage::PosixFiles{}.open_directory(options.directory, true));
    AEGIS_TRY(auto lock, directory.lock("lock"));  // a second opener, here or in another process, gets already_open
    OneFileBackend backend{std::make_unique<State>(std::move(directory), std::move(lock), options.directory)};
    AEGIS_TRY(backend.state_->load());
    return backend;
  }

  Result<std::size_t> read(BlockId id, MutableBytes into) {
    const std::lock_guard guard(state_->mutex);
    const auto found = state_->blocks.find(id);
    if (found == state_->blocks.end()) return storage::Error{storage::Errc::block_not_found, "block", number(id)};
    if (found->second.size() > into.size()) return storage::Error{storage::Errc::too_large, "block", number(id)};
    storage::copy_bytes(into, storage::bytes_of(found->second));
    return found->second.size();
  }
  Result<void> write(BlockId id, Bytes bytes) {
    const std::lock_guard guard(state_->mutex);
    if (state_->failed) return storage::Errc::engine_failed;
    state_->blocks[id].assign(storage::text_of(bytes));
    return {};
  }
  Result<void> erase(BlockId id) {
    const std::lock_guard guard(state_->mutex);
    if (state_->failed) return storage::Errc::engine_failed;
    state_->blocks.erase(id);
    return {};
  }
  Result<bool> exists(BlockId id) {
    const std::lock_guard guard(state_->mutex);
    return state_->blocks.contains(id);
  }
  Result<void> sync() {  // all or nothing; after a failure nobody knows what the disk holds, so nothing is tried again
    const std::lock_guard guard(state_->mutex);
    if (state_->failed) return storage::Errc::engine_failed;
    const auto saved = state_->save();
    state_->failed = !saved;
    state_->is_new = state_->is_new && !saved;
    return saved;
  }
  Result<void> for_each(auto&& visit) {
    const std::lock_guard guard(state_->mutex);
    for (const auto& [id, bytes] : state_->blocks) visit(id, bytes.size());
    return {};
  }
  Result<Log> open_log(const storage::LogOptions& options) {
    AEGIS_TRY(auto directory, storage::PosixFiles{}.open_directory(state_->path, false));
    return Log::open(std::move(directory), options);
  }
  Result<bool> has_log() { return Log::exists(state_->directory); }
  bool is_new() const { return state_->is_new; }
  std::size_t max_block_bytes() const { return 1 << 20; }
  storage::BackendStats stats() const { return {.blocks = state_->blocks.size()}; }
  std::uint64_t draw_id() { return storage::PosixFiles{}.entropy(); }

 private:
  struct State {  // behind a pointer, since a backend moves and a mutex does not
    State(storage::PosixFiles::Directory d, storage::PosixFiles::Lock l, std::string p) : directory(std::move(d)), lock(std::move(l)), path(std::move(p)) {}

    // The file: id, length, bytes of every block, then a checksum over all of it.
    Result<void> save() {
      std::string all;
      for (const auto& [id, bytes] : blocks) append(all, number(id)), append(all, bytes.size()), all += bytes;
      append(all, storage::Xxh3Checksum{}(storage::bytes_of(all)));
      {
        AEGIS_TRY(auto file, directory.open("blocks.new", {.create = true}));
        AEGIS_TRY(file.truncate(0));
        AEGIS_TRY(file.write_at(0, storage::bytes_of(all)));
        AEGIS_TRY(file.sync_all());
      }
      AEGIS_TRY(directory.rename("blocks.new", "blocks"));  // the instant of publication
      return directory.sync();
    }
    Result<void> load() {
      AEGIS_TRY(const bool there, directory.exists("blocks"));
      is_new = !there;
      if (is_new) return {};
      AEGIS_TRY(auto file, directory.open("blocks", {}));
      AEGIS_TRY(const auto size, file.size());
      std::string all(size, '\0');
      AEGIS_TRY(file.read_at(0, MutableBytes{reinterpret_cast<std::byte*>(all.data()), all.size()}));
      if (size < 8 || take(all, size - 8) != storage::Xxh3Checksum{}(storage::bytes_of(all).first(size - 8)))
        return storage::Error{storage::Errc::corrupt_block, "the file `blocks`"};
      for (std::size_t at = 0; at + 8 < size; at += 16 + blocks.rbegin()->second.size())
        blocks.emplace_hint(blocks.end(), BlockId{take(all, at)}, all.substr(at + 16, take(all, at + 8)));
      return {};
    }
    static void append(std::string& to, std::uint64_t number) { to.append(reinterpret_cast<const char*>(&number), sizeof number); }
    static std::uint64_t take(const std::string& from, std::size_t at) { return storage::load_le<std::uint64_t>(storage::bytes_of(from).data() + at); }

    storage::PosixFiles::Directory directory;
    storage::PosixFiles::Lock lock;
    std::string path;
    std::mutex mutex;
    std::map<BlockId, std::string> blocks;
    bool is_new = true, failed = false;
  };
  explicit OneFileBackend(std::unique_ptr<State> state) : state_(std::move(state)) {}

  std::unique_ptr<State> state_;
};
static_assert(storage::BackendPolicy<OneFileBackend>);

Result<void> run() {
  using Engine = storage::Engine<OneFileBackend>;
  for (int visit = 1; visit <= 3; ++visit) {
    AEGIS_TRY(auto engine, Engine::open({.directory = "one_file"}));
    AEGIS_TRY(auto table, engine.table("visits"));
    auto done = engine.transact([&](Engine::Transaction& txn) { return txn.insert(table, std::to_string(visit), "was here"); });
    if (!done) return done.error();
    if (visit == 2) continue;  // no close(): as if the process had died; the log brings the row back
    AEGIS_TRY(engine.close());
  }
  AEGIS_TRY(auto engine, Engine::open({.directory = "one_file"}));
  AEGIS_TRY(auto table, engine.table("visits"));
  int visits = 0;
  auto reader = engine.snapshot();
  for (auto row = reader.scan(table, {}, storage::Direction::forward); row.valid(); row.next()) ++visits;
  std::printf("%d visits, one of them recovered from the log\n", visits);
  return visits == 3 ? Result<void>{} : storage::Errc::key_not_found;
}

int main() {
  const auto done = run();
  if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
