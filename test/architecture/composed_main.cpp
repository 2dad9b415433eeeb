#include "composed.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

int main() {
  std::string scratch = "/tmp/aegis-composed-XXXXXX";
  if (::mkdtemp(scratch.data()) == nullptr) return 2;
  const bool memory = composed::exercise_memory();
  const bool local = composed::exercise_local((scratch + "/store").c_str());
  const int removed = std::system(("rm -rf " + scratch).c_str());
  std::printf("in memory: %s, on disk: %s\n", memory ? "ok" : "failed", local ? "ok" : "failed");
  return memory && local && removed == 0 ? 0 : 1;
}
