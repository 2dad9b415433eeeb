// SPDX-License-Identifier: Apache-2.0
#include <aegis/storage/cipher/none.hpp>

#include <doctest/doctest.h>

#include <type_traits>

using namespace aegis::storage;

namespace {

struct WithoutKeyId {
  static constexpr Axis axis = Axis::cipher;
  static constexpr std::string_view name = "mine";
  static constexpr CipherId id{128};
  static constexpr std::size_t overhead = 0;
  std::size_t seal(Bytes, Bytes, MutableBytes) const noexcept { return 0; }
  bool open(Bytes, Bytes, MutableBytes) const noexcept { return false; }
};

}  // namespace

TEST_CASE("NoCipher gives back what it was given and adds nothing") {
  const NoCipher cipher;
  std::byte sealed[5]{}, plain[5]{};
  CHECK(cipher.seal(bytes_of("header"), bytes_of("plain"), sealed) == 5);
  CHECK(text_of(sealed) == "plain");
  CHECK(cipher.open(bytes_of("header"), sealed, plain));
  CHECK(text_of(plain) == "plain");
  CHECK(cipher.key_id() == 0);
  CHECK(NoCipher::overhead == 0);
  CHECK(std::is_empty_v<NoCipher>);
}

TEST_CASE("a cipher without its members is no model of the policy") {
  CHECK(CipherPolicy<NoCipher>);
  CHECK_FALSE(CipherPolicy<WithoutKeyId>);
  CHECK_FALSE(CipherPolicy<int>);
}
