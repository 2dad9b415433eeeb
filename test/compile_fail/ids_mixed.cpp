// A block's id is no page's id, though both are numbers.
// expect: cannot
#include <aegis/storage/core/ids.hpp>

using namespace aegis::storage;

#ifdef MISTAKE
constexpr PageId page = BlockId{7};
#else
constexpr PageId page{7};
#endif
static_assert(number(page) == 7);
