// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, RFC 3720; reflected 0x82f63b78): every burst of up to 32 bits is found. On x86-64 with SSE 4.2,
// looked for at run time, three streams hide the instruction's latency (after Mark Adler's crc32c.c); else by tables.
// The body is the same whatever the compiler's flags, and so is the result on every machine.
#pragma once

#include <aegis/storage/checksum/crc_tables.hpp>
#include <aegis/storage/checksum/policy.hpp>

namespace aegis::storage {

struct Crc32cChecksum {
  static constexpr Axis axis = Axis::checksum;
  static constexpr std::string_view name = "crc32c";
  static constexpr ChecksumKind kind = ChecksumKind::crc32c;

  std::uint64_t operator()(Bytes bytes) const noexcept {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~by_instruction(~std::uint32_t{0}, bytes);
#endif
    return portable(bytes);
  }

  /// The same by tables alone: what machines without the instruction run, and what tests compare with.
  std::uint64_t portable(Bytes bytes) const noexcept { return ~crc_by_tables(tables(), ~std::uint32_t{0}, bytes); }

 private:
  static constexpr std::uint32_t polynomial = 0x82f63b78;
  static constexpr std::size_t long_bytes = 2048, short_bytes = 256;  // of one stream

  static const CrcTables& tables() {
    static const CrcTables made = make_crc_tables(polynomial);
    return made;
  }

#if defined(__x86_64__)
  template <std::size_t zeros>
  static const CrcShift& shift_over() {
    static const CrcShift made = make_crc_shift(polynomial, zeros);
    return made;
  }

  [[gnu::target("sse4.2")]] static std::uint32_t by_instruction(std::uint32_t crc, Bytes bytes) noexcept {
    bytes = three_streams<long_bytes>(crc, bytes);
    bytes = three_streams<short_bytes>(crc, bytes);
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t wide = crc;
    for (; left >= 8; at += 8, left -= 8) wide = __builtin_ia32_crc32di(wide, load_le<std::uint64_t>(at));
    crc = static_cast<std::uint32_t>(wide);
    for (; left != 0; ++at, --left) crc = __builtin_ia32_crc32qi(crc, std::to_integer<unsigned char>(*at));
    return crc;
  }

  /// Takes as many times three neighbouring stretches as there are; returns what is left.
  template <std::size_t stretch>
  [[gnu::target("sse4.2")]] static Bytes three_streams(std::uint32_t& crc, Bytes bytes) noexcept {
    if (bytes.size() < 3 * stretch) return bytes;
    const CrcShift& shift = shift_over<stretch>();
    for (; bytes.size() >= 3 * stretch; bytes = bytes.subspan(3 * stretch)) {
      std::uint64_t a = crc, b = 0, c = 0;
      const std::byte* const end = bytes.data() + stretch;
      for (const std::byte* at = bytes.data(); at != end; at += 8) {
        a = __builtin_ia32_crc32di(a, load_le<std::uint64_t>(at));
        b = __builtin_ia32_crc32di(b, load_le<std::uint64_t>(at + stretch));
        c = __builtin_ia32_crc32di(c, load_le<std::uint64_t>(at + 2 * stretch));
      }
      crc = shift(shift(static_cast<std::uint32_t>(a)) ^ static_cast<std::uint32_t>(b)) ^ static_cast<std::uint32_t>(c);
    }
    return bytes;
  }
#endif
};

static_assert(ChecksumPolicy<Crc32cChecksum>);

}  // namespace aegis::storage
