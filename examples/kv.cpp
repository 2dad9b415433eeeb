// A store on the command line. It shows the whole public face of an engine, and is useful: load a file, look at it, check it.
// Exit codes: 0 done; 1 not found, or verify or salvage found damage; 2 wrong usage or input; 3 the engine reported an error.
#include <aegis/storage.hpp>
#include <aegis/storage/engine/salvage.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

namespace storage = aegis::storage;
using storage::Result;
using Engine = storage::Engine<storage::LocalBackend>;  // every policy at its default

struct Options {
  std::string directory = "kv.store", table = "main";
  std::size_t pool_mib = 64;
  std::string file, key, value, from, to, prefix, format = "auto", damaged, out;
  std::uint64_t limit = ~std::uint64_t{0}, batch = 1000;
  bool reverse = false, values_only = false, quiet = false, has_from = false, has_to = false;
};

enum Exit { done = 0, not_found = 1, usage = 2, engine_error = 3 };

int complain(const storage::Error& error) {
  std::fprintf(stderr, "kv: %s\n", error.message().c_str());
  return engine_error;
}
int complain(Exit code, const std::string& what) {
  std::fprintf(stderr, "kv: %s\n", what.c_str());
  return code;
}
unsigned long long shown(std::uint64_t number) { return number; }

// --- text --------------------------------------------------------------------------------------------------------------

// Keys and values are any bytes; lines of text are not. What would break a line is written \n, \t, \\ or \xHH.
std::string escaped(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') text += "\\\\";
    else if (c == '\n') text += "\\n";
    else if (c == '\t') text += "\\t";
    else if (byte < 0x20 || byte == 0x7f) text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    else text += c;
  }
  return text;
}

std::string unescaped(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == 'x' && i + 3 < text.size()) {
      bytes += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    } else if (next == 'n' || next == 't' || next == '\\') {
      bytes += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
      ++i;
    } else {
      bytes += text[i];
    }
  }
  return bytes;
}

// The same for a text of several lines, in which names and keys may stand.
std::string escaped_lines(std::string_view text) {
  std::string lines;
  for (std::size_t end; !text.empty(); text.remove_prefix(end + 1)) {
    end = std::min(text.find('\n'), text.size() - 1);
    lines += escaped(text.substr(0, end)) + '\n';
  }
  return lines;
}

class Progress {
 public:
  Progress(std::uintmax_t total, bool quiet) : total_(total), shown_(!quiet && ::isatty(STDERR_FILENO) != 0) {}
  ~Progress() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }
  void show(std::uintmax_t bytes, std::uint64_t rows) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    const double part = total_ == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(total_);
    const int full = static_cast<int>(40 * std::min(part, 1.0));
    std::fprintf(stderr, "\r[%s%s] %3.0f%%  %llu rows", std::string(static_cast<std::size_t>(full), '#').c_str(),
                 std::string(static_cast<std::size_t>(40 - full), '.').c_str(), 100 * part, shown(rows));
  }

 private:
  static unsigned long long shown(std::uint64_t number) { return number; }
  std::uintmax_t total_;
  bool shown_;
  std::chrono::steady_clock::time_point last_{};
};

// --- commands ----------------------------------------------------------------------------------------------------------

// Lines of a file as rows, `batch` of them in one transaction. Each committed transaction is acknowledged by a line on
// standard output, the number of lines now safe, so that somebody who kills the load knows what must be there.
//   lines    key: the line's number, ten digits; value: the line
//   tab      key: what stands before the first tab; value: what stands after it
//   escaped  as tab, but in the form that `dump` writes
//   auto     tab if the first line has one, otherwise lines
int load(Engine& engine, const Engine::Table& table, Options options) {
  std::ifstream opened;
  if (options.file != "-") opened.open(options.file, std::ios::binary);
  std::istream& input = options.file == "-" ? std::cin : opened;
  if (!input) return complain(usage, "cannot read " + options.file);
  std::error_code unknown_size;
  const auto size = options.file == "-" ? 0 : std::filesystem::file_size(options.file, unknown_size);
  Progress progress(unknown_size ? 0 : size, options.quiet);
  const auto start = std::chrono::steady_clock::now();

  std::vector<std::pair<std::string, std::string>> rows;
  std::uint64_t lines = 0, bytes = 0, batch_bytes = 0;
  const auto commit = [&]() -> Result<void> {
    auto committed = engine.transact([&](Engine::Transaction& txn) -> Result<void> {
      for (const auto& [key, value] : rows) AEGIS_TRY(txn.put(table, key, value));
      return {};
    });
    if (!committed) return committed.error();
    rows.clear();
    batch_bytes = 0;
    if (!options.quiet) {
      std::printf("%llu\n", shown(lines));
      std::fflush(stdout);
    }
    progress.show(bytes, lines);
    return {};
  };
  for (std::string line; std::getline(input, line);) {
    ++lines;
    bytes += line.size() + 1;
    batch_bytes += line.size();
    const std::size_t tab = line.find('\t');
    if (options.format == "auto") options.format = tab == std::string::npos ? "lines" : "tab";
    if (options.format == "lines") {
      const std::string number = std::to_string(lines);
      rows.emplace_back(std::string(10 - std::min<std::size_t>(number.size(), 10), '0') + number, std::move(line));
    } else {
      const std::string_view text = line, key = text.substr(0, tab), value = tab == std::string::npos ? "" : text.substr(tab + 1);
      if (options.format == "tab") rows.emplace_back(key, value);
      else rows.emplace_back(unescaped(key), unescaped(value));
    }
    if (rows.size() >= options.batch || batch_bytes > 1 << 20)
      if (const auto committed = commit(); !committed) return complain(committed.error());
  }
  if (!rows.empty())
    if (const auto committed = commit(); !committed) return complain(committed.error());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::fprintf(stderr, "loaded %llu lines, %llu bytes into \"%s\" in %.2f s (%.0f lines a second)\n", shown(lines), shown(bytes),
               escaped(options.table).c_str(), seconds, seconds > 0 ? static_cast<double>(lines) / seconds : 0.0);
  return done;
}

int get(Engine& engine, const Engine::Table& table, const Options& options) {
  const auto value = engine.snapshot().get(table, options.key);
  if (!value) return complain(value.error());
  if (!*value) return complain(not_found, "no such key: " + escaped(options.key));
  std::fwrite((*value)->data(), 1, (*value)->size(), stdout);
  std::fputc('\n', stdout);
  return done;
}

int put(Engine& engine, const Engine::Table& table, const Options& options) {
  const auto committed = engine.transact([&](Engine::Transaction& txn) { return txn.put(table, options.key, options.value); });
  return committed ? done : complain(committed.error());
}

int erase(Engine& engine, const Engine::Table& table, const Options& options) {
  bool was_there = false;
  const auto committed = engine.transact([&](Engine::Transaction& txn) -> Result<void> {
    AEGIS_TRY(was_there, txn.erase(table, options.key));
    return {};
  });
  if (!committed) return complain(committed.error());
  return was_there ? done : complain(not_found, "no such key: " + escaped(options.key));
}

// Also `dump`: all rows in order of their keys, escaped, one a line; `load --format escaped` takes it back.
int scan(Engine& engine, const Engine::Table& table, const Options& options) {
  storage::KeyRange range;
  if (!options.prefix.empty()) range = storage::KeyRange::prefix(options.prefix);
  if (options.has_from) range.from = options.from;
  if (options.has_to) range.to = options.to;
  auto reader = engine.snapshot();
  auto row = reader.scan(table, range, options.reverse ? storage::Direction::reverse : storage::Direction::forward);
  for (std::uint64_t rows = 0; rows < options.limit && row.valid(); ++rows, row.next()) {
    if (options.values_only) std::fwrite(row.value().data(), 1, row.value().size(), stdout);
    else std::fputs((escaped(row.key()) + "\t" + escaped(row.value())).c_str(), stdout);
    if (std::fputc('\n', stdout) == EOF) return complain(usage, "cannot write the output");
  }
  return row.status() ? done : complain(row.status().error());
}

int tables(Engine& engine) {
  const auto names = engine.tables();
  if (!names) return complain(names.error());
  for (const auto& name : *names) std::printf("%s\n", escaped(name).c_str());
  return done;
}

int stats(Engine& engine) {
  const auto s = engine.stats();
  std::printf("blocks        %llu, %llu bytes stored, %llu bytes of files\n", shown(s.backend.blocks), shown(s.backend.stored_bytes), shown(s.backend.file_bytes));
  std::printf("log           %llu bytes\n", shown(s.log_bytes));
  std::printf("pool          %llu frames, %llu used, %llu dirty, %llu hits, %llu misses\n", shown(s.pool.frames), shown(s.pool.used), shown(s.pool.dirty),
              shown(s.pool.hits), shown(s.pool.misses));
  std::printf("transactions  %llu committed, %llu aborted, %llu conflicts\n", shown(s.transactions.committed), shown(s.transactions.aborted),
              shown(s.transactions.conflicts));
  return done;
}

int verify(Engine& engine) {
  const auto report = engine.verify();
  if (!report) return complain(report.error());
  std::fputs(report->message().c_str(), stdout);  // a line for each damaged page
  std::printf("%s: %llu pages, %llu rows checked\n", report->ok() ? "ok" : "DAMAGED", shown(report->pages), shown(report->rows));
  return report->ok() ? done : not_found;
}

// A durable name for what a salvage made; never in place of something else.
Result<void> give_name(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) return storage::Error::os(storage::Errc::io, errno, "naming of the new store");
  const auto parent = std::filesystem::path(to).parent_path();
  const int directory = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  if (directory >= 0) ::close(directory);
  if (!synced) return storage::Error::os(storage::Errc::io, errno, "sync of the directory of the new store");
  return {};
}

// Everything readable of a damaged store goes to a new one, which gets its name once it is complete.
int salvage(Options options) {
  while (options.out.size() > 1 && options.out.back() == '/') options.out.pop_back();
  const std::string unfinished = options.out + ".salvaging";
  std::error_code unknown;
  if (!std::filesystem::is_directory(options.damaged, unknown)) return complain(usage, "no store at " + options.damaged);
  for (const std::string& place : {options.out, unfinished})
    if (std::filesystem::symlink_status(place, unknown).type() != std::filesystem::file_type::not_found) return complain(usage, place + " is there already; nothing was done");
  const auto run = [&]() -> Result<storage::SalvageReport> {
    AEGIS_TRY(auto engine, Engine::open({.directory = unfinished, .pool_bytes = options.pool_mib << 20}));
    AEGIS_TRY(auto report, storage::salvage(options.damaged, engine));
    AEGIS_TRY(engine.close());
    return report;
  };
  auto report = run();
  if (report)
    if (const auto named = give_name(unfinished, options.out); !named) report = named.error();
  if (!report) {
    std::filesystem::remove_all(unfinished, unknown);
    return complain(report.error());
  }
  std::fputs(escaped_lines(report->message()).c_str(), stdout);
  std::printf("%s: %s\n", report->ok() ? "ok, nothing is missing" : "DAMAGED, see above; what could be read is in", options.out.c_str());
  return report->ok() ? done : not_found;
}

// --- the command line --------------------------------------------------------------------------------------------------

int run(const std::string& command, Options& options) {
  if (command == "salvage") return salvage(options);
  const bool makes = command == "load" || command == "put";
  if (!makes && !std::filesystem::exists(options.directory)) return complain(usage, "no store at " + options.directory + "; load or put makes one");
  if (!options.file.empty() && options.file != "-" && !std::filesystem::is_regular_file(options.file)) return complain(usage, "not a file: " + options.file);
  auto engine = Engine::open({.directory = options.directory, .pool_bytes = options.pool_mib << 20});
  if (!engine) return complain(engine.error());

  const auto work = [&]() -> int {
    if (command == "tables") return tables(*engine);
    if (command == "stats") return stats(*engine);
    if (command == "verify") return verify(*engine);
    if (command == "checkpoint") {
      const auto made = engine->checkpoint();
      return made ? done : complain(made.error());
    }
    if (!makes) {  // table() makes what is not there; a question should not
      const auto names = engine->tables();
      if (!names) return complain(names.error());
      if (std::find(names->begin(), names->end(), options.table) == names->end()) return complain(not_found, "no table " + escaped(options.table));
    }
    const auto table = engine->table(options.table);
    if (!table) return complain(table.error());
    if (command == "load") return load(*engine, *table, options);
    if (command == "get") return get(*engine, *table, options);
    if (command == "put") return put(*engine, *table, options);
    if (command == "erase") return erase(*engine, *table, options);
    return scan(*engine, *table, options);
  };
  const int code = work();
  if (code == engine_error) return code;
  const auto closed = engine->close();
  return closed ? code : complain(closed.error());
}

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"A key-value store in a directory, on aegis-storage. Exit codes: 0 done, 1 not found or damaged, 2 usage, 3 engine error."};
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("-d,--directory", o.directory, "where the store lies")->capture_default_str();
  app.add_option("-t,--table", o.table, "table to work on")->capture_default_str();
  app.add_option("--pool-mib", o.pool_mib, "memory for pages, MiB")->capture_default_str()->check(CLI::Range(1, 1 << 20));

  auto* load = app.add_subcommand("load", "put the lines of a file; prints how many are safe after every transaction");
  load->add_option("file", o.file, "the file, or - for standard input")->required();
  load->add_option("--format", o.format, "lines, tab, escaped or auto")->capture_default_str()->check(CLI::IsMember({"lines", "tab", "escaped", "auto"}));
  load->add_option("--batch", o.batch, "lines in one transaction")->capture_default_str()->check(CLI::Range(1, 1 << 20));
  load->add_flag("-q,--quiet", o.quiet, "no acknowledgements, no progress bar");
  app.add_subcommand("get", "print the value of a key")->add_option("key", o.key)->required();
  auto* put = app.add_subcommand("put", "set the value of a key");
  put->add_option("key", o.key)->required();
  put->add_option("value", o.value)->required();
  app.add_subcommand("erase", "remove a key")->add_option("key", o.key)->required();
  auto* scan = app.add_subcommand("scan", "print rows in the order of their keys");
  auto* from = scan->add_option("--from", o.from, "first key");
  auto* to = scan->add_option("--to", o.to, "first key no more");
  scan->add_option("--prefix", o.prefix, "only keys that begin so");
  scan->add_option("--limit", o.limit, "at most so many rows");
  scan->add_flag("--reverse", o.reverse, "from the last to the first");
  auto* dump = app.add_subcommand("dump", "print every row; load --format escaped takes it back");
  for (auto* printing : {scan, dump}) printing->add_flag("--values", o.values_only, "values alone, as they are");
  app.add_subcommand("tables", "print the names of the tables");
  app.add_subcommand("stats", "print what the engine counts");
  app.add_subcommand("verify", "read and check everything");
  app.add_subcommand("checkpoint", "write everything to its place and shorten the log");
  auto* salvage = app.add_subcommand("salvage", "copy what can be read of a damaged store into a new one, and say what cannot");
  salvage->add_option("damaged", o.damaged, "directory of the damaged store; it is not changed")->required();
  salvage->add_option("out", o.out, "directory to make; must not be there")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? done : usage;
  }
  o.has_from = from->count() > 0;
  o.has_to = to->count() > 0;
  return run(app.get_subcommands().front()->get_name(), o);
}
