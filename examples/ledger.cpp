// Accounts, transfers between them by several clients at once, and the proof that nothing acknowledged is ever lost.
//
//   ledger run DIR [--clients N] [--transfers N | --seconds S]   transfers; each acknowledged one is a line "client number"
//   ledger audit DIR [ACKS]                                      checks the books, and that every line of ACKS is in them
//   ledger torture DIR [--rounds N] [--clients N]                run in a child process, SIGKILL it mid-way, recover, audit; N times
#include <aegis/storage.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace storage = aegis::storage;
using storage::Result;
using Engine = storage::Engine<storage::LocalBackend, storage::SnapshotIsolation, storage::SyncDurability>;
using Clock = std::chrono::steady_clock;

constexpr long accounts_in_all = 200, opening_balance = 1000;

// --- the books ---------------------------------------------------------------------------------------------------------

struct Books {
  Engine engine;
  Engine::Table accounts;   // "0042" -> balance
  Engine::Table transfers;  // "03/000000000017" (client 3, its 17th) -> "from to amount"
};

std::string padded(std::uint64_t number, std::size_t digits) {
  const std::string text = std::to_string(number);
  return std::string(digits > text.size() ? digits - text.size() : 0, '0') + text;
}
std::string account_key(long account) { return padded(static_cast<std::uint64_t>(account), 4); }
std::string transfer_key(unsigned client, std::uint64_t number) { return padded(client, 2) + "/" + padded(number, 12); }

Result<Books> open_books(const std::string& directory) {
  // Small on purpose: checkpoints run and pages are evicted while clients work, and kills hit those too.
  AEGIS_TRY(auto engine, Engine::open({.directory = directory, .pool_bytes = 2 << 20, .log_bytes = 8 << 20, .max_transaction_bytes = 1 << 20}));
  AEGIS_TRY(auto accounts, engine.table("accounts"));
  AEGIS_TRY(auto transfers, engine.table("transfers"));
  Books books{std::move(engine), accounts, transfers};
  auto opened = books.engine.transact([&](Engine::Transaction& txn) -> Result<void> {  // all accounts or none
    AEGIS_TRY(auto first, txn.get(books.accounts, account_key(0)));
    if (first) return {};
    for (long account = 0; account < accounts_in_all; ++account) AEGIS_TRY(txn.put(books.accounts, account_key(account), std::to_string(opening_balance)));
    return {};
  });
  if (!opened) return opened.error();
  return books;
}

// One transfer: two balances and a line in the journal, together or not at all.
Result<void> transfer(Engine::Transaction& txn, const Books& books, long from, long to, long amount, const std::string& key) {
  long balance[2];
  const long account[2] = {from, to};
  for (int i : {from < to ? 0 : 1, from < to ? 1 : 0}) {  // always in the same order, so that no two clients wait for each other
    AEGIS_TRY(auto text, txn.get_for_update(books.accounts, account_key(account[i])));
    if (!text) return storage::Errc::key_not_found;
    balance[i] = std::stol(*text);
  }
  if (balance[0] < amount) amount = 0;  // nobody overdraws; the line says so
  AEGIS_TRY(txn.update(books.accounts, account_key(from), std::to_string(balance[0] - amount)));
  AEGIS_TRY(txn.update(books.accounts, account_key(to), std::to_string(balance[1] + amount)));
  return txn.insert(books.transfers, key, account_key(from) + " " + account_key(to) + " " + std::to_string(amount));
}

// --- working -----------------------------------------------------------------------------------------------------------

struct Work {
  unsigned clients = 4;
  std::uint64_t transfers = 0;  // each client's; 0: no limit
  double seconds = 0;           // 0: no limit
};

Result<void> one_client(Books& books, unsigned client, const Work& work, int acks) {
  std::uint64_t number = 0;
  {
    auto reader = books.engine.snapshot();  // where an earlier run ended: the last line of this client
    auto last = reader.scan(books.transfers, storage::KeyRange::prefix(padded(client, 2) + "/"), storage::Direction::reverse);
    if (last.valid()) number = std::stoull(std::string(last.key().substr(3)));
    if (!last.status()) return last.status();
  }
  std::mt19937_64 random(client * 1'000'003 + number);
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(work.seconds));
  for (std::uint64_t done = 0; work.transfers == 0 || done < work.transfers; ++done) {
    if (work.seconds > 0 && Clock::now() >= end) break;
    const long from = static_cast<long>(random() % accounts_in_all), step = 1 + static_cast<long>(random() % (accounts_in_all - 1));
    const long amount = static_cast<long>(random() % 100);
    const std::string key = transfer_key(client, ++number);
    auto committed = books.engine.transact(
        [&](Engine::Transaction& txn) { return transfer(txn, books, from, (from + step) % accounts_in_all, amount, key); });
    if (!committed) return committed.error();
    const std::string line = std::to_string(client) + " " + std::to_string(number) + "\n";  // from here on it may not be lost
    if (::write(acks, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return storage::Error::os(storage::Errc::io, errno, "acknowledgement");
  }
  return {};
}

Result<void> run(const std::string& directory, const Work& work, int acks) {
  AEGIS_TRY(auto books, open_books(directory));
  std::vector<Result<void>> ends(work.clients);
  std::vector<std::thread> threads;
  for (unsigned client = 0; client < work.clients; ++client) threads.emplace_back([&, client] { ends[client] = one_client(books, client, work, acks); });
  for (auto& thread : threads) thread.join();
  for (const auto& end : ends) AEGIS_TRY(end);
  return books.engine.close();
}

// --- auditing ----------------------------------------------------------------------------------------------------------

using Acknowledged = std::map<unsigned, std::uint64_t>;  // client -> its newest acknowledged transfer; all before it were, too

struct Audit {
  std::uint64_t transfers = 0, lost = 0;
  long total = 0;
  bool consistent = true;
  double recovery_seconds = 0;
  bool ok() const { return consistent && lost == 0 && total == accounts_in_all * opening_balance; }
};

Result<Audit> audit(const std::string& directory, const Acknowledged& acknowledged) {
  Audit found;
  const auto start = Clock::now();
  AEGIS_TRY(auto books, open_books(directory));  // recovery happens here
  found.recovery_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  auto reader = books.engine.snapshot();

  // The journal, replayed from the opening balances, must give every account's balance; numbers have no gap.
  std::map<std::string, long> expected;
  for (long account = 0; account < accounts_in_all; ++account) expected[account_key(account)] = opening_balance;
  Acknowledged newest;
  auto line = reader.scan(books.transfers, {}, storage::Direction::forward);
  for (; line.valid(); line.next()) {
    const std::string key(line.key()), text(line.value());
    const auto client = static_cast<unsigned>(std::stoul(key.substr(0, 2)));
    found.consistent = found.consistent && std::stoull(key.substr(3)) == ++newest[client];
    const long amount = std::stol(text.substr(10));
    expected[text.substr(0, 4)] -= amount;
    expected[text.substr(5, 4)] += amount;
    ++found.transfers;
  }
  AEGIS_TRY(line.status());
  auto account = reader.scan(books.accounts, {}, storage::Direction::forward);
  std::size_t accounts = 0;
  for (; account.valid(); account.next(), ++accounts) {
    const long balance = std::stol(std::string(account.value()));
    found.consistent = found.consistent && balance >= 0 && balance == expected[std::string(account.key())];
    found.total += balance;
  }
  AEGIS_TRY(account.status());
  found.consistent = found.consistent && accounts == accounts_in_all;
  for (const auto& [client, number] : acknowledged)
    if (newest[client] < number) found.lost += number - newest[client];
  AEGIS_TRY(auto report, books.engine.verify());  // and the pages themselves
  found.consistent = found.consistent && report.ok();
  return found;  // no close(): the next opening recovers
}

void print(const Audit& found) {
  std::printf("%llu transfers, %llu acknowledged ones lost, total %ld (%ld at the start), books %s; opened in %.1f ms\n",
              static_cast<unsigned long long>(found.transfers), static_cast<unsigned long long>(found.lost), found.total,
              accounts_in_all * opening_balance, found.consistent ? "consistent" : "BROKEN", found.recovery_seconds * 1e3);
}

// Lines "client number"; an unfinished last one was never acknowledged. Returns how many there were.
std::uint64_t read_acks(std::FILE* from, Acknowledged& into, std::uint64_t at_most = ~std::uint64_t{0}) {
  std::uint64_t lines = 0;
  char text[64];
  for (; lines < at_most && std::fgets(text, sizeof text, from) != nullptr && std::strchr(text, '\n') != nullptr; ++lines) {
    char* end = nullptr;
    const auto client = static_cast<unsigned>(std::strtoul(text, &end, 10));
    const std::uint64_t number = std::strtoull(end, nullptr, 10);
    if (number > into[client]) into[client] = number;
  }
  return lines;
}

// --- killing -----------------------------------------------------------------------------------------------------------

Result<bool> torture(const std::string& directory, unsigned rounds, unsigned clients) {
  Acknowledged acknowledged;  // in this process, which is never killed
  std::mt19937_64 random(rounds);
  std::uint64_t acks = 0;
  double working = 0, slowest = 0;
  bool ok = true;
  for (unsigned round = 1; round <= rounds && ok; ++round) {
    int pipe_ends[2];
    if (::pipe(pipe_ends) != 0) return storage::Error::os(storage::Errc::io, errno, "pipe");
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return storage::Error::os(storage::Errc::io, errno, "fork");
    if (child == 0) {
      ::close(pipe_ends[0]);
      const auto ended = run(directory, {.clients = clients}, pipe_ends[1]);  // without limit; only the kill ends it
      std::fprintf(stderr, "the working process ended by itself: %s\n", ended ? "no reason" : ended.error().message().c_str());
      ::_exit(1);
    }
    ::close(pipe_ends[1]);
    std::FILE* const incoming = ::fdopen(pipe_ends[0], "r");
    // Killed after some acknowledgement, wherever its other clients, its checkpoint and its log then stand.
    const std::uint64_t wanted = 1 + random() % 2000;
    std::uint64_t seen = read_acks(incoming, acknowledged, 1);
    const auto start = Clock::now();
    seen += read_acks(incoming, acknowledged, wanted);
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    acks += seen + read_acks(incoming, acknowledged);  // what was acknowledged until the kill
    std::fclose(incoming);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return storage::Error{storage::Errc::engine_failed, "the working process"};
    working += took;
    AEGIS_TRY(const Audit found, audit(directory, acknowledged));
    std::printf("kill %2u after %4llu: ", round, static_cast<unsigned long long>(seen));
    print(found);
    slowest = std::max(slowest, found.recovery_seconds);
    ok = found.ok();
  }
  std::printf("%u kills, %llu transfers acknowledged by %u clients (%.0f a second), slowest recovery %.1f ms, audit: %s\n", rounds,
              static_cast<unsigned long long>(acks), clients, working > 0 ? static_cast<double>(acks) / working : 0.0, slowest * 1e3,
              ok ? "nothing lost, total preserved" : "FAILED");
  return ok;
}

// --- the command line --------------------------------------------------------------------------------------------------

int usage() {
  std::fputs("usage: ledger run DIR [--clients N] [--transfers N | --seconds S]\n       ledger audit DIR [ACKS]\n"
             "       ledger torture DIR [--rounds N] [--clients N]\n", stderr);
  return 2;
}

int main(int argc, char** argv) {
  if (argc < 3) return usage();
  const std::string command = argv[1], directory = argv[2];
  Work work;
  unsigned rounds = 10;
  const char* acks_file = nullptr;
  for (int i = 3; i < argc; ++i) {
    const std::string option = argv[i];
    if (option.rfind("--", 0) != 0 && acks_file == nullptr) {
      acks_file = argv[i];
      continue;
    }
    if (++i == argc) return usage();
    if (option == "--clients") work.clients = static_cast<unsigned>(std::atoi(argv[i]));
    else if (option == "--transfers") work.transfers = std::strtoull(argv[i], nullptr, 10);
    else if (option == "--seconds") work.seconds = std::atof(argv[i]);
    else if (option == "--rounds") rounds = static_cast<unsigned>(std::atoi(argv[i]));
    else return usage();
  }
  if (work.clients < 1 || work.clients > 99) return usage();
  const auto failed = [](const storage::Error& error) {
    std::fprintf(stderr, "ledger: %s\n", error.message().c_str());
    return 3;
  };
  if (command == "run") {
    if (work.transfers == 0 && work.seconds == 0) work.transfers = 1000;
    const auto done = run(directory, work, STDOUT_FILENO);
    return done ? 0 : failed(done.error());
  }
  if (command == "audit") {
    Acknowledged acknowledged;
    if (acks_file != nullptr) {
      std::FILE* const file = std::fopen(acks_file, "r");
      if (file == nullptr) return std::perror(acks_file), 2;
      read_acks(file, acknowledged);
      std::fclose(file);
    }
    const auto found = audit(directory, acknowledged);
    if (!found) return failed(found.error());
    print(*found);
    return found->ok() ? 0 : 1;
  }
  if (command == "torture") {
    const auto ok = torture(directory, rounds, work.clients);
    return ok ? (*ok ? 0 : 1) : failed(ok.error());
  }
  return usage();
}
