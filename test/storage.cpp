// The headers survive the macros of other people's headers.
#include <linux/fs.h>        // BLOCK_SIZE
#include <sys/sysmacros.h>   // major, minor
#define min(a, b) broken
#define max(a, b) broken
#include <aegis/storage.hpp>
#undef min
#undef max
#include <doctest/doctest.h>

#include <string>

namespace storage = aegis::storage;

TEST_CASE("the headers and the build agree on the version") {
  constexpr auto v = storage::library_version;
  CHECK(std::to_string(v.major_number) + "." + std::to_string(v.minor_number) + "." + std::to_string(v.patch_number) == PROJECT_VERSION);
}

TEST_CASE("a policy that does nothing takes no room") {
  struct Holder {
    [[no_unique_address]] storage::NoCodec codec;
    [[no_unique_address]] storage::NoCipher cipher;
    [[no_unique_address]] storage::Xxh3Checksum checksum;
    int number;
  };
  CHECK(sizeof(Holder) == sizeof(int));
}

TEST_CASE("the order in which policies are named makes no other type") {
  using One = storage::Engine<storage::MemoryBackend, storage::ReadCommitted, storage::LruEviction>;
  using Other = storage::Engine<storage::LruEviction, storage::MemoryBackend, storage::ReadCommitted>;
  CHECK(std::is_same_v<One, Other>);
  CHECK(std::is_same_v<storage::Engine<storage::LocalBackend, storage::Xxh3Checksum>, storage::Engine<>>);
}
