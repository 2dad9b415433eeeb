// SPDX-License-Identifier: Apache-2.0
// RocksDB. Plain DB for key-value workloads; TransactionDB (pessimistic locks + snapshot) where the workload needs
// multi-record transactions.
#pragma once
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/transaction.h>
#include <rocksdb/utilities/transaction_db.h>

#include "common.hpp"

namespace bench {

class Rocks {
 public:
  static constexpr Slice name = "rocksdb";
  static constexpr Slice isolation = "snapshot (row locks, validated against snapshot)";

  explicit Rocks(const Config& c) : cfg_(c) {
    std::filesystem::create_directories(c.dir);
    rocksdb::Options o;
    o.create_if_missing = true;
    o.compression = rocksdb::kNoCompression;
    o.IncreaseParallelism(2);
    o.write_buffer_size = 64u << 20;
    o.max_write_buffer_number = 4;
    o.max_open_files = -1;
    rocksdb::BlockBasedTableOptions t;
    t.block_cache = rocksdb::NewLRUCache(c.cache_mb << 20);
    t.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    t.format_version = 5;
    t.block_size = 8192;
    o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(t));
    if (!c.transactional) {
      ok(rocksdb::DB::Open(o, c.dir, &db_));
    } else {
      ok(rocksdb::TransactionDB::Open(o, rocksdb::TransactionDBOptions(), c.dir, &tdb_));
      db_ = tdb_;
    }
    wo_.sync = c.sync == Sync::commit;
  }
  ~Rocks() { delete db_; }
  void settle() {
    ok(db_->Flush(rocksdb::FlushOptions()));
    ok(db_->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
  }

  class Session {
   public:
    explicit Session(Rocks& e) : e_(e) {}
    ~Session() {
      if (batch_.Count()) ok(e_.db_->Write(e_.wo_, &batch_));
      delete txn_;
    }
    Status get(Slice k, std::string& out) {
      rocksdb::PinnableSlice v(&out);
      const auto s = e_.db_->Get(ro_, e_.db_->DefaultColumnFamily(), sl(k), &v);
      if (s.ok() && v.IsPinned()) out.assign(v.data(), v.size());
      return status(s);
    }
    Status put(Slice k, Slice v) { return status(e_.db_->Put(e_.wo_, sl(k), sl(v))); }
    void load(Slice k, Slice v) { batch_.Put(sl(k), sl(v)); }
    template <class F>
    void scan(Slice from, u64 n, F& f) {
      rocksdb::ReadOptions ro;
      ro.auto_prefix_mode = false;
      if (n > 1000) ro.readahead_size = 2u << 20;
      std::unique_ptr<rocksdb::Iterator> it(e_.db_->NewIterator(ro));
      for (it->Seek(sl(from)); n > 0 && it->Valid(); it->Next(), --n)
        f(Slice(it->key().data(), it->key().size()), Slice(it->value().data(), it->value().size()));
      ok(it->status());
    }
    void begin(bool) {
      if (e_.tdb_) {
        rocksdb::TransactionOptions to;
        to.set_snapshot = true;
        to.lock_timeout = 1000;
        txn_ = e_.tdb_->BeginTransaction(e_.wo_, to, txn_);
      } else {
        batch_.Clear();  // bulk load on a plain DB: an atomic batch
        return;
      }
      tro_ = rocksdb::ReadOptions();
      tro_.snapshot = txn_->GetSnapshot();
    }
    Status tget(Slice k, std::string& out) { return status(txn_->GetForUpdate(tro_, sl(k), &out)); }
    Status tput(Slice k, Slice v) { return status(txn_->Put(sl(k), sl(v))); }
    Status commit() {
      if (!e_.tdb_) {
        if (batch_.Count()) ok(e_.db_->Write(e_.wo_, &batch_));
        batch_.Clear();
        return Status::ok;
      }
      if (batch_.Count()) {  // bulk load on a transactional DB
        ok(e_.db_->Write(e_.wo_, &batch_));
        batch_.Clear();
      }
      return status(txn_->Commit());
    }
    void abort() { ok(txn_->Rollback()); }

   private:
    static rocksdb::Slice sl(Slice s) { return {s.data(), s.size()}; }
    static Status status(const rocksdb::Status& s) {
      if (s.ok()) return Status::ok;
      if (s.IsNotFound()) return Status::not_found;
      if (s.IsBusy() || s.IsTimedOut() || s.IsTryAgain()) return Status::conflict;
      fail("rocksdb: " + s.ToString());
    }
    Rocks& e_;
    rocksdb::ReadOptions ro_, tro_;
    rocksdb::WriteBatch batch_;
    rocksdb::Transaction* txn_ = nullptr;
  };

 private:
  static void ok(const rocksdb::Status& s) {
    if (!s.ok()) fail("rocksdb: " + s.ToString());
  }
  Config cfg_;
  rocksdb::DB* db_ = nullptr;
  rocksdb::TransactionDB* tdb_ = nullptr;
  rocksdb::WriteOptions wo_;
};

}  // namespace bench
