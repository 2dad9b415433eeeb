#include <aegis/storage/core/error.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <set>
#include <string>

using namespace aegis::storage;

TEST_CASE("every error has a name of its own, a meaning and an advice") {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Errc::invalid_argument); ++code) {
    CAPTURE(code);
    const ErrcText text = text_of(static_cast<Errc>(code));
    CHECK(text.name != "unknown");
    CHECK_FALSE(text.meaning.empty());
    CHECK_FALSE(text.advice.empty());
    CHECK(names.insert(text.name).second);
  }
  CHECK(text_of(static_cast<Errc>(200)).name == "unknown");
}

TEST_CASE("a message says what happened, to what, and what to do") {
  const std::string page = Error{Errc::corrupt_page, "page", 12}.message();
  CHECK(page.find("corrupt_page: page 12: ") == 0);
  CHECK(page.find(text_of(Errc::corrupt_page).advice) != std::string::npos);
  const std::string names = Error::mismatch(Errc::corrupt_block, "mark", "lz4", "none").message();
  CHECK(names.find("mark: ") != std::string::npos);
  CHECK(names.find("(expected lz4, found none)") != std::string::npos);
  const std::string numbers = Error::mismatch(Errc::too_large, "key bytes", 1024, 2000).message();
  CHECK(numbers.find("(expected 1024, found 2000)") != std::string::npos);
  const std::string os = Error::os(Errc::io, ENOENT, "data file").message();
  CHECK(os.find("No such file") != std::string::npos);
  CHECK(Error{Errc::busy}.message().find("busy: ") == 0);
}

TEST_CASE("a message about another layout says what the store has, what this program has, and what to do") {
  const auto said = [](const Error& error) { return error.message(); };
  const std::string advice = "; " + std::string{text_of(Errc::incompatible_format).advice};
  CHECK(said(Error::mismatch(Errc::incompatible_format, "codec", "none", "lz4")) == "incompatible_format: codec: the store has lz4, this program none" + advice);
  CHECK(said(Error::mismatch(Errc::incompatible_format, "format version of block", 1, 2, 7)) ==
        "incompatible_format: format version of block 7: the store has 2, this program 1" + advice);
  CHECK(said(Error::foreign("store id of log segment", 7, 99, 3)) ==
        "incompatible_format: store id of log segment 3: the file has 99, this store 7; keep the data file and the log of one store together");
  CHECK(said(Error{Errc::incompatible_format, "log frame type", 77}).find("log frame type 77: the store was written with another layout" + advice) != std::string::npos);
}

TEST_CASE("a message names the file and the offset, where the error has them") {
  const Error error{Errc::corrupt_block, "extent of block", 374};
  CHECK(error.at(StoreFile::data, 937984).message().find("corrupt_block: extent of block 374, in file data at offset 937984: ") == 0);
  CHECK(error.at(StoreFile::wal, 4096, 0x1f).message().find("extent of block 374, in file wal-000000000000001f.log at offset 4096: ") != std::string::npos);
  CHECK(error.at(StoreFile::data).message().find("extent of block 374, in file data: ") != std::string::npos);
  CHECK(error.at(StoreFile::data, 7).at(StoreFile::wal, 8, 1).offset() == 7);
  CHECK(error.at(StoreFile::wal, 1, std::uint64_t{1} << 32).file() == StoreFile::none);
  CHECK(error.file() == StoreFile::none);
  CHECK(error.message().find("file") == std::string::npos);
}

TEST_CASE("an error keeps what it was made with") {
  const Error error = Error::mismatch(Errc::corrupt_block, "block", 1, 2, 3);
  CHECK(error.code() == Errc::corrupt_block);
  CHECK(error.subject() == "block");
  CHECK(error.expected() == 1);
  CHECK(error.found() == 2);
  CHECK(error.id() == 3);
  CHECK(Error::os(Errc::no_space, ENOSPC, "log").os_error() == ENOSPC);
  CHECK(Error{Errc::io}.id() == Error::no_id);
}

TEST_CASE("what may be run again is told apart from what may not") {
  for (const Errc code : {Errc::conflict, Errc::deadlock, Errc::lock_timeout, Errc::snapshot_too_old}) CHECK(is_retryable(code));
  for (const Errc code : {Errc::key_exists, Errc::commit_undecided, Errc::engine_failed, Errc::no_space, Errc::io}) CHECK_FALSE(is_retryable(code));
}
