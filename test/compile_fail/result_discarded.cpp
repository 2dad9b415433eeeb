// A Result that nobody looks at may hide a lost write.
// expect: nodiscard
#include <aegis/storage/core/result.hpp>

aegis::storage::Result<> write_it();

void caller() {
#ifdef MISTAKE
  write_it();
#else
  if (!write_it()) return;
#endif
}
