// SPDX-License-Identifier: Apache-2.0
// The committed seeds of a harness, and deterministic mutations of them, without libFuzzer.
#pragma once

#include "fuzz/harness.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

namespace aegis_fuzz {

/// Beside this header; where the program was built in another place, above the program or the working directory.
inline std::optional<std::filesystem::path> seeds_of(const char* harness) {
  namespace fs = std::filesystem;
  if (const char* given = std::getenv("AEGIS_FUZZ_SEEDS"); given != nullptr && *given != 0) return fs::path{given} / harness;
  std::error_code ignored;
  const fs::path beside = fs::path{__FILE__}.parent_path() / "seeds" / harness;
  if (fs::is_directory(beside, ignored)) return beside;
  for (fs::path above : {fs::current_path(ignored), fs::read_symlink("/proc/self/exe", ignored).parent_path()})
    for (; !above.empty(); above = above.parent_path()) {
      if (fs::is_directory(above / "test/fuzz/seeds" / harness, ignored)) return above / "test/fuzz/seeds" / harness;
      if (above == above.root_path()) break;
    }
  return std::nullopt;
}

inline Data read_file(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  return Data(bytes_of(text).begin(), bytes_of(text).end());
}

template <class Harness>
std::optional<std::string> broken_promise(const Data& input) {
  try {
    Harness::run(input);
  } catch (const Violation& violation) {
    return violation.what;
  }
  return std::nullopt;
}

/// Every seed, then `mutations` changed ones (so many times AEGIS_ROUNDS), each one to eight changes away from a seed. An
/// input that breaks a promise is left among the temporary files as <harness>.broken, for the fuzzer to run again.
template <class Harness>
void replay(std::size_t mutations, const char* program) {
  const auto folder = seeds_of(Harness::name);
  REQUIRE_MESSAGE(folder.has_value(), "no seeds of " << std::string{Harness::name} << ": set AEGIS_FUZZ_SEEDS to test/fuzz/seeds");
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator{*folder}) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  REQUIRE(!paths.empty());
  std::vector<Data> seeds;
  const auto run = [](const Data& input, const std::string& of) {
    const auto broken = broken_promise<Harness>(input);
    if (!broken) return true;
    std::ofstream{std::filesystem::temp_directory_path() / (std::string{Harness::name} + ".broken"), std::ios::binary}.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    FAIL_CHECK(of << ": " << *broken);
    return false;
  };
  for (const auto& path : paths) {
    seeds.push_back(read_file(path));
    if (!run(seeds.back(), path.filename().string())) return;
  }
  const std::uint64_t first = aegis_test::seed(1);
  const char* rounds = std::getenv("AEGIS_ROUNDS");
  if (rounds != nullptr) mutations *= std::strtoull(rounds, nullptr, 0);
  for (std::size_t i = 0; i < mutations; ++i) {
    Dice dice{first * 0x100000001b3 + i};
    Data input = seeds[dice.below(seeds.size())];
    for (std::uint64_t left = 1 + dice.below(8); left != 0; --left) Harness::mutate(input, dice);
    if (!run(input, "mutation " + std::to_string(i) + ", " + aegis_test::replay(first, program))) return;
  }
  MESSAGE(std::string{Harness::name} << ": " << seeds.size() << " seeds and " << mutations << " mutations");
}

}  // namespace aegis_fuzz
