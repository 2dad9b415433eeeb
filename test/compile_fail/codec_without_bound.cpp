// A codec must say how much room it may need.
// expect: aegis: the codec must model CodecPolicy
// names: codec.bound(raw)
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

struct MyCodec {
  static constexpr storage::Axis axis = storage::Axis::codec;
  static constexpr std::string_view name = "mine";
  static constexpr storage::CodecId id{200};
#ifndef MISTAKE
  std::size_t bound(std::size_t raw) const noexcept { return raw; }
#endif
  std::size_t compress(storage::Bytes, storage::MutableBytes) const noexcept { return 0; }
  bool decompress(storage::Bytes, storage::MutableBytes) const noexcept { return false; }
};
static_assert(sizeof(storage::Engine<storage::MemoryBackend, MyCodec>) > 0);
