// SPDX-License-Identifier: Apache-2.0
// A directory of a test's own on the real file system, gone with all its content at the end of the scope.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include <stdlib.h>

namespace aegis_test {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    path_ = (parent / "aegis-test-XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  std::string content(const std::string& name) const {
    std::ifstream file{*this / name, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  void write(const std::string& name, const std::string& content) const { std::ofstream{*this / name, std::ios::binary} << content; }
  void clear() const {
    for (const auto& entry : std::filesystem::directory_iterator{path_}) std::filesystem::remove_all(entry.path());
  }

 private:
  std::string path_;
};

}  // namespace aegis_test
