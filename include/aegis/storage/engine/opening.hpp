// SPDX-License-Identifier: Apache-2.0
// From a backend to a usable store: makes a new one, or finds the last checkpoint, proves that it is ours, and applies
// what the log has beyond it. A store that cannot be trusted is refused and left as it was. Alone, before anything else.
#pragma once

#include <aegis/storage/engine/catalog.hpp>
#include <aegis/storage/engine/catalog_rows.hpp>
#include <aegis/storage/engine/checkpoint.hpp>
#include <aegis/storage/engine/redo.hpp>

#include <array>

namespace aegis::storage {

template <class Chosen>
class Opening {
 public:
  using Parts = storage::Parts<Chosen>;
  using Token = typename Parts::Token;

  Opening(Parts& parts, Checkpointer<Chosen>& checkpointer, Catalog<Chosen>& catalog) : parts_(parts), checkpointer_(checkpointer), catalog_(catalog) {}

  Result<RecoveryReport> run() {
    AEGIS_TRY(parts_.manager.usable());
    AEGIS_TRY(parts_.pool, Parts::Pool::open(parts_.backend, {.frames = 0, .bytes = parts_.options.pool_bytes}));
    AEGIS_TRY(const bool found, read_meta());
    if (!found) AEGIS_TRY(create());
    if (!parts_.meta.log_created) AEGIS_TRY(create_log());
    return reopen();
  }

 private:
  Result<void> make_tree() {
    parts_.tree.reset();
    parts_.allocator.reset(new (std::nothrow) typename Parts::Allocator(*parts_.pool));
    parts_.tree.reset(parts_.allocator ? new (std::nothrow) typename Parts::Tree(*parts_.pool, *parts_.allocator) : nullptr);
    if (!parts_.tree) return Error{Errc::out_of_memory, "store"};
    return {};
  }

  /// False when there is nothing: the store is to be made.
  Result<bool> read_meta() {
    std::array<std::byte, meta_bytes> stored;
    const auto size = parts_.backend.read(meta_block, stored);
    if (!size && size.error().code() == Errc::block_not_found) {
      AEGIS_TRY(const bool has_log, parts_.backend.has_log());  // made after block 0 only: where it is, there was a store
      if (parts_.backend.is_new() && !has_log) return false;
      return Error{Errc::corrupt_block, "block 0 is missing; block", 0};
    }
    if (!size && size.error().code() == Errc::too_large) return Error{Errc::incompatible_format, "block 0 is not of an aegis store; block", 0};
    AEGIS_TRY(size);
    AEGIS_TRY(parts_.meta, Meta::decode(Bytes{stored}.first(*size)));
    AEGIS_TRY(parts_.meta.fingerprint.accept(Parts::fingerprint()));
    return true;
  }

  /// An empty catalog, published. The log is made afterwards: until block 0 says so, there can be no commit in it.
  Result<void> create() {
    AEGIS_TRY(make_tree());
    Meta meta;
    meta.identity = {parts_.backend.draw_id(), parts_.backend.draw_id()};
    meta.fingerprint = Parts::fingerprint();
    {
      Token token = parts_.pool->section().enter();
      AEGIS_TRY(meta.catalog_root, parts_.tree->create(token, catalog_table));
      meta.page_count = parts_.pool->page_count();
    }
    AEGIS_TRY(parts_.pool->flush());
    return publish(meta);
  }
  Result<void> create_log() {
    AEGIS_TRY(const bool there, parts_.backend.has_log());
    if (!there) {
      const auto made = parts_.backend.open_log(parts_.log_options(true));
      if (!made && made.error().code() == Errc::invalid_argument)
        return Error{Errc::corrupt_block, "checkpoint where no log can begin, at LSN", number(parts_.meta.checkpoint.lsn)};
      if (!made) return made.error();
    }
    Meta meta = parts_.meta;
    meta.log_created = true;
    ++meta.checkpoint_number;
    return publish(meta);
  }
  Result<void> publish(const Meta& meta) {
    AEGIS_TRY(parts_.backend.write(meta_block, meta.encode()));
    AEGIS_TRY(parts_.backend.sync());
    parts_.meta = meta;
    return {};
  }

  Result<RecoveryReport> reopen() {
    AEGIS_TRY(auto log, open_log());
    {
      Token token = parts_.pool->section().enter();
      parts_.pool->set_page_count(token, parts_.meta.page_count);
    }
    AEGIS_TRY(make_tree());
    AEGIS_TRY(parts_.allocator->load());
    AEGIS_TRY(erase_free_blocks());
    parts_.catalog = {catalog_table, parts_.meta.catalog_root};
    parts_.next_table.store(parts_.meta.next_table);
    AEGIS_TRY(const RecoveryReport report, recover(std::move(log)));
    AEGIS_TRY(adopt_tables());
    AEGIS_TRY(begin_life());
    catalog_.clean_up();
    return report;
  }

  Result<void> adopt_tables() {
    Token token = parts_.pool->section().enter();
    return for_each_catalog_row(parts_, token, [&](std::string_view name, const CatalogRow& row) { return catalog_.adopt(name, row); });
  }

  /// A log that is missing or foreign, or older than the checkpoint, is refused.
  Result<typename Parts::Log> open_log() {
    AEGIS_TRY(const bool there, parts_.backend.has_log());
    if (!there) return Error{Errc::corrupt_log, "the log is missing"};
    AEGIS_TRY(auto log, parts_.backend.open_log(parts_.log_options(false)));
    AEGIS_TRY(check_checkpoint(log));
    return log;
  }

  /// Reads the log once, proves and applies it on the way. One that is damaged before durable bytes, or newer than the
  /// checkpoint, is refused; what was applied until then is in no checkpoint, so the store is what it was.
  Result<RecoveryReport> recover(typename Parts::Log log) {
    Redo<Chosen> redo{parts_, log.end() - parts_.meta.checkpoint.lsn};
    const WalOptions options{.identity = parts_.meta.identity, .from = parts_.meta.checkpoint};
    AEGIS_TRY(parts_.wal, Parts::WriteAheadLog::open(std::move(log), options, [&](const WalTransaction& transaction) { return redo.take(transaction); }));
    if (const std::uint64_t named = parts_.wal->scan().checkpoint_number; named > parts_.meta.checkpoint_number)
      return Error::mismatch(Errc::corrupt_block, "block 0 is older than its log, checkpoint", named, parts_.meta.checkpoint_number);
    return redo.finish(parts_.wal->scan());
  }

  /// A checkpoint is at the end of a unit that the log holds, and some timestamp is left after it.
  Result<void> check_checkpoint(const typename Parts::Log& log) const {
    const Lsn at = parts_.meta.checkpoint.lsn;
    if (number(at) % log.unit_bytes() != 0 || at > log.end()) return Error{Errc::corrupt_log, "checkpoint where the log cannot be, at LSN", number(at)};
    return {};
  }

  /// Pages that were freed but still withheld at the checkpoint have blocks that nobody will ask for again.
  Result<void> erase_free_blocks() {
    Result<void> done;
    parts_.allocator->for_each_free([&](PageId page) {
      if (!done) return;
      const auto there = parts_.backend.exists(block_of(page));
      done = there ? (*there ? parts_.backend.erase(block_of(page)) : Result<void>{}) : Result<void>{there.error()};
    });
    return done;
  }

  /// Timestamps go on where no earlier life can have been.
  Result<void> begin_life() {
    const Timestamp first = parts_.wal->scan().next_timestamp();
    if (first <= parts_.wal->scan().last) return Error{Errc::corrupt_log, "no timestamp is left after the newest in the log up to LSN", number(parts_.wal->scan().cut)};
    AEGIS_TRY(parts_.wal->begin_generation(first));
    Token token = parts_.pool->section().enter();
    parts_.manager.publish(token, Timestamp{number(first) - 1});
    checkpointer_.start_from(parts_.meta);
    return {};
  }

  Parts& parts_;
  Checkpointer<Chosen>& checkpointer_;
  Catalog<Chosen>& catalog_;
};

}  // namespace aegis::storage
