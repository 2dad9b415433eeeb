// A codec works in the middle of a checkpoint, where nothing may be thrown.
// expect: aegis: the codec must model CodecPolicy
// names: codec.decompress(stored, raw)
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
#define QUIET
#else
#define QUIET noexcept
#endif
struct MyCodec {
  static constexpr storage::Axis axis = storage::Axis::codec;
  static constexpr std::string_view name = "mine";
  static constexpr storage::CodecId id{200};
  std::size_t bound(std::size_t raw) const noexcept { return raw; }
  std::size_t compress(storage::Bytes, storage::MutableBytes) const noexcept { return 0; }
  bool decompress(storage::Bytes, storage::MutableBytes) const QUIET { return false; }
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, MyCodec>) > 0);
