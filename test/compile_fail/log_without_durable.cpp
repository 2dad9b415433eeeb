// A log that cannot say what is durable; the backend that names it is refused.
// expect: aegis: the backend must model BackendPolicy
// names: constant.durable()
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct MyLog : storage::MemoryLog {
#ifdef MISTAKE
  void durable() const = delete;
#endif
};
struct MyBackend : storage::MemoryBackend {
  using Log = MyLog;
  storage::Result<MyLog> open_log(const storage::LogOptions&) { return storage::Errc::io; }
};
static_assert(sizeof(storage::Engine<MyBackend>) > 0);
