// Pages change inside the commit section only: its token is made by entering it, and by nothing else.
// expect: private | no matching | deleted
#include <aegis/storage.hpp>

namespace storage = aegis::storage;

#ifdef MISTAKE
storage::CommitSection::Token token{};
#else
storage::CommitSection section;
storage::CommitSection::Token token = section.enter();
#endif
