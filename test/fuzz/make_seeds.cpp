// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of every harness: make_seeds DIRECTORY. They are committed, so that they stay what they were; after a
// change of a format, `sh test/fuzz/run.sh seeds` makes them anew.
#include "fuzz/z1_page.hpp"
#include "fuzz/z2_block.hpp"
#include "fuzz/z3_log.hpp"
#include "fuzz/z4_metadata.hpp"
#include "fuzz/z5_directory.hpp"
#include "fuzz/z6_operations.hpp"
#include "fuzz/z7_order.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace {

template <class Harness>
std::size_t write_seeds(const std::filesystem::path& root) {
  const std::filesystem::path folder = root / Harness::name;
  std::filesystem::create_directories(folder);
  std::size_t number = 0, bytes = 0;
  for (const aegis_fuzz::Data& seed : Harness::seeds()) {
    char file[32];
    std::snprintf(file, sizeof file, "made-%02zu", ++number);
    std::ofstream{folder / file, std::ios::binary}.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    bytes += seed.size();
  }
  std::printf("%-14s %zu seeds, %zu bytes\n", Harness::name, number, bytes);
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: make_seeds DIRECTORY\n"), 2;
  using namespace aegis_fuzz;
  const std::filesystem::path root = arguments[1];
  const std::size_t bytes = write_seeds<PageHarness>(root) + write_seeds<BlockHarness>(root) + write_seeds<LogHarness>(root) + write_seeds<MetadataHarness>(root) +
                            write_seeds<DirectoryHarness>(root) + write_seeds<OperationsHarness>(root) + write_seeds<OrderHarness>(root);
  std::printf("%zu bytes in all\n", bytes);
}
